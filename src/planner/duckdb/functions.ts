/**
 * The functions that run on DuckDB with PostgreSQL's meaning: an allow-list, so that it can grow by a row and a test.
 *
 * A name missing here is 0A000, even where DuckDB has a function of that name. Result types are kept where later
 * rewrites need them (0: unknown).
 */
import { quoteLiteral } from '../../sql-text.ts';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { JSON_FUNCTIONS } from './json-functions.ts';
import { ARRAY_FUNCTIONS } from './arrays.ts';
import { NOW_SQL, STATEMENT_TIME_SQL } from './session-time.ts';
import { ofAscii } from './patterns.ts';
import { refuseStyledText } from './styled-session.ts';
import { textOf } from './text-of.ts';
import { jsonAgg, type ListedJson } from './make-json.ts';
import { initcap, regexpSplitToArray, substringByPattern } from './text-functions.ts';
import { intervalField } from './interval-fields.ts';
import { toDate, toTimestamp } from './templates.ts';
import { toChar } from './to-char.ts';
import { writeOperator } from './operators.ts';
import { decimal, decimalOf, decimalRound, decimalWhole } from './decimals.ts';
import {
  elementIn,
  isDateTime,
  isFloat,
  isInteger,
  isJson,
  isText,
  typed,
  WIDE_NUMERIC,
  type DecimalForm,
  type Typed,
} from './typed.ts';
import { isExact, wideText } from './wide-numeric.ts';

export interface FunctionRule {
  /** DuckDB's name where it is another. */
  readonly to?: string;
  /** Type of the result: an OID, or 'first' for the first argument's. */
  readonly type?: number | 'first' | ((args: readonly Typed[]) => number);
  readonly arity?: readonly [number, number];
  /** Writes the whole call; for scalar functions only. */
  readonly write?: (args: readonly Typed[], name: string) => Typed;
  /** Checks arguments and throws 0A000. */
  readonly check?: (args: readonly Typed[], name: string) => void;
  readonly kind?: 'aggregate' | 'window';
  /** Written as a list of texts. */
  readonly listed?: (args: readonly Typed[], name: string) => ListedJson;
  /** Of float8, whatever numbers it is given. */
  readonly ofFloats?: true;
  /** Its type is that of WITHIN GROUP. */
  readonly ofSorted?: true;
}

const text: FunctionRule = { type: Oid.text, check: noBinary };
const transactionTime: FunctionRule = { write: () => typed(NOW_SQL, Oid.timestamptz), arity: [0, 0] };
const float: FunctionRule = { type: Oid.float8, check: noNumeric };

function noBinary(args: readonly Typed[], name: string): void {
  if (args.some((arg) => arg.oid === Oid.bytea)) throw notSupported(`function ${name} of bytea over Arka tables`);
}

/** concat prints booleans as t and f, DuckDB as true and false. */
function concatenable(args: readonly Typed[], name: string): void {
  noBinary(args, name);
  noJson(args, name);
  noBlanks(args, name);
  if (args.some((arg) => arg.oid === Oid.bool)) throw notSupported(`function ${name} of this type over Arka tables`);
}

function concatenated(args: readonly Typed[], name: string): Typed {
  for (const { oid } of args) refuseStyledText(oid);
  const texts = args.map((arg) =>
    isText(arg.oid) || arg.oid === Oid.unknown || arg.oid === 0 ? arg.sql : textOf(arg),
  );
  return typed(`${name}(${texts.join(', ')})`, Oid.text);
}

/** Of numerics the results have exact digits in PostgreSQL; beside a float a constant is one. */
function noNumeric(args: readonly Typed[], name: string): void {
  const isBesideFloat = args.some((arg) => isFloat(arg.oid));
  if (args.some((arg) => arg.oid === Oid.numeric && !(isBesideFloat && arg.constant !== undefined)))
    throw notSupported(`function ${name} of numeric over Arka tables`);
}

/** The engine sees char(n) without the blanks at its end. */
function noBlanks(args: readonly Typed[], name: string): void {
  if (args.some((arg) => arg.oid === Oid.bpchar))
    throw notSupported(`function ${name} of character(n) over Arka tables`, { hint: 'Cast the column to text.' });
}

