/**
 * One seed: some lives of a server one after another on one disk, each with sessions, maintenance and other writers at work,
 * ended by a stop, a kill or a power cut; and at the end everything healed, committed, and looked at once more.
 */
import { randomUUID } from 'node:crypto';
import { SqlError } from '../../src/errors.ts';
import { reattachTable } from '../../src/ingest/reattach.ts';
import type { Database } from '../../src/ingest/database.ts';
import { vacuum, vacuumFull } from '../../src/ingest/vacuum.ts';
import { currentSnapshot, type LoadedTable } from '../../src/storage/iceberg/metadata.ts';
import { isUnreadable } from '../../src/storage/iceberg/unreadable.ts';
import type { Table } from '../../src/storage/table.ts';
import type { IndexDef, TableDef } from '../../src/table-def.ts';
import { Catalog } from './catalog.ts';
import * as foreign from './foreign.ts';
import { Life, type Planted, type Shape } from './life.ts';
import { difference, FOREIGN, Model, TRUNCATED } from './model.ts';
import { Sessions, type Course } from './sessions.ts';
import { INDEX_DIR } from './sim-index.ts';
import { simulate } from './sim-node.ts';
import { loadS3, simulateS3 } from './sim-s3.ts';
import { codeOf, isSimulated, NO_FAULTS, Violation, World } from './world.ts';
import { createTable } from '../ingest/define.ts';

export interface ScenarioOptions {
  readonly lives: number;
  readonly planted: Planted;
}

/** t0 has a key and a sort order, t1 a key and partitions, t2 neither. */
const TABLES = ['t0', 't1', 't2'] as const;
const KEYLESS = 't2';
const BUCKETS = { sourceId: 1, fieldId: 1000, name: 'id_bucket', transform: 'bucket', arg: 3 } as const;
/** What a statement or a move may meet in good order. */
const EXPECTED = new Set(['23505', '40P01', '40001', '55P03', '57014', '53100', '53200']);

/** A fault of the disk under a file of a table. */
const isFault = (why: string): boolean => /simulated|EIO/.test(why);
const isOfFile = (error: unknown): boolean => isUnreadable(error) && isFault(error.message);

type Move = (database: Database, table: Table, sessions: Sessions) => Promise<unknown>;
/** What maintenance does, and how often of all. */
const MOVES: readonly (readonly [what: string, share: number, move: Move])[] = [
  ['flush', 0.27, (database, table) => database.flush(table, 'sim')],
  ['a copy that gives way', 0.05, ({ memory }) => Promise.resolve(memory.warm.giveOne())],
  ['commit', 0.23, (database, table) => database.commit(table, 'sim')],
  ['refresh', 0.1, (database, table) => database.refresh(table)],
  ['relief of the log', 0.06, (database) => database.retention.relieve()],
  ['VACUUM FULL', 0.12, (database, table) => vacuumFull(database, table)],
  ['VACUUM', 0.05, vacuum],
  ['CHECKPOINT', 0.05, (database) => database.checkpoint()],
  ['ALTER', 0.07, (_database, _table, sessions) => sessions.alter()],
];

/** Seeds from before there were such constraints go as they went. */
export const hasUniques = (seed: number): boolean => seed % 8 === 4 || seed % 8 === 7;

/** Of column v. */
const unique = (name: string): IndexDef => ({
  name: `${name}_v_key`,
  method: 'btree',
  columns: [{ fieldId: 2, descending: false, nullsFirst: false }],
  included: [],
  options: {},
  slot: 6,
  unique: 'constraint',
});

export function tableDef(name: string, hasUnique = false): TableDef {
  const column = (fieldId: number, columnName: string, oid: number, notNull: boolean) => ({
    name: columnName,
    fieldId,
    attnum: fieldId,
    type: { oid, typmod: -1 },
    notNull,
    default: null,
  });
  return {
    uuid: '',
    oid: 0,
    schema: 'public',
    name,
    schemaId: 0,
    columns: [column(1, 'id', 20, true), column(2, 'v', 23, false), column(3, 'name', 25, false)],
    key: name === KEYLESS ? [] : [1],
    keyName: name === KEYLESS ? '' : `${name}_pkey`,
    partition: name === 't1' ? [BUCKETS] : [],
    sort: name === 't0' ? [{ sourceId: 1, descending: false, nullsFirst: false }] : [],
    timeColumn: null,
    onConflict: 'error',
    indexes: hasUnique ? [unique(name)] : [],
    options: {},
  };
}

