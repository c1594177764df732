/**
 * float4 and float8 arithmetic: where IEEE answers Infinity or 0, PostgreSQL says 22003.
 *
 * - G1 A chain of one kind (sums, or products) is guarded once, as a whole: its result is infinite, or 0, and no operand is. So the text
 *   grows with the operands, not with each way through them; an operand of the other kind stands with its own guard.
 * - G2 What is infinite already may be infinite. Constants need no guard where they cannot be at fault: a sum with one that is small beside the largest number, a product
 *   with one up to 1 for overflow, from 1 on for underflow;
 *   a product with 0 is 0 and no underflow, so no other chain may be part of it.
 */
import { notSupported } from '../../errors.ts';
import { typed, type Typed } from './typed.ts';

/** The unguarded text of a chain, and its operands that are not constants. */
export interface FloatChain {
  readonly kind: 'sum' | 'product';
  readonly plain: string;
  readonly operands: readonly string[];
  readonly mayOverflow: boolean;
  readonly mayUnderflow: boolean;
}

/** An addend below this changes no number that is near the largest. */
const SMALL = 1e290;
const TEXT_MAX = 100_000;

export function floatArithmetic(
  operator: '+' | '-' | '*' | '/',
  left: Typed,
  right: Typed,
  a: string,
  b: string,
  oid: number,
): Typed {
  const kind = operator === '+' || operator === '-' ? 'sum' : 'product';
  const sides = [part(left, a, kind), part(right, b, kind)] as const;
  const plain = `(${sides[0].plain} ${operator} ${sides[1].plain})`;
  const constants = [left, right].flatMap(({ constant }) => (typeof constant === 'string' ? [Number(constant)] : []));
  if (constants.some((constant) => !Number.isFinite(constant))) return typed(plain, oid);
  const [constant] = constants;
  if (kind === 'product' && constants.includes(0)) return typed(`(${a} ${operator} ${b})`, oid); // G2
  let mayOverflow = constants.length === 0 || sides.some((side) => side.mayOverflow);
  let mayUnderflow = kind === 'product' && (constants.length === 0 || sides.some((side) => side.mayUnderflow));
  if (constant !== undefined && kind === 'sum') mayOverflow ||= !(Math.abs(constant) < SMALL);
  if (constant !== undefined && kind === 'product') {
    const shrinks = operator === '/' && constants.length === 1 && typeof right.constant === 'string';
    const factor = Math.abs(constant);
    const isQuotient = operator === '/' && !shrinks;
    mayOverflow ||= isQuotient || (shrinks ? !(factor >= 1) : !(factor <= 1));
    mayUnderflow ||= isQuotient || (shrinks ? !(factor <= 1) : !(factor >= 1));
  }
  const chain: FloatChain = {
    kind,
    plain,
    operands: [...new Set(sides.flatMap(({ operands }) => operands))],
    mayOverflow,
    mayUnderflow,
  };
  return { ...typed(guarded(chain), oid), chain };
}

function part(side: Typed, sql: string, kind: FloatChain['kind']): FloatChain {
  if (side.chain?.kind === kind) return side.chain;
  const operands = typeof side.constant === 'string' ? [] : [sql];
  return { kind, plain: sql, operands, mayOverflow: false, mayUnderflow: false };
}

function guarded({ plain, operands, mayOverflow, mayUnderflow }: FloatChain): string {
  const tests: string[] = [];
  const all = (test: (operand: string) => string): string =>
    operands.map((operand) => ` AND ${test(operand)}`).join('');
  if (mayOverflow)
    tests.push(
      `WHEN isinf(${plain})${all((each) => `isfinite(${each})`)} THEN error('22003: value out of range: overflow')`,
    );
  if (mayUnderflow)
    tests.push(
      `WHEN ${plain} = 0${all((each) => `${each} <> 0 AND isfinite(${each})`)} THEN error('22003: value out of range: underflow')`,
    );
  const sql = tests.length === 0 ? plain : `CASE ${tests.join(' ')} ELSE ${plain} END`;
  if (sql.length > TEXT_MAX) throw notSupported('floating-point arithmetic of so many operands over Arka tables');
  return sql;
}
