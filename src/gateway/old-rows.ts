/** Rows that a statement has located by key, read to be changed: own and memory rows from their vectors, rows of files by one join. */
import { invariant } from '../errors.ts';
import type { EngineApi } from '../federation/engine-api.ts';
import { cancellable } from '../ingest/cancellable.ts';
import { NOWHERE, type Located } from '../ingest/keyed-rows.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import type { Remote } from '../rpc.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import { columnVector, NO_BYTES, type ColumnVector } from '../types/column-vector.ts';
import { AWAY_ROWS_MAX } from './located-rows.ts';
import { readSingly } from './single-rows.ts';
import type { WriteEnvironment } from './write-environment.ts';

/** So many rows of files are read one by one; more by a join. */
const SINGLE_ROWS_MAX = 4;

export interface OldRows {
  /** In the table's columns; what was not needed of a row of a file is NULL. */
  readonly rows: RowBuffer;
  /** For each the number of its key. */
  readonly keys: Int32Array;
  /** Where they were. */
  readonly located: Located;
}

/** The old rows of the keys that `wants`; those of files come last. The caller retires them. @param again finds the places that are not the last ones any more */
export async function readOldRows(
  environment: WriteEnvironment,
  writes: TableWrites,
  again: () => Located | Promise<Located>,
  given: Located,
  fieldIds: readonly number[],
  wants: (key: number) => boolean,
): Promise<OldRows> {
  const { database, engine } = environment;
  const { table } = writes;
  const pin = database.memory.pins.acquire(); // files stay until they are read
  const rows = new RowBuffer(database.memory, table.physicals);
  try {
    let located = given;
    while (located.version !== table.version) located = await again();
    const order: number[] = [];
    const cold: number[] = [];
    for (let key = 0; key < located.units.length; key++) {
      if (located.units[key] === NOWHERE || !wants(key)) continue;
      if (appendHot(writes, located.units[key]!, located.positions[key]!, rows)) order.push(key);
      else cold.push(key);
    }
    const columns = fieldIds.length === 0 ? table.fieldIds.slice(0, 1) : fieldIds; // a file is read by columns
    const { singly, joined } = waysOf(environment, writes, located, cold);
    if (singly.length > 0) await appendSingly(environment, writes, located, singly, columns, rows, order);
    if (joined.length > 0) {
      const reader = cancellable(engine, database.disk, environment.running);
      await appendCold(reader, writes, located, joined, columns, rows, order);
    }
    return { rows, keys: Int32Array.from(order), located };
  } catch (error) {
    rows.retire();
    throw error;
  } finally {
    pin.release();
  }
}

/** How each row of a file is read; those read singly in the order of their places, so that they share what is fetched. */
function waysOf(
  { database: { disk, index } }: WriteEnvironment,
  writes: TableWrites,
  { units, positions }: Located,
  keys: readonly number[],
): { readonly singly: readonly number[]; readonly joined: readonly number[] } {
  if (index === null) return { singly: [], joined: keys };
  if (keys.length <= SINGLE_ROWS_MAX) return { singly: keys, joined: [] };
  const byUnit = Map.groupBy(keys, (key) => units[key]!);
  const singly: number[] = [];
  const joined: number[] = [];
  for (const [unit, own] of byUnit) {
    const { path } = writes.unitOf(unit) as DataFileUnit;
    if (own.length > AWAY_ROWS_MAX || !disk.isAway(path)) joined.push(...own);
    else singly.push(...own.toSorted((a, b) => positions[a]! - positions[b]!));
  }
  return { singly, joined };
}

function appendHot(writes: TableWrites, unit: number, position: number, rows: RowBuffer): boolean {
  const hot = hotRow(writes, unit, position);
  if (hot === null) return false;
  rows.append(hot.vectors, hot.row, hot.row + 1);
  return true;
}

/**
 * A located row that lies in memory, the transaction's own, everybody's, or a copy of a file's; null: it is in a file. Read at once:
 * copies give way.
 */
export function hotRow(
  writes: TableWrites,
  unit: number,
  position: number,
): { readonly vectors: readonly ColumnVector[]; readonly row: number } | null {
  if (unit === writes.unit) {
    const index = writes.inserted.batchOf(position);
    return { vectors: writes.inserted.batches[index]!.vectors(), row: position - writes.inserted.batchStart(index) };
  }
  const found = writes.unitOf(unit);
  invariant(found !== undefined, 'K1 a place holds while the version is the same');
  const place = found.tier === 'memory' ? found.locate(position) : (found.warm?.locate(position) ?? null);
  return place === null ? null : { vectors: place.batch.vectors(), row: place.row };
}

/** A few rows of files, each by a prepared statement of the thread that reads single rows. */
async function appendSingly(
  { database, timeZone, running }: WriteEnvironment,
  writes: TableWrites,
  { units, positions }: Located,
  keys: readonly number[],
  fieldIds: readonly number[],
  rows: RowBuffer,
  order: number[],
): Promise<void> {
  const { table } = writes;
  const abort = new AbortController();
  running(() => abort.abort());
  const places = keys.map((key) => {
    const file = writes.unitOf(units[key]!) as DataFileUnit;
    return { file, scan: file.scan(0), position: positions[key]! };
  });
  const read = await readSingly(database, timeZone, table.def, fieldIds, places, abort.signal);
  for (const [i, vectors] of read.entries()) {
    rows.append(wholeRows(table, fieldIds, vectors), 0, 1);
    order.push(keys[i]!);
  }
}

async function appendCold(
  engine: Remote<EngineApi>,
  writes: TableWrites,
  { units, positions }: Located,
  keys: readonly number[],
  fieldIds: readonly number[],
  rows: RowBuffer,
  order: number[],
): Promise<void> {
  const { table } = writes;
  const files: DataFileUnit[] = [];
  const indexOf = new Map<number, number>();
  const indexes = Int32Array.from(keys, (key) => {
    const unit = units[key]!;
    let index = indexOf.get(unit);
    if (index === undefined) {
      indexOf.set(unit, (index = files.length));
      files.push(writes.unitOf(unit) as DataFileUnit);
    }
    return index;
  });
  const request = {
    def: table.def,
    files: files.map((file) => file.scan(0)),
    indexes,
    positions: Float64Array.from(keys, (key) => positions[key]!),
    fieldIds,
  };
  let count = 0;
  for (const { rows: which, vectors } of await engine.fetchRows(request)) {
    rows.append(wholeRows(table, fieldIds, vectors), 0, which.length);
    for (const row of which) order.push(keys[row]!);
    count += which.length;
  }
  invariant(count === keys.length, 'a located row of a file is there');
}

/** Vectors of some columns among those of all, the others NULL. */
function wholeRows(
  table: Table,
  fieldIds: readonly number[],
  vectors: readonly ColumnVector[],
): readonly ColumnVector[] {
  return table.fieldIds.map((fieldId, column) => {
    const index = fieldIds.indexOf(fieldId);
    return index < 0 ? columnVector(table.physicals[column]!, { validity: NO_BYTES }) : vectors[index]!;
  });
}
