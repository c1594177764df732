/** Operators by PostgreSQL's name: what DuckDB does alike, what is rewritten, and what is refused by name. */
import { quoteLiteral } from '../../sql-text.ts';
import type { A_Expr } from 'libpg-query';
import { notSupported, SqlError, SqlState, type SqlErrorFields } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { formatType } from '../../types/format-type.ts';
import { arrayItems, checkDateTime, scalarLiteral } from './literals.ts';
import { textOf } from './text-of.ts';
import { commonDecimal, decimal, decimalArithmetic, decimalOf } from './decimals.ts';
import { floatArithmetic } from './float-guards.ts';
import { writeLike, writeRegex } from './patterns.ts';
import { writePower } from './functions.ts';
import { arrayConcatenation } from './arrays.ts';
import { jsonOperator } from './json.ts';
import { isKeyed, sortKey } from './sort-keys.ts';
import {
  asFloat,
  isBeyondDecimal,
  isWide,
  textArithmetic,
  wideComparison,
  wideOperator,
  wideText,
} from './wide-numeric.ts';
import {
  commonNumber,
  declaredOid,
  elementIn,
  isDateTime,
  isFloat,
  isInteger,
  isJson,
  isNumber,
  isText,
  small,
  typed,
  WIDE_NUMERIC,
  kept,
  widened,
  type Typed,
} from './typed.ts';

const COMPARISONS: ReadonlySet<string> = new Set(['=', '<>', '<', '>', '<=', '>=']);

/** @throws {SqlError} 0A000 naming the operator */
export function writeOperator(operator: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const name = operator === '!=' ? '<>' : operator;
  if (COMPARISONS.has(name)) return writeComparison(name, left, right, where);
  const wide = wideOperator(name, left, right, where);
  if (wide !== undefined) return wide;
  if (isWide(left) !== isWide(right) && (isFloat(left.oid) || isFloat(right.oid)))
    return writeOperator(operator, asFloat(left), asFloat(right), where);
  return writeOther(operator, name, left, right, where);
}

function writeOther(operator: string, name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const json = jsonOperator(name, left, right, where);
  if (json !== undefined) return json;
  switch (name) {
    case '+':
    case '-':
    case '*':
      return arithmetic(name, left, right);
    case '/':
    case '%':
      return division(name, left, right, where);
    case '^':
      return writePower(left, right);
    case '||':
      return concatenation(left, right, where);
    case '&':
    case '|':
      if (isInteger(left.oid) && isInteger(right.oid))
        return typed(`(${left.sql} ${name} ${right.sql})`, commonNumber(left.oid, right.oid));
      break;
    case '#':
      if (isInteger(left.oid) && isInteger(right.oid))
        return typed(`xor(${left.sql}, ${right.sql})`, commonNumber(left.oid, right.oid));
      break;
    case '~':
      return writeRegex(left, right, false, false);
    case '~*':
      return writeRegex(left, right, true, false);
    case '!~':
      return writeRegex(left, right, false, true);
    case '!~*':
      return writeRegex(left, right, true, true);
    case '~~':
      return writeLike(left, right, null, false, false);
    case '~~*':
      return writeLike(left, right, null, true, false);
    case '!~~':
      return writeLike(left, right, null, false, true);
    case '!~~*':
      return writeLike(left, right, null, true, true);
    case '^@':
      if ([left, right].every(({ oid }) => isText(oid) || oid === Oid.unknown) && left.oid !== Oid.bpchar)
        return typed(`starts_with(${left.sql}, ${right.sql})`, Oid.bool);
      break;
    case '@>':
    case '<@':
    case '&&':
      return arrayContainment(name, left, right, where);
    default:
  }
  throw notSupported(`operator ${operator} over Arka tables`, where);
}

