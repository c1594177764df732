/**
 * One run of the storage of a server in the simulated world, from its start to its end: the parts that server-tiers.ts puts
 * together, on one thread, and what an onlooker checks while it runs (V1–V7).
 */
import { SqlError } from '../../src/errors.ts';
import { withColdFiles } from '../../src/federation/cold-files.ts';
import { Database } from '../../src/ingest/database.ts';
import { recover } from '../../src/ingest/recovery.ts';
import { RowWriter } from '../../src/ingest/row-writer.ts';
import type { TableWrites, Transaction } from '../../src/ingest/transaction.ts';
import { deleteRows, insertRows, type WriteContext } from '../../src/ingest/write-rows.ts';
import type { Remote } from '../../src/rpc.ts';
import { DiskCache } from '../../src/storage/disk/disk-cache.ts';
import type { IndexCore } from '../../src/storage/index/index-service.ts';
import type { DataFileUnit } from '../../src/storage/file-unit.ts';
import type { LakeApi } from '../../src/storage/iceberg/lake-api.ts';
import { createLake } from '../../src/storage/iceberg/lake.ts';
import { decodeCheckpoint } from '../../src/storage/log/checkpoint.ts';
import type { Log } from '../../src/storage/log/log-api.ts';
import { loggedFrames } from '../../src/storage/log/logged-frames.ts';
import { openLog } from '../../src/storage/log/log.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import type { Table } from '../../src/storage/table.ts';
import { uniqueNames } from '../../src/storage/unique-key.ts';
import { UTC } from '../../src/types/time-zone.ts';
import { difference, FOREIGN, type Change, type Model, type Rows } from './model.ts';
import {
  decodeFile,
  deletedOf,
  idVector,
  rowOfVectors,
  rowsOfFile,
  rowsOfMemory,
  SimEngine,
  vectorsOf,
  type Row,
} from './sim-engine.ts';
import { INDEX_DIR, remoteIndex, simIndex } from './sim-index.ts';
import type { World } from './world.ts';
import { uncancelled } from '../../src/running.ts';

export interface Shape {
  readonly warehouse: string;
  readonly segmentBytes: number;
  readonly logBytesMax: number;
}

/** Bugs that a test plants to see that a check finds them; each changes what Arka's code sees or does. */
export interface Planted {
  readonly log?: (log: Log) => void;
  readonly lake?: (lake: LakeApi, world: World) => void;
  readonly index?: (index: IndexCore) => void;
  readonly database?: (database: Database, life: Life) => void;
  readonly world?: (world: World) => void;
}

export interface Outside {
  committed(table: string): { readonly uuid: string; readonly logId: string | null; readonly lsn: number } | null;
  flushed(uuid: string, logId: string): number;
}

export interface Seen {
  readonly unit: number;
  readonly position: number;
  readonly row: Row;
}

export class Life {
  readonly world: World;
  readonly model: Model;
  database!: Database;
  log!: Log;
  lake!: LakeApi;
  index!: IndexCore;
  ready = false;
  fatal: Error | null = null;
  /** The changes of transactions that may come into the log, by number. */
  readonly changes = new Map<number, readonly Change[]>();
  /** Last LSN by transaction number. */
  readonly lsnOf = new Map<number, number>();
  /** The end of the log as this start found it. */
  recoveredLsn = 0;
  readonly #adopted = new Map<Table, string>();
  #looked = '';

  /** What is true of the catalog and the flush manifest, whatever Arka thinks. */
  readonly outside: Outside;
  #logBytesMax = Infinity;

  constructor(world: World, model: Model, outside: Outside) {
    this.world = world;
    this.model = model;
    this.outside = outside;
  }

