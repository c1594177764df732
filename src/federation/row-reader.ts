/**
 * Single rows of files by position, as DataRow messages or vectors (DESIGN, way 1): a prepared statement a file and set of columns, kept while it
 * is used, on an instance of one thread, so that a point read waits for no query. Of a file one row group is decoded.
 */
import { basename } from 'node:path';
import duckdb from '@duckdb/node-bindings';
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { RowRequest } from '../storage/index/index-api.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { rowEncoder } from '../types/data-row.ts';
import { duckdbType } from '../types/pg-type.ts';
import { timeZone } from '../types/time-zone.ts';
import { openFooters, withLease, type Instance, type Lease } from './connections.ts';
import { located } from './damaged-file.ts';
import { readParquet } from './scan-sql.ts';
import { toStored } from './stored-form.ts';
import { readChunk, vectorReader, type VectorReader } from './vector-reader.ts';

/** Statements kept on a connection. A statement has its file open, and the file's footer in memory, while it runs alone. */
const STATEMENTS_MAX = 32;

interface Prepared {
  readonly statement: duckdb.PreparedStatement;
  readonly readers: readonly VectorReader[];
}

export interface RowReader {
  /** As a DataRow message. @throws {SqlError} 58030 when the file is gone */
  readRow(request: RowRequest): Promise<Uint8Array>;
  /** As vectors of one row. */
  readVectors(request: RowRequest): Promise<readonly ColumnVector[]>;
  /** Files have gone: what is kept of any is closed, once it is not in use. */
  forget(): void;
}

export function rowReader(instance: () => Instance): RowReader {
  let kept = new WeakMap<Lease, Map<string, Prepared>>();
  const all = new Set<Map<string, Prepared>>();
  const running = new Set<Map<string, Prepared>>();
  let generation = 0;

  const statementsOf = (lease: Lease): Map<string, Prepared> => {
    const known = kept.get(lease);
    if (known !== undefined) return known;
    const made = new Map<string, Prepared>();
    kept.set(lease, made);
    all.add(made);
    return made;
  };

  const read = (request: RowRequest): Promise<readonly ColumnVector[]> =>
    withLease(instance(), async (lease) => {
      const statements = statementsOf(lease);
      const before = generation;
      running.add(statements);
      const closeFooter = openFooters(lease.instance, [{ files: [request], columns: request.fileColumns }]);
      try {
        return await fetchRow(await prepare(lease, statements, request), request);
      } catch (error) {
        throw await located(error, [request.path], instance);
      } finally {
        closeFooter();
        running.delete(statements);
        if (generation !== before) close(statements);
      }
    });

  return {
    readRow: async (request) => encoded(await read(request), request),
    readVectors: read,
    forget() {
      generation++;
      kept = new WeakMap();
      for (const statements of all) if (!running.has(statements)) close(statements);
      all.clear();
    },
  };
}

function close(statements: Map<string, Prepared>): void {
  for (const { statement } of statements.values()) duckdb.destroy_prepare_sync(statement);
  statements.clear();
}

async function prepare(lease: Lease, statements: Map<string, Prepared>, request: RowRequest): Promise<Prepared> {
  const name = `${request.path}\0${request.columns.map(({ fieldId, type }) => `${fieldId} ${duckdbType(type)}`).join()}`;
  const known = statements.get(name);
  if (known !== undefined) {
    statements.delete(name);
    statements.set(name, known);
    return known;
  }
  const source = readParquet(request.columns, [{ unit: 0, rows: request.rows, path: request.path, deletes: null }]);
  const outputs = request.columns.map((column) => toStored(`f${column.fieldId}`, column.type));
  const sql = `SELECT ${outputs.join(', ')} FROM ${source} WHERE file_row_number = $1::BIGINT`;
  const statement = await duckdb.prepare(lease.connection, sql);
  const readers = outputs.map((_, i) => {
    const reader = vectorReader(duckdb.prepared_statement_column_logical_type(statement, i));
    invariant(reader !== null, 'columns of files can be read');
    return reader.read;
  });
  const prepared = { statement, readers };
  statements.set(name, prepared);
  if (statements.size > STATEMENTS_MAX) {
    const [oldest, unused] = statements.entries().next().value!;
    statements.delete(oldest);
    duckdb.destroy_prepare_sync(unused.statement);
  }
  return prepared;
}

async function fetchRow({ statement, readers }: Prepared, request: RowRequest): Promise<readonly ColumnVector[]> {
  duckdb.bind_int64(statement, 1, BigInt(request.position));
  const result = await duckdb.execute_prepared(statement);
  const chunk = await duckdb.fetch_chunk(result);
  const rows = chunk === null ? 0 : duckdb.data_chunk_get_size(chunk);
  if (chunk === null || rows !== 1)
    throw new SqlError(
      SqlState.dataCorrupted,
      `data file "${basename(request.path)}" has ${rows} rows at position ${request.position}`,
    );
  return readChunk(chunk, readers);
}

function encoded(vectors: readonly ColumnVector[], request: RowRequest): Uint8Array {
  const columns = request.columns.map((column, i) => ({ type: column.type, format: request.formats[i] ?? 0 }));
  const out = new ByteWriter(256);
  rowEncoder(columns, { timeZone: timeZone(request.timeZone) })(vectors, 0, out);
  return out.take();
}