const shownDef = ({ columns, key, keyName, partition, sort, indexes }: TableDef): string =>
  JSON.stringify({ columns, key, keyName, partition, sort, indexes });

class Scenario {
  readonly world: World;
  readonly model = new Model(TABLES);
  readonly catalog: Catalog;
  readonly shape: Shape;
  readonly planted: Planted;
  life!: Life;
  sessions!: Sessions;
  readonly course: Course;
  #nextForeign = FOREIGN;

  constructor(seed: number, { planted }: ScenarioOptions) {
    this.world = new World(seed);
    this.planted = planted;
    this.catalog = new Catalog(this.world, this.model);
    const { world, model } = this;
    const truncates = seed % 5 === 2 || seed % 5 === 4;
    this.course = {
      world,
      model,
      tables: TABLES,
      truncates,
      hasUniques: hasUniques(seed),
      counter: 0,
      definitions: new Map(),
    };
    const segmentBytes = 2 ** 14 * (1 + world.below(3));
    const warehouse = world.chance(0.3) ? 's3://sim/warehouse' : '/sim/warehouse';
    this.shape = {
      warehouse,
      segmentBytes,
      logBytesMax: world.chance(0.4) ? segmentBytes * (2 + world.below(3)) : Infinity,
    };
    planted.world?.(world);
  }

  /** An error that is neither ours nor in good order ends the run. */
  tolerate(error: unknown, where: string): void {
    if (error instanceof Violation) throw error;
    // Nothing but a disk that is full for as long, or a large transaction under way, keeps a log at wal.max_size (H3, H1).
    // So does a table that cannot be read (U2).
    const isHeld = this.world.fs.capacity < Infinity || this.sessions.streamsHoldLog || this.life.unreadable.length > 0;
    if (/reached wal.max_size/.test((error as Error).message) && !isHeld)
      this.world.fail(`${where}: ${(error as Error).message}`);
    if (isSimulated(error) || EXPECTED.has(codeOf(error)) || isOfFile(error)) {
      this.world.trace(`${where}: ${(error as Error).message}`);
      return;
    }
    this.world.fail(`${where}: ${(error as Error).stack ?? String(error)}`);
  }

  /** False: the start failed by a fault, or the power went. */
  async start(): Promise<boolean> {
    const { world } = this;
    this.life = new Life(world, this.model, this.catalog);
    this.sessions = new Sessions(this.course, this.life);
    const { life } = this;
    world.look = () => {
      life.look();
      return this.catalog.look(() => (life.log === undefined ? '' : life.log.logId));
    };
    try {
      await world.drive(life.start(this.shape, this.planted));
    } catch (error) {
      if (error instanceof Violation) throw error;
      if (!isSimulated(error)) world.fail(`start: ${(error as Error).stack} ${String((error as Error).cause)}`);
      world.trace(`start: ${(error as Error).message}`);
      return false;
    }
    if (world.fs.crashed) return false;
    for (const { def, detached } of life.database.tables.values()) {
      if (detached === null) continue;
      const why = `${def.name} is ${detached.reason === 'unreadable' ? 'unreadable' : 'read-only'}: ${detached.message}; ${detached.detail}`;
      if (detached.reason !== 'unreadable' || !isFault(why)) world.fail(why);
      world.trace(`start: ${why}`);
    }
    this.#checkDefinitions();
    life.look();
    return true;
  }

  /** What cannot be read is looked at again, while everything else goes on. */
  async reattaching(looks: number): Promise<void> {
    const { world, life } = this;
    for (let i = 0; i < looks && life.unreadable.length > 0; i++) {
      for (let pause = world.below(60); pause > 0; pause--) await world.turn('a pause');
      if (life.fatal !== null) return;
      for (const table of life.unreadable) {
        const { name } = table.def;
        try {
          await world.during(`${name} is read again`, reattachTable(life.database, table));
          world.trace(`${name} is back`);
          this.#checkDefinitions([table]); // of others an ALTER may be under way
        } catch (error) {
          this.tolerate(error, `reading ${name} again`);
        }
        world.progress();
      }
    }
  }