  /** As openTiers. Call it through `world.drive`. */
  async start(shape: Shape, planted: Planted): Promise<void> {
    const { world } = this;
    this.#logBytesMax = shape.logBytesMax;
    const lake = createLake(world.clock);
    lake.logFrames = async (request) => loggedFrames(request, world.fs.logDisk('/sim/wal'));
    planted.lake?.(lake, world);
    this.lake = lake;
    await lake.lock('/sim');
    const index = simIndex(world);
    planted.index?.(index);
    this.index = index;
    const { secret } = await index.open({ dir: INDEX_DIR, cacheBytes: 2 ** 16, asksForRoom: true });
    const log = await openLog({
      dir: '',
      segmentBytes: shape.segmentBytes,
      ringBytes: 2 ** 16,
      fs: world.fs.logDisk('/sim/wal'),
      clock: world.clock,
      rests: true,
    });
    planted.log?.(log);
    this.log = log;
    log.onFatal = (error) => {
      this.fatal = error;
      world.halt();
    };
    const { logId, firstLsn, lastLsn, checkpoint } = log;
    this.recoveredLsn = lastLsn;
    const [lost] = this.model.forgetAbove(lastLsn);
    if (lost !== undefined) world.fail(`V3: LSN ${lost.lsn} was acknowledged, and the log ends at ${lastLsn}`);
    this.#watchTrims(log);
    const state = await lake.open({
      dataDir: '/sim',
      warehouse: shape.warehouse,
      catalogName: 'arka',
      owner: 'sim',
      keepSnapshots: 3,
      maxSnapshotAgeMs: 1e9,
      fileGraceMs: 24 * 3600 * 1000,
      log: { logId, firstLsn, lastLsn, checkpoint: checkpoint === null ? null : decodeCheckpoint(checkpoint) },
    });
    this.#watchAppends(log);
    const memory = new Memory(2 ** 25);
    const remote = this.#remote(lake);
    const warn = (error: unknown, where: string): void => world.trace(`warning, ${where}: ${(error as Error).message}`);
    const disk = new DiskCache({ dir: '/sim/cache', limit: Infinity, clock: world.clock, lake: remote, warn });
    for (const file of state.cached) disk.found(file);
    this.database = new Database({
      clock: world.clock,
      memory,
      log,
      engine: withColdFiles(new SimEngine(world, memory.pool.directory) as never, disk),
      lake: remote,
      disk,
      diskDir: '/sim/disk',
      secret,
      index: remoteIndex(world, index),
      logBytesMax: shape.logBytesMax,
      targetFileBytes: 2 ** 20,
      warn,
    });
    planted.database?.(this.database, this);
    await index.keepOnly(state.tables.flatMap(({ def }) => [def.uuid, ...uniqueNames(def)]));
    await recover(this.database, state, '/sim/lost');
    this.ready = true;
    const tables = state.tables.map(({ def, flush, neededFrom }) => {
      const staged =
        flush === null
          ? 'nothing'
          : `${flush.segments.length} segments, ${flush.deltas.length} deltas to ${flush.flushedLsn}`;
      return `${def.name} needs ${neededFrom}, has ${staged}`;
    });
    world.trace(`started: log ${log.firstLsn}…${log.lastLsn}; ${tables.join('; ')}`);
  }