export function writePrefix(operator: string, argument: Typed, where: SqlErrorFields): Typed {
  switch (operator) {
    case '-':
      if (isWide(argument)) return typed(`arka_numeric_negate(${argument.sql})`, argument.oid);
      if (typeof argument.constant === 'string' && isNumber(argument.oid))
        return { ...negated(`(-${argument.sql})`, argument), constant: negate(argument.constant) };
      if (isInteger(argument.oid)) return arithmetic('-', typed('0', argument.oid), argument);
      return negated(`(-(${argument.sql}))`, argument);
    case '+':
      return argument;
    case '@':
      if (isWide(argument)) return typed(`arka_numeric_abs(${argument.sql})`, argument.oid);
      return negated(`abs(${argument.sql})`, argument);
    case '~':
      if (isInteger(argument.oid)) return typed(`(~(${argument.sql}))`, argument.oid);
  }
  throw notSupported(`prefix operator ${operator} over Arka tables`, where);
}

/** Of the type and the scale of the argument. */
function negated(sql: string, { oid, decimal: form }: Typed): Typed {
  return form === undefined ? small(typed(sql, oid)) : decimal(sql, form.precision, form.scale);
}

function negate(constant: string): string {
  return constant.startsWith('-') ? constant.slice(1) : `-${constant}`;
}

/** Equality and order; where values have keys, theirs. */
export function writeComparison(operator: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  checkComparable(left, where);
  checkComparable(right, where);
  if (isWide(left) !== isWide(right) && (isFloat(left.oid) || isFloat(right.oid)))
    return writeComparison(operator, asFloat(left), asFloat(right), where);
  if (isRealBesideOther(left, right)) return writeComparison(operator, asDouble(left), asDouble(right), where);
  if (family(left.oid) !== family(right.oid) && family(left.oid) !== null && family(right.oid) !== null)
    throw undefinedOperator(operator, left, right, where);
  if (isWide(left) || isWide(right) || isBeyondDecimal(left, right))
    return typed(wideComparison(operator, left, right), Oid.bool);
  return typed(`(${compared(left, right, where)} ${operator} ${compared(right, left, where)})`, Oid.bool);
}

function undefinedOperator(operator: string, left: Typed, right: Typed, where: SqlErrorFields): SqlError {
  const names = [left, right].map((side) => formatType({ oid: declaredOid(side.oid), typmod: -1 }));
  return new SqlError(SqlState.undefinedFunction, `operator does not exist: ${names[0]} ${operator} ${names[1]}`, {
    hint: 'No operator matches the given name and argument types. You might need to add explicit type casts.',
    ...where,
  });
}

/** PostgreSQL compares both as double precision, the engine would make both real: 0.7 is no real, and equals none. */
export function isRealBesideOther({ oid: left }: Typed, { oid: right }: Typed): boolean {
  return left !== right && (left === Oid.float4 || right === Oid.float4) && isNumber(left) && isNumber(right);
}

const asDouble = (value: Typed): Typed =>
  value.oid === Oid.float8 ? value : typed(`CAST(${value.sql} AS DOUBLE)`, Oid.float8);

/** Types that compare with each other; DuckDB would cast across, PostgreSQL refuses. Null: not known here. */
function family(oid: number): string | null {
  if (isNumber(oid) || oid === WIDE_NUMERIC) return 'number';
  if (isText(oid)) return 'text';
  if (isDateTime(oid)) return 'instant';
  return oid === Oid.bool ||
    oid === Oid.pgLsn ||
    oid === Oid.uuid ||
    oid === Oid.bytea ||
    oid === Oid.time ||
    oid === Oid.interval ||
    oid === Oid.timetz ||
    oid === Oid.jsonb
    ? String(oid)
    : null;
}

export function checkComparable(value: Typed, where: SqlErrorFields): void {
  if (value.oid === Oid.json) throw notSupported('comparison of json values over Arka tables', where);
}

/** For places that compare values themselves, not by their keys. */
export function checkEqualAsStored(value: Typed, where: SqlErrorFields): void {
  checkComparable(value, where);
  if (isKeyed(value.oid))
    throw notSupported(
      `${formatType({ oid: declaredOid(value.oid), typmod: -1 })} values in this place over Arka tables`,
      where,
    );
}

