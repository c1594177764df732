/**
 * From DuckDB's result types to the types that RowDescription promised: which columns to cast in SQL, and how each vector
 * becomes bytes.
 *
 * - numeric without a modifier: DECIMAL stays, integers become DECIMAL(38,0), text is PostgreSQL's; a double has other digits: 0A000.
 * - Types that no column can have travel as their PostgreSQL text under their own OID; in binary they are 0A000, except
 *   text-like ones, arrays, OIDs and intervals.
 * - For `vectors` every column is of a column type.
 */
import duckdb from '@duckdb/node-bindings';
import { notSupported } from '../errors.ts';
import { decimalOfFloat } from '../planner/duckdb/casts.ts';
import { lsnTextSql } from '../planner/duckdb/lsn.ts';
import type { PgType } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import {
  arrayTypeOf,
  columnTypeInfo,
  duckdbType,
  elementOf,
  elementType,
  isWideNumeric,
  numericModifier,
  numericTypmod,
  Oid,
} from '../types/pg-type.ts';
import type { Format } from '../types/result-column.ts';
import type { OutputColumn, QueryRequest } from './engine-api.ts';
import { arrayBytes } from './array-results.ts';
import { toStored } from './stored-form.ts';
import { intervalBytes, intervalTexts } from './interval-text.ts';
import { textExpression } from './text-expression.ts';

/** What one result column goes through. */
export interface ColumnPlan {
  /** The expression over the column's alias that gives the wanted DuckDB type; null: as it is. */
  readonly sql: ((column: string) => string) | null;
  /** What the encoder is told; null: the type that the vector turns out to have. */
  readonly encodeAs: PgType | null;
  /** Applied to the vector before it is encoded. */
  readonly convert: ((vector: ColumnVector, rows: number) => ColumnVector) | null;
  readonly format: Format;
  /** What RowDescription says. */
  readonly described: PgType;
}

const TEXT: PgType = { oid: Oid.text, typmod: -1 };
/** Text in all but name; their binary form is their bytes. */
const TEXT_LIKE = new Set<number>([
  Oid.text,
  Oid.varchar,
  Oid.json,
  Oid.jsonb,
  Oid.bpchar,
  Oid.name,
  Oid.unknown,
  Oid.char,
  142,
]);
/** oid and its aliases: four bytes in binary. */
const OID_LIKE = new Set<number>([Oid.oid, Oid.regproc, 28, 29, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096]);

export function formatOf(formats: readonly (0 | 1)[], column: number): Format {
  if (formats.length === 0) return 0;
  return (formats.length === 1 ? formats[0] : formats[column]) ?? 0;
}

/** The plan of column `index`, of DuckDB type `type`. */
export function planColumn(request: QueryRequest, index: number, type: duckdb.LogicalType): ColumnPlan {
  const wanted: OutputColumn = request.columns?.[index] ?? {
    ...ownType(type),
    format: formatOf(request.formats, index),
  };
  return request.output === 'vectors' ? planVector(wanted, type) : planRow(wanted, type);
}

function planVector(wanted: OutputColumn, type: duckdb.LogicalType): ColumnPlan {
  const described = { oid: wanted.typeOid, typmod: wanted.typmod };
  if (columnTypeInfo(wanted.typeOid) === undefined) throw notSupported(`a column of type OID ${wanted.typeOid}`);
  const exact = described;
  if (elementOf(exact) !== undefined) return { ...listPlan(exact, type), format: 0, described: exact };
  if (exact.oid === Oid.interval || isWideNumeric(exact))
    return { sql: textForm(exact, type), encodeAs: exact, convert: null, format: 0, described: exact };
  const sql = exact.oid === Oid.numeric ? decimalForm(exact, type) : undefined;
  return { sql: sql ?? castTo(sqlTypeOf(exact), type), encodeAs: exact, convert: null, format: 0, described: exact };
}

/** Of a float the digits that it shows are rounded. Undefined: it is none. */
function decimalForm(exact: PgType, type: duckdb.LogicalType): ((column: string) => string) | undefined {
  const id = duckdb.get_type_id(type);
  if (id !== duckdb.Type.FLOAT && id !== duckdb.Type.DOUBLE) return undefined;
  const from = id === duckdb.Type.FLOAT ? Oid.float4 : Oid.float8;
  const { precision, scale } = numericModifier(exact.typmod)!;
  return (column) => decimalOfFloat({ sql: column, oid: from }, precision, scale);
}

