/**
 * CAST of PostgreSQL → DuckDB. The two differ in rounding, in text input and in length: what cannot be said exactly is 0A000.
 */
import { isWide, wideText } from './wide-numeric.ts';
import { quoteLiteral } from '../../sql-text.ts';
import type { TypeCast, TypeName } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid, arrayTypeOf } from '../../types/pg-type.ts';
import { at, constantText, plainName } from '../ast.ts';
import { expandDecimal } from '../constants.ts';
import {
  arrayItems,
  numericTexts,
  arrayLiteral,
  duckdbName,
  intervalLiteral,
  numericLiteral,
  scalarLiteral,
} from './literals.ts';
import { canonicalNumeric } from '../../types/numeric-text.ts';
import { decimal } from './decimals.ts';
import { textOf } from './text-of.ts';
import {
  isDateTime,
  isFloat,
  isInteger,
  isJson,
  isNumber,
  isText,
  parameterMark,
  typed,
  WIDE_NUMERIC,
  WIDE_NUMERIC_ARRAY,
  type Typed,
} from './typed.ts';

const TYPES: Readonly<Record<string, number>> = {
  bool: Oid.bool,
  int2: Oid.int2,
  int4: Oid.int4,
  int8: Oid.int8,
  float4: Oid.float4,
  float8: Oid.float8,
  numeric: Oid.numeric,
  text: Oid.text,
  varchar: Oid.varchar,
  bpchar: Oid.bpchar,
  name: Oid.name,
  bytea: Oid.bytea,
  date: Oid.date,
  time: Oid.time,
  timestamp: Oid.timestamp,
  timestamptz: Oid.timestamptz,
  uuid: Oid.uuid,
  interval: Oid.interval,
  json: Oid.json,
  jsonb: Oid.jsonb,
  timetz: Oid.timetz,
  oid: Oid.oid,
  pg_lsn: Oid.pgLsn,
};

/** @throws {SqlError} 0A000 naming the cast; 22P02 for a constant that the type does not take */
export function writeCast(cast: TypeCast, argument: Typed): Typed {
  const typeName = cast.typeName ?? {};
  const name = plainName(typeName.names);
  const oid = TYPES[name];
  const where = at(typeName.location);
  if (oid === undefined) throw notSupported(`a cast to type ${name} over Arka tables`, where);
  const modifiers = (typeName.typmods ?? []).map((node) => Number(constantText(node) ?? Number.NaN));
  if ((typeName.arrayBounds ?? []).length > 0) return castArray(argument, oid, typeName);
  try {
    return castScalar(argument, oid, modifiers);
  } catch (error) {
    if (error instanceof SqlError) throw error.with(where);
    throw error;
  }
}

function castArray(argument: Typed, element: number, typeName: TypeName): Typed {
  const arrayOid = arrayTypeOf(element);
  if (
    arrayOid === 0 ||
    (duckdbName(element) === undefined && element !== Oid.numeric) ||
    (typeName.arrayBounds ?? []).length > 1
  )
    throw notSupported('a cast to this array type over Arka tables', at(typeName.location));
  if (argument.oid === WIDE_NUMERIC_ARRAY && element === Oid.numeric) return argument;
  if (argument.parameter !== undefined) return typed(argument.sql, arrayOid);
  if (typeof argument.constant === 'string' && argument.oid === Oid.unknown)
    return constantArray(argument.constant, element, arrayOid);
  if (argument.oid !== arrayOid && argument.oid !== 0)
    throw notSupported('this array cast over Arka tables', at(typeName.location));
  return typed(element === Oid.numeric ? argument.sql : `CAST(${argument.sql} AS ${duckdbName(element)}[])`, arrayOid);
}

/** Numerics keep the digits of each. */
function constantArray(text: string, element: number, array: number): Typed {
  const scaleOfItem = (item: string | null): number => item?.split('.')[1]?.length ?? 0;
  if (element === Oid.numeric && new Set(arrayItems(text).map(scaleOfItem)).size > 1)
    return typed(numericTexts(text), WIDE_NUMERIC_ARRAY);
  return typed(arrayLiteral(text, element), array);
}