/** What stands for a value beside another of its type. */
export function compared(value: Typed, other: Typed, where: SqlErrorFields): string {
  return sortKey(kept(value, coerced(value, other, where)), isKeyed(value.oid) ? value.oid : other.oid);
}

/** An untyped constant takes the other side's type, by PostgreSQL's rules for its text. */
export function coerced(value: Typed, other: Typed, where: SqlErrorFields): string {
  if (other.oid === WIDE_NUMERIC) return wideText(value);
  // char(n) beside varchar compares as char(n): the engine has it without its blanks already.
  if (value.oid === Oid.varchar && other.oid === Oid.bpchar) return `rtrim(${value.sql}, ' ')`;
  if (typeof value.constant !== 'string' || value.oid !== Oid.unknown) return value.sql;
  if (isDateTime(other.oid) || other.oid === Oid.time) checkDateTime(value.constant, other.oid);
  if (
    other.oid === 0 ||
    other.oid === Oid.unknown ||
    (isText(other.oid) && other.oid !== Oid.bpchar && other.oid !== Oid.name)
  )
    return value.sql;
  try {
    return scalarLiteral(value.constant, other.oid);
  } catch (error) {
    const { position } = value;
    throw error instanceof SqlError ? error.with(position === undefined ? where : { position }) : error;
  }
}

function arithmetic(name: string, given: Typed, other: Typed): Typed {
  const [left, right] = widened(given, other);
  if (left.oid === Oid.pgLsn || right.oid === Oid.pgLsn) {
    if (name !== '-') throw notSupported(`operator ${name} of pg_lsn over Arka tables`);
    return decimal(`CAST(${coerced(left, right, {})} - ${coerced(right, left, {})} AS DECIMAL(19,0))`, 19, 0);
  }
  if (left.oid === Oid.timetz || right.oid === Oid.timetz)
    throw notSupported(`operator ${name} of time with time zone over Arka tables`);
  if (name === '-' && left.oid === Oid.time && right.oid === Oid.time)
    throw notSupported('operator - of times over Arka tables');
  const oid = arithmeticType(name, left.oid, right.oid);
  // An untyped constant beside a date or an interval is an interval, or a date: PostgreSQL decides by its tables.
  const a = untypedOperand(left, right);
  const b = untypedOperand(right, left);
  if (name === '-' && left.oid === Oid.date && right.oid === Oid.date)
    return typed(
      `CASE WHEN isinf(${a}) OR isinf(${b}) THEN error('22008: cannot subtract infinite dates') ELSE CAST(${a} - ${b} AS INTEGER) END`,
      oid,
    );
  // DuckDB counts days of the session's zone, of which some have 23 hours.
  if (name === '-' && oid === Oid.interval && [left.oid, right.oid].includes(Oid.timestamptz) && isDateTime(right.oid))
    return typed(`(${asUtc(a, left.oid)} - ${asUtc(b, right.oid)})`, oid);
  if (oid === Oid.timestamptz && right.oid === Oid.interval && isSeveral(right)) return stepwise(a, name, b);
  if (oid === Oid.timestamptz && left.oid === Oid.interval && isSeveral(left)) return stepwise(b, name, a);
  if (isFloat(oid)) return floatArithmetic(name as '+' | '-' | '*', left, right, a, b, oid);
  const form = oid === Oid.numeric ? decimalArithmetic(name, left, right) : undefined;
  if (form !== undefined) return { ...typed(form.sql, oid), decimal: form };
  if (oid === Oid.numeric && decimalOf(left) !== undefined && decimalOf(right) !== undefined)
    return textArithmetic(name, left, right);
  const sum = small(typed(`(${a} ${name} ${b})`, oid));
  return isInteger(oid) ? { ...sum, fallible: true } : sum;
}

/** A constant of one unit needs no steps. */
function isSeveral({ constant }: Typed): boolean {
  return (
    typeof constant !== 'string' ||
    !/^\s*-?\d+\s*(years?|mons?|months?|weeks?|days?|hours?|minutes?|seconds?)\s*$/i.test(constant)
  );
}

