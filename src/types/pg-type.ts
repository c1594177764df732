/**
 * The types a column can have: PostgreSQL's OID, how values lie in memory, and what DuckDB and Iceberg call them.
 * Source of OIDs: pg_type.dat. One row a type; everything else asks here.
 */
import type { PgType } from '../table-def.ts';
import type { Physical } from './column-vector.ts';

export const Oid = {
  bool: 16,
  bytea: 17,
  char: 18,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  regproc: 24,
  text: 25,
  oid: 26,
  tid: 27,
  xid: 28,
  cid: 29,
  json: 114,
  float4: 700,
  float8: 701,
  unknown: 705,
  money: 790,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  numeric: 1700,
  regprocedure: 2202,
  regoper: 2203,
  regoperator: 2204,
  regclass: 2205,
  regtype: 2206,
  uuid: 2950,
  jsonb: 3802,
  pgLsn: 3220,
  void: 2278,
  regconfig: 3734,
  regdictionary: 3769,
  regnamespace: 4089,
  regrole: 4096,
  regcollation: 4191,
  xid8: 5069,
} as const;

export interface ColumnTypeInfo {
  readonly oid: number;
  /** The SQL name without modifiers, as format_type prints it. */
  readonly name: string;
  readonly physical: Physical;
  /** pg_type.typlen for RowDescription. */
  readonly typlen: number;
}

const INFO: readonly ColumnTypeInfo[] = [
  { oid: Oid.bool, name: 'boolean', physical: 'bool', typlen: 1 },
  { oid: Oid.int2, name: 'smallint', physical: 'int32', typlen: 2 },
  { oid: Oid.int4, name: 'integer', physical: 'int32', typlen: 4 },
  { oid: Oid.int8, name: 'bigint', physical: 'int64', typlen: 8 },
  { oid: Oid.float4, name: 'real', physical: 'float32', typlen: 4 },
  { oid: Oid.float8, name: 'double precision', physical: 'float64', typlen: 8 },
  { oid: Oid.numeric, name: 'numeric', physical: 'int128', typlen: -1 },
  { oid: Oid.text, name: 'text', physical: 'bytes', typlen: -1 },
  { oid: Oid.varchar, name: 'character varying', physical: 'bytes', typlen: -1 },
  { oid: Oid.bpchar, name: 'character', physical: 'bytes', typlen: -1 },
  { oid: Oid.char, name: '"char"', physical: 'bytes', typlen: 1 },
  { oid: Oid.name, name: 'name', physical: 'bytes', typlen: 64 },
  { oid: Oid.oid, name: 'oid', physical: 'int64', typlen: 4 },
  { oid: Oid.bytea, name: 'bytea', physical: 'bytes', typlen: -1 },
  { oid: Oid.date, name: 'date', physical: 'int32', typlen: 4 },
  { oid: Oid.time, name: 'time without time zone', physical: 'int64', typlen: 8 },
  { oid: Oid.timestamp, name: 'timestamp without time zone', physical: 'int64', typlen: 8 },
  { oid: Oid.timestamptz, name: 'timestamp with time zone', physical: 'int64', typlen: 8 },
  { oid: Oid.timetz, name: 'time with time zone', physical: 'bytes', typlen: 12 },
  { oid: Oid.interval, name: 'interval', physical: 'bytes', typlen: 16 },
  { oid: Oid.uuid, name: 'uuid', physical: 'fixed16', typlen: 16 },
  { oid: Oid.json, name: 'json', physical: 'bytes', typlen: -1 },
  { oid: Oid.jsonb, name: 'jsonb', physical: 'bytes', typlen: -1 },
];
const BY_OID = new Map(INFO.map((info) => [info.oid, info]));