function castScalar(argument: Typed, oid: number, modifiers: readonly number[]): Typed {
  if (oid === Oid.interval) return castInterval(argument, modifiers);
  if (argument.constant === null)
    return oid === Oid.numeric ? castNull(modifiers) : typed(`CAST(NULL AS ${duckdbName(oid)})`, oid);
  const mayFail = argument.constant === undefined ? { fallible: true as const } : {};
  if (oid === Oid.numeric) return { ...castNumeric(argument, modifiers), ...(modifiers.length > 0 ? mayFail : {}) };
  if (oid === Oid.bpchar) return castBlankPadded(argument, modifiers);
  if (modifiers.length > 0 && oid !== Oid.varchar && modifiers[0]! < 6)
    return rounded(castScalar(argument, oid, []), modifiers[0]!);
  if (typeof argument.constant === 'string' && argument.oid === Oid.unknown)
    return fromConstant(argument.constant, oid, modifiers);
  if (argument.parameter !== undefined && argument.oid === 0) {
    return {
      ...typed(isText(oid) ? argument.sql : `CAST(${parameterMark(argument.parameter)} AS ${duckdbName(oid)})`, oid),
      parameter: argument.parameter,
    };
  }
  if (isText(oid)) {
    const text = textOf(argument);
    return typed(modifiers.length > 0 ? `left(${text}, ${modifiers[0]})` : text, oid);
  }
  if (argument.oid === oid) return typed(argument.sql, oid);
  if (isInteger(oid) || oid === Oid.oid) return { ...castInteger(argument, oid), ...mayFail };
  return castOther(argument, oid);
}

/** Of any scale, where none is given. */
function castNull([precision = 38, scale = 0]: readonly number[]): Typed {
  return { ...decimal(`CAST(NULL AS DECIMAL(${precision},${scale}))`, precision, scale), constant: null };
}

/** Cut at its length, in the engine without its blanks. */
function castBlankPadded(argument: Typed, modifiers: readonly number[]): Typed {
  const text = castScalar(argument, Oid.text, []);
  const cut = modifiers.length > 0 ? `left(${text.sql}, ${modifiers[0]})` : text.sql;
  return typed(`rtrim(${cut}, ' ')`, Oid.bpchar);
}

/** Halves away from PostgreSQL's epoch, those of a time upwards. */
function rounded(value: Typed, precision: number): Typed {
  const unit = 10 ** (6 - precision);
  const micros = value.oid === Oid.time ? `epoch_us(${value.sql})` : `(epoch_us(${value.sql}) - 946684800000000)`;
  const whole = `CASE WHEN ${micros} < 0 THEN -((${unit / 2} - ${micros}) // ${unit}) ELSE (${micros} + ${unit / 2}) // ${unit} END * ${unit}`;
  switch (value.oid) {
    case Oid.timestamp:
    case Oid.timestamptz: {
      const make = value.oid === Oid.timestamp ? 'make_timestamp' : 'make_timestamptz';
      const finite = `${make}(CAST(${whole} + 946684800000000 AS BIGINT))`;
      return typed(`CASE WHEN isinf(${value.sql}) THEN ${value.sql} ELSE ${finite} END`, value.oid);
    }
    default:
      throw notSupported('a cast to a time with a precision over Arka tables');
  }
}

function fromConstant(text: string, oid: number, modifiers: readonly number[]): Typed {
  if (isText(oid)) {
    const value = modifiers.length > 0 ? [...text].slice(0, modifiers[0]).join('') : text;
    return { ...typed(`CAST(${quoteLiteral(value)} AS VARCHAR)`, oid), constant: value };
  }
  if (oid === Oid.json) {
    checkJson(text);
    return typed(quoteLiteral(text), oid);
  }
  return { ...typed(scalarLiteral(text, oid), oid), constant: text };
}

function checkJson(text: string): void {
  try {
    JSON.parse(text);
  } catch {
    throw new SqlError(SqlState.invalidTextRepresentation, 'invalid input syntax for type json');
  }
}

function castInterval(argument: Typed, modifiers: readonly number[]): Typed {
  if (argument.constant === null) return typed('CAST(NULL AS INTERVAL)', Oid.interval);
  if (typeof argument.constant !== 'string') {
    if (argument.oid === Oid.interval && modifiers.length === 0) return argument;
    if (argument.parameter !== undefined && argument.oid === 0 && modifiers.length === 0)
      return { ...typed(argument.sql, Oid.interval), parameter: argument.parameter };
    throw notSupported('this cast to interval over Arka tables');
  }
  const unit = modifiers.length === 0 ? undefined : INTERVAL_FIELDS[modifiers[0]!];
  if (modifiers.length > 0 && unit === undefined) throw notSupported('this interval form over Arka tables');
  // `interval '999' minute`: the field names the unit of a bare number; with other forms it would also truncate.
  if (unit !== undefined && !/^\s*-?\d+\s*$/.test(argument.constant))
    throw notSupported('an interval with a field and a text that is no whole number');
  const text =
    unit === undefined
      ? /^\s*-?\d+\s*$/.test(argument.constant)
        ? `${argument.constant} seconds`
        : argument.constant
      : `${argument.constant} ${unit}`;
  return { ...typed(intervalLiteral(text), Oid.interval), constant: text };
}

