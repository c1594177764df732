/** Operators by PostgreSQL's name: what DuckDB does alike, what is rewritten, and what is refused by name. */
import { quoteLiteral } from '../../sql-text.ts';
import type { A_Expr } from 'libpg-query';
import { notSupported, SqlError, SqlState, type SqlErrorFields } from '../../errors.ts';
import { Oid, elementType } from '../../types/pg-type.ts';
import { formatType } from '../../types/format-type.ts';
import { arrayItems, checkDateTime, scalarLiteral } from './literals.ts';
import { writeLike, writeRegex } from './patterns.ts';
import { writePower } from './functions.ts';
import {
  commonNumber,
  isDateTime,
  isInexact,
  isInteger,
  isJson,
  isNumber,
  isText,
  typed,
  type Typed,
} from './typed.ts';

const COMPARISONS: ReadonlySet<string> = new Set(['=', '<>', '<', '>', '<=', '>=']);

/** @throws {SqlError} 0A000 naming the operator */
export function writeOperator(operator: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const name = operator === '!=' ? '<>' : operator;
  if (COMPARISONS.has(name)) return writeComparison(name, left, right, where);
  switch (name) {
    case '+':
    case '-':
    case '*':
      return arithmetic(name, left, right);
    case '/':
    case '%':
      return division(name, left, right);
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
    case '@>':
    case '<@':
    case '&&':
      return arrayContainment(name, left, right, where);
    case '->':
    case '->>':
      return jsonAccess(name, left, right, where);
    case '#>':
    case '#>>':
      return jsonPath(name, left, right, where);
    default:
  }
  throw notSupported(`operator ${operator} over Arka tables`, where);
}

export function writePrefix(operator: string, argument: Typed, where: SqlErrorFields): Typed {
  switch (operator) {
    case '-':
      if (typeof argument.constant === 'string' && isNumber(argument.oid))
        return { ...typed(`(-${argument.sql})`, argument.oid), constant: negate(argument.constant) };
      return typed(`(-(${argument.sql}))`, argument.oid);
    case '+':
      return argument;
    case '@':
      return typed(`abs(${argument.sql})`, argument.oid);
    case '~':
      if (isInteger(argument.oid)) return typed(`(~(${argument.sql}))`, argument.oid);
  }
  throw notSupported(`prefix operator ${operator} over Arka tables`, where);
}

function negate(constant: string): string {
  return constant.startsWith('-') ? constant.slice(1) : `-${constant}`;
}

/** Equality and order: jsonb compares by value in PostgreSQL, by text here, and is refused. */
export function writeComparison(operator: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  checkComparable(left, where);
  checkComparable(right, where);
  if (family(left.oid) !== family(right.oid) && family(left.oid) !== null && family(right.oid) !== null) {
    const names = [left, right].map((side) => formatType({ oid: side.oid, typmod: -1 }));
    throw new SqlError(SqlState.undefinedFunction, `operator does not exist: ${names[0]} ${operator} ${names[1]}`, {
      hint: 'No operator matches the given name and argument types. You might need to add explicit type casts.',
      ...where,
    });
  }
  return typed(`(${coerced(left, right, where)} ${operator} ${coerced(right, left, where)})`, Oid.bool);
}

/** Types that compare with each other; DuckDB would cast across, PostgreSQL refuses. Null: not known here. */
function family(oid: number): string | null {
  if (isNumber(oid)) return 'number';
  if (isText(oid)) return 'text';
  if (isDateTime(oid)) return 'instant';
  return oid === Oid.bool ||
    oid === Oid.pgLsn ||
    oid === Oid.uuid ||
    oid === Oid.bytea ||
    oid === Oid.time ||
    oid === Oid.interval
    ? String(oid)
    : null;
}

export function checkComparable(value: Typed, where: SqlErrorFields): void {
  if (isJson(value.oid)) throw notSupported('comparison of json values over Arka tables', where);
}

/** An untyped constant takes the other side's type, by PostgreSQL's rules for its text. */
export function coerced(value: Typed, other: Typed, where: SqlErrorFields): string {
  // char(n) beside varchar compares as char(n): the engine has it without its blanks already.
  if (value.oid === Oid.varchar && other.oid === Oid.bpchar) return `rtrim(${value.sql}, ' ')`;
  if (typeof value.constant !== 'string' || value.oid !== Oid.unknown) return value.sql;
  if (isDateTime(other.oid) || other.oid === Oid.time) checkDateTime(value.constant, other.oid);
  if (other.oid === 0 || other.oid === Oid.unknown || (isText(other.oid) && other.oid !== Oid.bpchar)) return value.sql;
  try {
    return scalarLiteral(value.constant, other.oid);
  } catch (error) {
    throw error instanceof SqlError ? error.with(where) : error;
  }
}

