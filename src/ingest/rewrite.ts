/**
 * Compaction: data files of one spec and partition are written anew as one, beside everything else, and swapped in.
 *
 * - X1 The new file holds the inputs' rows without the deletes that Iceberg has at the pin. What is deleted meanwhile is
 *   carried over by position: what Iceberg has by then goes with the swap, the rest stays pending (V4, H16).
 * - X2 The swap runs in the table's lane, on a head that was just refreshed: what another writer deleted from an input is
 *   carried over like deletes of ours, and an input that is gone takes its group with it (C7).
 * - X3 Between swap and installation nothing gives up: what stands in the catalog now are the inputs' successors.
 * - X4 No pin is held while files are written: the pinned deletes are copied, so memory that flushes give back stays free.
 * - X5 A group that does not fit the engine's memory, or the room that its sort has on the disk, is written as two, and these as four,
 *   down to single files.
 * A crash leaves files that no metadata names: on local disk until the next start, in the warehouse until VACUUM.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { invariant, SqlError, SqlState } from '../errors.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import type { CommitResult, DeleteFile, Segment } from '../storage/iceberg/lake-api.ts';
import { locationBeside, isRemote } from '../storage/iceberg/paths.ts';
import type { DeleteRef } from '../storage/scan-spec.ts';
import type { Table } from '../storage/table.ts';
import type { WriteParquetRequest } from '../storage/unit-engine.ts';
import { adoptCommit, refreshTable } from './iceberg-commit.ts';
import { isNeeded, locationsOf } from './delete-files.ts';
import { nameOf, type Database } from './database.ts';
import { countedRows, queriedRows, type MovedRows } from './moved-rows.ts';

const SWAPS_MAX = 8;
/** Of an output, beside its rows: a footer. */
const OUTPUT_BYTES_MIN = 64 * 1024;
/** About so many times as large as its file are the rows of one while they are sorted. */
export const UNPACKED = 4;
const RETRY_MS = 500;
const BLOCK_ENTRIES = 2 ** 18;

interface Input {
  readonly file: DataFileUnit;
  /** Length of its delete list at the pin: entries that Iceberg had. */
  readonly pinned: number;
  readonly deleted: Uint32Array;
}

interface Group {
  readonly inputs: readonly Input[];
  readonly request: WriteParquetRequest;
  /** Null: all rows were deleted. */
  output: Segment | null;
  moved: MovedRows | null;
  swapped: boolean;
}

export interface RewriteResult {
  readonly commit: CommitResult;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** Deleted rows that were left out. */
  readonly deletes: number;
}

/**
 * Rewrites the groups; the lane is not held by the caller. Null: all inputs were gone, or the table.
 * @throws what writing throws; nothing has changed then
 */
export async function rewriteFiles(
  database: Database,
  table: Table,
  groups: readonly (readonly DataFileUnit[])[],
  trigger: string,
): Promise<RewriteResult | null> {
  if (table.dropped || table.detached !== null || table.committedDef !== null) return null;
  const blocks = new Blocks(database);
  const made: Group[] = [];
  const room: (() => void)[] = [];
  try {
    for (const files of groups)
      if (files.every((file) => table.unit(file.unit) === file)) made.push(pin(database, table, files, blocks));
    const written: Group[] = [];
    for (const group of made) {
      if (table.dropped || table.committedDef !== null || database.closing || !isLive(table, group)) continue;
      try {
        room.push(await database.disk.reserve(bytesOf(group), 'The files of a compaction'));
        if (table.def.sort.length > 0) room.push(await database.disk.sortRoom(bytesOf(group) * UNPACKED, false));
      } catch (error) {
        if (written.length === 0) throw error;
        break; // what has had its room goes on
      }
      try {
        group.output = await write(database, table, group);
        written.push(group);
      } catch (error) {
        const parts = isTooLarge(error) ? halves(database, group) : [];
        if (parts.length === 0) throw error;
        made.push(...parts); // their turn comes in this loop
      }
    }
    if (written.length === 0) return null;
    const outputs = written.flatMap(({ output }) => (output === null ? [] : [output]));
    if (isRemote(table.location)) await database.lake.upload(outputs);
    return await database.inLane(table, () => swapIn(database, table, written, trigger));
  } finally {
    blocks.free();
    await discard(database, table, made);
    for (const giveBack of room) giveBack();
  }
}

/** What the output may take. */
function bytesOf({ inputs }: Group): number {
  return inputs.reduce((sum, { file }) => sum + file.info.bytes, OUTPUT_BYTES_MIN);
}

