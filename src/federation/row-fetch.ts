/**
 * Rows of many files by their places, by one join on (file_index, file_row_number) a statement (H10): DuckDB passes the join's
 * keys down to the reader, so row groups without a wanted row are not decoded.
 */
import duckdb from '@duckdb/node-bindings';
import { invariant } from '../errors.ts';
import { run, type Lease } from './connections.ts';
import type { Fetched, FetchRequest } from './engine-api.ts';
import { FILES_PER_STATEMENT, type LookupContext } from './lookup.ts';
import { addSource, CHUNK_ROWS, type RowSource } from './row-source.ts';
import { readParquet } from './scan-sql.ts';
import { toStored } from './stored-form.ts';
import { eachChunk } from './vector-reader.ts';

export async function fetchRows(lease: Lease, request: FetchRequest, context: LookupContext): Promise<Fetched[]> {
  const { def, files, indexes, positions } = request;
  const columns = request.fieldIds.map((fieldId) => {
    const column = def.columns.find((candidate) => candidate.fieldId === fieldId);
    invariant(column !== undefined, 'rows have the columns of their table');
    return column;
  });
  const fetched: Fetched[] = [];
  for (let first = 0; first < files.length; first += FILES_PER_STATEMENT) {
    const part = files.slice(first, first + FILES_PER_STATEMENT);
    const wanted = indexes.length === 0 ? [] : rowsOf(indexes, first, first + part.length);
    if (wanted.length === 0) continue;
    const source = addSource(context.registry, placeSource(indexes, positions, wanted, first));
    context.sourceIds.push(source.id);
    const list = ['k.c2', ...columns.map((column) => toStored(`f.f${column.fieldId}`, column.type))].join(', ');
    const from = `${readParquet(columns, part)} f JOIN ${source.sql} k`;
    const sql = `SELECT ${list} FROM ${from} ON f.file_index = k.c0 AND f.file_row_number = k.c1`;
    await eachChunk(await run(lease, sql), ([row, ...vectors], rows) => {
      fetched.push({ rows: row!.words.slice(0, rows), vectors });
    });
  }
  return fetched;
}

function rowsOf(indexes: Int32Array, from: number, to: number): readonly number[] {
  const rows: number[] = [];
  indexes.forEach((index, row) => {
    if (index >= from && index < to) rows.push(row);
  });
  return rows;
}

/** c0 file_index, c1 file_row_number, of exactly DuckDB's types, and c2 the row. */
function placeSource(
  indexes: Int32Array,
  positions: Float64Array,
  rows: readonly number[],
  firstIndex: number,
): RowSource {
  return {
    rows: rows.length,
    columns: [
      { name: 'c0', type: duckdb.create_logical_type(duckdb.Type.UBIGINT) },
      { name: 'c1', type: duckdb.create_logical_type(duckdb.Type.BIGINT) },
      { name: 'c2', type: duckdb.create_logical_type(duckdb.Type.INTEGER) },
    ],
    open(projection) {
      let at = 0;
      return (chunk) => {
        const part = rows.slice(at, at + CHUNK_ROWS);
        at += part.length;
        projection.forEach((column, i) => {
          if (column < 0) return;
          const vector = duckdb.data_chunk_get_vector(chunk, i);
          if (column === 2) {
            duckdb.copy_data_to_vector(vector, 0, Int32Array.from(part).buffer, 0, part.length * 4);
            return;
          }
          const words = new Uint32Array(part.length * 2);
          part.forEach((row, k) => {
            const value = column === 0 ? indexes[row]! - firstIndex : positions[row]!;
            words[k * 2] = value;
            words[k * 2 + 1] = Math.floor(value / 2 ** 32);
          });
          duckdb.copy_data_to_vector(vector, 0, words.buffer, 0, words.byteLength);
        });
        return part.length;
      };
    },
  };
}