/** Bits of PostgreSQL's interval fields (1 << YEAR and so on). */
const INTERVAL_FIELDS: Readonly<Record<number, string>> = {
  2: 'months',
  4: 'years',
  8: 'days',
  1024: 'hours',
  2048: 'minutes',
  4096: 'seconds',
};

/** Widest DECIMAL per integer type. */
const INTEGER_DIGITS: Readonly<Record<number, number>> = { [Oid.int2]: 5, [Oid.int4]: 10, [Oid.int8]: 19 };

/** To text of a numeric, rounded where the type says how. */
export function castWide(argument: Typed, modifiers: readonly number[]): Typed {
  const text = isText(argument.oid)
    ? `arka_numeric(${argument.sql})`
    : isFloat(argument.oid)
      ? floatText(argument)
      : wideText(argument);
  if (modifiers.length === 0) return typed(text, WIDE_NUMERIC);
  return typed(`arka_numeric_fit(${text}, ${modifiers[0]}, ${modifiers[1] ?? 0})`, WIDE_NUMERIC);
}

function castNumeric(argument: Typed, modifiers: readonly number[]): Typed {
  const [precision = 0, scale = 0] = modifiers;
  const isDecimal = precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision;
  if (modifiers.length > 0) return isDecimal ? castDecimal(argument, precision, scale) : castWide(argument, modifiers);
  if (isWide(argument)) return argument;
  if (typeof argument.constant === 'string') return numericValue(argument.constant);
  if (isText(argument.oid) || isFloat(argument.oid)) return castWide(argument, modifiers);
  if (argument.oid === Oid.numeric) return argument;
  if (argument.parameter !== undefined && argument.oid === 0)
    return { ...typed(argument.sql, Oid.numeric), parameter: argument.parameter };
  const digits = INTEGER_DIGITS[argument.oid];
  if (digits !== undefined) return decimal(`CAST(${argument.sql} AS DECIMAL(${digits},0))`, digits, 0);
  throw notSupported('a cast to numeric without precision over Arka tables', {
    hint: 'Give a precision and a scale, such as numeric(38,10).',
  });
}

const FLOAT_DIGITS: Readonly<Record<number, number>> = { [Oid.float4]: 6, [Oid.float8]: 15 };

const floatText = ({ sql, oid }: Typed): string => `arka_numeric_of_float(${sql}, ${FLOAT_DIGITS[oid]})`;

/**
 * PostgreSQL rounds the 15 digits (6 of a float4) that a float shows, the engine the float: 9214.835 is less than it shows. So what
 * is near the middle of two DECIMALs is rounded from its text, and what has more digits than are shown.
 */
export function decimalOfFloat(argument: Pick<Typed, 'sql' | 'oid'>, precision: number, scale: number): string {
  const type = `DECIMAL(${precision},${scale})`;
  const x: Typed = typed('arka_x', argument.oid);
  const size = `(abs(CAST(arka_x AS DOUBLE)) * 1e${scale})`;
  const slack = `1e-8 + ${size} * ${argument.oid === Oid.float4 ? '1e-5' : '1e-14'}`;
  const isFar = `isfinite(arka_x) AND abs(${size} - floor(${size}) - 0.5) > ${slack}`;
  const exact = `CAST(arka_numeric_decimal(${floatText(x)}, ${precision}, ${scale}) AS ${type})`;
  return `list_transform([${argument.sql}], lambda arka_x: CASE WHEN ${isFar} THEN CAST(arka_x AS ${type}) ELSE ${exact} END)[1]`;
}

