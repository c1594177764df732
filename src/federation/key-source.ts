/**
 * The key columns of a file, row by row with their positions, for the index: a stream of one chunk at a time on a connection of
 * its own, read by the thread that the index runs on.
 */
import duckdb from '@duckdb/node-bindings';
import { invariant } from '../errors.ts';
import type { KeyReader } from '../storage/index/key-reader.ts';
import { withLease, type Instance } from './connections.ts';
import { located } from './damaged-file.ts';
import { readParquet } from './scan-sql.ts';
import { readChunk, vectorReader } from './vector-reader.ts';

export function keySource(instance: () => Instance): KeyReader {
  return {
    readKeys: (def, file, from, to, visit) =>
      withLease(instance(), async (lease) => {
        const columns = def.key.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!);
        const source = readParquet(columns, [{ unit: 0, rows: file.rows, path: file.path, deletes: null }]);
        const outputs = columns.map((column) => `f${column.fieldId}`);
        // A whole file needs no condition, and a wrong row count shows.
        const where =
          from === 0 && to === file.rows ? '' : ` WHERE file_row_number >= ${from} AND file_row_number < ${to}`;
        try {
          const sql = `SELECT ${outputs.join(', ')}, file_row_number::INTEGER FROM ${source}${where}`;
          const statement = await duckdb.prepare(lease.connection, sql);
          try {
            const result = await duckdb.execute_prepared_streaming(statement);
            const readers = [...outputs, ''].map((_, i) => {
              const reader = vectorReader(duckdb.column_logical_type(result, i));
              invariant(reader !== null, 'key columns can be read');
              return reader.read;
            });
            for (;;) {
              const chunk = await duckdb.fetch_chunk(result);
              if (chunk === null || duckdb.data_chunk_get_size(chunk) === 0) return;
              const vectors = readChunk(chunk, readers);
              await visit(vectors.slice(0, -1), vectors.at(-1)!.words, duckdb.data_chunk_get_size(chunk));
            }
          } finally {
            duckdb.destroy_prepare_sync(statement);
          }
        } catch (error) {
          throw await located(error, [file.path], instance);
        }
      }),
  };
}
