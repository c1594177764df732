/**
 * Positions by key: one join of the key rows with the key columns of the files, nothing else read.
 *
 * The keys come in by the source function; DuckDB passes their range, and for a few of them the values, down to the file
 * reader, so row groups are skipped by their bounds. Up to LITERAL_ROWS keys are also written as literals, which skip
 * more surely: planning sees them.
 */
import { quoteLiteral } from '../sql-text.ts';
import duckdb from '@duckdb/node-bindings';
import { invariant } from '../errors.ts';
import type { ColumnDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { DATE_INFINITY, infiniteSign } from '../types/civil-date.ts';
import { duckdbType, numericModifier, Oid } from '../types/pg-type.ts';
import { run, type Lease } from './connections.ts';
import type { LookupRequest, LookupResult } from './engine-api.ts';
import { addSource, CHUNK_ROWS, type RowSource, type SourceRegistry } from './row-source.ts';
import { readParquet, unitOf } from './scan-sql.ts';
import { eachChunk } from './vector-reader.ts';
import { logicalType, vectorBuilder, type StringMode } from './vector-builder.ts';

const LITERAL_ROWS = 20;
/** One statement names at most this many files: its text and its readers stay small. */
export const FILES_PER_STATEMENT = 500;

export interface LookupContext {
  readonly registry: SourceRegistry;
  readonly mode: StringMode;
  readonly sourceIds: number[];
}

export async function lookup(lease: Lease, request: LookupRequest, context: LookupContext): Promise<LookupResult> {
  const columns = request.def.key.map((fieldId) => {
    const column = request.def.columns.find((candidate) => candidate.fieldId === fieldId);
    invariant(column !== undefined, 'a key names columns');
    return column;
  });
  invariant(columns.length > 0 && columns.length === request.keys.length, 'a lookup gives every key column');
  const found: Found = { rows: [], units: [], positions: [] };
  const files = request.files.filter((file) => file.rows > 0);
  if (request.rows > 0) {
    for (let at = 0; at < files.length; at += FILES_PER_STATEMENT) {
      const part = { ...request, files: files.slice(at, at + FILES_PER_STATEMENT) };
      await collect(lease, lookupSql(part, columns, context), found);
    }
  }
  return resultOf(found);
}

export function resultOf(found: Found): LookupResult {
  return {
    rows: Int32Array.from(found.rows),
    units: Int32Array.from(found.units),
    positions: Uint32Array.from(found.positions),
  };
}

export interface Found {
  readonly rows: number[];
  readonly units: number[];
  readonly positions: number[];
}

export async function collect(lease: Lease, sql: string, found: Found): Promise<void> {
  await eachChunk(await run(lease, sql), ([row, unit, position], rows) => {
    for (let i = 0; i < rows; i++) {
      found.rows.push(row!.words[i]!);
      found.units.push(unit!.words[i]!);
      found.positions.push(position!.words[i * 2]!);
    }
  });
}

function lookupSql(request: LookupRequest, columns: readonly ColumnDef[], context: LookupContext): string {
  const from = `${readParquet(columns, request.files)} f`;
  const source = addSource(context.registry, keySource(columns, request.keys, request.rows, context.mode));
  context.sourceIds.push(source.id);
  const unit = unitOf(request.files);
  const conditions = columns.map((column, i) => `f.f${column.fieldId} = k.c${i}`);
  const filters: string[] = [];
  if (request.rows <= LITERAL_ROWS) {
    columns.forEach((column, i) => {
      const values = literals(column, request.keys[i]!, request.rows);
      if (values !== null) filters.push(`f.f${column.fieldId} IN (${[...new Set(values)].join(', ')})`);
    });
  }
  const where = filters.length === 0 ? '' : ` WHERE ${filters.join(' AND ')}`;
  return `SELECT k.c${columns.length} AS r, ${unit} AS u, f.file_row_number AS p FROM ${from} JOIN ${source.sql} k ON ${conditions.join(' AND ')}${where}`;
}

/** The keys' SQL literals; null for types that have none that is surely exact. */
function literals(column: ColumnDef, vector: ColumnVector, rows: number): readonly string[] | null {
  const type = duckdbType(column.type);
  const values: string[] = [];
  for (let i = 0; i < rows; i++) {
    const text = literalText(column, vector, i);
    if (text === null) return null;
    values.push(`CAST(${text} AS ${type})`);
  }
  return values;
}

function literalText(column: ColumnDef, vector: ColumnVector, row: number): string | null {
  switch (column.type.oid) {
    case Oid.int2:
    case Oid.int4:
      return String(vector.words[row]!);
    case Oid.int8:
    case Oid.oid:
      return String(wide(vector.words, row * 2, 2));
    case Oid.date:
      if (Math.abs(vector.words[row]!) === DATE_INFINITY) return null;
      return `DATE '1970-01-01' + ${vector.words[row]!}`;
    case Oid.timestamp:
      if (infiniteSign(vector.words[row * 2]!, vector.words[row * 2 + 1]!) !== 0) return null;
      return `make_timestamp(${wide(vector.words, row * 2, 2)})`;
    case Oid.numeric: {
      const scale = numericModifier(column.type.typmod)?.scale ?? 10;
      const unscaled = wide(vector.words, row * 4, 4);
      const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
      const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
      return quoteLiteral(unscaled < 0n ? `-${text}` : text);
    }
    case Oid.uuid: {
      const bytes = new Uint8Array(vector.words.buffer, vector.words.byteOffset + row * 16, 16);
      return quoteLiteral(Buffer.from(bytes).toString('hex'));
    }
    case Oid.text:
    case Oid.varchar:
    case Oid.bpchar:
    case Oid.name: {
      const text = Buffer.from(vector.heap.subarray(vector.starts[row], vector.ends[row])).toString();
      return text.includes('\0') ? null : quoteLiteral(text);
    }
    default:
      return null;
  }
}

function wide(words: Int32Array, at: number, count: number): bigint {
  let value = BigInt(words[at + count - 1]!);
  for (let i = count - 2; i >= 0; i--) value = (value << 32n) | BigInt(words[at + i]! >>> 0);
  return value;
}

/** The key columns, then the key's row number. */
export function keySource(
  columns: readonly ColumnDef[],
  keys: readonly ColumnVector[],
  rows: number,
  mode: StringMode,
): RowSource {
  return {
    rows,
    columns: [
      ...columns.map((column, i) => ({ name: `c${i}`, type: logicalType(column.type) })),
      { name: `c${columns.length}`, type: duckdb.create_logical_type(duckdb.Type.INTEGER) },
    ],
    open(projection) {
      const builders = projection.map((index) =>
        index >= 0 && index < columns.length ? vectorBuilder(columns[index]!.type, mode) : null,
      );
      let at = 0;
      return (chunk) => {
        const take = Math.min(CHUNK_ROWS, rows - at);
        if (take === 0) return 0;
        projection.forEach((index, i) => {
          const builder = builders[i];
          const vector = duckdb.data_chunk_get_vector(chunk, i);
          if (index === columns.length) {
            duckdb.copy_data_to_vector(
              vector,
              0,
              Int32Array.from({ length: take }, (_, row) => at + row).buffer,
              0,
              take * 4,
            );
          } else if (builder !== null && builder !== undefined) {
            builder.reset();
            builder.append(pieceOf(keys[index]!), at, take, 0);
            builder.flush(vector, take);
          }
        });
        at += take;
        return take;
      };
    },
  };
}

/** Builders read floats as words. */
function pieceOf(vector: ColumnVector): ColumnVector {
  const floats = vector.physical === 'float32' ? vector.float32 : vector.physical === 'float64' ? vector.float64 : null;
  return floats === null
    ? vector
    : { ...vector, words: new Int32Array(floats.buffer, floats.byteOffset, floats.byteLength / 4) };
}