/** To numeric(precision, scale), which DECIMAL has room for. */
function castDecimal(argument: Typed, precision: number, scale: number): Typed {
  const to = (sql: string): Typed => decimal(`CAST(${sql} AS DECIMAL(${precision},${scale}))`, precision, scale);
  if (argument.decimal !== undefined && typeof argument.constant !== 'string') return to(argument.decimal.sql);
  if (isWide(argument)) return to(`arka_numeric_decimal(${argument.sql}, ${precision}, ${scale})`);
  if (isFloat(argument.oid)) return decimal(decimalOfFloat(argument, precision, scale), precision, scale);
  return to(
    typeof argument.constant === 'string' ? numericLiteral(expandDecimal(argument.constant)) : numericSource(argument),
  );
}

/** A constant, with the digits that it is written with. */
export function numericValue(constant: string): Typed {
  const plain = canonicalNumeric(constant);
  const [whole = '', fraction = ''] = plain.replace('-', '').split('.');
  if (!/^\d/.test(whole) || whole.length + fraction.length > 38)
    return { ...typed(quoteLiteral(plain), WIDE_NUMERIC), constant };
  const precision = Math.max(whole === '0' ? fraction.length : whole.length + fraction.length, 1);
  return { ...decimal(numericLiteral(plain), precision, fraction.length), constant };
}

function numericSource(argument: Typed): string {
  if (isText(argument.oid)) return guarded(argument, String.raw`\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)\s*`, 'numeric');
  return argument.sql;
}

function castInteger(argument: Typed, oid: number): Typed {
  const name = duckdbName(oid)!;
  if (isWide(argument)) {
    const form = argument.decimal;
    const whole = form === undefined ? `arka_numeric_round(${argument.sql}, 0)` : `round(${form.sql}, 0)`;
    return typed(`CAST(${whole} AS ${name})`, oid);
  }
  if (isFloat(argument.oid)) return typed(`CAST(round_even(${argument.sql}, 0) AS ${name})`, oid);
  if (argument.oid === Oid.numeric) return typed(`CAST(round(${argument.sql}, 0) AS ${name})`, oid);
  if (isText(argument.oid))
    return typed(`CAST(${guarded(argument, String.raw`\s*[+-]?[0-9]+\s*`, name.toLowerCase())} AS ${name})`, oid);
  if (argument.oid === Oid.bool && oid === Oid.int4) return typed(`CAST(${argument.sql} AS ${name})`, oid);
  if (isInteger(argument.oid) || argument.oid === 0) return typed(`CAST(${argument.sql} AS ${name})`, oid);
  throw notSupported(`this cast to ${name.toLowerCase()} over Arka tables`);
}

/** DuckDB takes '1.5' for an integer and more; PostgreSQL's syntax decides. */
function guarded(argument: Typed, pattern: string, type: string): string {
  const { sql } = argument;
  return `CASE WHEN ${sql} IS NULL OR regexp_full_match(${sql}, '${pattern}') THEN ${sql} ELSE error('22P02: invalid input syntax for type ${type}: "' || ${sql} || '"') END`;
}

function castOther(argument: Typed, oid: number): Typed {
  const name = duckdbName(oid)!;
  const from = argument.oid;
  if (isWide(argument)) return isFloat(oid) ? typed(`CAST(${argument.sql} AS ${name})`, oid) : refuse(name);
  const allowed =
    from === 0 ||
    (isFloat(oid) && isNumber(from)) ||
    (isDateTime(oid) && isDateTime(from)) ||
    (oid === Oid.bool && from === Oid.int4);
  if (isJson(oid) && isJson(from)) return typed(oid === Oid.json ? argument.sql : `arka_jsonb(${argument.sql})`, oid);
  if (isJson(oid) && isText(from)) {
    const canonical = `arka_jsonb(${argument.sql})`;
    // json keeps the text that is found to be valid.
    return typed(oid === Oid.jsonb ? canonical : `CASE WHEN ${canonical} IS NOT NULL THEN ${argument.sql} END`, oid);
  }
  if (oid === Oid.time && (from === Oid.timestamp || from === Oid.timestamptz)) {
    // Of an instant the engine has no time of day, but of what it is in the session's zone. There is none at infinity.
    const local = from === Oid.timestamp ? argument.sql : `CAST(${argument.sql} AS TIMESTAMP)`;
    return typed(`CASE WHEN isfinite(${argument.sql}) THEN CAST(${local} AS ${name}) END`, oid);
  }
  if (!allowed) return refuse(name);
  return typed(`CAST(${argument.sql} AS ${name})`, oid);
}

function refuse(name: string): never {
  throw notSupported(`this cast to ${name.toLowerCase()} over Arka tables`);
}
