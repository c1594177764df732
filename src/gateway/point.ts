/**
 * Point reads: a row by its whole key, without a query. From memory on this thread; from a file by the index over files and the
 * row's position. What neither can answer, such as a file that is not indexed yet, is the engine's.
 */
import { cancellable } from '../ingest/cancellable.ts';
import type { Transaction } from '../ingest/transaction.ts';
import { mayBeInFiles, resolveBatch } from '../ingest/resolver.ts';
import type { PointRead } from '../planner/plan.ts';
import type { Table } from '../storage/table.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { rowEncoder } from '../types/data-row.ts';
import type { Format } from '../types/result-column.ts';
import { timeZone } from '../types/time-zone.ts';
import type { ServerContext } from './context.ts';
import { valueVector } from './operands.ts';

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
  readonly running: (cancel: () => void) => void;
}

/** What memory says of a key: the answer; null: the engine must look; 'files'; or a commit under way is to be waited for. */
type Look = PointAnswer | null | 'files' | Promise<unknown>;

/** One look, in one turn of the loop: what it sees is one Version, and needs no pin. */
function look(
  environment: PointEnvironment,
  table: Table,
  vectors: readonly ColumnVector[],
  point: PointRead,
  formats: readonly Format[],
): Look {
  // In REPEATABLE READ: a row that is alive now, and was there, is what it was.
  const view = environment.transaction?.snapshot?.view(table) ?? null;
  const { database } = environment.context;
  table.encodeKey(vectors, 0, key);
  const hash = table.keys.hash(key);
  const writer = database.transaction(table.holderOf(key, hash, vectors, 0));
  // it has moved the index already: what it did becomes visible as a whole (H4)
  if (writer?.state === 'committing') return writer.ended;
  if (table.findInMemory(hash, vectors, 0)) {
    if (view?.has(table.foundUnit, table.foundPosition) === false) return null;
    return readMemory(environment, table, point, formats);
  }
  if (view !== null) return null;
  return mayBeInFiles(table, vectors, 0) ? 'files' : NO_ROW;
}

/** The table, where its key decides; null: the engine must look. */
function tableOf({ context, transaction }: PointEnvironment, point: PointRead): Table | null {
  const table = context.database.tableOf(point.def.uuid);
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
  const found = look(environment, table, keyVectors(environment, table, point), point, formats);
  return found === 'files' || found instanceof Promise ? null : found;
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
      const found = look(environment, table, vectors, point, formats);
      if (found instanceof Promise) {
        await found;
        continue;
      }
      if (found !== 'files') return found;
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

/** The row that `findInMemory` has found. */
function readMemory(
  environment: PointEnvironment,
  table: Table,
  point: PointRead,
  formats: readonly Format[],
): PointAnswer | null {
  const unit = table.unit(table.foundUnit);
  if (unit === undefined) return null;
  const place = unit.tier === 'memory' ? unit.locate(table.foundPosition) : unit.warm?.locate(table.foundPosition);
  if (place === undefined || place === null) return null;
  const { batch, row } = place;
  const indexes = point.fieldIds.map((fieldId) => table.fieldIds.indexOf(fieldId));
  const encode = rowEncoder(
    indexes.map((index, i) => ({ type: table.def.columns[index]!.type, format: formats[i] ?? 0 })),
    { timeZone: timeZone(environment.timeZone) },
  );
  encode(
    indexes.map((index) => batch.columns[index]!.vector()),
    row,
    written,
  );
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
  const abort = new AbortController();
  environment.running(() => abort.abort());
  const place = { position, fieldIds: point.fieldIds };
  const { path, release } = await disk.leaseRow(file.scan(0), place, index, abort.signal);
  try {
    const request = { path, rows, position, columns, formats: columns.map((_, i) => formats[i] ?? 0) };
    return { rows: 1, messages: await index.readRow({ ...request, timeZone: environment.timeZone }) };
  } finally {
    release();
  }
}
