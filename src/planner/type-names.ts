/**
 * Type names of SQL → the types a column can have. Casts in queries have their own way to DuckDB (duckdb/types.ts).
 *
 * What PostgreSQL has and a column here cannot be says 0A000 and why; a name nobody knows is 42704.
 */
import type { Node, TypeName } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { arrayTypeOf, Oid, numericTypmod } from '../types/pg-type.ts';
import { at, constantText, plainName, unsupported } from './ast.ts';

const COLUMN_TYPES: Readonly<Record<string, number>> = {
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
  char: Oid.char,
  name: Oid.name,
  oid: Oid.oid,
  bytea: Oid.bytea,
  date: Oid.date,
  time: Oid.time,
  timestamp: Oid.timestamp,
  timestamptz: Oid.timestamptz,
  uuid: Oid.uuid,
  interval: Oid.interval,
  timetz: Oid.timetz,
  json: Oid.json,
  jsonb: Oid.jsonb,
};

/** Types of PostgreSQL that a column cannot have yet: what to say instead of "does not exist". */
const KNOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  serial: 'serial',
  serial4: 'serial',
  bigserial: 'bigserial',
  serial8: 'bigserial',
  smallserial: 'smallserial',
  serial2: 'smallserial',
  money: 'type money',
  inet: 'type inet',
  cidr: 'type cidr',
  macaddr: 'type macaddr',
  macaddr8: 'type macaddr8',
  bit: 'type bit',
  varbit: 'type bit varying',
  point: 'type point',
  line: 'type line',
  lseg: 'type lseg',
  box: 'type box',
  path: 'type path',
  polygon: 'type polygon',
  circle: 'type circle',
  tsvector: 'type tsvector',
  tsquery: 'type tsquery',
  xml: 'type xml',
  jsonpath: 'type jsonpath',
  pg_lsn: 'type pg_lsn',
  txid_snapshot: 'type txid_snapshot',
  regclass: 'type regclass',
  regtype: 'type regtype',
  int4range: 'type int4range',
  int8range: 'type int8range',
  numrange: 'type numrange',
  tsrange: 'type tsrange',
  tstzrange: 'type tstzrange',
  daterange: 'type daterange',
  xid: 'type xid',
};
const PSEUDO_TYPES =
  /^(?:unknown|record|cstring|void|trigger|event_trigger|internal|any|any(?:element|array|nonarray|enum|range|multirange|compatible(?:array|nonarray|range|multirange)?)|language_handler|fdw_handler|index_am_handler|table_am_handler|tsm_handler|pg_ddl_command)$/;
/** Decimal digits of a second. */
const PRECISION_OF_TIMES_MAX = 6;
const LENGTH_MAX = 10_485_760;

/** @throws {SqlError} 0A000, 42704, 22023 */
export function columnType(typeName: TypeName, column: string): PgType {
  const name = plainName(typeName.names);
  const where = at(typeName.location);
  if (typeName.setof === true)
    throw new SqlError(SqlState.invalidTableDefinition, `column "${column}" cannot be declared SETOF`, where);
  const oid = COLUMN_TYPES[name];
  if (oid === undefined) {
    if (PSEUDO_TYPES.test(name))
      throw new SqlError(SqlState.invalidTableDefinition, `column "${column}" has pseudo-type ${name}`);
    refuseUnknownType(typeName);
    throw unsupportedType(KNOWN_ELSEWHERE[name]!, where);
  }
  const typmod = typmodOf(typeName, oid, name);
  if ((typeName.arrayBounds ?? []).length === 0) return { oid, typmod };
  // The dimensions that are written mean nothing: values say how many they have.
  return { oid: arrayTypeOf(oid), typmod };
}