/** An array of arrays of one length is one of more dimensions, of others an error. */
function noBlanksOrArrays(args: readonly Typed[], name: string): void {
  noBlanks(args, name);
  if (args.some((arg) => elementIn(arg.oid) !== undefined))
    throw notSupported(`function ${name} of arrays over Arka tables`);
}

function noJson(args: readonly Typed[], name: string): void {
  if (args.some((arg) => isJson(arg.oid))) throw notSupported(`function ${name} of json over Arka tables`);
}

/** Its days and microseconds go over into each other otherwise. */
function noIntervals(args: readonly Typed[], name: string): void {
  if (args.some((arg) => arg.oid === Oid.interval)) throw notSupported(`function ${name} of interval over Arka tables`);
}

function sumType([arg]: readonly Typed[]): number {
  switch (arg?.oid) {
    case Oid.int2:
    case Oid.int4:
      return Oid.int8;
    case Oid.int8:
    case Oid.numeric:
      return Oid.numeric;
    default:
      return arg?.oid ?? 0;
  }
}

function averageType([arg]: readonly Typed[]): number {
  if (arg === undefined || arg.oid === 0) return 0;
  return isFloat(arg.oid) ? Oid.float8 : arg.oid === Oid.interval ? Oid.interval : Oid.numeric;
}

const statistic: FunctionRule = { kind: 'aggregate', type: averageType };
const twoFloats: FunctionRule = { kind: 'aggregate', type: Oid.float8, ofFloats: true };

const AGGREGATES: Readonly<Record<string, FunctionRule>> = {
  count: { kind: 'aggregate', type: Oid.int8 },
  sum: {
    kind: 'aggregate',
    type: sumType,
    check: ([arg], name) => {
      if (arg?.oid === Oid.float4)
        throw notSupported(`function ${name} of real over Arka tables`, { hint: 'Cast to double precision.' });
    },
  },
  avg: { kind: 'aggregate', type: averageType, check: noIntervals },
  min: { kind: 'aggregate', type: 'first', check: noJson },
  max: { kind: 'aggregate', type: 'first', check: noJson },
  bool_and: { kind: 'aggregate', type: Oid.bool },
  bool_or: { kind: 'aggregate', type: Oid.bool },
  every: { kind: 'aggregate', to: 'bool_and', type: Oid.bool },
  bit_and: { kind: 'aggregate', type: 'first' },
  bit_or: { kind: 'aggregate', type: 'first' },
  string_agg: {
    kind: 'aggregate',
    type: Oid.text,
    arity: [2, 2],
    check: (args, name) => {
      noBinary(args, name);
      if (typeof args[1]?.constant !== 'string')
        throw notSupported('string_agg with a separator that is no constant over Arka tables');
    },
  },
  array_agg: { kind: 'aggregate', check: noBlanksOrArrays },
  json_agg: { kind: 'aggregate', arity: [1, 1], listed: jsonAgg },
  jsonb_agg: { kind: 'aggregate', arity: [1, 1], listed: jsonAgg },
  any_value: { kind: 'aggregate', type: 'first' },
  stddev: statistic,
  stddev_samp: statistic,
  stddev_pop: statistic,
  variance: statistic,
  var_samp: statistic,
  var_pop: statistic,
  corr: twoFloats,
  covar_pop: twoFloats,
  covar_samp: twoFloats,
  percentile_cont: { kind: 'aggregate', ofSorted: true },
  percentile_disc: { kind: 'aggregate' },
  mode: { kind: 'aggregate' },
};

const WINDOWS: Readonly<Record<string, FunctionRule>> = {
  row_number: { kind: 'window', type: Oid.int8 },
  rank: { kind: 'window', type: Oid.int8 },
  dense_rank: { kind: 'window', type: Oid.int8 },
  percent_rank: { kind: 'window', type: Oid.float8 },
  cume_dist: { kind: 'window', type: Oid.float8 },
  ntile: { kind: 'window', type: Oid.int4 },
  lag: { kind: 'window', type: 'first', check: sameDefault },
  lead: { kind: 'window', type: 'first', check: sameDefault },
  first_value: { kind: 'window', type: 'first' },
  last_value: { kind: 'window', type: 'first' },
  nth_value: { kind: 'window', type: 'first' },
};