  /** V6: a table comes back as it was made, or altered. */
  #checkDefinitions(tables: Iterable<Table> = this.life.database.tables.values()): void {
    const { definitions } = this.course;
    for (const { def, detached, dropped } of tables) {
      if (dropped) continue;
      if (detached !== null) continue;
      const known = definitions.get(def.name) ?? [tableDef(def.name, this.course.hasUniques)];
      if (!known.some((each) => shownDef(each) === shownDef(def)))
        this.world.fail(`V6: ${def.name} is ${shownDef(def)}, expected ${known.map(shownDef).join(' or ')}`);
      definitions.set(def.name, [def]);
    }
  }

  async makeTables(): Promise<void> {
    const { world, life } = this;
    for (const name of TABLES) {
      if (life.database.table('public', name) !== undefined) continue;
      await world
        .drive(createTable(life.database, { ...tableDef(name, this.course.hasUniques), uuid: randomUUID() }))
        .catch((error: unknown) => this.tolerate(error, 'create'));
      if (world.fs.crashed) return;
    }
  }

  async session(transactions: number): Promise<void> {
    const { world, life, sessions } = this;
    for (let i = 0; i < transactions; i++) {
      await world.turn('a session');
      if (life.fatal !== null) return;
      await world
        .during('a transaction', sessions.transaction())
        .catch((error: unknown) => this.tolerate(error, 'transaction'));
    }
  }

  async maintenance(moves: number): Promise<void> {
    const { world, life } = this;
    const { database } = life;
    for (let i = 0; i < moves; i++) {
      for (let pause = world.below(12); pause > 0; pause--) await world.turn('a pause');
      if (life.fatal !== null) return;
      const name = TABLES[world.below(TABLES.length)]!;
      const table = database.table('public', name);
      if (table === undefined) continue;
      let kind = world.random();
      const [what, , move] = MOVES.find(([, share]) => (kind -= share) < 0) ?? MOVES[0]!;
      await world
        .during(`${what} of ${name}`, move(database, table, this.sessions))
        .catch((error: unknown) => this.tolerate(error, what));
      world.progress();
    }
  }

  /** Other writers, each commit in one step of the world. */
  async others(commits: number): Promise<void> {
    const { world } = this;
    for (let i = 0; i < commits; i++) {
      for (let pause = world.below(40); pause > 0; pause--) await world.turn('a pause');
      const looking = this.catalog.look(() => this.life.log.logId);
      if (looking !== null) await looking;
      const name = TABLES[world.below(TABLES.length)]!;
      const base = this.catalog.load(name);
      if (base !== null) await world.outside(() => this.#foreignCommit(name, base));
    }
  }

  async #foreignCommit(name: string, base: LoadedTable): Promise<void> {
    const { world } = this;
    const now = world.clock.now() + (world.chance(0.2) ? 300_000 : 0); // their clock may be ahead (M-6)
    const theirs = this.model.foreign.get(name)!;
    const kind = world.random();
    let location: string | null;
    let what: string;
    const next = new Map(theirs);
    if (kind < 0.4) {
      const rows = Array.from({ length: 1 + world.below(3) }, () => this.sessions.row(this.#nextForeign++));
      what = 'append';
      location = await foreign.append(world, base, rows, now);
      for (const row of rows) next.set(row[0], row);
    } else if (kind < 0.6) {
      const keys = new Set([...theirs.keys()].filter(() => world.chance(0.4)));
      const byValue = base.metadata['last-sequence-number'] % 2n === 0n;
      what = byValue ? 'delete by value' : 'delete';
      location = await (byValue ? foreign.deleteByValue : foreign.deleteKeys)(world, base, keys, now);
      for (const key of keys) next.delete(key);
    } else if (kind < 0.85) {
      what = 'rewrite';
      location = await foreign.rewrite(world, base, now);
    } else {
      what = 'expire';
      location = await foreign.expireAll(world, base, now);
    }
    if (location === null) return;
    this.model.foreign.set(name, next);
    this.catalog.show(name, location);
    world.trace(`another writer: ${what} of ${name}`);
    const looking = this.catalog.look(() => this.life.log.logId);
    if (looking !== null) await looking;
  }

  /** One life; how it ends is chance, too. */
  async live(): Promise<void> {
    const { world } = this;
    const risky = world.chance(0.8);
    world.faults = risky
      ? {
          io: world.chance(0.5) ? 0.02 : 0,
          read: world.chance(0.3) ? 0.02 : 0,
          sqlite: world.chance(0.3) ? 0.05 : 0,
          unheard: world.chance(0.3) ? 0.05 : 0,
          logSync: world.chance(0.1) ? 0.01 : 0,
          store: world.chance(0.5) ? 0.05 : 0,
          crashWithin: 600,
        }
      : NO_FAULTS;
    if (risky && world.chance(0.7)) world.fs.crashIn = world.below(world.faults.crashWithin);
    if (risky && world.chance(0.15)) this.#nearlyFull();
    await this.#betweenLives();
    if (risky && world.chance(0.3)) this.#hideFiles();
    if (await this.start()) {
      await this.makeTables();
      if (!world.fs.crashed && this.life.fatal === null) await this.#work();
    }
    if (world.halted && world.chance(0.5)) return world.endProcess();
    if (world.fs.crashed) return world.restartPower();
    if (this.life.fatal !== null || !this.life.ready || world.chance(0.4)) {
      world.trace('killed');
      return world.chance(0.5) ? world.restartPower() : world.endProcess();
    }
    this.#heal();
    await world.drive(this.life.stop());
    world.trace('stopped');
    return world.fs.crashed ? world.restartPower() : world.endProcess();
  }

  #heal(): void {
    const { world } = this;
    world.faults = NO_FAULTS;
    world.fs.capacity = Infinity;
    world.unreadable.clear();
  }

  /** Some files of tables cannot be read until somebody has mended what they lie on. */
  #hideFiles(): void {
    const { world } = this;
    const files = [...world.fs.names].filter(
      ([path, file]) => !file.dir && /^\/sim\/(?:warehouse|cache|disk)\/.*\.(?:json|avro|parquet|delta)$/.test(path),
    );
    if (files.length === 0) return;
    world.unreadable.clear();
    for (let count = 1 + world.below(3); count > 0; count--) world.unreadable.add(files[world.below(files.length)]![0]);
    world.trace(`unreadable: ${[...world.unreadable].join(', ')}`);
    world.clock.after(world.below(20_000), () => world.unreadable.clear());
  }

  /** The disk has room for a little more, until somebody frees some. */
  #nearlyFull(): void {
    const { fs } = this.world;
    let used = 0;
    for (const file of new Set(fs.names.values())) used += file.bytes.length;
    fs.capacity = used + this.shape.segmentBytes * this.world.below(4) + this.world.below(30_000);
    this.world.clock.after(20_000, () => (fs.capacity = Infinity));
  }

  /** What people and other engines do while the server is down. */
  async #betweenLives(): Promise<void> {
    const { world, model } = this;
    await this.#damageCaches();
    const kind = world.random();
    const name = TABLES[world.below(TABLES.length)]!;
    const loaded = this.catalog.load(name);
    if (loaded === null) return;
    if (kind < 0.1) await this.#rollBack(name, loaded);
    else if (kind < 0.2 && !model.diskNeeded) {
      // V6: the data directory is a cache of log, catalog and warehouse
      await world.outside(async () => {
        if (world.fs.names.has('/sim/disk')) world.fs.remove('/sim/disk', { recursive: true });
        world.databases.delete('/sim/disk/flush.db');
        world.fs.sync('/sim', world.fs.get('/sim'));
      });
      world.trace('the disk tier is gone');
    } else if (kind < 0.27 && this.#isCommitted()) {
      await world.outside(async () => {
        for (const path of ['/sim/wal', '/sim/disk'])
          if (world.fs.names.has(path)) world.fs.remove(path, { recursive: true });
        world.databases.delete('/sim/disk/flush.db');
        world.fs.sync('/sim', world.fs.get('/sim'));
      });
      model.newLog();
      world.trace('log and disk tier are gone');
    }
  }

  /** Caches are made again: copies of remote files, and whatever of the index over files is lost or damaged (H9). */
  async #damageCaches(): Promise<void> {
    const { world } = this;
    const remove = (path: string): Promise<void> =>
      world.outside(async () => world.fs.remove(path, { recursive: true, force: true }));
    if (world.chance(0.1)) await remove('/sim/cache');
    if (!world.chance(0.2)) return;
    const files = [...world.fs.names].filter(([path, file]) => path.startsWith(`${INDEX_DIR}/`) && !file.dir);
    if (files.length === 0 || world.chance(0.2)) {
      await remove(INDEX_DIR);
      world.trace('the index is gone');
      return;
    }
    const [path, { bytes, durable }] = files[world.below(files.length)]!;
    const at = world.below(bytes.length);
    for (const copy of [bytes, durable]) if (at < copy.length) copy[at]! ^= 1 + world.below(255);
    world.trace(`byte ${at} of ${path} is damaged`);
  }

  get #logId(): string {
    return this.life?.log?.logId ?? '';
  }

  /** V6: everything that was acknowledged or may be there is in Iceberg. */
  #isCommitted(): boolean {
    return TABLES.every((name) => {
      const committed = this.catalog.committed(name);
      if (committed === null) return false;
      const lsn = committed.logId === this.#logId ? committed.lsn : 0;
      return this.model.touchedAbove(name, lsn).size === 0;
    });
  }

  /** Another engine sets main back; only where rows changed since are there on both sides, or on none. */
  async #rollBack(name: string, base: LoadedTable): Promise<void> {
    const { world, model } = this;
    const head = currentSnapshot(base.metadata);
    const older = (base.metadata.snapshots ?? []).filter((snapshot) => snapshot !== head);
    const committed = this.catalog.committed(name)!;
    if (older.length === 0 || committed.logId !== this.#logId) return;
    const snapshot = older[world.below(older.length)]!;
    await world.outside(async () => {
      const { rows } = await foreign.contentOf(world, snapshot);
      const own = new Map(rows.filter(([key]) => key < FOREIGN).map((row) => [row[0], row]));
      const now = model.at(name, committed.lsn);
      const touched = model.touchedAbove(name, committed.lsn);
      for (const key of touched) if (own.has(key) !== now.has(key)) return;
      const shown = model.without(name, model.foreign.get(name)!, committed.lsn);
      if (touched.has(TRUNCATED) && rows.some(([key]) => !now.has(key) && !shown.has(key))) return;
      model.rollBack(name, committed.lsn, own);
      model.foreign.set(name, new Map(rows.filter(([key]) => key >= FOREIGN).map((row) => [row[0], row])));
      this.catalog.show(name, await foreign.rollBack(world, base, snapshot, world.clock.now()));
      world.trace(`another engine has rolled ${name} back`);
    });
  }

  async #work(): Promise<void> {
    const { world } = this;
    const sessions = Array.from({ length: 1 + world.below(3) }, () => this.session(4 + world.below(10)));
    const work = Promise.all([
      ...sessions,
      this.maintenance(3 + world.below(10)),
      this.reattaching(2 + world.below(8)),
      ...(world.chance(0.5) ? [this.others(1 + world.below(4))] : []),
    ]);
    await world.drive(work);
  }

  /** Everything healed: every row is there, in memory and then in Iceberg, and a start finds it again. */
  async finish(): Promise<void> {
    const { world, model } = this;
    this.#heal();
    await this.#betweenLives();
    if (!(await this.start())) world.fail('a start without faults failed');
    await this.makeTables();
    await world.drive(this.life.database.checkpoint());
    for (const name of TABLES) {
      await world.drive(this.life.database.refresh(this.life.table(name)));
      const loaded = this.catalog.load(name)!;
      const { rows } = await world.outside(() => foreign.contentOf(world, currentSnapshot(loaded.metadata)));
      const theirs = model.without(name, model.foreign.get(name)!, Infinity);
      const problem = difference(rows, new Map([...model.at(name, Infinity), ...theirs]));
      if (problem !== null) world.fail(`V4: ${name} after everything was committed: ${problem}`);
    }
    this.life.look();
    await world.drive(this.life.stop());
    await world.restartPower();
    if (!(await this.start())) world.fail('the last start failed');
    this.life.look();
    await world.drive(this.life.stop());
  }
}

/** @throws {Violation} naming the seed */
export async function runSeed(seed: number, options: ScenarioOptions): Promise<World> {
  await loadS3();
  const scenario = new Scenario(seed, options);
  try {
    for (let life = 0; life < options.lives; life++) await scenario.live();
    await scenario.finish();
  } catch (error) {
    if (error instanceof SqlError) scenario.world.fail(`unexpected: ${error.stack}`);
    throw error;
  } finally {
    simulate(null);
    simulateS3(null);
  }
  return scenario.world;
}
