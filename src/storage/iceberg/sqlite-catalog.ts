/**
 * The default catalog: a SQLite file in Iceberg's JDBC schema V1, which PyIceberg's SqlCatalog and Java's JdbcCatalog
 * open side by side with Arka.
 *
 * - A commit is one compare-and-swap: UPDATE … WHERE metadata_location = the one it was built on.
 * - Rollback journal, synchronous=FULL, busy_timeout: other clients may hold the file for a moment (M-14).
 * @see https://iceberg.apache.org/docs/latest/jdbc/
 */
import { basename } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { SqlError, SqlState } from '../../errors.ts';
import { GroupedCommits } from '../disk/grouped-commits.ts';
import { damagedAt, problemText } from '../disk/sqlite-damage.ts';

export interface CatalogRow {
  readonly schema: string;
  readonly name: string;
  readonly metadataLocation: string;
}

export interface SqliteCatalog {
  schemas(): string[];
  createSchema(name: string): void;
  dropSchema(name: string): void;
  tables(): CatalogRow[];
  /** The metadata location of a table, or null. */
  find(schema: string, name: string): string | null;
  /** False when there is a table of that name. */
  insert(row: CatalogRow): boolean;
  /** False when the catalog no longer shows `expected`. */
  swap(schema: string, name: string, expected: string, next: string): boolean;
  /** False when there is a table of the new name. */
  rename(from: Pick<CatalogRow, 'schema' | 'name'>, to: Pick<CatalogRow, 'schema' | 'name'>): boolean;
  remove(schema: string, name: string): void;
  /** Properties of namespaces whose keys begin with `prefix`. */
  properties(prefix: string): { readonly schema: string; readonly key: string; readonly value: string }[];
  setProperty(schema: string, key: string, value: string): void;
  removeProperty(schema: string, key: string): void;
  /** A text of Arka's own, which a transaction can leave beside what it changes; null: there is none yet. */
  note(): string | null;
  setNote(text: string): void;
  /** All that `work` changes, or nothing where it throws. */
  transaction(work: () => void): void;
  /** The same, with one COMMIT for those asked for in one turn (G1–G3 in grouped-commits.ts). */
  together<T>(work: () => T): Promise<T>;
  /** What SQLite itself finds wrong with the file; null: nothing. */
  problem(): string | null;
  /** Of all rows, of other catalogs in the file, too. */
  sum(): number;
  close(): void;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name));
  CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000),
    PRIMARY KEY (catalog_name, namespace, property_key));
  CREATE TABLE IF NOT EXISTS arka_note (catalog_name VARCHAR(255) NOT NULL PRIMARY KEY, note TEXT);`;
const IS_TABLE = `(iceberg_type = 'TABLE' OR iceberg_type IS NULL)`;
const BUSY_TIMEOUT_MS = 10_000;
const CATALOG_FILE = 'catalog.db';
const DAMAGED_HINT =
  'Restore the file from a copy; or move it away and run arka doctor --reattach with the name of a table, which registers all of them again.';

export function openCatalog(path: string, catalogName: string): SqliteCatalog {
  const db = guard(path, () => {
    const opened = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    opened.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;');
    opened.exec(SCHEMA);
    // A file made by an older client has schema V0, without the column.
    const columns = opened.prepare(`SELECT name FROM pragma_table_info('iceberg_tables')`).all();
    if (!columns.some((column) => column['name'] === 'iceberg_type'))
      opened.exec('ALTER TABLE iceberg_tables ADD COLUMN iceberg_type VARCHAR(5)');
    return opened;
  });
  const commits = new GroupedCommits(db);
  const all = (sql: string, ...values: string[]): Record<string, unknown>[] =>
    guard(path, () => db.prepare(sql).all(catalogName, ...values));
  const run = (sql: string, ...values: string[]): number =>
    guard(path, () => Number(db.prepare(sql).run(...values).changes));
  return {
    schemas: () =>
      all(
        `SELECT DISTINCT namespace AS n FROM (SELECT namespace, catalog_name FROM iceberg_namespace_properties
         UNION SELECT table_namespace, catalog_name FROM iceberg_tables) WHERE catalog_name = ? ORDER BY 1`,
      ).map((row) => row['n'] as string),
    createSchema: (name) =>
      void run(
        `INSERT OR IGNORE INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value) VALUES (?, ?, 'exists', 'true')`,
        catalogName,
        name,
      ),
    dropSchema: (name) =>
      void run('DELETE FROM iceberg_namespace_properties WHERE catalog_name = ? AND namespace = ?', catalogName, name),
    tables: () =>
      all(
        `SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ? AND ${IS_TABLE} ORDER BY 1, 2`,
      ).map((row) => ({
        schema: row['table_namespace'] as string,
        name: row['table_name'] as string,
        metadataLocation: row['metadata_location'] as string,
      })),
    find: (schema, name) => {
      const [row] = all(
        `SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND ${IS_TABLE}`,
        schema,
        name,
      );
      return row === undefined ? null : (row['metadata_location'] as string);
    },
    insert: (row) =>
      run(
        `INSERT OR IGNORE INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location, iceberg_type)
       VALUES (?, ?, ?, ?, NULL, 'TABLE')`,
        catalogName,
        row.schema,
        row.name,
        row.metadataLocation,
      ) === 1,
    swap: (schema, name, expected, next) =>
      run(
        `UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?
       WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ? AND ${IS_TABLE}`,
        next,
        expected,
        catalogName,
        schema,
        name,
        expected,
      ) === 1,
    rename: (from, to) =>
      run(
        `UPDATE OR IGNORE iceberg_tables SET table_namespace = ?, table_name = ?
       WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND ${IS_TABLE}`,
        to.schema,
        to.name,
        catalogName,
        from.schema,
        from.name,
      ) === 1,
    remove: (schema, name) =>
      void run(
        'DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?',
        catalogName,
        schema,
        name,
      ),
    ...namespaceProperties(catalogName, all, run),
    ...noteIn(catalogName, all, run),
    transaction: (work) => {
      guard(path, () => db.exec('BEGIN IMMEDIATE'));
      try {
        work();
        guard(path, () => db.exec('COMMIT'));
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK');
        throw error;
      }
    },
    together: (work) => guardAsync(path, () => commits.add(work)),
    ...checksOf(db, path),
    close: () => db.close(),
  };
}

/** Whether the file is as it should be. */
function checksOf(db: DatabaseSync, path: string): Pick<SqliteCatalog, 'problem' | 'sum'> {
  return {
    problem: () =>
      guard(path, () => {
        const found = String(db.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check']);
        return found === 'ok' ? null : problemText(found);
      }),
    sum: () =>
      guard(path, () => {
        let sum = 0;
        for (const table of ['iceberg_tables', 'iceberg_namespace_properties'])
          for (const row of db.prepare(`SELECT * FROM ${table} ORDER BY 1, 2, 3`).iterate())
            sum = crc32(table + JSON.stringify(row), sum);
        return sum;
      }),
  };
}

/** A row of Arka's own, beside those that the format has. */
function noteIn(
  catalogName: string,
  all: (sql: string, ...values: string[]) => Record<string, unknown>[],
  run: (sql: string, ...values: string[]) => number,
): Pick<SqliteCatalog, 'note' | 'setNote'> {
  return {
    note: () => (all('SELECT note FROM arka_note WHERE catalog_name = ?')[0]?.['note'] ?? null) as string | null,
    setNote: (text) =>
      void run(
        'INSERT INTO arka_note (catalog_name, note) VALUES (?, ?) ON CONFLICT (catalog_name) DO UPDATE SET note = excluded.note',
        catalogName,
        text,
      ),
  };
}

/** Properties of namespaces, one a row. */
function namespaceProperties(
  catalogName: string,
  all: (sql: string, ...values: string[]) => Record<string, unknown>[],
  run: (sql: string, ...values: string[]) => number,
): Pick<SqliteCatalog, 'properties' | 'setProperty' | 'removeProperty'> {
  return {
    properties: (prefix) =>
      all(
        `SELECT namespace, property_key, property_value FROM iceberg_namespace_properties
         WHERE catalog_name = ? AND substr(property_key, 1, length(?)) = ? ORDER BY 1, 2`,
        prefix,
        prefix,
      ).map((row) => ({
        schema: row['namespace'] as string,
        key: row['property_key'] as string,
        value: row['property_value'] as string,
      })),
    setProperty: (schema, key, value) =>
      void run(
        `INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value) VALUES (?, ?, ?, ?)
         ON CONFLICT (catalog_name, namespace, property_key) DO UPDATE SET property_value = excluded.property_value`,
        catalogName,
        schema,
        key,
        value,
      ),
    removeProperty: (schema, key) =>
      void run(
        'DELETE FROM iceberg_namespace_properties WHERE catalog_name = ? AND namespace = ? AND property_key = ?',
        catalogName,
        schema,
        key,
      ),
  };
}

/** SQLite's errors as SQLSTATEs that name the file. */
export function guard<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw sqliteError(path, error);
  }
}

export async function guardAsync<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw sqliteError(path, error);
  }
}

function sqliteError(path: string, error: unknown): unknown {
  const code = (error as { errcode?: number }).errcode;
  if (error instanceof SqlError || code === undefined) return error;
  const primary = code & 0xff;
  const { message } = error as Error;
  const isDamaged = primary === 11 || primary === 26 || message === 'unsupported file format'; // the last as a plain error
  const state =
    primary === 13
      ? SqlState.diskFull
      : primary === 5 || primary === 6
        ? SqlState.lockNotAvailable
        : isDamaged
          ? SqlState.dataCorrupted
          : SqlState.ioError;
  const hint =
    state === SqlState.diskFull
      ? 'Free disk space; what was acknowledged is kept.'
      : state === SqlState.dataCorrupted && basename(path) === CATALOG_FILE
        ? DAMAGED_HINT
        : undefined;
  const fields = { ...(hint === undefined ? {} : { hint }), cause: error };
  const place = isDamaged ? damagedAt(path) : null;
  const what = place === null ? `could not use "${path}"` : `"${path}" is damaged ${place}`;
  return new SqlError(state, `${what}: ${message}`, fields);
}