/** What columns hold as text: intervals, and numerics of any size. */
function textForm(type: PgType, from: duckdb.LogicalType): ((column: string) => string) | null {
  const T = duckdb.Type;
  const id = duckdb.get_type_id(from);
  if (type.oid === Oid.interval) return id === T.INTERVAL ? (column) => `arka_interval_text(${column})` : null;
  const modifier = numericModifier(type.typmod);
  if (id === T.FLOAT || id === T.DOUBLE)
    throw notSupported('a computed numeric, whose digits are not exact here, in a column of type numeric', {
      hint: 'Cast it to numeric(p,s) first.',
    });
  const text = (column: string): string => (id === T.VARCHAR ? column : `CAST(${column} AS VARCHAR)`);
  if (modifier === null) return id === T.VARCHAR ? null : text;
  return (column) => `arka_numeric_fit(${text(column)}, ${modifier.precision}, ${modifier.scale})`;
}

/** A list as memory has it. Of a list of numerics the modifier is what its elements have. */
function listPlan(type: PgType, list: duckdb.LogicalType): Pick<ColumnPlan, 'sql' | 'encodeAs' | 'convert'> {
  const wanted = type.oid === arrayTypeOf(Oid.numeric) && type.typmod < 0 ? null : sqlTypeOf(type);
  const element = isList(list) ? duckdb.list_type_child_type(list) : null;
  if (element !== null && isList(element))
    throw notSupported('an array of more than one dimension in a column', { hint: 'Store it as jsonb.' });
  if (element !== null && duckdb.get_type_id(element) === duckdb.Type.INTERVAL) {
    const texts = (column: string): string => `list_transform(${column}, lambda x: arka_interval_text(x))`;
    return { sql: (column) => toStored(texts(column), type), encodeAs: type, convert: null };
  }
  return {
    sql: (column) => toStored(wanted === null ? column : `CAST(${column} AS ${wanted})`, type),
    encodeAs: type,
    convert: null,
  };
}

const isList = (type: duckdb.LogicalType): boolean => duckdb.get_type_id(type) === duckdb.Type.LIST;

function planRow(wanted: OutputColumn, type: duckdb.LogicalType): ColumnPlan {
  const T = duckdb.Type;
  const id = duckdb.get_type_id(type);
  const described: PgType = { oid: wanted.typeOid, typmod: wanted.typmod };
  const plan = { sql: null, encodeAs: null, convert: null, format: wanted.format, described };
  const oid = wanted.typeOid;
  if (oid === Oid.numeric) return planNumeric(plan, type);
  if (oid === Oid.interval && id !== T.VARCHAR) {
    const convert = wanted.format === 1 ? intervalBytes : intervalTexts;
    return { ...plan, sql: castTo('INTERVAL', type), encodeAs: TEXT, convert };
  }
  if (oid === Oid.bpchar && wanted.typmod < 5)
    throw notSupported('a result of type character whose length is not known', {
      hint: 'Cast it to text, or to character(n).',
    });
  if (TEXT_LIKE.has(oid)) {
    // jsonb has a binary form that is not its bytes, char(n) its blanks.
    const encodeAs = oid === Oid.jsonb || oid === Oid.bpchar || oid === Oid.char ? described : TEXT;
    return { ...plan, encodeAs, sql: id === T.VARCHAR ? null : (column) => textExpression(column, type) };
  }
  const element = elementType(oid);
  if (element === Oid.bpchar && wanted.typmod < 5)
    throw notSupported('an array of character whose length is not known', {
      hint: 'Cast it to text[], or to character(n)[].',
    });
  if (elementOf(described) !== undefined && isList(type) && !isList(duckdb.list_type_child_type(type)))
    return { ...plan, ...listPlan(described, type) };
  if (element !== undefined) {
    const sql = id === T.VARCHAR ? null : (column: string) => textExpression(column, type);
    return { ...plan, encodeAs: TEXT, sql, convert: wanted.format === 1 ? arrayBytes(element) : null };
  }
  if (columnTypeInfo(oid) !== undefined)
    return { ...plan, encodeAs: described, sql: castTo(sqlTypeOf(described), type) };
  if (OID_LIKE.has(oid) && wanted.format === 1 && id !== T.VARCHAR) {
    return { ...plan, encodeAs: { oid: Oid.int4, typmod: -1 }, sql: castTo('INTEGER', type) };
  }
  if (oid === Oid.pgLsn && id === T.BIGINT) {
    // eight bytes in binary, as of a bigint
    if (wanted.format === 1) return { ...plan, encodeAs: { oid: Oid.int8, typmod: -1 } };
    return { ...plan, encodeAs: TEXT, sql: lsnTextSql };
  }
  if (wanted.format === 1) throw notSupported(`the binary format of type OID ${oid}`);
  return { ...plan, encodeAs: TEXT, sql: id === T.VARCHAR ? null : (column) => textExpression(column, type) };
}

