/**
 * DuckDB instances and their connections: one connection per running statement, taken from a pool.
 *
 * - D1 Every instance gives NULL order, integer division and names PostgreSQL's meaning; nothing is installed or loaded by itself.
 * - D2 A connection returns to the pool only when no result of it is open: pins of the caller may go then.
 * - D3 Nothing runs DuckDB's tasks on this thread: its table functions call back into it and would wait for themselves.
 */
import { quoteLiteral } from '../sql-text.ts';
import duckdb from '@duckdb/node-bindings';
import { engineError } from './engine-errors.ts';

export interface Instance {
  readonly database: duckdb.Database;
  readonly idle: Lease[];
  readonly all: Set<Lease>;
  readonly memoryLimitBytes: number;
}

export interface Lease {
  readonly instance: Instance;
  readonly connection: duckdb.Connection;
  timeZone: string;
}

export interface InstanceSettings {
  readonly memoryLimitBytes: number;
  readonly threads: number;
  readonly tempDir: string;
}

function memoryLimitText(bytes: number): string {
  return `${Math.max(64, Math.floor(bytes / 1e6))}MB`;
}

/** DuckDB then writes to its folder what it holds beyond, and has malloc give all free memory back (malloc_trim). */
export async function setMemoryLimit(instance: Instance, bytes: number): Promise<void> {
  await withLease(instance, (lease) => run(lease, `SET memory_limit = '${memoryLimitText(bytes)}'`));
}

/** The options of D1. `enable_external_access` is what lets it open local files; the planner keeps file functions out of SQL. */
export async function openInstance(settings: InstanceSettings): Promise<Instance> {
  const config = duckdb.create_config();
  const options: Readonly<Record<string, string>> = {
    memory_limit: memoryLimitText(settings.memoryLimitBytes),
    threads: String(settings.threads),
    temp_directory: settings.tempDir,
    integer_division: 'true',
    default_null_order: 'nulls_last_on_asc_first_on_desc',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    enable_external_access: 'true',
    // All files are local, and the system keeps their pages: a copy of them grew to the whole limit, for nothing.
    enable_external_file_cache: 'false',
  };
  for (const [name, value] of Object.entries(options)) duckdb.set_config(config, name, value);
  const database = await duckdb.open(':memory:', config);
  const instance: Instance = { database, idle: [], all: new Set(), memoryLimitBytes: settings.memoryLimitBytes };
  const lease = await acquire(instance);
  await run(lease, 'SET GLOBAL parquet_metadata_cache = true');
  release(lease);
  return instance;
}

export async function acquire(instance: Instance): Promise<Lease> {
  const idle = instance.idle.pop();
  if (idle !== undefined) return idle;
  const connection = await duckdb.connect(instance.database);
  const lease: Lease = { instance, connection, timeZone: '' };
  instance.all.add(lease);
  return lease;
}

export function release(lease: Lease): void {
  lease.instance.idle.push(lease);
}

/** Runs `work` on a connection of its own. */
export async function withLease<T>(instance: Instance, work: (lease: Lease) => Promise<T>): Promise<T> {
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

export async function useTimeZone(lease: Lease, name: string): Promise<void> {
  if (lease.timeZone === name) return;
  await run(lease, `SET TimeZone = ${quoteLiteral(name)}`);
  lease.timeZone = name;
}

/** The caller has ended every statement: closing joins DuckDB's threads, which may call back here (D3). */
export function closeInstance(instance: Instance): void {
  for (const lease of instance.all) duckdb.disconnect_sync(lease.connection);
  instance.all.clear();
  instance.idle.length = 0;
  duckdb.close_sync(instance.database);
}
