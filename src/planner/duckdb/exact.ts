/**
 * Numerics to the last digit: DuckDB's division and average are doubles, of which PostgreSQL shows other digits. Beside the double, that conditions
 * and orders compare, goes SQL for the text, which functions of Arka's own work out (`types/numeric-text.ts`).
 */
import { Oid } from '../../types/pg-type.ts';
import { isInexact, isInteger, type Typed } from './typed.ts';

/** DuckDB has the value as it is, as an integer or a DECIMAL. */
export function hasAllDigits(value: Typed): boolean {
  return isInteger(value.oid) || (value.oid === Oid.numeric && !isInexact(value));
}

export function exactQuotient(dividend: string, divisor: string): string {
  return `arka_numeric_divide(${dividend}, ${divisor})`;
}

const FUNCTIONS: Readonly<Record<string, string>> = {
  '+': 'arka_numeric_add',
  '-': 'arka_numeric_subtract',
  '*': 'arka_numeric_multiply',
  '/': 'arka_numeric_divide',
};

function textOf(value: Typed): string | undefined {
  return value.exact ?? (hasAllDigits(value) ? `CAST(${value.sql} AS VARCHAR)` : undefined);
}

/** The result of an operator, with its text where it is a numeric that is not exact otherwise. */
export function withExact(operator: string, left: Typed, right: Typed, result: Typed): Typed {
  const name = FUNCTIONS[operator];
  if (name === undefined || result.oid !== Oid.numeric) return result;
  if (operator !== '/' && left.exact === undefined && right.exact === undefined) return result;
  const [a, b] = [textOf(left), textOf(right)];
  return a === undefined || b === undefined ? result : { ...result, exact: `${name}(${a}, ${b})` };
}