  /** Calls to the lake hop to another thread and back; what is asked of it must be durable (V7). */
  #remote(lake: LakeApi): Remote<LakeApi> {
    const { world } = this;
    return new Proxy(lake as unknown as Remote<LakeApi>, {
      get: (_, method: keyof LakeApi) => async (argument: never) => {
        await world.turn(`a call of the lake: ${method}`);
        if (world.fs.crashed) return new Promise<never>(() => {});
        this.#checkRequest(method, argument);
        const result = await world.during(
          `the lake: ${method}`,
          (lake[method] as (argument: never) => Promise<unknown>)(argument),
        );
        await world.turn(`the lake's answer: ${method}`);
        return world.fs.crashed ? new Promise<never>(() => {}) : result;
      },
    });
  }

  #checkRequest(method: keyof LakeApi, argument: unknown): void {
    const request = argument as { readonly flushedLsn?: number; readonly lsn?: number };
    const lsn = method === 'writeFlush' ? request.flushedLsn! : method === 'commit' ? request.lsn! : 0;
    if (lsn > this.log.durableLsn)
      this.world.fail(`V7: ${method} at LSN ${lsn}, and the log is durable to ${this.log.durableLsn}`);
    if (lsn === 0 || !this.ready) return;
    const {
      segments = [],
      deltas = [],
      removed = [],
    } = argument as {
      segments?: readonly unknown[];
      deltas?: readonly unknown[];
      removed?: readonly unknown[];
    };
    this.world.trace(
      `${method} at ${lsn}: ${segments.length} segments, ${deltas.length} deltas, ${removed.length} removed`,
    );
  }

  #watchAppends(log: Log): void {
    const append = log.append.bind(log);
    log.append = (head, parts, ...how) => {
      const done = append(head, parts, ...how);
      if (done && head.kind !== 'checkpoint' && head.last) {
        const lsn = head.firstLsn + head.count - 1;
        const changes = this.changes.get(head.transaction);
        if (changes === undefined) this.world.fail(`a frame of transaction ${head.transaction}, which nobody began`);
        const { synchronous } = this.database.transaction(head.transaction)!;
        for (const { table, truncated } of changes)
          if (truncated !== undefined)
            for (const { row } of this.visible(this.table(table))) if (row[0] >= FOREIGN) truncated.add(row[0]);
        this.model.logged.push({ lsn, first: head.firstLsn, changes, synchronous, acknowledged: false });
        this.lsnOf.set(head.transaction, lsn);
      }
      return done;
    };
  }

  /** V3: the log keeps what neither Iceberg nor, beyond wal.max_size or on a full disk, the disk has. */
  #watchTrims(log: Log): void {
    const trim = log.trim.bind(log);
    log.trim = async (to, ...rest) => {
      this.model.diskNeeded ||= log.full || Number.isFinite(this.#logBytesMax);
      await trim(to, ...rest);
      for (const name of this.model.tables) {
        const state = this.outside.committed(name);
        if (state === null) continue;
        const committed = state.logId === log.logId ? state.lsn : 0;
        const flushed = this.outside.flushed(state.uuid, log.logId);
        const safe = this.model.diskNeeded ? Math.max(committed, flushed) : committed;
        const gone = this.model.logged.findLast((each) => each.lsn > safe && each.first < log.firstLsn);
        if (gone === undefined) continue;
        // rows that came and went before a flush are missed by nobody: what took them is in the log, or was before the last that went
        const end = Math.max(gone.lsn, flushed);
        const without = this.model.replayed(name, safe, log.firstLsn, end);
        const problem = difference([...without.values()], this.model.at(name, end));
        if (problem !== null)
          this.world.fail(`V3: the log begins at ${log.firstLsn}, and ${name} elsewhere ends at ${safe}: ${problem}`);
      }
    };
  }

  table(name: string): Table {
    const table = this.database.table('public', name);
    if (table === undefined) this.world.fail(`table ${name} is gone`);
    return table;
  }

  /** Tables that have been detached since the start, or were by it. */
  get unreadable(): Table[] {
    return [...this.database.tables.values()].filter(({ detached }) => detached?.reason === 'unreadable');
  }

  get context(): WriteContext {
    const { database } = this;
    return {
      memory: database.memory,
      engine: database.engine,
      transaction: (id) => database.transaction(id),
      running: uncancelled,
    };
  }

  async insert(transaction: Transaction, table: Table, rows: readonly Row[], upsert: boolean): Promise<void> {
    const writes = transaction.of(table);
    const from = writes.inserted.rows;
    const writer = new RowWriter(table.def, table.fieldIds, writes.inserted, { timeZone: UTC, now: () => 0 });
    for (const row of rows) {
      row.forEach((value, i) => (value === null ? writer.nullField(i) : writer.text(i, String(value))));
      writer.endRow();
    }
    const seen = this.visible(table);
    try {
      await insertRows(this.context, transaction, writes, from, upsert);
    } catch (error) {
      this.#checkRefused(error, table, writes, seen);
      throw error;
    }
  }

  /** U1: a value is refused because a row has it, or had it while the statement ran; the transaction's own rows among them. */
  #checkRefused(error: unknown, table: Table, writes: TableWrites, before: readonly Seen[]): void {
    if (!(error instanceof SqlError) || error.fields.constraint !== `${table.def.name}_v_key`) return;
    const value = Number(/=\((\d+)\)/.exec(error.fields.detail!)![1]);
    const deleted = writes.deleted.byUnit();
    const isLive = ({ unit, position }: Seen): boolean => deleted.get(unit)?.includes(position) !== true;
    if ([...before, ...this.visible(table)].some((each) => each.row[1] === value && isLive(each))) return;
    const own = writes.inserted.batches.flatMap((batch, i) =>
      Array.from({ length: batch.rows }, (_, row) => row)
        .filter((row) => !writes.isDead(writes.inserted.batchStart(i) + row))
        .map((row) => rowOfVectors(batch.vectors(), row)[1]),
    );
    if (own.filter((each) => each === value).length < 2)
      this.world.fail(`U1: ${table.def.name} refuses ${value}, which no row has`);
  }

  /** U1 of storage/unique-key.ts, as long as no other engine has brought old rows back. */
  #checkUnique(table: Table, rows: readonly Row[]): void {
    if (table.uniques.length === 0 || this.model.isSetBack(table.def.name)) return;
    const seen = new Set<number>();
    for (const [, v] of rows) {
      if (v === null) continue;
      if (seen.has(v)) this.world.fail(`U1: two rows of ${table.def.name} have value ${v}`);
      seen.add(v);
    }
  }

  /** DELETE … WHERE id = key, by what is visible; looked for again when the row moved. */
  async delete(transaction: Transaction, table: Table, key: number): Promise<boolean> {
    for (;;) {
      const seen = this.visible(table).filter(({ row }) => row[0] === key);
      const names = new RowBuffer(this.database.memory, table.namePhysicals);
      try {
        const rows = seen.map(({ row }) => row);
        const vectors = table.keyed ? [idVector(rows.map(([id]) => id))] : vectorsOf(rows);
        if (rows.length > 0) names.append(vectors, 0, rows.length);
        const found = {
          units: Int32Array.from(seen, (each) => each.unit),
          positions: Float64Array.from(seen, (each) => each.position),
          names,
        };
        if (await deleteRows(this.context, transaction, transaction.of(table), found)) return seen.length > 0;
      } finally {
        names.retire();
      }
      await this.world.turn('a row that moved');
    }
  }

  /** Where it is, or would be fetched from. */
  #rowsOf({ path, info: { location } }: DataFileUnit): readonly Row[] {
    const { fs } = this.world;
    return fs.names.has(path) ? rowsOfFile(fs, path) : decodeFile(this.world.bytesAt(location), location).rows;
  }

  /** The rows that a reader sees now, unit by unit. */
  visible(table: Table): Seen[] {
    const { directory } = this.database.memory.pool;
    const out: Seen[] = [];
    const add = (unit: number, rows: readonly Row[], dead: ReadonlySet<number>): void =>
      rows.forEach((row, position) => {
        if (!dead.has(position)) out.push({ unit, position, row });
      });
    for (const slice of table.slices()) {
      if (slice.deletes.published >= slice.published) continue;
      const scan = slice.scan(slice.published, slice.deletes.published, table.fieldIds);
      if (slice.published > 0) add(slice.unit, rowsOfMemory(directory, scan), deletedOf(directory, scan.deletes));
    }
    for (const file of table.files) {
      if (file.deletes.published >= file.rows) continue;
      const { deletes } = file.scan(file.deletes.published);
      add(file.unit, this.#rowsOf(file), deletedOf(directory, deletes));
    }
    return out;
  }

  /** V1, V2, V5 and the rows themselves, after each step in which something became visible or moved. */
  look(): void {
    if (!this.ready || this.world.fs.crashed || this.fatal !== null) return;
    const { database, model, world } = this;
    const { committer, memory } = database;
    if (memory.pool.usedBytes > memory.pool.budgetBytes) world.fail('V5: more slab bytes are used than the budget has');
    const now = [...database.tables.values()].map((table) => `${table.version}`).join() + committer.publishedLsn;
    if (now === this.#looked) return;
    this.#looked = now;
    const early = model.logged.findLast((each) => each.synchronous && each.lsn <= committer.publishedLsn);
    if (early !== undefined && early.lsn > this.log.durableLsn)
      world.fail(`V3 (H4): LSN ${early.lsn} is visible, and the log is durable to ${this.log.durableLsn}`);
    for (const name of model.tables) {
      const table = database.table('public', name);
      if (table === undefined || table.detached !== null) continue;
      if (table.committedLsn > table.flushedLsn || table.flushedLsn > committer.publishedLsn)
        world.fail(
          `V2: ${name} is committed to ${table.committedLsn}, flushed to ${table.flushedLsn}, published to ${committer.publishedLsn}`,
        );
      const rows = this.visible(table).map((each) => each.row);
      const own = difference(
        rows.filter(([key]) => key < FOREIGN),
        model.at(name, committer.publishedLsn),
      );
      this.#checkUnique(
        table,
        rows.filter(([key]) => key < FOREIGN),
      );
      if (own !== null) world.fail(`V1: ${name} at LSN ${committer.publishedLsn}: ${own}`);
      const copied = this.#checkWarm(table);
      if (copied !== null) world.fail(`C2: ${name}, ${copied}`);
      const others = this.#others(
        table,
        rows.filter(([key]) => key >= FOREIGN),
      );
      if (others !== null) world.fail(`V1: ${name}, rows of other writers: ${others}`);
    }
  }

  /** What memory has of files is what the files have, and is found by its key (storage/warm-copies.ts). */
  #checkWarm(table: Table): string | null {
    for (const { unit, path, warm, deletes } of table.files) {
      if (warm === null) continue;
      for (const [position, row] of rowsOfFile(this.world.fs, path).entries()) {
        if (deletes.has(position)) continue;
        const place = warm.locate(position);
        if (place === null) {
          if (warm.isWhole) return `row ${position} of unit ${unit} is missed in its copy`;
          continue;
        }
        const copy = rowOfVectors(place.batch.vectors(), place.row);
        if (String(copy) !== String(row)) return `row ${position} of unit ${unit} is ${row}, its copy ${copy}`;
        const key = [idVector([row[0]])];
        if (!table.findInMemory(table.keys.hashRow(key, 0), key, 0)) return `${row} is not found by its key`;
        if (table.foundUnit !== unit || table.foundPosition !== position)
          return `${row} is row ${position} of unit ${unit}, and found as ${table.foundPosition} of ${table.foundUnit}`;
      }
    }
    return null;
  }

  /** Other writers' rows are those of the metadata that the table shows, or, until it has been taken over, of the one before. */
  #others(table: Table, rows: readonly Row[]): string | null {
    const shown = (location: string): Rows =>
      this.model.without(
        table.def.name,
        this.model.foreignAt.get(location) ?? new Map<number, Row>(),
        this.database.committer.publishedLsn,
      );
    const problem = difference(rows, shown(table.metadataLocation));
    if (problem === null) {
      this.#adopted.set(table, table.metadataLocation);
      return null;
    }
    return difference(rows, shown(this.#adopted.get(table) ?? '')) && problem;
  }

  /** V3: what was acknowledged is durable now. */
  acknowledge(transaction: Transaction): void {
    const lsn = this.lsnOf.get(transaction.id)!;
    if (!transaction.synchronous) return;
    if (this.log.durableLsn < lsn) this.world.fail(`V3: LSN ${lsn} is acknowledged, durable is ${this.log.durableLsn}`);
    this.model.logged.find((each) => each.lsn === lsn)!.acknowledged = true;
  }

  /** SIGTERM: what is under way ends, then log and lake close. */
  async stop(): Promise<void> {
    this.ready = false;
    await this.database.close();
    this.#checkReturned();
    await this.log[Symbol.asyncDispose]();
    await this.index.shutdown(null);
    await this.lake.shutdown(null);
  }

  /** V5: nobody holds a slab once all tables have given theirs back. */
  #checkReturned(): void {
    const { memory, tables } = this.database;
    for (const table of tables.values()) table.drop();
    const { usedBytes, heapBytes, deleteBytes } = memory.pool;
    if (usedBytes + heapBytes + deleteBytes !== 0)
      this.world.fail(
        `V5: without tables ${usedBytes} bytes of slabs, ${heapBytes} of lists and ${deleteBytes} of deletes are left`,
      );
  }
}
