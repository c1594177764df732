/**
 * DuckDB instances and their connections: one connection per running statement, taken from a pool.
 *
 * - D1 Every instance gives NULL order, integer division and names PostgreSQL's meaning; nothing is installed or loaded by itself.
 * - D2 A connection returns to the pool only when no result of it is open: pins of the caller may go then.
 * - D3 Nothing runs DuckDB's tasks on this thread: its table functions call back into it and would wait for themselves.
 * - D4 An instance outlives its database: when the footers that it keeps leave no room for others, a new one takes its place,
 *   and the old one is closed once the last statement on it has ended.
 * - D5 What DuckDB has freed goes back to the system within seconds, by a thread of its allocator's: without it a sort's memory
 *   stayed until somebody trimmed. Closing a database ends that thread for all others, so it is asked for again.
 * - D6 Nothing of an instance is under way when it is closed, not even a connection being made: its answer to a thread that has
 *   ended would end the process.
 * - D7 What a database puts aside has a folder of its own: DuckDB's names of such files are the same in each, so an old and a new
 *   one in one folder wrote over each other, and the process ended with SIGSEGV.
 * - D8 DuckDB (1.5) keeps what it knows of blocks that are long gone, 250 bytes each, until 32,768 wait in one of its queues for being
 *   evicted: 8 MB a queue, in pieces between which malloc has nothing whole to give back. Joins, sorts and COPY made 25,000 a minute. So
 *   a database that has done much is replaced as well, while nothing runs on it and memory is asked for.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { quoteLiteral } from '../sql-text.ts';
import duckdb from '@duckdb/node-bindings';
import { SqlError, SqlState } from '../errors.ts';
import type { TableScan } from '../storage/scan-spec.ts';
import { zoneName } from '../types/output-styles.ts';
import { engineError } from './engine-errors.ts';
import { FooterCache, openFooterBytes, type ReadFiles } from './footer-cache.ts';

interface Database {
  readonly handle: duckdb.Database;
  /** Connections, also those being made. */
  users: number;
  /** What it keeps of footers, once another one has taken its place. */
  footerBytes: number;
}

export interface Instance {
  readonly settings: InstanceSettings;
  database: Database;
  readonly idle: Lease[];
  readonly all: Set<Lease>;
  /** The limit in force. */
  memoryBytes: number;
  /** What it may put aside; null: as much as the disk has. */
  spillBytes: number | null;
  readonly footers: FooterCache;
  /** Databases that statements still run on, and no new ones. */
  readonly old: Set<Database>;
  /** Of files that running statements have open, of those that are not kept (F4). */
  openFooterBytes: number;
  /** A new database is being opened. */
  renewing: Promise<void> | null;
  /** That the database has run, and when it was last asked to be replaced. */
  statements: number;
  renewedAt: number;
  /** An old one was closed, and what that ended is begun anew (D5). */
  upkeep: Promise<void>;
  /** Pieces of work under way, which nobody may be waiting for: closing does (D6). */
  readonly working: Set<Promise<unknown>>;
}

export interface Lease {
  readonly instance: Instance;
  readonly database: Database;
  readonly connection: duckdb.Connection;
  timeZone: string;
  /** Footers of what it reads are kept. */
  keepsFooters: boolean;
}

export interface InstanceSettings {
  readonly memoryLimitBytes: number;
  readonly threads: number;
  /** This instance's alone: what is there when it opens was left by a process that ended early, and goes. */
  readonly tempDir: string;
  /** What footers of files may take; 0: none are kept. */
  readonly footerBytes: number;
  /** For each database that is opened: registers its functions. */
  readonly begin?: (connection: duckdb.Connection) => void;
}

const WORN_STATEMENTS = 200;
/** From one replacement to the next (D8, F2): 25 ms of CPU. */
const WORN_MS = 60_000;
const CROWDED_MS = 10_000;

function memoryLimitText(bytes: number): string {
  return `${Math.max(64, Math.floor(bytes / 1e6))}MB`;
}

