/**
 * Statements over no table but `generate_series(1, 1000000)`: rows made up for a test. PostgreSQL inside answers at once and whole, so
 * long ones are the engine's, which streams them.
 */
import type { FuncCall, Node } from 'libpg-query';
import { plainName, walk } from './ast.ts';

const LONG_ROWS = 10_000;

/** The integers that a call of generate_series has as arguments; null: anything else. */
export function seriesOf({ funcname, args = [] }: FuncCall): readonly number[] | null {
  if (plainName(funcname) !== 'generate_series' || args.length < 2) return null;
  const numbers = args.map((arg) =>
    'A_Const' in arg && arg.A_Const.ival !== undefined ? (arg.A_Const.ival.ival ?? 0) : NaN,
  );
  return numbers.some(Number.isNaN) || numbers[2] === 0 ? null : numbers;
}

export function hasLongSeries(node: Node): boolean {
  let found = false;
  walk(node, (tag, body) => {
    if (tag !== 'RangeFunction') return;
    walk(body, (inner, call) => {
      const series = inner === 'FuncCall' ? seriesOf(call as unknown as FuncCall) : null;
      if (series !== null && Math.abs((series[1]! - series[0]!) / (series[2] ?? 1)) > LONG_ROWS) found = true;
    });
  });
  return found;
}