/** Slab blocks with the pinned deletes of the inputs, where the engine reads them. */
class Blocks {
  readonly #database: Database;
  readonly #taken: { readonly address: number; readonly bytes: number }[] = [];

  constructor(database: Database) {
    this.#database = database;
  }

  /** @throws {SqlError} 53200 */
  put(positions: Uint32Array): DeleteRef | null {
    if (positions.length === 0) return null;
    const { memory } = this.#database;
    const blocks: { address: number; count: number }[] = [];
    for (let start = 0; start < positions.length; start += BLOCK_ENTRIES) {
      const part = positions.subarray(start, start + BLOCK_ENTRIES);
      const address = memory.take(part.length * 4);
      this.#taken.push({ address, bytes: part.length * 4 });
      memory.pool.directory.words(address, part.length).set(part);
      blocks.push({ address, count: part.length });
    }
    return { count: positions.length, blocks };
  }

  free(): void {
    for (const { address, bytes } of this.#taken.splice(0)) this.#database.memory.pool.free(address, bytes);
  }
}

function pin(database: Database, table: Table, files: readonly DataFileUnit[], blocks: Blocks): Group {
  const inputs = files.map((file): Input => {
    const pinned = file.deletesCommitted;
    return { file, pinned, deleted: file.deletes.positions(0, pinned) };
  });
  return {
    inputs,
    request: {
      def: table.def,
      memory: [],
      files: inputs.map(({ file, deleted }) => ({ ...file.scan(0), deletes: blocks.put(deleted) })),
      path: join(database.diskDir, `${randomUUID()}.parquet`),
    },
    output: null,
    moved: null,
    swapped: false,
  };
}

/** For the engine's memory, or for what its sort may put aside. */
function isTooLarge(error: unknown): boolean {
  return error instanceof SqlError && (error.code === SqlState.outOfMemory || error.code === SqlState.diskFull);
}

/** X5. Empty: it cannot be parted. A single file without deleted rows stays as it is. */
function halves(database: Database, { inputs, request }: Group): Group[] {
  if (inputs.length < 2) return [];
  const middle = inputs.length >> 1;
  return [
    [0, middle],
    [middle, inputs.length],
  ].flatMap(([from, to]) => {
    const part = inputs.slice(from, to);
    if (part.length === 1 && part[0]!.deleted.length === 0) return [];
    const path = join(database.diskDir, `${randomUUID()}.parquet`);
    const files = request.files.slice(from, to);
    return [{ inputs: part, request: { ...request, files, path }, output: null, moved: null, swapped: false }];
  });
}

function isLive(table: Table, { inputs }: Group): boolean {
  return inputs.every(({ file }) => table.unit(file.unit) === file);
}

async function write(database: Database, table: Table, { inputs, request }: Group): Promise<Segment | null> {
  if (inputs.every(({ file, pinned }) => pinned === file.rows)) return null;
  const written = await database.engine.writeParquet(request);
  invariant(written !== null, 'a file with live rows is written');
  const { info } = inputs[0]!.file;
  const name = request.path.slice(request.path.lastIndexOf('/') + 1);
  return {
    location: locationBeside(table.location, info.location, name),
    path: written.path,
    rows: written.rows,
    bytes: written.bytes,
    columns: written.columns,
    partition: info.partition,
    specId: info.specId,
    lsnFrom: Math.min(...inputs.map(({ file }) => file.lsnFrom)),
    lsnTo: Math.max(...inputs.map(({ file }) => file.lsnTo)),
  };
}

/** X2. The table's lane is held. */
async function swapIn(
  database: Database,
  table: Table,
  groups: readonly Group[],
  trigger: string,
): Promise<RewriteResult | null> {
  for (let attempt = 0; attempt < SWAPS_MAX; attempt++) {
    await refreshTable(database, table);
    await settle(database, table, groups, trigger);
    if (table.dropped) return null;
    const here = groups.filter((group) => isLive(table, group));
    if (here.some(({ inputs }) => inputs.some(({ file }) => file.deletesForeign > file.deletesCommitted))) continue;
    const live = here.filter(({ inputs }) =>
      inputs.every(({ file }) => file.deletesFlushed === file.deletesCommitted && !file.isLeaving),
    );
    if (live.length === 0) return null;
    const commit = await swap(database, table, live, trigger);
    if (commit === null) continue;
    for (const group of live) group.swapped = true;
    await moveCopies(database, table, live);
    await bringMoves(database, table, live);
    database.memory.pool.unbounded(() => install(database, table, live, commit));
    await adoptCommit(database, table, commit);
    return {
      commit,
      files: live.reduce((sum, { output }) => sum + (output === null ? 0 : 1), 0),
      rows: live.reduce((sum, { output }) => sum + (output?.rows ?? 0), 0),
      bytes: live.reduce((sum, { output }) => sum + (output?.bytes ?? 0), 0),
      deletes: live.reduce((sum, { inputs }) => sum + inputs.reduce((rows, { pinned }) => rows + pinned, 0), 0),
    };
  }
  throw new SqlError(
    SqlState.serializationFailure,
    `could not swap rewritten files into table "${table.def.name}": other writers deleted from their inputs ${SWAPS_MAX} times`,
  );
}

/**
 * Flushed deletes of the inputs get into Iceberg first: the flush manifest knows them by the names of files that are about
 * to leave. So do those of another writer that stand behind pending ones of ours.
 */
async function settle(database: Database, table: Table, groups: readonly Group[], trigger: string): Promise<void> {
  const inputs = groups.flatMap((group) => group.inputs.map(({ file }) => file));
  if (inputs.some((file) => file.deletesForeign > file.deletesCommitted)) await database.flushHeld(table, trigger);
  if (inputs.some((file) => file.deletesFlushed > file.deletesCommitted)) await database.commitHeld(table, trigger);
}

/** Null: another writer has deleted from an input. */
async function swap(
  database: Database,
  table: Table,
  groups: readonly Group[],
  trigger: string,
): Promise<CommitResult | null> {
  const deletes: DeleteFile[] = [];
  const inputs = new Set(groups.flatMap((group) => group.inputs.map(({ file }) => file)));
  const emptied = new Set(
    Array.from(inputs, (file) => file.partitionKey).filter((key) => !isNeeded(table, key, (file) => inputs.has(file))),
  );
  try {
    for (const group of groups) {
      const { output } = group;
      const late = group.inputs.filter(({ file, pinned }) => file.deletesCommitted > pinned);
      if (output === null || late.length === 0) continue;
      const moved = await movesOf(database, group);
      const positions = late.flatMap(({ file, pinned }) =>
        Array.from(file.deletes.positions(pinned, file.deletesCommitted), (position) => moved(file.unit, position)),
      );
      const path = join(database.diskDir, `${randomUUID()}-deletes.parquet`);
      const { rows, bytes } = await database.engine.writePositionDeletes({
        path,
        deletes: [{ location: output.location, positions: Uint32Array.from(positions) }],
      });
      deletes.push({ targets: [output.location], scope: 'file', path, rows, bytes });
    }
    const request = {
      tableUuid: table.def.uuid,
      metadataLocation: table.metadataLocation,
      removed: groups.flatMap(({ inputs }) => inputs.map(({ file }) => file.info.location)),
      added: groups.flatMap(({ output }) => (output === null ? [] : [output])),
      deletes,
      removedDeletes: locationsOf(table, emptied),
      commitId: randomUUID(),
      trigger,
    };
    for (;;) {
      try {
        const commit = await database.lake.rewrite(request);
        if (commit !== null) for (const key of emptied) table.partitionDeletes.delete(key);
        return commit;
      } catch (error) {
        if (!(error instanceof SqlError) || error.code !== SqlState.transactionResolutionUnknown) throw error;
        database.warn(error, `rewrite of files of ${nameOf(table)}, which asks again`);
        await new Promise<void>((resolve) => database.clock.after(RETRY_MS, resolve));
      }
    }
  } finally {
    if (deletes.length > 0) await database.lake.removeFiles(deletes.map(({ path }) => path));
  }
}

async function movesOf(database: Database, group: Group): Promise<MovedRows> {
  group.moved ??=
    group.request.def.sort.length > 0
      ? await queriedRows(database.engine, group.request)
      : countedRows(group.inputs.map(({ file, deleted }) => ({ unit: file.unit, rows: file.rows, deleted })));
  return group.moved;
}

/** Where rows of inputs go that memory has copies of; what fails costs the copies alone. */
async function moveCopies(database: Database, table: Table, groups: readonly Group[]): Promise<void> {
  for (const group of groups) {
    if (group.moved !== null || group.output === null || group.inputs.every(({ file }) => file.warm === null)) continue;
    await movesOf(database, group).catch((error: unknown) =>
      database.warn(error, `rows of ${nameOf(table)} that were to stay in memory`),
    );
  }
}

/** X3. No await between the last look and the installation: a transaction may touch another input in any turn. */
async function bringMoves(database: Database, table: Table, groups: readonly Group[]): Promise<void> {
  const missing = (): Group[] =>
    groups.filter(
      ({ inputs, moved, output }) =>
        moved === null &&
        output !== null &&
        inputs.some(({ file, pinned }) => file.deletes.length > pinned || database.isTouched(table, file.unit)),
    );
  for (let left = missing(); left.length > 0; left = missing()) {
    try {
      for (const group of left) await movesOf(database, group);
    } catch (error) {
      database.warn(error, `rewrite of files of ${nameOf(table)}, which goes on`);
      await new Promise<void>((resolve) => database.clock.after(RETRY_MS, resolve));
    }
  }
}

function install(database: Database, table: Table, groups: readonly Group[], commit: CommitResult): void {
  const removed = new Set<DataFileUnit>();
  const added: DataFileUnit[] = [];
  const targets = new Map<number, { readonly file: DataFileUnit; readonly moved: MovedRows | null }>();
  for (const { inputs, moved, output } of groups) {
    for (const { file } of inputs) removed.add(file);
    if (output === null) continue;
    const path = commit.paths.find((each) => each.location === output.location)?.path ?? output.path;
    database.disk.found({ path, bytes: output.bytes });
    const successor = new DataFileUnit(database.memory, database.nextUnit(), table.def, { ...output, path }, 'iceberg');
    carryOver(table, inputs, moved, successor);
    if (moved !== null) {
      const files = inputs.map(({ file }) => file);
      table.warm.carry(files, successor, moved);
    }
    for (const { file } of inputs) {
      file.deletes.forward = successor.deletes;
      targets.set(file.unit, { file: successor, moved });
    }
    added.push(successor);
  }
  database.remap(table, (unit, position) => {
    const target = targets.get(unit);
    if (target === undefined) return null;
    const to = target.moved!(unit, position);
    invariant(to >= 0, 'a row that a transaction deletes was alive at the pin');
    return { unit: target.file.unit, position: to };
  });
  table.replaceFiles([...table.files.filter((file) => !removed.has(file)), ...added]);
  database.disk.forget([...removed].map((file) => file.path));
}

/** Later deletes at their new positions: those that Iceberg has first, the others in the order of their LSNs. */
function carryOver(table: Table, inputs: readonly Input[], moved: MovedRows | null, successor: DataFileUnit): void {
  const { deletes } = successor;
  const late = inputs.reduce((sum, { file, pinned }) => sum + file.deletes.length - pinned, 0);
  if (late === 0) return;
  invariant(deletes.reserve(late), 'V5 carried-over deletes fit the reserve');
  const positions = new Uint32Array(late);
  const lsns = new Float64Array(late);
  let count = 0;
  let published = 0;
  const take = ({ file }: Input, from: number, to: number): void => {
    const old = file.deletes.positions(from, to);
    lsns.set(file.deletes.lsns(from, to), count);
    for (const position of old) positions[count++] = moved!(file.unit, position);
    published += Math.max(0, Math.min(file.deletes.published, to) - from);
  };
  for (const input of inputs) take(input, input.pinned, input.file.deletesCommitted);
  const committed = count;
  for (const input of inputs) take(input, input.file.deletesCommitted, input.file.deletes.length);
  for (let i = 0; i < committed; i++) deletes.append(positions[i]!, table.committedLsn);
  const pending = Uint32Array.from({ length: count - committed }, (_, i) => committed + i);
  if (inputs.length > 1) pending.sort((left, right) => lsns[left]! - lsns[right]! || left - right);
  for (const i of pending) deletes.append(positions[i]!, lsns[i]!);
  deletes.publish(published);
  successor.deletesFlushed = committed;
  successor.deletesCommitted = committed;
  successor.deletesScoped = committed;
}

/** Staged copies go; so do files in the warehouse that were not swapped in. */
async function discard(database: Database, table: Table, groups: readonly Group[]): Promise<void> {
  const outputs = groups.flatMap(({ output, swapped }) => (output === null ? [] : [{ output, swapped }]));
  const lost = outputs.flatMap(({ output, swapped }) => (swapped ? [] : [output.location]));
  try {
    if (lost.length > 0) await database.lake.abandon(lost);
    await database.lake.removeFiles(outputs.map(({ output }) => output.path));
  } catch (error) {
    database.warn(error, `removing rewritten files of ${nameOf(table)}`);
  }
}
