/**
 * What `COPY … (RETURN_STATS)` says of the file that it wrote: one row, with statistics of each column as a map of maps of texts.
 *
 * Read through vectors: the row conversions of DuckDB's client for Node leave out U+FEFF where a text begins with it, and a bound
 * without it is on the wrong side of values of the file.
 */
import duckdb from '@duckdb/node-bindings';
import { invariant } from '../errors.ts';
import { decodeText } from '../types/utf8.ts';
import { vectorReader } from './vector-reader.ts';

export interface CopyStatistics {
  readonly rows: number;
  /** By the column's path, each part of it quoted; then by the statistic's name. */
  readonly columns: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** Null: the result has no row, so no file was written. */
export async function copyStatistics(result: duckdb.Result): Promise<CopyStatistics | null> {
  const names = Array.from({ length: duckdb.column_count(result) }, (_, i) => duckdb.column_name(result, i));
  const chunk = await duckdb.fetch_chunk(result);
  if (chunk === null || duckdb.data_chunk_get_size(chunk) === 0) return null;
  const vector = (name: string): duckdb.Vector => {
    const index = names.indexOf(name);
    invariant(index >= 0, `COPY returns ${name}`);
    return duckdb.data_chunk_get_vector(chunk, index);
  };
  const count = duckdb.vector_get_data(vector('count'), 8);
  const columns = new Map<string, ReadonlyMap<string, string>>();
  const outer = entries(vector('column_statistics'), 1);
  const inner = entries(outer.values, outer.size);
  const paths = texts(outer.keys, outer.size);
  const statistics = texts(inner.keys, inner.size);
  const values = texts(inner.values, inner.size);
  for (let i = outer.start(0); i < outer.end(0); i++) {
    const column = new Map<string, string>();
    for (let at = inner.start(i); at < inner.end(i); at++) column.set(statistics(at), values(at));
    columns.set(paths(i), column);
  }
  return { rows: Number(new DataView(count.buffer, count.byteOffset).getBigInt64(0, true)), columns };
}

/** The entries of `rows` maps: DuckDB has them as lists of pairs. */
function entries(map: duckdb.Vector, rows: number) {
  const bytes = duckdb.vector_get_data(map, rows * 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = (row: number): number => Number(view.getBigUint64(row * 16, true));
  const pairs = duckdb.list_vector_get_child(map);
  return {
    size: duckdb.list_vector_get_size(map),
    start,
    end: (row: number): number => start(row) + Number(view.getBigUint64(row * 16 + 8, true)),
    keys: duckdb.struct_vector_get_child(pairs, 0),
    values: duckdb.struct_vector_get_child(pairs, 1),
  };
}

const readTexts = vectorReader(duckdb.create_logical_type(duckdb.Type.VARCHAR))!.read;

function texts(vector: duckdb.Vector, rows: number): (row: number) => string {
  const column = readTexts(vector, rows);
  return (row) => decodeText(column.heap, column.starts[row]!, column.ends[row]!);
}
