/** PostgreSQL's operator classes of B-trees and hashes by name (pg_opclass.dat), for the types that columns have. */
import { SqlError, SqlState } from '../errors.ts';
import type { IndexDef, PgType } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { elementType, Oid } from '../types/pg-type.ts';

const TEXTS = [Oid.text, Oid.varchar];

/** The types that a class accepts; of the first ones it is the default. Arrays: by themselves. */
const CLASSES: Readonly<Record<string, readonly number[]>> = {
  bool_ops: [Oid.bool],
  bytea_ops: [Oid.bytea],
  char_ops: [Oid.char],
  date_ops: [Oid.date],
  float4_ops: [Oid.float4],
  float8_ops: [Oid.float8],
  int2_ops: [Oid.int2],
  int4_ops: [Oid.int4],
  int8_ops: [Oid.int8],
  interval_ops: [Oid.interval],
  jsonb_ops: [Oid.jsonb],
  name_ops: [Oid.name],
  numeric_ops: [Oid.numeric],
  oid_ops: [Oid.oid],
  time_ops: [Oid.time],
  timetz_ops: [Oid.timetz],
  timestamp_ops: [Oid.timestamp],
  timestamptz_ops: [Oid.timestamptz],
  uuid_ops: [Oid.uuid],
  bpchar_ops: [Oid.bpchar],
  text_ops: TEXTS,
};

/** Defaults of no type. */
const FURTHER: Readonly<Record<string, readonly number[]>> = {
  varchar_ops: TEXTS,
  text_pattern_ops: TEXTS,
  varchar_pattern_ops: TEXTS,
  bpchar_pattern_ops: [Oid.bpchar],
};

/** Its name without a schema. @throws {SqlError} 42704, 42804 */
export function operatorClass(path: readonly string[], type: PgType, method: IndexDef['method']): string {
  const name = path.at(-1)!;
  const known = path.length === 1 || (path.length === 2 && path[0] === 'pg_catalog');
  const accepts = !known ? undefined : name === 'array_ops' ? [] : (CLASSES[name] ?? FURTHER[name]);
  if (accepts === undefined)
    throw new SqlError(
      SqlState.undefinedObject,
      `operator class "${path.join('.')}" does not exist for access method "${method}"`,
    );
  const isArray = elementType(type.oid) !== undefined;
  if (name === 'array_ops' ? !isArray : !accepts.includes(type.oid))
    throw new SqlError(
      SqlState.datatypeMismatch,
      `operator class "${path.join('.')}" does not accept data type ${formatType({ ...type, typmod: -1 })}`,
    );
  return name;
}

export function isDefaultClass(name: string, oid: number): boolean {
  return name === 'array_ops' || CLASSES[name]?.includes(oid) === true;
}