/** Months first, then days, then the time; of an interval with a part below 0 the engine adds the time first. */
function stepwise(instant: string, sign: string, interval: string): Typed {
  const part = (unit: string): string => `date_part('${unit}', ${interval})`;
  const months = `to_months(CAST(${part('year')} * 12 + ${part('month')} AS INTEGER))`;
  const days = `to_days(CAST(${part('day')} AS INTEGER))`;
  const micros = `to_microseconds(CAST(${part('hour')} AS BIGINT) * 3600000000 + CAST(${part('minute')} AS BIGINT) * 60000000 + CAST(${part('microsecond')} AS BIGINT))`;
  return typed(`(((${instant} ${sign} ${months}) ${sign} ${days}) ${sign} ${micros})`, Oid.timestamptz);
}

function asUtc(sql: string, oid: number): string {
  return `timezone('UTC', ${oid === Oid.timestamptz ? sql : `CAST(${sql} AS TIMESTAMP WITH TIME ZONE)`})`;
}

function untypedOperand(value: Typed, other: Typed): string {
  if (typeof value.constant !== 'string' || value.oid !== Oid.unknown) return value.sql;
  if (isNumber(other.oid)) return scalarLiteral(value.constant, other.oid);
  throw notSupported('arithmetic with an untyped string over Arka tables', { hint: 'Cast the string to its type.' });
}

function arithmeticType(name: string, left: number, right: number): number {
  if (isNumber(left) || isNumber(right)) {
    const number = commonNumber(left, right);
    if (number !== 0) return number;
    if (left === Oid.date && isInteger(right)) return Oid.date;
    if (name === '+' && isInteger(left) && right === Oid.date) return Oid.date;
    if (left === Oid.interval || right === Oid.interval) return name === '*' ? Oid.interval : 0;
    return 0;
  }
  if (left === Oid.interval && right === Oid.interval) return Oid.interval;
  if (name === '-' && left === Oid.date && right === Oid.date) return Oid.int4;
  if (name === '-' && isDateTime(left) && isDateTime(right)) return Oid.interval;
  if (right === Oid.interval && isDateTime(left)) return left === Oid.date ? Oid.timestamp : left;
  if (left === Oid.interval && isDateTime(right)) return right === Oid.date ? Oid.timestamp : right;
  return 0;
}

/** x / 0 and x % 0 are NULL in DuckDB, an error in PostgreSQL: a guard that the optimiser drops where it can. */
function division(name: string, given: Typed, other: Typed, where: SqlErrorFields): Typed {
  const [left, right] = widened(given, other);
  if (left.oid === Oid.interval) throw notSupported('operator / of interval over Arka tables');
  const oid = commonNumber(left.oid, right.oid);
  if (name === '%' && isFloat(oid)) throw undefinedOperator(name, given, other, where);
  const whole = isInteger(left.oid) && isInteger(right.oid);
  const a = untypedOperand(left, right);
  const b = untypedOperand(right, left);
  if (oid === Oid.numeric) return remainder(left, right);
  const operator = name === '/' && whole ? '//' : name;
  const chain = name === '/' && isFloat(oid) ? floatArithmetic('/', left, right, a, b, oid) : null;
  const plain = chain?.sql ?? `${a} ${operator} ${b}`;
  const type = oid !== 0 ? oid : left.oid === Oid.interval ? Oid.interval : 0;
  if (typeof right.constant === 'string' && isNumber(right.oid) && Number(right.constant) !== 0)
    return chain ?? small(typed(`(${plain})`, type));
  return small(typed(`CASE WHEN ${b} = 0 THEN error('22012: division by zero') ELSE ${plain} END`, type));
}