/** DuckDB then writes to its folder what it holds beyond, and has malloc give all free memory back (malloc_trim). */
export async function setMemoryLimit(instance: Instance, bytes: number): Promise<void> {
  await withLease(instance, (lease) => run(lease, `SET memory_limit = '${memoryLimitText(bytes)}'`));
  instance.memoryBytes = bytes;
}

/** False: it has put aside more already, and goes on within the bound that it had. */
export async function setSpillLimit(instance: Instance, bytes: number): Promise<boolean> {
  try {
    await withLease(instance, (lease) => run(lease, `SET max_temp_directory_size = '${bytes}B'`));
  } catch (error) {
    if (error instanceof SqlError && error.code === SqlState.diskFull) return false;
    throw error;
  }
  instance.spillBytes = bytes;
  return true;
}

export async function openInstance(settings: InstanceSettings): Promise<Instance> {
  await rm(settings.tempDir, { recursive: true, force: true });
  await mkdir(settings.tempDir, { recursive: true });
  return {
    settings,
    database: await openDatabase(settings, settings.memoryLimitBytes, null),
    idle: [],
    all: new Set(),
    memoryBytes: settings.memoryLimitBytes,
    spillBytes: null,
    footers: new FooterCache(settings.footerBytes),
    old: new Set(),
    openFooterBytes: 0,
    renewing: null,
    statements: 0,
    renewedAt: Number.NEGATIVE_INFINITY,
    upkeep: Promise.resolve(),
    working: new Set(),
  };
}

/** The options of D1. `enable_external_access` is what lets it open local files; the planner keeps file functions out of SQL. */
async function openDatabase(
  settings: InstanceSettings,
  memoryBytes: number,
  spillBytes: number | null,
): Promise<Database> {
  const config = duckdb.create_config();
  const options: Readonly<Record<string, string>> = {
    memory_limit: memoryLimitText(memoryBytes),
    threads: String(settings.threads),
    temp_directory: join(settings.tempDir, randomUUID()), // D7
    ...(spillBytes === null ? {} : { max_temp_directory_size: `${spillBytes}B` }),
    integer_division: 'true',
    default_null_order: 'nulls_last_on_asc_first_on_desc',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    enable_external_access: 'true',
    // All files are local, and the system keeps their pages: a copy of them grew to the whole limit, for nothing.
    enable_external_file_cache: 'false',
    allocator_background_threads: 'true',
  };
  for (const [name, value] of Object.entries(options)) duckdb.set_config(config, name, value);
  const handle = await duckdb.open(':memory:', config);
  const connection = await duckdb.connect(handle);
  try {
    if (settings.footerBytes > 0) await duckdb.query(connection, 'SET GLOBAL parquet_metadata_cache = true');
    settings.begin?.(connection);
  } finally {
    duckdb.disconnect_sync(connection);
  }
  return { handle, users: 0, footerBytes: 0 };
}

/** To be called before a statement that reads the units (D4). @returns whether it is to keep their footers */
export function countFooters(instance: Instance, scans: readonly TableScan[], now: number): boolean {
  const { footers, old, renewedAt, settings } = instance;
  if (settings.footerBytes === 0) return false;
  const kept = footers.add(scans);
  if (footers.crowded && old.size === 0 && now - renewedAt >= CROWDED_MS) {
    instance.renewedAt = now;
    beginRenewal(instance);
  }
  return kept;
}

/** F4. @returns to be called when the statement has ended */
export function openFooters(instance: Instance, scans: readonly ReadFiles[]): () => void {
  let bytes = scans.reduce((sum, scan) => sum + openFooterBytes(scan, instance.settings.threads), 0);
  instance.openFooterBytes += bytes;
  return () => {
    instance.openFooterBytes -= bytes;
    bytes = 0;
  };
}

/** D8, at most once a minute. To be called now and then while memory is short. */
export function renewWorn(instance: Instance, now: number): void {
  const { database, idle, renewedAt, statements } = instance;
  if (statements < WORN_STATEMENTS || now - renewedAt < WORN_MS || database.users > idle.length) return;
  instance.renewedAt = now;
  beginRenewal(instance);
}

