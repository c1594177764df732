/**
 * numeric whose digits DECIMAL has no room for, or may not have: text in the engine, and computed with by functions of Arka's own
 * (`types/numeric-text.ts`). Columns of such a type, quotients, averages, and what is made of them are of it: `WIDE_NUMERIC` in place
 * of numeric's OID.
 */
import { quoteLiteral } from '../../sql-text.ts';
import { notSupported, type SqlError, type SqlErrorFields } from '../../errors.ts';
import { canonicalNumeric } from '../../types/numeric-text.ts';
import { Oid } from '../../types/pg-type.ts';
import {
  commonDecimal,
  decimal,
  decimalArithmetic,
  decimalExtreme,
  decimalOf,
  decimalRound,
  decimalSum,
  decimalText,
  quotientCall,
  quotientOf,
  shownText,
} from './decimals.ts';
import { orderKey, sortKey } from './sort-keys.ts';
import {
  isFloat,
  isInteger,
  isText,
  parameterMark,
  typed,
  WIDE_NUMERIC,
  type DecimalForm,
  type Quotient,
  type Typed,
} from './typed.ts';

export const isWide = ({ oid }: Typed): boolean => oid === WIDE_NUMERIC;

/** An integer or a numeric. */
export const isExact = ({ oid }: Typed): boolean => isInteger(oid) || oid === Oid.numeric || oid === WIDE_NUMERIC;

const refused = (what: string): SqlError =>
  notSupported(`${what} over Arka tables`, { hint: 'Cast it to numeric(p,s) or double precision.' });

/** The value as text of a numeric. @throws {SqlError} 0A000 for a type that is none */
export function wideText(value: Typed): string {
  if (isWide(value)) return value.sql;
  if (typeof value.constant === 'string') return quoteLiteral(canonicalNumeric(value.constant));
  if (value.constant === null) return 'CAST(NULL AS VARCHAR)';
  if (value.parameter !== undefined) return parameterMark(value.parameter, 'numeric');
  if (isInteger(value.oid)) return `CAST(${value.sql} AS VARCHAR)`;
  if (value.oid === Oid.numeric) return decimalText(value.sql, value.decimal);
  throw refused('a value of this type beside a numeric without precision');
}

const OPERATIONS: Readonly<Record<string, string>> = {
  '+': 'add',
  '-': 'subtract',
  '*': 'multiply',
  '/': 'divide',
  '%': 'modulo',
};