/** Array types by the types of their elements (typarray of pg_type.dat). Arrays of any number of dimensions have one OID. */
const ARRAYS: readonly (readonly [element: number, array: number])[] = [
  [Oid.bool, 1000],
  [Oid.bytea, 1001],
  [Oid.char, 1002],
  [Oid.name, 1003],
  [Oid.int2, 1005],
  [Oid.int4, 1007],
  [Oid.regproc, 1008],
  [Oid.text, 1009],
  [Oid.xid, 1011],
  [Oid.bpchar, 1014],
  [Oid.varchar, 1015],
  [Oid.int8, 1016],
  [Oid.float4, 1021],
  [Oid.float8, 1022],
  [Oid.oid, 1028],
  [Oid.timestamp, 1115],
  [Oid.date, 1182],
  [Oid.time, 1183],
  [Oid.timestamptz, 1185],
  [Oid.interval, 1187],
  [Oid.numeric, 1231],
  [Oid.timetz, 1270],
  [Oid.json, 199],
  [Oid.regclass, 2210],
  [Oid.regtype, 2211],
  [Oid.uuid, 2951],
  [Oid.pgLsn, 3221],
  [Oid.jsonb, 3807],
];
const ELEMENT_OF = new Map(ARRAYS.map(([element, array]) => [array, element]));
const ARRAY_OF = new Map(ARRAYS);

/** The type of an array's elements; undefined for what is no array known here. */
export function elementType(arrayOid: number): number | undefined {
  return ELEMENT_OF.get(arrayOid);
}

/** 0: none that is known here. */
export function arrayTypeOf(element: number): number {
  return ARRAY_OF.get(element) ?? 0;
}

/** The info of a type that a column can have, or undefined. */
export function columnTypeInfo(oid: number): ColumnTypeInfo | undefined {
  return BY_OID.get(oid) ?? arrayInfo(oid);
}

const arrayInfos = new Map<number, ColumnTypeInfo>();

function arrayInfo(oid: number): ColumnTypeInfo | undefined {
  const known = arrayInfos.get(oid);
  if (known !== undefined) return known;
  const element = storedElement(oid);
  if (element === undefined) return undefined;
  const info: ColumnTypeInfo = { oid, name: `${BY_OID.get(element)!.name}[]`, physical: 'bytes', typlen: -1 };
  arrayInfos.set(oid, info);
  return info;
}

/** The type of the elements of an array that a column can hold; undefined for all other types. */
export function storedElement(oid: number): number | undefined {
  const element = ELEMENT_OF.get(oid);
  return element !== undefined && BY_OID.has(element) ? element : undefined;
}

/** Of an array's type that of its elements, whose modifier it has; undefined for all other types. */
export function elementOf({ oid, typmod }: PgType): PgType | undefined {
  const element = storedElement(oid);
  return element === undefined ? undefined : { oid: element, typmod };
}

/** pg_type.typlen of types that no column has; those of reg… are OIDs. */
const OTHER_LENGTHS: ReadonlyMap<number, number> = new Map([
  [Oid.regproc, 4],
  [Oid.xid, 4],
  [Oid.cid, 4],
  [Oid.tid, 6],
  [Oid.pgLsn, 8],
  [Oid.void, 4],
  [Oid.unknown, -2],
  [Oid.money, 8],
  [Oid.regprocedure, 4],
  [Oid.regoper, 4],
  [Oid.regoperator, 4],
  [Oid.regclass, 4],
  [Oid.regtype, 4],
  [Oid.regrole, 4],
  [Oid.regnamespace, 4],
  [Oid.regconfig, 4],
  [Oid.regdictionary, 4],
  [Oid.regcollation, 4],
  [Oid.xid8, 8],
]);

/** pg_type.typlen, as RowDescription says it. */
export function typeLength(oid: number): number {
  return BY_OID.get(oid)?.typlen ?? OTHER_LENGTHS.get(oid) ?? -1;
}

/** Whether PostgreSQL's equality of the type is that of values in memory, as an index compares them (-0 and NaN among them). */
export function isHashable(type: PgType): boolean {
  return !OTHERWISE_EQUAL.has(type.oid) && !isWideNumeric(type) && !ELEMENT_OF.has(type.oid);
}