function planNumeric(plan: ColumnPlan, type: duckdb.LogicalType): ColumnPlan {
  const T = duckdb.Type;
  const id = duckdb.get_type_id(type);
  const modifier = numericModifier(plan.described.typmod);
  if (modifier !== null && !isWideNumeric(plan.described))
    return { ...plan, sql: castTo(`DECIMAL(${modifier.precision},${modifier.scale})`, type) };
  if (id === T.DECIMAL || id === T.HUGEINT) return plan;
  if (id === T.FLOAT || id === T.DOUBLE)
    throw notSupported('a result of type numeric whose digits are not exact in the engine', {
      hint: 'Cast it to double precision.',
    });
  // It is PostgreSQL's text already.
  if (id === T.VARCHAR) return { ...plan, encodeAs: plan.format === 0 ? TEXT : { oid: Oid.numeric, typmod: -1 } };
  return { ...plan, sql: (column) => `CAST(${column} AS DECIMAL(38,0))` };
}

/** smallint is held wider, so that a result beyond it is still an error here, as in PostgreSQL. */
function sqlTypeOf(type: PgType): string {
  return type.oid === Oid.int2 ? 'SMALLINT' : duckdbType(type);
}

function castTo(wanted: string, type: duckdb.LogicalType): ((column: string) => string) | null {
  if (wanted === typeName(type)) return null;
  if (wanted === 'VARCHAR') return (column) => textExpression(column, type);
  return (column) => `CAST(${column} AS ${wanted})`;
}

/** The names that `duckdbType` uses, where a vector of the type can be read as it is. */
function typeName(type: duckdb.LogicalType): string {
  const T = duckdb.Type;
  switch (duckdb.get_type_id(type)) {
    case T.BOOLEAN:
      return 'BOOLEAN';
    case T.TINYINT:
    case T.UTINYINT:
    case T.SMALLINT:
      return 'SMALLINT';
    case T.INTEGER:
      return 'INTEGER';
    case T.BIGINT:
      return 'BIGINT';
    case T.FLOAT:
      return 'FLOAT';
    case T.DOUBLE:
      return 'DOUBLE';
    case T.DECIMAL:
      return `DECIMAL(${duckdb.decimal_width(type)},${duckdb.decimal_scale(type)})`;
    case T.BLOB:
      return 'BLOB';
    case T.DATE:
      return 'DATE';
    case T.TIME:
      return 'TIME';
    case T.TIMESTAMP:
      return 'TIMESTAMP';
    case T.TIMESTAMP_TZ:
      return 'TIMESTAMP WITH TIME ZONE';
    case T.UUID:
      return 'UUID';
    case T.INTERVAL:
      return 'INTERVAL';
    case T.VARCHAR:
      return 'VARCHAR';
    default:
      return '';
  }
}

/** PostgreSQL's type for a result that nobody described. */
function ownType(type: duckdb.LogicalType): { readonly typeOid: number; readonly typmod: number } {
  const T = duckdb.Type;
  const own = (typeOid: number, typmod = -1): { readonly typeOid: number; readonly typmod: number } => ({
    typeOid,
    typmod,
  });
  switch (duckdb.get_type_id(type)) {
    case T.BOOLEAN:
      return own(Oid.bool);
    case T.TINYINT:
    case T.UTINYINT:
    case T.SMALLINT:
      return own(Oid.int2);
    case T.USMALLINT:
    case T.INTEGER:
      return own(Oid.int4);
    case T.UINTEGER:
    case T.BIGINT:
      return own(Oid.int8);
    case T.UBIGINT:
    case T.HUGEINT:
    case T.UHUGEINT:
    case T.BIGNUM:
      return own(Oid.numeric, numericTypmod(38, 0));
    case T.DECIMAL:
      return own(Oid.numeric, numericTypmod(duckdb.decimal_width(type), duckdb.decimal_scale(type)));
    case T.FLOAT:
      return own(Oid.float4);
    case T.DOUBLE:
      return own(Oid.float8);
    case T.DATE:
      return own(Oid.date);
    case T.TIME:
    case T.TIME_NS:
      return own(Oid.time);
    case T.TIME_TZ:
      return own(Oid.timetz);
    case T.TIMESTAMP:
    case T.TIMESTAMP_S:
    case T.TIMESTAMP_MS:
    case T.TIMESTAMP_NS:
      return own(Oid.timestamp);
    case T.TIMESTAMP_TZ:
      return own(Oid.timestamptz);
    case T.INTERVAL:
      return own(Oid.interval);
    case T.UUID:
      return own(Oid.uuid);
    case T.BLOB:
      return own(Oid.bytea);
    case T.LIST:
      return own(arrayTypeOf(innermost(type)) || 1009);
    default:
      return own(Oid.text);
  }
}

/** PostgreSQL's arrays of any number of dimensions have one OID. */
function innermost(list: duckdb.LogicalType): number {
  const child = duckdb.list_type_child_type(list);
  return duckdb.get_type_id(child) === duckdb.Type.LIST ? innermost(child) : ownType(child).typeOid;
}