function arithmetic(name: string, left: Typed, right: Typed): Typed {
  if (left.oid === Oid.pgLsn || right.oid === Oid.pgLsn) {
    if (name !== '-') throw notSupported(`operator ${name} of pg_lsn over Arka tables`);
    return typed(`CAST(${coerced(left, right, {})} - ${coerced(right, left, {})} AS DECIMAL(19,0))`, Oid.numeric);
  }
  const oid = arithmeticType(name, left.oid, right.oid);
  // An untyped constant beside a date or an interval is an interval, or a date: PostgreSQL decides by its tables.
  const a = untypedOperand(left, right);
  const b = untypedOperand(right, left);
  return typed(`(${a} ${name} ${b})`, oid);
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
function division(name: string, left: Typed, right: Typed): Typed {
  const oid = commonNumber(left.oid, right.oid);
  const whole = isInteger(left.oid) && isInteger(right.oid);
  const a = untypedOperand(left, right);
  const b = untypedOperand(right, left);
  const operator = name === '/' && whole ? '//' : name;
  const plain = `${a} ${operator} ${b}`;
  const type = oid !== 0 ? oid : left.oid === Oid.interval ? Oid.interval : 0;
  if (typeof right.constant === 'string' && isNumber(right.oid) && Number(right.constant) !== 0)
    return typed(`(${plain})`, type);
  return typed(`CASE WHEN ${b} = 0 THEN error('22012: division by zero') ELSE ${plain} END`, type);
}

function concatenation(left: Typed, right: Typed, where: SqlErrorFields): Typed {
  if (
    [left, right].some(
      (side) => isJson(side.oid) || side.oid === Oid.bytea || side.oid === Oid.pgLsn || isInexact(side),
    )
  )
    throw notSupported('operator || of these types over Arka tables', where);
  if ([left, right].some((side) => isText(side.oid) || side.oid === Oid.unknown))
    return typed(`(${left.sql} || ${right.sql})`, Oid.text);
  if (elementType(left.oid) !== undefined || elementType(right.oid) !== undefined)
    throw notSupported('operator || of arrays over Arka tables', where);
  return typed(`(CAST(${left.sql} AS VARCHAR) || CAST(${right.sql} AS VARCHAR))`, Oid.text);
}

/** A NULL element is in no array, and has no other in it. */
function arrayContainment(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  if (elementType(left.oid) === undefined && elementType(right.oid) === undefined)
    throw notSupported(`operator ${name} of these types over Arka tables`, where);
  const [a, b] = [coerced(left, right, where), coerced(right, left, where)];
  if (name === '&&') return typed(`list_has_any(${a}, list_filter(${b}, lambda e: e IS NOT NULL))`, Oid.bool);
  const [whole, part] = name === '@>' ? [a, b] : [b, a];
  return typed(
    `CASE WHEN len(list_filter(${part}, lambda e: e IS NULL)) > 0 AND ${whole} IS NOT NULL THEN false ELSE list_has_all(${whole}, ${part}) END`,
    Oid.bool,
  );
}

/** By JSON pointer: DuckDB reads keys beginning with $ or / as paths. ->> of an object or array is refused where known. */
function jsonAccess(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const pointer = jsonStep(left, right, where);
  const source = left.raw ?? left.sql;
  return name === '->' ? jsonValue(source, pointer) : typed(jsonText(source, pointer), Oid.text);
}

function jsonStep(left: Typed, right: Typed, where: SqlErrorFields): string {
  if (!isJson(left.oid) && left.oid !== 0) throw notSupported('operator -> of this type over Arka tables', where);
  if (typeof right.constant !== 'string')
    throw notSupported('operator -> with a key that is no constant over Arka tables', where);
  // `/0` would also find the key "0" of an object; $[0] finds elements only, and counts negatives from the end.
  if (isInteger(right.oid))
    return quoteLiteral(Number(right.constant) < 0 ? `$[#${right.constant}]` : `$[${right.constant}]`);
  return objectKey(right.constant);
}

/** `$."key"` is a key only; as text DuckDB would take a number for an index of an array. */
function objectKey(key: string): string {
  if (key === '') return "'/'";
  if (/["\\*]/.test(key)) throw notSupported('a json key with a quote, backslash or star over Arka tables');
  return quoteLiteral(`$."${key}"`);
}

function jsonValue(source: string, path: string): Typed {
  const raw = `json_extract(${source}, ${path})`;
  return { ...typed(jsonGuard(source, path, raw), Oid.json), raw };
}

function jsonGuard(source: string, path: string, value: string): string {
  return `CASE WHEN json_type(${source}, ${path}) IN ('OBJECT', 'ARRAY') THEN error('0A000: the text of a json object or array inside a document is not supported over Arka tables') ELSE ${value} END`;
}

/** Objects and arrays print with other spacing than PostgreSQL's: an error is better than another text. */
function jsonText(source: string, path: string): string {
  return jsonGuard(source, path, `json_extract_string(${source}, ${path})`);
}

function jsonPath(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  if (!isJson(left.oid) || typeof right.constant !== 'string')
    throw notSupported(`operator ${name} of this form over Arka tables`, where);
  const steps = arrayItems(right.constant);
  if (steps.length === 0 || steps.some((step) => step === null || /^-?\d+$/.test(step) || /^$|["\\*]/.test(step)))
    throw notSupported(`operator ${name} with this path over Arka tables`, where);
  const path = quoteLiteral(`$${steps.map((step) => `."${step}"`).join('')}`);
  const source = left.raw ?? left.sql;
  return name === '#>' ? jsonValue(source, path) : typed(jsonText(source, path), Oid.text);
}

/** expr = ANY (array) and its kin. */
export function writeArrayComparison(
  expression: A_Expr,
  operator: string,
  left: Typed,
  array: Typed,
  where: SqlErrorFields,
): Typed {
  checkComparable(left, where);
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
  const call = `(${left.sql} ${name} ${quantifier}(${list}))`;
  return typed(array.parameter === undefined ? call : `CASE WHEN ${list} IS NULL THEN NULL ELSE ${call} END`, Oid.bool);
}