/** lag(int, n, 0.7) is numeric in PostgreSQL, an int in DuckDB. */
function sameDefault(args: readonly Typed[], name: string): void {
  const [value, , other] = args;
  if (other === undefined) return;
  if ((other.oid !== value!.oid && other.oid !== Oid.unknown) || other.decimal?.scale !== value!.decimal?.scale)
    throw notSupported(`function ${name} with a default of another type over Arka tables`);
}

const SCALARS: Readonly<Record<string, FunctionRule>> = {
  lower: text,
  upper: text,
  initcap: { arity: [1, 1], write: initcap },
  reverse: text,
  replace: text,
  translate: text,
  repeat: text,
  left: text,
  right: text,
  md5: text,
  concat_ws: { check: concatenable, write: concatenated },
  concat: { check: concatenable, write: concatenated },
  chr: {
    type: Oid.text,
    write: ([arg]) =>
      typed(
        `CASE WHEN ${arg!.sql} = 0 THEN error('54000: null character not permitted') ELSE chr(${arg!.sql}) END`,
        Oid.text,
      ),
  },
  btrim: { ...text, to: 'trim' },
  ltrim: text,
  rtrim: text,
  lpad: { type: Oid.text, write: pad },
  rpad: { type: Oid.text, write: pad },
  length: { type: Oid.int4, write: length },
  char_length: { type: Oid.int4, write: length },
  character_length: { type: Oid.int4, write: length },
  octet_length: {
    type: Oid.int4,
    check: noBlanks,
    write: ([arg]) => typed(arg!.oid === Oid.bytea ? `octet_length(${arg!.sql})` : `strlen(${arg!.sql})`, Oid.int4),
  },
  strpos: { ...text, type: Oid.int4 },
  position: {
    type: Oid.int4,
    check: noBinary,
    write: (args) => typed(`strpos(${args[0]!.sql}, ${args[1]!.sql})`, Oid.int4),
  },
  starts_with: { type: Oid.bool },
  ascii: { type: Oid.int4 },
  substr: { write: substring },
  substring: { write: substring },
  split_part: { write: splitPart },
  to_hex: { type: Oid.text, write: ([arg]) => typed(`lower(to_hex(${arg!.sql}))`, Oid.text) },
  regexp_split_to_array: { arity: [2, 2], write: regexpSplitToArray },
  regexp_replace: { write: regexpReplace },
  abs: { type: 'first' },
  mod: { arity: [2, 2], write: (args) => writeOperator('%', args[0]!, args[1]!, {}) },
  sign: { arity: [1, 1], write: sign },
  ceil: { arity: [1, 1], write: wholeNumber },
  ceiling: { arity: [1, 1], write: (args) => wholeNumber(args, 'ceil') },
  floor: { arity: [1, 1], write: wholeNumber },
  round: { write: round },
  trunc: { arity: [1, 2], write: wholeNumber },
  sqrt: float,
  cbrt: float,
  ln: float,
  log: float,
  log10: float,
  pi: float,
  degrees: { ...float, write: ([arg]) => overflowing('degrees', arg!) },
  radians: float,
  sin: float,
  cos: float,
  tan: float,
  asin: float,
  acos: float,
  atan: float,
  atan2: float,
  cot: float,
  power: { write: power },
  pow: { write: power },
  exp: { write: exponential },
  date_trunc: { write: dateTrunc },
  date_part: { write: (args) => datePart(args, true) },
  extract: { write: (args) => datePart(args, false) },
  make_date: { type: Oid.date },
  to_timestamp: { arity: [1, 2], write: toTimestamp },
  to_date: { arity: [2, 2], write: toDate },
  to_char: { arity: [2, 2], write: toChar },
  age: { arity: [2, 2], write: age },
  isfinite: { type: Oid.bool, check: noIntervals },
  now: transactionTime,
  transaction_timestamp: transactionTime,
  statement_timestamp: { write: () => typed(STATEMENT_TIME_SQL, Oid.timestamptz), arity: [0, 0] },
  timezone: { write: timezone },
  ...Object.fromEntries(Object.entries(ARRAY_FUNCTIONS).map(([name, write]) => [name, { write }])),
  ...JSON_FUNCTIONS,
  gen_random_uuid: { to: 'gen_random_uuid', type: Oid.uuid, arity: [0, 0] },
  random: { type: Oid.float8, arity: [0, 0] },
};