/** Types whose equality is not that of their bytes in memory, or that have none (json). */
const OTHERWISE_EQUAL: ReadonlySet<number> = new Set([Oid.json, Oid.jsonb, Oid.interval, Oid.timetz]);

export function physicalOf(type: PgType): Physical {
  const info = columnTypeInfo(type.oid);
  if (info === undefined) throw new TypeError(`type ${type.oid} is not a column type`);
  return isWideNumeric(type) ? 'bytes' : info.physical;
}

/** numeric(p,s): precision and scale from the typmod; null when unconstrained. */
export function numericModifier(typmod: number): { readonly precision: number; readonly scale: number } | null {
  if (typmod < 4) return null;
  return { precision: ((typmod - 4) >> 16) & 0xffff, scale: (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400 };
}

/** The digits that DECIMAL has room for, in the engine and in Iceberg. */
export const DECIMAL_DIGITS_MAX = 38;

/** numeric without a precision, or of other digits than DECIMAL has: columns hold its text (`numeric-text.ts`). */
export function isWideNumeric({ oid, typmod }: PgType): boolean {
  if (oid !== Oid.numeric) return false;
  const modifier = numericModifier(typmod);
  if (modifier === null) return true;
  const { precision, scale } = modifier;
  return precision > DECIMAL_DIGITS_MAX || scale < 0 || scale > precision;
}

export function numericTypmod(precision: number, scale: number): number {
  return ((precision << 16) | (scale & 0x7ff)) + 4;
}

/** DuckDB's type for a column as it lies in Parquet and memory units. */
export function duckdbType(type: PgType): string {
  const element = elementOf(type);
  if (element !== undefined) return `${duckdbType(element)}[]`;
  switch (type.oid) {
    case Oid.bool:
      return 'BOOLEAN';
    case Oid.int2:
    case Oid.int4:
      return 'INTEGER';
    case Oid.int8:
    case Oid.oid:
      return 'BIGINT';
    case Oid.float4:
      return 'FLOAT';
    case Oid.float8:
      return 'DOUBLE';
    case Oid.numeric: {
      if (isWideNumeric(type)) return 'VARCHAR';
      const { precision, scale } = numericModifier(type.typmod)!;
      return `DECIMAL(${precision},${scale})`;
    }
    case Oid.bytea:
      return 'BLOB';
    case Oid.date:
      return 'DATE';
    case Oid.time:
      return 'TIME';
    case Oid.timestamp:
      return 'TIMESTAMP';
    case Oid.timestamptz:
      return 'TIMESTAMP WITH TIME ZONE';
    case Oid.uuid:
      return 'UUID';
    default:
      return 'VARCHAR';
  }
}

/** DuckDB's type for the column within queries: an interval there is more than its text. */
export function engineType(type: PgType): string {
  const element = elementOf(type);
  if (element !== undefined) return `${engineType(element)}[]`;
  return type.oid === Oid.interval ? 'INTERVAL' : duckdbType(type);
}

/** Iceberg's primitive type (specification, "Schemas and Data Types"); `list<…>` for an array, of which a schema's JSON says more. */
export function icebergType(type: PgType): string {
  const element = elementOf(type);
  if (element !== undefined) return `list<${icebergType(element)}>`;
  switch (type.oid) {
    case Oid.bool:
      return 'boolean';
    case Oid.int2:
    case Oid.int4:
      return 'int';
    case Oid.int8:
    case Oid.oid:
      return 'long';
    case Oid.float4:
      return 'float';
    case Oid.float8:
      return 'double';
    case Oid.numeric: {
      if (isWideNumeric(type)) return 'string';
      const { precision, scale } = numericModifier(type.typmod)!;
      return `decimal(${precision}, ${scale})`;
    }
    case Oid.bytea:
      return 'binary';
    case Oid.date:
      return 'date';
    case Oid.time:
      return 'time';
    case Oid.timestamp:
      return 'timestamp';
    case Oid.timestamptz:
      return 'timestamptz';
    case Oid.uuid:
      return 'uuid';
    default:
      return 'string';
  }
}