/** % of numerics has the larger scale of both; of wider types than they need the engine would make doubles. */
function remainder(left: Typed, right: Typed): Typed {
  const [a, b] = [decimalOf(left), decimalOf(right)];
  const common = a === undefined || b === undefined ? undefined : commonDecimal([a, b]);
  if (common === undefined) return textArithmetic('%', left, right);
  const type = `DECIMAL(${common.precision},${common.scale})`;
  const plain = `CAST(${a!.sql} AS ${type}) % CAST(${b!.sql} AS ${type})`;
  const isGuarded = typeof right.constant !== 'string' || Number(right.constant) === 0;
  const sql = isGuarded
    ? `CASE WHEN ${b!.sql} = 0 THEN error('22012: division by zero') ELSE ${plain} END`
    : `(${plain})`;
  return decimal(sql, common.precision, common.scale);
}

function concatenation(left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const array = arrayConcatenation(left, right, where);
  if (array !== undefined) return array;
  if ([left, right].some((side) => isJson(side.oid) || side.oid === Oid.bytea || side.oid === Oid.pgLsn))
    throw notSupported('operator || of these types over Arka tables', where);
  return typed(`(${textOf(left)} || ${textOf(right)})`, Oid.text);
}

/** A NULL element is in no array, and has no other in it. */
function arrayContainment(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  if (elementIn(left.oid) === undefined && elementIn(right.oid) === undefined)
    throw notSupported(`operator ${name} of these types over Arka tables`, where);
  const [a, b] = [compared(left, right, where), compared(right, left, where)];
  if (name === '&&') return typed(`list_has_any(${a}, list_filter(${b}, lambda e: e IS NOT NULL))`, Oid.bool);
  const [whole, part] = name === '@>' ? [a, b] : [b, a];
  return typed(
    `CASE WHEN len(list_filter(${part}, lambda e: e IS NULL)) > 0 AND ${whole} IS NOT NULL THEN false ELSE list_has_all(${whole}, ${part}) END`,
    Oid.bool,
  );
}

/** expr = ANY (array) and its kin. */
export function writeArrayComparison(
  expression: A_Expr,
  operator: string,
  given: Typed,
  array: Typed,
  where: SqlErrorFields,
): Typed {
  checkComparable(given, where);
  const left = besideElements(given, array, where);
  const quantifier = expression.kind === 'AEXPR_OP_ALL' ? 'ALL' : 'ANY';
  const name = operator === '!=' ? '<>' : operator;
  if (!COMPARISONS.has(name)) throw notSupported(`operator ${operator} ${quantifier} over Arka tables`, where);
  if (array.constant === null) return typed('CAST(NULL AS BOOLEAN)', Oid.bool);
  let list = array.sql;
  if (typeof array.constant === 'string' && array.oid === Oid.unknown) {
    list = `[${arrayItems(array.constant)
      .map((item) =>
        item === null ? 'NULL' : coerced({ sql: quoteLiteral(item), oid: Oid.unknown, constant: item }, left, where),
      )
      .join(', ')}]`;
  }
  const [{ sql: compared }, { sql: member }] = widened(left, typed('e', elementIn(array.oid) ?? 0));
  if (member !== 'e') list = `list_transform(${list}, lambda e: ${member})`;
  const elements = isKeyed(left.oid) ? `list_transform(${list}, lambda e: ${sortKey('e', left.oid)})` : list;
  const call = `(${sortKey(compared, left.oid)} ${name} ${quantifier}(${elements}))`;
  // Without an array the engine takes it for one without elements.
  return typed(list.startsWith('[') ? call : `CASE WHEN ${list} IS NOT NULL THEN ${call} END`, Oid.bool);
}

/** A value as one of the elements that it is compared with: an untyped constant has their type, and where they are texts of numerics it is one. */
function besideElements(value: Typed, array: Typed, where: SqlErrorFields): Typed {
  const element = elementIn(array.oid);
  if (element === undefined) return value;
  if (value.oid === Oid.unknown) return typed(coerced(value, typed('', element), where), element);
  if (isWide(value) === (element === WIDE_NUMERIC)) return value;
  if (isWide(value) || isFloat(value.oid))
    throw notSupported('a numeric without precision beside an array of other numbers over Arka tables', where);
  return typed(wideText(value), WIDE_NUMERIC);
}