const RULES: ReadonlyMap<string, FunctionRule> = new Map([
  ...Object.entries(AGGREGATES),
  ...Object.entries(WINDOWS),
  ...Object.entries(SCALARS),
]);

export function functionNames(): readonly string[] {
  return [...RULES.keys()];
}

export function functionRule(name: string): FunctionRule | undefined {
  return RULES.get(name);
}

/** floor, ceil, trunc: of integers they are float8. */
function wholeNumber([arg, digits]: readonly Typed[], name: string): Typed {
  const form = arg!.decimal;
  if (digits !== undefined) {
    if (!isExact(arg!)) throw notSupported('function trunc of this type to a number of digits over Arka tables');
    return typed(`arka_numeric_trunc(${wideText(arg!)}, ${digits.sql})`, WIDE_NUMERIC);
  }
  if (arg!.oid === Oid.numeric && form !== undefined) return ofDecimal(decimalWhole(name, form));
  return typed(`${name}(${arg!.sql})`, isInteger(arg!.oid) ? Oid.float8 : arg!.oid);
}

function sign([arg]: readonly Typed[]): Typed {
  const { sql, oid } = arg!;
  if (oid === Oid.numeric) return decimal(`CAST(sign(${sql}) AS DECIMAL(1,0))`, 1, 0);
  return typed(`sign(${sql})`, isInteger(oid) ? Oid.float8 : oid);
}

const ofDecimal = ({ sql, precision, scale }: DecimalForm): Typed => decimal(sql, precision, scale);

function length([arg]: readonly Typed[]): Typed {
  return typed(arg!.oid === Oid.bytea ? `octet_length(${arg!.sql})` : `length(${arg!.sql})`, Oid.int4);
}

function pad(args: readonly Typed[], name: string): Typed {
  if (args[2]?.constant === '') throw notSupported(`function ${name} with an empty fill over Arka tables`);
  return typed(`${name}(${args[0]!.sql}, ${args[1]!.sql}, ${args[2]?.sql ?? "' '"})`, Oid.text);
}

function wholeConstant(arg: Typed | undefined): number | null {
  return typeof arg?.constant === 'string' && /^-?\d+$/.test(arg.constant) && isInteger(arg.oid)
    ? Number(arg.constant)
    : null;
}

/** Positions before the first character count in PostgreSQL; DuckDB counts them from the end. */
function substring(args: readonly Typed[]): Typed {
  const [source, start, count] = args;
  noBinary(args, 'substring');
  if (source === undefined || start === undefined) throw notSupported('substring in this form over Arka tables');
  if (isText(start.oid) || start.oid === Oid.unknown) {
    if (count !== undefined) throw notSupported('substring by regular expression with an escape over Arka tables');
    return substringByPattern(source, start);
  }
  const from = wholeConstant(start);
  const many = count === undefined ? null : wholeConstant(count);
  if (many !== null && many < 0)
    throw new SqlError(SqlState.invalidParameterValue, 'negative substring length not allowed');
  if (from !== null && from >= 1 && (count === undefined || many !== null)) {
    return typed(`substring(${source.sql}, ${from}${count === undefined ? '' : `, ${many}`})`, Oid.text);
  }
  const first = `CASE WHEN ${start.sql} < 1 THEN 1 ELSE ${start.sql} END`;
  if (count === undefined) return typed(`substring(${source.sql}, ${first})`, Oid.text);
  const left = `${count.sql} + CASE WHEN ${start.sql} < 1 THEN ${start.sql} - 1 ELSE 0 END`;
  return typed(
    `CASE WHEN ${count.sql} < 0 THEN error('22023: negative substring length not allowed') ELSE substring(${source.sql}, ${first}, CASE WHEN ${left} < 0 THEN 0 ELSE ${left} END) END`,
    Oid.text,
  );
}

