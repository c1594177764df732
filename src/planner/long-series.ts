/**
 * Statements over no table but `generate_series(1, 1000000)`: rows made up for a test. PostgreSQL inside answers at once and whole, so
 * long ones are the engine's, which streams them.
 */
import type { FuncCall, Node } from 'libpg-query';
import { plainName, stringsOf, walk } from './ast.ts';

const LONG_ROWS = 10_000;

/** The integers that a call of generate_series has as arguments, NaN for a parameter's; null: anything else. */
export function seriesOf({ funcname, args = [] }: FuncCall): readonly number[] | null {
  if (plainName(funcname) !== 'generate_series' || args.length < 2) return null;
  const numbers = args.map((arg, i) => (i < 2 && 'ParamRef' in bare(arg) ? NaN : integerOf(bare(arg))));
  return numbers.includes(null) || numbers[2] === 0 ? null : (numbers as number[]);
}

const INTEGERS: ReadonlySet<string> = new Set(['int2', 'int4', 'int8']);

/** What is cast to an integer, without the cast. */
function bare(node: Node): Node {
  if (!('TypeCast' in node)) return node;
  const { arg, typeName } = node.TypeCast;
  return arg !== undefined && INTEGERS.has(stringsOf(typeName?.names).at(-1) ?? '') ? bare(arg) : node;
}

function integerOf(node: Node): number | null {
  if (!('A_Const' in node) || node.A_Const.isnull === true) return null;
  const { ival, fval } = node.A_Const;
  if (ival !== undefined) return ival.ival ?? 0;
  const value = Number(fval?.fval);
  return Number.isSafeInteger(value) ? value : null;
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