/** Undefined: neither side is wide and the result is none, or the operator is no arithmetic. */
export function wideOperator(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed | undefined {
  const isQuotient = name === '/' && (left.oid === Oid.numeric || right.oid === Oid.numeric);
  if (!isWide(left) && !isWide(right) && !(isQuotient && isNumeric(left, right))) return undefined;
  const operation = OPERATIONS[name];
  if (operation === undefined || isText(left.oid) || isText(right.oid)) {
    if (/^([<>]=?|=|<>|\|\|)$/.test(name)) return undefined;
    throw notSupported(`operator ${name} of numeric without precision over Arka tables`, where);
  }
  // Beside a float both are.
  if (isFloat(left.oid) || isFloat(right.oid)) return undefined;
  const [x, y] = [decimalOf(left), decimalOf(right)];
  if (name === '/' && x !== undefined && y !== undefined) return quotient(x, y);
  const value = textArithmetic(name, left, right);
  if (name === '/' || (name === '*' && (left.near ?? right.near) !== undefined)) {
    const [a, b] = [nearOf(left), nearOf(right)];
    return a === undefined || b === undefined ? value : { ...value, near: `(${a} ${name} ${b})` };
  }
  const form = name === '%' ? undefined : decimalArithmetic(name, left, right);
  return form === undefined ? value : { ...value, decimal: form };
}

/** Of two exact numbers, one of them a numeric. */
export function textArithmetic(name: string, left: Typed, right: Typed): Typed {
  return typed(`arka_numeric_${OPERATIONS[name]}(${wideText(left)}, ${wideText(right)})`, WIDE_NUMERIC);
}

function quotient(x: DecimalForm, y: DecimalForm): Typed {
  const of = quotientOf(x, y);
  const near = `(CAST(${x.sql} AS DOUBLE) / CAST(${y.sql} AS DOUBLE))`;
  return { ...typed(quotientCall('', of), WIDE_NUMERIC), quotient: of, near };
}

/** Both are, or are untyped beside one that is. */
function isNumeric(left: Typed, right: Typed): boolean {
  return [left, right].every((side) => isExact(side) || side.oid === Oid.unknown);
}

function nearOf(value: Typed): string | undefined {
  if (value.near !== undefined) return value.near;
  const form = decimalOf(value);
  return form === undefined ? undefined : `CAST(${form.sql} AS DOUBLE)`;
}

/** Beside a float a numeric is one. */
export function asFloat(value: Typed): Typed {
  return isWide(value) ? typed(`CAST(${value.sql} AS DOUBLE)`, Oid.float8) : value;
}

/** `write` of the text, inside the subquery where it is one: carried out once, not in every row. */
function applied(value: Typed, write: (text: string) => string): string {
  return value.subquery === undefined
    ? write(wideText(value))
    : `(SELECT ${write(isWide(value) ? 'arka_one.c' : decimalText('arka_one.c', value.decimal))} FROM (${value.subquery}) AS arka_one(c))`;
}

const keyOf = (value: Typed): string =>
  value.quotient === undefined ? applied(value, (text) => sortKey(text, WIDE_NUMERIC)) : orderKey(value);

/** Doubles that are further apart than rounding can move them are in the order of the numerics. */
const NEAR = 1e-12;
/** Below it doubles have fewer digits. */
const SUBNORMAL = 1e-290;

/** Whether no DECIMAL holds both sides. */
export function isBeyondDecimal(left: Typed, right: Typed): boolean {
  const [a, b] = [decimalOf(left), decimalOf(right)];
  return a !== undefined && b !== undefined && commonDecimal([a, b]) === undefined;
}

/** A comparison of which one side is wide, or both are beyond one DECIMAL, and none is a float. */
export function wideComparison(operator: string, left: Typed, right: Typed): string {
  const [a, b] = [decimalOf(left), decimalOf(right)];
  if (a !== undefined && b !== undefined && commonDecimal([a, b]) !== undefined)
    return `(${a.sql} ${operator} ${b.sql})`;
  const byKey = (): string => `(${keyOf(left)} ${operator} ${keyOf(right)})`;
  if (operator === '=' || operator === '<>') return byKey();
  if (b !== undefined && left.subquery !== undefined)
    return `(${bound(left, b, MIRRORED[operator]!)} ${operator} ${b.sql})`;
  if (a !== undefined && right.subquery !== undefined) return `(${a.sql} ${operator} ${bound(right, a, operator)})`;
  const [x, y] = [nearOf(left), nearOf(right)];
  if (x === undefined || y === undefined || left.subquery !== undefined || right.subquery !== undefined) return byKey();
  const size = `(abs(${x}) + abs(${y}))`;
  return `CASE WHEN abs(${x} - ${y}) > ${NEAR} * ${size} AND ${size} > ${SUBNORMAL} THEN ${x} ${operator} ${y} ELSE ${byKey()} END`;
}

const MIRRORED: Readonly<Record<string, string>> = { '<': '>', '>': '<', '<=': '>=', '>=': '<=' };

/** What a DECIMAL compares with as with the value: the next one of its scale below or above. */
function bound(value: Typed, { scale }: DecimalForm, operator: string): string {
  const direction = operator === '>' || operator === '<=' ? -1 : 1;
  return applied(value, (text) => `CAST(arka_numeric_bound(${text}, ${scale}, ${direction}) AS DECIMAL(38,${scale}))`);
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
  'count min max sum avg any_value lag lead first_value last_value nth_value concat concat_ws stddev stddev_samp stddev_pop variance var_samp var_pop'.split(
    ' ',
  ),
);

/** Undefined: no argument is wide, or the function does not mind. */
export function wideCall(name: string, args: readonly Typed[]): Typed | undefined {
  if (!args.some(isWide) || INDIFFERENT.has(name)) return undefined;
  const write = FUNCTIONS[name];
  if (write === undefined || !isWide(args[0]!)) throw refused(`function ${name} of numeric without precision`);
  const [{ decimal: form }, digits] = args as [Typed, Typed | undefined];
  const scale = digits === undefined ? 0 : Number(digits.constant ?? Number.NaN);
  const rounded = name === 'round' && form !== undefined && scale >= 0 ? decimalRound(form, scale) : undefined;
  if (rounded !== undefined) return decimal(rounded.sql, rounded.precision, rounded.scale);
  return typed(write(args, args[0]!.sql), WIDE_NUMERIC);
}

/** `call` writes one aggregate with its FILTER and OVER. */
type Call = (aggregate: string) => string;

const ofForm = (form: DecimalForm): Typed =>
  form.shown === undefined
    ? { ...typed(form.sql, Oid.numeric), decimal: form }
    : { ...typed(shownText(form), WIDE_NUMERIC), decimal: form };

export function wideExtreme(name: 'min' | 'max', value: Typed, call: Call): Typed {
  if (value.decimal !== undefined) return ofForm(decimalExtreme(name, value.decimal, call));
  return typed(call(`arg_${name}(${value.sql}, ${sortKey(value.sql, value.oid)})`), WIDE_NUMERIC);
}

export function wideSum(value: Typed, call: Call): Typed {
  if (value.decimal !== undefined) return ofForm(decimalSum(value.decimal, call));
  if (value.quotient !== undefined) return typed(quotientSum(value.quotient, call), WIDE_NUMERIC);
  return typed(textSum(value.sql, call), WIDE_NUMERIC);
}

/** The sums of the parts, which the engine takes out of one call for all of them. */
function quotientSum(of: Quotient, call: Call): string {
  const part = (aggregate: string, name: string): string => call(`${aggregate}(${quotientCall('_parts', of)}.${name})`);
  const sums = ['w', 'f0', 'f1', 'f2'].map((name) => `CAST(${part('sum', name)} AS VARCHAR)`);
  return `arka_numeric_of_parts(${sums.join(', ')}, ${part('max', 's')})`;
}

/** Digits before and behind the point that a sum of texts has room for. */
const HALF = 28;

/**
 * The sum of texts: what stands before the point and what stands behind it have sums of their own, and the scale is the
 * largest of all. What has more digits is 0A000. No argument is conditional: so the engine works the text out once for all of them.
 */
function textSum(sql: string, call: Call): string {
  // strpos and HUGEINT: split_part makes a list of each value, a text as DECIMAL(38,0) takes 5 µs.
  const point = `strpos(${sql} || '.', '.')`;
  const [whole, fraction] = [`left(${sql}, ${point} - 1)`, `substring(${sql}, ${point} + 1)`];
  const sign = `(1 - 2 * CAST(starts_with(${sql}, '-') AS TINYINT))`;
  const parts = [`TRY_CAST(${whole} AS HUGEINT)`, `TRY_CAST('0.' || ${fraction} AS DECIMAL(38,${HALF})) * ${sign}`].map(
    (part) => `coalesce(CAST(${call(`sum(${part})`)} AS VARCHAR), '0')`,
  );
  const scale = call(`max(length(${fraction}))`);
  const has = (special: string): string => `${call(`bool_or(${sql} = '${special}')`)}`;
  const [plus, minus] = [has('Infinity'), has('-Infinity')];
  return [
    `CASE WHEN ${has('NaN')} OR (${plus} AND ${minus}) THEN 'NaN'`,
    `WHEN ${plus} THEN 'Infinity' WHEN ${minus} THEN '-Infinity'`,
    `WHEN ${call(`max(length(${whole}))`)} > ${HALF} OR ${scale} > ${HALF} THEN`,
    `error('0A000: a sum of numeric values with more than ${HALF} digits before or behind the point is not supported over Arka tables')`,
    `WHEN ${scale} IS NOT NULL THEN arka_numeric_round(arka_numeric_add(${parts[0]}, ${parts[1]}), CAST(${scale} AS INTEGER)) END`,
  ].join(' ');
}

/** avg of exact numbers. */
export function average(value: Typed, call: Call): Typed {
  const form = decimalOf(value);
  if (form === undefined) {
    const { sql, quotient: of } = value;
    const counted = of === undefined ? sql : `${quotientCall('_parts', of)}.s`;
    const count = `CAST(nullif(${call(`count(${counted})`)}, 0) AS VARCHAR)`;
    const sum = isWide(value) ? wideText(wideSum(value, call)) : `CAST(${call(`sum(${sql})`)} AS VARCHAR)`;
    return typed(`arka_numeric_divide(${sum}, ${count})`, WIDE_NUMERIC);
  }
  const count = { sql: `nullif(${call(`count(${form.sql})`)}, 0)`, precision: 19, scale: 0 };
  return { ...quotient(decimalSum(form, call), count), near: call(`avg(${form.sql})`) };
}

/** Bits of the last argument of `arka_numeric_deviation`. */
const DEVIATIONS: Readonly<Record<string, number>> = {
  var_pop: 0,
  variance: 1,
  var_samp: 1,
  stddev_pop: 2,
  stddev: 3,
  stddev_samp: 3,
};
/** Squares of so many digits can be summed 10^8 times. */
const SQUARED_DIGITS = 15;
const LIMB = 18;

/** stddev, variance and their kin of exact numbers: of the sums of values and squares, as PostgreSQL has them. */
export function deviation(name: string, value: Typed, call: Call): Typed {
  const { sql, oid } = value;
  const count = `CAST(${call(`count(${sql})`)} AS VARCHAR)`;
  const made = (sum: string, squares: string): Typed =>
    typed(`arka_numeric_deviation(${sum}, ${squares}, ${count}, ${DEVIATIONS[name]})`, WIDE_NUMERIC);
  const text = (aggregate: string): string => `CAST(${call(aggregate)} AS VARCHAR)`;
  if (isInteger(oid)) {
    const square = `(CAST(${sql} AS HUGEINT) * ${sql})`;
    if (oid !== Oid.int8) return made(text(`sum(${sql})`), text(`sum(${square})`));
    const limb = `1${'0'.repeat(LIMB)}`;
    const high = `arka_numeric_multiply(${text(`sum(${square} // ${limb})`)}, '${limb}')`;
    return made(text(`sum(${sql})`), `arka_numeric_add(${high}, ${text(`sum(${square} % ${limb})`)})`);
  }
  const form = value.decimal;
  if (form !== undefined && form.shown === undefined && form.precision <= SQUARED_DIGITS) {
    const square = `(CAST(${sql} AS DECIMAL(19,${form.scale})) * ${sql})`;
    return made(text(`sum(${sql})`), text(`sum(${square})`));
  }
  const number = wideText(value);
  return made(textSum(number, call), textSum(`arka_numeric_multiply(${number}, ${number})`, call));
}