function splitPart(args: readonly Typed[]): Typed {
  const field = wholeConstant(args[2]);
  if (field === null || field === 0 || typeof args[1]?.constant !== 'string' || args[1].constant === '') {
    throw notSupported('split_part without a constant delimiter and field over Arka tables');
  }
  return typed(`split_part(${args[0]!.sql}, ${args[1].sql}, ${field})`, Oid.text);
}

function regexpReplace(args: readonly Typed[]): Typed {
  const [source, pattern, replacement, flags] = args;
  const constants = [pattern?.constant, replacement?.constant, flags === undefined ? '' : flags.constant];
  if (args.length > 4 || constants.some((constant) => typeof constant !== 'string'))
    throw notSupported('regexp_replace with arguments that are no constants over Arka tables');
  const [regex = '', by = '', options = ''] = constants as string[];
  // RE2 takes the leftmost alternative and its own view of greediness, PostgreSQL the longest match.
  if (
    /[|\\]|\(\?|[*+?}]\?|\)[*+?{]/.test(regex.replaceAll(/\\[dDsSwW.()[\]{}+*?^$-]/g, '')) ||
    !/^[gi]*$/.test(options)
  )
    throw notSupported('this form of regexp_replace over Arka tables');
  const groups = (regex.match(/(?<!\\)\(/g) ?? []).length;
  if ((by.match(/\\\d/g) ?? []).some((named) => Number(named[1]) > groups))
    throw notSupported('a group that is not there in regexp_replace over Arka tables');
  const call = `regexp_replace(${source!.sql}, ${quoteLiteral(regex)}, ${quoteLiteral(by.replaceAll('\\&', '\\0'))}, '${options}s')`;
  return typed(ofAscii(regex, source!.sql, call), Oid.text);
}

function round(args: readonly Typed[]): Typed {
  const [value, digits] = args;
  if (value === undefined) throw notSupported('function round without arguments');
  if (digits === undefined) {
    if (isFloat(value.oid)) return typed(`round_even(${value.sql}, 0)`, value.oid);
    if (isInteger(value.oid)) return typed(`round_even(CAST(${value.sql} AS DOUBLE), 0)`, Oid.float8);
    if (value.oid === Oid.numeric) return roundTo(value, 0, '0');
    throw notSupported('function round of a value whose type is not known here over Arka tables', {
      hint: 'Cast the value to numeric(p,s) or double precision.',
    });
  }
  return roundTo(value, wholeConstant(digits), digits.sql);
}

/** @param scale null: it is no constant */
function roundTo(value: Typed, scale: number | null, digits: string): Typed {
  const form = decimalOf(value);
  const rounded = form === undefined || scale === null ? undefined : decimalRound(form, scale);
  if (rounded !== undefined) return ofDecimal(rounded);
  if (isExact(value)) return typed(`arka_numeric_round(${wideText(value)}, ${digits})`, WIDE_NUMERIC);
  throw notSupported('function round of this type to a number of digits over Arka tables');
}

function overflowing(name: string, { sql, oid }: Typed): Typed {
  noNumeric([typed(sql, oid)], name);
  const call = `${name}(CAST(${sql} AS DOUBLE))`;
  return typed(
    `CASE WHEN isinf(${call}) AND isfinite(CAST(${sql} AS DOUBLE)) THEN error('22003: value out of range: overflow') ELSE ${call} END`,
    Oid.float8,
  );
}

function power(args: readonly Typed[]): Typed {
  return writePower(args[0]!, args[1]!);
}

/** float8 only: numeric has exact digits, and PostgreSQL refuses what IEEE answers with Infinity or NaN. */
export function writePower(left: Typed, right: Typed): Typed {
  noNumeric([left, right], 'power');
  const [x, y] = [left, right].map(({ sql }) => `CAST(${sql} AS DOUBLE)`) as [string, string];
  const call = `power(${x}, ${y})`;
  const isFinite = `isfinite(${x}) AND isfinite(${y})`;
  const exact = [
    `CASE WHEN ${x} = 0 AND ${y} < 0 THEN error('2201F: zero raised to a negative power is undefined')`,
    `WHEN ${x} < 0 AND floor(${y}) <> ${y} THEN error('2201F: a negative number raised to a non-integer power yields a complex result')`,
    `WHEN isinf(${call}) AND ${isFinite} THEN error('22003: value out of range: overflow')`,
    `WHEN ${call} = 0 AND ${x} <> 0 AND ${isFinite} THEN error('22003: value out of range: underflow') ELSE ${call} END`,
  ].join(' ');
  return typed(exact, Oid.float8);
}

function exponential([arg]: readonly Typed[]): Typed {
  noNumeric([arg!], 'exp');
  return typed(
    `CASE WHEN ${arg!.sql} > 709.78 AND isfinite(CAST(${arg!.sql} AS DOUBLE)) THEN error('22003: value out of range: overflow') WHEN exp(${arg!.sql}) = 0 AND isfinite(CAST(${arg!.sql} AS DOUBLE)) THEN error('22003: value out of range: underflow') ELSE exp(${arg!.sql}) END`,
    Oid.float8,
  );
}

const TRUNCATIONS: ReadonlySet<string> = new Set([
  'microseconds',
  'milliseconds',
  'second',
  'minute',
  'hour',
  'day',
  'week',
  'month',
  'quarter',
  'year',
]);

function age([later, earlier]: readonly Typed[]): Typed {
  const infinite = [later!, earlier!].filter(({ oid }) => isDateTime(oid)).map(({ sql }) => `isinf(${sql})`);
  const call = `age(${later!.sql}, ${earlier!.sql})`;
  if (infinite.length === 0) return typed(call, Oid.interval);
  return typed(
    `CASE WHEN ${infinite.join(' OR ')} THEN error('22008: timestamp out of range') ELSE ${call} END`,
    Oid.interval,
  );
}

function dateTrunc(args: readonly Typed[]): Typed {
  const [field, source, zone] = args;
  if (zone !== undefined) throw notSupported('date_trunc with a time zone over Arka tables');
  if (!isDateTime(source!.oid)) throw notSupported('date_trunc of this type over Arka tables');
  const ofDate = source!.oid === Oid.date;
  const instant = ofDate ? `CAST(${source!.sql} AS TIMESTAMP WITH TIME ZONE)` : source!.sql;
  return typed(truncation(field!, instant), ofDate ? Oid.timestamptz : source!.oid);
}

/** A unit that is no constant, such as a parameter's, is known when the statement runs. */
function truncation(field: Typed, instant: string): string {
  const unit = field.constant?.toLowerCase();
  if (unit !== undefined && TRUNCATIONS.has(unit)) return `date_trunc('${unit}', ${instant})`;
  if (unit !== undefined) throw notSupported(`date_trunc(${unit}) over Arka tables`);
  const given = `lower(CAST(${field.sql} AS VARCHAR))`;
  const units = [...TRUNCATIONS].map((one) => `'${one}'`);
  return `CASE WHEN ${given} IN (${units}) THEN date_trunc(${given}, ${instant}) WHEN ${given} IS NOT NULL THEN error('0A000: date_trunc(' || ${given} || ') over Arka tables is not supported') END`;
}

const PARTS: Readonly<Record<string, string>> = {
  year: 'year',
  years: 'year',
  month: 'month',
  day: 'day',
  days: 'day',
  hour: 'hour',
  minute: 'minute',
  quarter: 'quarter',
  week: 'week',
  dow: 'dow',
  doy: 'doy',
  isodow: 'isodow',
  isoyear: 'isoyear',
};

/** extract gives numeric with the fraction of a second, date_part float8. */
function datePart(args: readonly Typed[], asFloat: boolean): Typed {
  const [field, source] = args;
  const unit = field?.constant?.toLowerCase() ?? '';
  const { sql, oid } = source!;
  if (oid === Oid.interval) return intervalField(unit, sql, asFloat);
  const instant = oid === Oid.timestamp || oid === Oid.timestamptz;
  if (!instant && oid !== Oid.date && oid !== Oid.time) throw notSupported('extract from this type over Arka tables');
  const exact = datePartExact(unit, sql, oid);
  // Of an infinite date what rises with it is infinite, the rest is NULL here and there; a DECIMAL has no infinity.
  if (oid !== Oid.time && (unit === 'epoch' || unit === 'year' || unit === 'years' || unit === 'isoyear')) {
    const sign = `CASE WHEN ${sql} > '2000-01-01' THEN '' ELSE '-' END`;
    const infinite = asFloat
      ? `CAST(${sign} || 'infinity' AS DOUBLE)`
      : `error('0A000: extract(${unit}) of an infinite date is not supported over Arka tables')`;
    const finite = asFloat ? `CAST(${exact} AS DOUBLE)` : exact;
    const either = `CASE WHEN isinf(${sql}) THEN ${infinite} ELSE ${finite} END`;
    return asFloat ? typed(either, Oid.float8) : extracted(either);
  }
  return asFloat ? typed(`CAST(${exact} AS DOUBLE)`, Oid.float8) : extracted(exact);
}

/** By the unit that it counts in. */
function extracted(sql: string): Typed {
  if (sql.includes(' * 0.000001')) return decimal(sql, 25, 6);
  return sql.includes(' * 0.001') ? decimal(sql, 22, 3) : decimal(sql, 18, 0);
}

function datePartExact(unit: string, sql: string, oid: number): string {
  const part = PARTS[unit];
  const micros = `date_part('microsecond', ${sql})`;
  if (part !== undefined) {
    const ofTime = part === 'hour' || part === 'minute';
    if ((oid === Oid.date && ofTime) || (oid === Oid.time && !ofTime))
      throw new SqlError(
        SqlState.featureNotSupported,
        `unit "${unit}" not supported for type ${oid === Oid.date ? 'date' : 'time without time zone'}`,
      );
    // Of a timestamptz it would be the year of the era.
    const local = oid === Oid.timestamptz && part.endsWith('year') ? `CAST(${sql} AS TIMESTAMP)` : sql;
    const value = `date_part('${part}', ${local})`;
    // There is no year 0: before it PostgreSQL counts from 1.
    const counted =
      part === 'year' || part === 'isoyear' ? `${value} - CASE WHEN ${value} <= 0 THEN 1 ELSE 0 END` : value;
    return `CAST(${counted} AS DECIMAL(18,0))`;
  }
  if (unit === 'epoch') {
    if (oid === Oid.date) return `CAST(epoch(${sql}) AS DECIMAL(18,0))`;
    if (oid !== Oid.time) return `(epoch_us(${sql}) * 0.000001)`;
  }
  if (oid !== Oid.date) {
    if (unit === 'second' || unit === 'seconds') return `(${micros} * 0.000001)`;
    if (unit === 'milliseconds' || unit === 'millisecond') return `(${micros} * 0.001)`;
    if (unit === 'microseconds' || unit === 'microsecond') return `CAST(${micros} AS DECIMAL(18,0))`;
  }
  throw notSupported(`extract(${unit}) of this type over Arka tables`);
}

function timezone(args: readonly Typed[]): Typed {
  const [zone, source] = args;
  if (typeof zone?.constant !== 'string' || !/^[A-Za-z_]+(\/[A-Za-z_+-]+)*$/.test(zone.constant))
    throw notSupported('this form of AT TIME ZONE over Arka tables', {
      hint: 'Give a region name, such as Europe/Paris.',
    });
  if (source!.oid !== Oid.timestamp && source!.oid !== Oid.timestamptz)
    throw notSupported('AT TIME ZONE of this type over Arka tables');
  return typed(
    `timezone(${zone.sql}, ${source!.sql})`,
    source!.oid === Oid.timestamp ? Oid.timestamptz : Oid.timestamp,
  );
}
