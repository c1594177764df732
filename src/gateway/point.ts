/**
 * Point reads: a row by its whole key, without a query. From memory on this thread; from a file by the index over files and the
 * row's position. What neither can answer, such as a file that is not indexed yet, is the engine's.
 */
import { cancellable } from '../ingest/cancellable.ts';
import type { Transaction } from '../ingest/transaction.ts';
import { mayBeInFiles, resolveBatch } from '../ingest/resolver.ts';
import type { PointRead } from '../planner/plan.ts';
import type { Batch } from '../storage/memory/batch.ts';
import type { Table } from '../storage/table.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { type RowEncoder, rowEncoder } from '../types/data-row.ts';
import type { Format } from '../types/result-column.ts';
import { timeZone } from '../types/time-zone.ts';
import type { ServerContext } from './context.ts';
import { valueVector } from './operands.ts';
import type { Running } from '../running.ts';

/** Rows as DataRow messages. */
export interface PointAnswer {
  readonly rows: number;
  readonly messages: Uint8Array;
}

export const NO_ROW: PointAnswer = { rows: 0, messages: new Uint8Array(0) };
const key = new Int32Array(4);
const written = new ByteWriter(1024);

export interface PointEnvironment {
  readonly context: ServerContext;
  readonly transaction: Transaction | null;
  readonly timeZone: string;
  readonly running: Running;
}

/** What memory says of a key: its row is where the table has found it; there is none; the engine or files must be looked at; or a commit under way is to be waited for. */
export type Look = 'here' | 'none' | 'engine' | 'files' | Promise<unknown>;

/** One look, in one turn of the loop: what it sees is one Version, and needs no pin. */
export function look(environment: PointEnvironment, table: Table, vectors: readonly ColumnVector[]): Look {
  // In REPEATABLE READ: a row that is alive now, and was there, is what it was.
  const view = environment.transaction?.snapshot?.view(table) ?? null;
  const { database } = environment.context;
  table.encodeKey(vectors, 0, key);
  const hash = table.keys.hash(key);
  const holder = table.holderOf(key, hash, vectors, 0);
  const writer = holder === 0 ? undefined : database.transaction(holder);
  // it has moved the index already: what it did becomes visible as a whole (H4)
  if (writer?.state === 'committing') return writer.ended;
  if (table.findInMemory(hash, vectors, 0))
    return view?.has(table.foundUnit, table.foundPosition) === false ? 'engine' : 'here';
  if (view !== null) return 'engine';
  return mayBeInFiles(table, vectors, 0) ? 'files' : 'none';
}

/** The table, where its key decides; null: the engine must look. */
export function tableOf({ context, transaction }: PointEnvironment, { def }: Pick<PointRead, 'def'>): Table | null {
  const table = context.database.tableOf(def.uuid);
  return table === undefined || transaction?.writes.has(table) === true ? null : table;
}

function keyVectors({ timeZone: zone }: PointEnvironment, table: Table, point: PointRead): readonly ColumnVector[] {
  return table.keyColumns.map((index, i) => valueVector(table.def.columns[index]!, point.key[i]!, zone));
}

/** The answer that memory has at once; null: it must be waited for. */
export function readHotPoint(
  environment: PointEnvironment,
  point: PointRead,
  formats: readonly Format[],
): PointAnswer | null {
  const table = tableOf(environment, point);
  if (table === null) return null;
  if (point.key.includes(null)) return NO_ROW;
  const found = look(environment, table, keyVectors(environment, table, point));
  if (found === 'here') return readMemory(environment, table, point, formats);
  return found === 'none' ? NO_ROW : null;
}

/** Null: the engine must look. */
export async function readPoint(
  environment: PointEnvironment,
  point: PointRead,
  formats: readonly Format[],
): Promise<PointAnswer | null> {
  const { database } = environment.context;
  const table = tableOf(environment, point);
  if (table === null) return null;
  if (point.key.includes(null)) return NO_ROW;
  const vectors = keyVectors(environment, table, point);
  const pin = database.memory.pins.acquire(); // the file must stay until its row is read
  try {
    for (;;) {
      const found = look(environment, table, vectors);
      if (found instanceof Promise) {
        await found;
        continue;
      }
      if (found === 'here') return readMemory(environment, table, point, formats);
      if (found !== 'files') return found === 'none' ? NO_ROW : null;
      if (table.files.some((file) => !file.indexed && file.mayHold(vectors, 0))) return null;
      let unit = -1;
      let position = -1;
      const engine = cancellable(database.engine, database.disk, environment.running);
      await resolveBatch(engine, table, { vectors, rows: 1 }, (_, foundUnit, foundPosition) => {
        unit = foundUnit;
        position = foundPosition;
      });
      if (unit >= 0) return await readFile(environment, table, point, formats, unit, position);
      // A row that was found dead may have a successor by now, or one on its way.
      table.encodeKey(vectors, 0, key);
      const hash = table.keys.hash(key);
      const holder = database.transaction(table.holderOf(key, hash, vectors, 0));
      if (holder?.state !== 'committing' && !table.findInMemory(hash, vectors, 0)) return NO_ROW;
    }
  } finally {
    pin.release();
  }
}

/** Where the row is that `findInMemory` has found; null: no memory has it any more. */
export function foundPlace(table: Table): { readonly batch: Batch; readonly row: number } | null {
  const unit = table.unit(table.foundUnit);
  if (unit === undefined) return null;
  return unit.tier === 'memory' ? unit.locate(table.foundPosition) : (unit.warm?.locate(table.foundPosition) ?? null);
}

/** Which columns of its table a row is made of, and what writes it. */
export function rowOf(
  table: Table,
  fieldIds: readonly number[],
  formats: readonly Format[],
  zone: string,
): { readonly indexes: readonly number[]; readonly encode: RowEncoder } {
  const indexes = fieldIds.map((fieldId) => table.fieldIds.indexOf(fieldId));
  const columns = indexes.map((index, i) => ({ type: table.def.columns[index]!.type, format: formats[i] ?? 0 }));
  return { indexes, encode: rowEncoder(columns, { timeZone: timeZone(zone) }) };
}

/** The row that `findInMemory` has found. */
function readMemory(
  environment: PointEnvironment,
  table: Table,
  point: PointRead,
  formats: readonly Format[],
): PointAnswer | null {
  const place = foundPlace(table);
  if (place === null) return null;
  const { batch, row } = place;
  const { indexes, encode } = rowOf(table, point.fieldIds, formats, environment.timeZone);
  const vectors = indexes.map((index) => batch.columns[index]!.vector());
  encode(vectors, row, written);
  return { rows: 1, messages: written.takeSmall() };
}

async function readFile(
  environment: PointEnvironment,
  table: Table,
  point: PointRead,
  formats: readonly Format[],
  unit: number,
  position: number,
): Promise<PointAnswer | null> {
  const file = table.unit(unit);
  const { disk, index } = environment.context.database;
  if (index === null || file === undefined || file.tier === 'memory') return null;
  const columns = point.fieldIds.map((fieldId) => table.def.columns.find((column) => column.fieldId === fieldId)!);
  const { rows } = file;
  const fileColumns = table.def.columns.length;
  const abort = new AbortController();
  environment.running(() => abort.abort());
  const place = { position, fieldIds: point.fieldIds };
  const { path, release } = await disk.leaseRow(file.scan(0), place, index, abort.signal);
  try {
    const request = { path, rows, fileColumns, position, columns, formats: columns.map((_, i) => formats[i] ?? 0) };
    return { rows: 1, messages: await index.readRow({ ...request, timeZone: environment.timeZone }) };
  } finally {
    release();
  }
}