function beginRenewal(instance: Instance): void {
  instance.renewing ??= renew(instance)
    .catch(() => {}) // the old one serves on, and the next statement tries again
    .finally(() => (instance.renewing = null));
}

/** For the next statements of an instance that keeps footers at all. */
export async function keepFooters(lease: Lease, kept: boolean): Promise<void> {
  if (lease.keepsFooters === kept || lease.instance.settings.footerBytes === 0) return;
  await run(lease, `SET SESSION parquet_metadata_cache = ${kept}`);
  lease.keepsFooters = kept;
}

async function renew(instance: Instance): Promise<void> {
  const fresh = await openDatabase(instance.settings, instance.memoryBytes, instance.spillBytes);
  const old = instance.database;
  instance.database = fresh;
  instance.statements = 0;
  old.footerBytes = instance.footers.bytes;
  instance.old.add(old);
  instance.footers.clear();
  for (const lease of instance.idle.splice(0)) retire(lease);
  closeLeft(instance, old);
}

/** D5. */
function closeOld(instance: Instance, old: Database): void {
  instance.old.delete(old);
  duckdb.close_sync(old.handle);
  instance.upkeep = withLease(instance, (lease) => run(lease, 'SET allocator_background_threads = true')).then(
    () => undefined,
    () => undefined, // memory is given back later, by the guard's trimming
  );
}

function retire(lease: Lease): void {
  duckdb.disconnect_sync(lease.connection);
  lease.instance.all.delete(lease);
  lease.database.users--;
}

/** D4. */
function closeLeft(instance: Instance, database: Database): void {
  if (database !== instance.database && database.users === 0) closeOld(instance, database);
}

export async function acquire(instance: Instance): Promise<Lease> {
  instance.statements++;
  const idle = instance.idle.pop();
  if (idle !== undefined) return idle;
  const { database } = instance;
  database.users++;
  try {
    const connection = await duckdb.connect(database.handle);
    const lease: Lease = { instance, database, connection, timeZone: '', keepsFooters: true };
    instance.all.add(lease);
    return lease;
  } catch (error) {
    database.users--;
    closeLeft(instance, database);
    throw error;
  }
}

export function release(lease: Lease): void {
  const { database, instance } = lease;
  if (database === instance.database) {
    instance.idle.push(lease);
    return;
  }
  retire(lease);
  closeLeft(instance, database);
}

/** Runs `work` on a connection of its own. */
export async function withLease<T>(instance: Instance, work: (lease: Lease) => Promise<T>): Promise<T> {
  const done = leased(instance, work);
  instance.working.add(done);
  try {
    return await done;
  } finally {
    instance.working.delete(done);
  }
}

async function leased<T>(instance: Instance, work: (lease: Lease) => Promise<T>): Promise<T> {
  const lease = await acquire(instance);
  try {
    return await work(lease);
  } finally {
    release(lease);
  }
}

/** One statement, its result in full. For small results and commands. */
export async function run(lease: Lease, sql: string): Promise<duckdb.Result> {
  try {
    return await duckdb.query(lease.connection, sql);
  } catch (error) {
    throw engineError(error);
  }
}

/** Also ends whatever an interrupted or half-read stream left running on the connection (D2). */
export async function settle(lease: Lease): Promise<void> {
  await run(lease, 'SELECT 1');
}

/** @param session the name that a session's zone and styles travel with */
export async function useTimeZone(lease: Lease, session: string): Promise<void> {
  const name = zoneName(session);
  if (lease.timeZone === name) return;
  await run(lease, `SET TimeZone = ${quoteLiteral(name)}`);
  lease.timeZone = name;
}

/** The caller has ended every statement: closing joins DuckDB's threads, which may call back here (D3). */
export async function closeInstance(instance: Instance): Promise<void> {
  await instance.renewing;
  await instance.upkeep;
  await Promise.allSettled(instance.working);
  for (const lease of instance.all) duckdb.disconnect_sync(lease.connection);
  const databases = new Set([instance.database, ...Array.from(instance.all, (lease) => lease.database)]);
  instance.all.clear();
  instance.idle.length = 0;
  for (const { handle } of databases) duckdb.close_sync(handle);
}