/** @throws {SqlError} 42704 for a name that PostgreSQL has no type for */
export function refuseUnknownType(typeName: TypeName): void {
  const name = plainName(typeName.names);
  if (COLUMN_TYPES[name] !== undefined || KNOWN_ELSEWHERE[name] !== undefined) return;
  const where = at(typeName.location);
  throw new SqlError(SqlState.undefinedObject, `type "${displayName(typeName)}" does not exist`, where);
}

const SERIALS: Readonly<Record<string, number>> = { smallserial: Oid.int2, serial: Oid.int4, bigserial: Oid.int8 };

/** The integer type of a serial column, or undefined. */
export function serialType(typeName: TypeName | undefined): number | undefined {
  const known = KNOWN_ELSEWHERE[plainName(typeName?.names)];
  return known === undefined || (typeName?.arrayBounds ?? []).length > 0 ? undefined : SERIALS[known];
}

/** The OID of a type name that a column could have, without checks of modifiers; undefined for others. */
export function typeOidOf(typeName: TypeName | undefined): number | undefined {
  if (typeName === undefined || (typeName.arrayBounds ?? []).length > 0) return undefined;
  return COLUMN_TYPES[plainName(typeName.names)];
}

function unsupportedType(what: string, fields: { position?: number; hint?: string }): SqlError {
  return unsupported(what).with(fields);
}

function displayName(typeName: TypeName): string {
  return (typeName.names ?? []).map((part) => ('String' in part ? part.String.sval : '')).join('.');
}

function typmodOf(typeName: TypeName, oid: number, name: string): number {
  const modifiers = typeName.typmods ?? [];
  const where = at(typeName.location);
  if (oid === Oid.numeric) return numericTypmodOf(modifiers, where);
  if (modifiers.length === 0 && oid === Oid.bpchar)
    throw unsupportedType('bpchar without a length', { ...where, hint: 'Use text, or give a length.' });
  if (modifiers.length === 0) return -1;
  const first = integerModifier(modifiers[0]!, where);
  switch (oid) {
    case Oid.varchar:
    case Oid.bpchar: {
      const shown = oid === Oid.varchar ? 'varchar' : 'char';
      if (first < 1)
        throw new SqlError(SqlState.invalidParameterValue, `length for type ${shown} must be at least 1`, where);
      if (first > LENGTH_MAX)
        throw new SqlError(
          SqlState.invalidParameterValue,
          `length for type ${shown} cannot exceed ${LENGTH_MAX}`,
          where,
        );
      return first + 4;
    }
    case Oid.interval:
      throw unsupportedType('type interval with fields or a precision', where);
    case Oid.time:
    case Oid.timetz:
    case Oid.timestamp:
    case Oid.timestamptz:
      return Math.min(first, PRECISION_OF_TIMES_MAX); // PostgreSQL takes more for 6, with a warning
    default:
      throw new SqlError(SqlState.syntaxError, `type modifier is not allowed for type "${name}"`, where);
  }
}

function numericTypmodOf(modifiers: readonly Node[], where: { position?: number }): number {
  if (modifiers.length === 0) return -1;
  if (modifiers.length > 2) throw new SqlError(SqlState.invalidParameterValue, 'invalid NUMERIC type modifier', where);
  const precision = integerModifier(modifiers[0]!, where);
  const scale = modifiers.length === 2 ? integerModifier(modifiers[1]!, where) : 0;
  if (precision < 1 || precision > 1000)
    throw new SqlError(
      SqlState.invalidParameterValue,
      `NUMERIC precision ${precision} must be between 1 and 1000`,
      where,
    );
  if (scale < -1000 || scale > 1000)
    throw new SqlError(SqlState.invalidParameterValue, `NUMERIC scale ${scale} must be between -1000 and 1000`, where);
  return numericTypmod(precision, scale);
}

function integerModifier(node: Node, where: { position?: number }): number {
  const text = constantText(node);
  if (text === null || !/^-?\d+$/.test(text))
    throw new SqlError(SqlState.invalidParameterValue, 'type modifiers must be simple constants or identifiers', where);
  return Number(text);
}
