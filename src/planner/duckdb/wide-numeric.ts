/**
 * numeric whose digits DECIMAL has no room for, or may not have: text in the engine, and computed with by functions of Arka's own
 * (`types/numeric-text.ts`). Only columns of such a type, and what is made of them, are of it: `WIDE_NUMERIC` in place of numeric's OID.
 */
import { quoteLiteral } from '../../sql-text.ts';
import { notSupported, type SqlError, type SqlErrorFields } from '../../errors.ts';
import { canonicalNumeric } from '../../types/numeric-text.ts';
import { Oid } from '../../types/pg-type.ts';
import { isFloat, isInexact, isInteger, isText, parameterMark, typed, WIDE_NUMERIC, type Typed } from './typed.ts';

export const isWide = ({ oid }: Typed): boolean => oid === WIDE_NUMERIC;

const refused = (what: string): SqlError =>
  notSupported(`${what} over Arka tables`, { hint: 'Cast it to numeric(p,s) or double precision.' });

/** The value as text of a numeric. @throws {SqlError} 0A000 for digits that are not exact here */
export function wideText(value: Typed): string {
  if (isWide(value)) return value.sql;
  if (typeof value.constant === 'string') return quoteLiteral(canonicalNumeric(value.constant));
  if (value.constant === null) return 'CAST(NULL AS VARCHAR)';
  if (value.parameter !== undefined) return parameterMark(value.parameter, 'numeric');
  if (isInexact(value)) throw refused('a computed numeric beside one without precision');
  if (isInteger(value.oid) || value.oid === Oid.numeric) return `CAST(${value.sql} AS VARCHAR)`;
  throw refused('a value of this type beside a numeric without precision');
}

const OPERATIONS: Readonly<Record<string, string>> = {
  '+': 'add',
  '-': 'subtract',
  '*': 'multiply',
  '/': 'divide',
  '%': 'modulo',
};

/** Undefined: neither side is wide, or the operator is no arithmetic. */
export function wideOperator(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed | undefined {
  if (!isWide(left) && !isWide(right)) return undefined;
  const operation = OPERATIONS[name];
  if (operation === undefined || isText(left.oid) || isText(right.oid)) {
    if (/^([<>]=?|=|<>|\|\|)$/.test(name)) return undefined;
    throw notSupported(`operator ${name} of numeric without precision over Arka tables`, where);
  }
  // Beside a float both are.
  if (isFloat(left.oid) || isFloat(right.oid)) return undefined;
  return typed(`arka_numeric_${operation}(${wideText(left)}, ${wideText(right)})`, WIDE_NUMERIC);
}

/** Beside a float a numeric is one. */
export function asFloat(value: Typed): Typed {
  return isWide(value) ? typed(`CAST(${value.sql} AS DOUBLE)`, Oid.float8) : value;
}

/** Functions that take a wide numeric first, with how many arguments; the rest are refused by name. */
const FUNCTIONS: Readonly<Record<string, (args: readonly Typed[], sql: string) => string>> = {
  abs: (_args, sql) => `arka_numeric_abs(${sql})`,
  sign: (_args, sql) => `arka_numeric_sign(${sql})`,
  floor: (_args, sql) => `arka_numeric_floor(${sql})`,
  ceil: (_args, sql) => `arka_numeric_ceil(${sql})`,
  ceiling: (_args, sql) => `arka_numeric_ceil(${sql})`,
  round: ([, digits], sql) => `arka_numeric_round(${sql}, ${digits?.sql ?? '0'})`,
  trunc: ([, digits], sql) => `arka_numeric_trunc(${sql}, ${digits?.sql ?? '0'})`,
};
/** Functions that give one of their arguments back, or only look whether it is there. */
const INDIFFERENT: ReadonlySet<string> = new Set(
  'count min max sum avg any_value lag lead first_value last_value nth_value concat concat_ws'.split(' '),
);

/** Undefined: no argument is wide, or the function does not mind. */
export function wideCall(name: string, args: readonly Typed[]): Typed | undefined {
  if (!args.some(isWide) || INDIFFERENT.has(name)) return undefined;
  const write = FUNCTIONS[name];
  if (write === undefined || !isWide(args[0]!)) throw refused(`function ${name} of numeric without precision`);
  return typed(write(args, args[0]!.sql), WIDE_NUMERIC);
}

/**
 * sum and avg: in DECIMAL(38,18), with the largest scale of all values. `call` writes one aggregate with its FILTER and OVER.
 * Values that do not fit are 0A000.
 */
export function wideAggregate(name: 'sum' | 'avg', sql: string, call: (aggregate: string) => string): Typed {
  const fits = `arka_numeric_fits(${sql})`;
  const decimal = `CAST(CASE WHEN ${fits} THEN ${sql} END AS DECIMAL(38,18))`;
  const sum = `CAST(${call(`sum(${decimal})`)} AS VARCHAR)`;
  const shown = `arka_numeric_round(${sum}, ${call(`max(arka_numeric_scale(${sql}))`)})`;
  const value =
    name === 'sum' ? shown : `arka_numeric_divide(${shown}, CAST(nullif(${call(`count(${sql})`)}, 0) AS VARCHAR))`;
  const message = `0A000: ${name} of numeric values that are not finite, or have more than 19 digits before or 18 behind the point, is not supported over Arka tables`;
  return typed(
    `CASE WHEN ${call(`bool_and(${fits})`)} IS FALSE THEN error('${message}') ELSE ${value} END`,
    WIDE_NUMERIC,
  );
}
