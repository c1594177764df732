/**
 * The flush manifest, `DATA_DIR/disk/flush.db`: what of each table is on local disk and not in Iceberg yet (C5), what
 * was last seen of its catalog entry (C6), and the list of files to delete late (H15).
 *
 * - F1 One transaction a flush, after every file it names is durable (C10).
 * - F2 A row's files are whole, or the table's manifest is discarded whole: never half of it. A segment is kept with the
 *   checksum of its file and of what is said of it: neither Parquet nor SQLite has one of its own. All that is said of a table is sealed
 *   (S1, S2 in `manifest-seal.ts`).
 * - F4 It is a cache: lost or damaged as a whole, it is made anew (recovery.ts decides whether the log has what it had).
 * - F5 A flush replaces what stands in the manifest above its `fromLsn`: an earlier one that took place unheard.
 * - F3 Rows of (lsnFrom, lsnTo] belong to the log `log_id` of their table's flush row.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { SqlError, SqlState } from '../../errors.ts';
import type { Lsn, TableDef } from '../../table-def.ts';
import type { Delta, FlushManifest, Segment } from '../iceberg/lake-api.ts';
import { ioError, makeFolder, syncFolder, writeSynced } from '../iceberg/local-store.ts';
import { guard, guardAsync } from '../iceberg/sqlite-catalog.ts';
import { decodeDelta, deltaFileName, encodeDelta } from './delta-file.ts';
import { GroupedCommits } from './grouped-commits.ts';
import { blockSums, compareSums, FILE_SUMS_SCHEMA, FileSums } from './file-sums.ts';
import { ManifestSeal, SEAL_SCHEMA } from './manifest-seal.ts';
import { problemText, sqliteDamage } from './sqlite-damage.ts';
import { sealSegment, sumOf, unsealSegment } from './segment-json.ts';

/** What was last known of a table in the catalog. */
export interface Seen {
  readonly logId: string;
  readonly lsn: Lsn;
  readonly snapshotId: bigint | null;
  readonly metadataLocation: string;
}

export interface StoredFlush {
  readonly logId: string;
  readonly flushedLsn: Lsn;
  readonly baseSnapshotId: bigint | null;
  readonly segments: readonly Segment[];
  readonly deltas: readonly Delta[];
}

/** A file to delete: at a time, or once no snapshot below `removedSequence` is left. */
export interface Garbage {
  readonly location: string;
  readonly removedSequence: bigint | null;
  readonly dueMs: number | null;
}

/** Files due before a time: of one table, or of all. */
export interface DueGarbage {
  readonly tableUuid: string | null;
  readonly beforeMs: number;
}

/** `catalog-seal.ts` says what of. */
export interface CatalogSeal {
  readonly changes: number;
  readonly sum: number;
}

export interface FlushStore {
  /** Checksums of data and delete files. */
  readonly sums: FileSums;
  /** Files that were never committed, or are gone. */
  forgetSums(locations: readonly string[]): void;
  writeFlush(manifest: FlushManifest): Promise<void>;
  /** One transaction for all that `work` asks of this store, and one COMMIT for those asked for in one turn (G1–G3). */
  together<T>(work: () => T): Promise<T>;
  /** Null: none, or one that is damaged (`damage` says why; 58030: a fault of the disk, which may pass). */
  read(tableUuid: string): { readonly flush: StoredFlush | null; readonly damage: Error | null };
  /** Reads the table's segments; why not all are as they were written, or null. */
  check(tableUuid: string): Promise<Error | null>;
  /** After a commit: rows ≤ lsn of that log, and the named segments, are Iceberg's now. */
  dropCommitted(tableUuid: string, logId: string, lsn: Lsn, locations: readonly string[]): void;
  /** Drops a table's manifest; its files go into `folder`, to be looked at by people. */
  discard(tableUuid: string, folder: string): Promise<void>;
  /** `definitionToo`: nobody will ask for its rows any more. */
  forget(tableUuid: string, definitionToo: boolean): void;
  /** The table's definition, for rows that are found when the catalog has it no more (M-4). */
  remember(def: TableDef): void;
  def(tableUuid: string): TableDef | null;
  /** The table that was last seen with this metadata file; null: none. */
  uuidAt(metadataLocation: string): string | null;
  /** The table that last had this name here; null: none. */
  uuidNamed(schema: string, name: string): string | null;
  /** Tables with a definition or a manifest here. */
  remembered(): string[];
  seen(tableUuid: string): Seen | null;
  saw(tableUuid: string, seen: Seen): void;
  addGarbage(tableUuid: string, garbage: readonly Garbage[]): void;
  /** Marks what no snapshot from `oldestSequence` on can reach. */
  ripenGarbage(tableUuid: string, oldestSequence: bigint, dueMs: number): void;
  /** Forgets what depends on a history that was changed by another writer. */
  distrustGarbage(tableUuid: string): void;
  forgetGarbage(tableUuid: string): void;
  /** All that is on the list of the table, due or not. */
  garbage(tableUuid: string): string[];
  /** Due files, their rows removed. */
  takeGarbage(due: DueGarbage, limit: number): string[];
  /** How the catalog was left; null: not known. */
  catalogSeal(): CatalogSeal | null;
  sealCatalog(seal: CatalogSeal): void;
  /** Deletes files of flushes that no manifest names. */
  sweep(): Promise<void>;
  close(): void;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS flush (table_uuid TEXT PRIMARY KEY, log_id TEXT NOT NULL, flushed_lsn INTEGER NOT NULL, base_snapshot TEXT) STRICT;
  CREATE TABLE IF NOT EXISTS segment (table_uuid TEXT NOT NULL, location TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL,
    lsn_from INTEGER NOT NULL, lsn_to INTEGER NOT NULL, info TEXT NOT NULL, PRIMARY KEY (table_uuid, location)) STRICT;
  CREATE TABLE IF NOT EXISTS delta (table_uuid TEXT NOT NULL, path TEXT NOT NULL PRIMARY KEY, location TEXT NOT NULL, bytes INTEGER NOT NULL,
    lsn_from INTEGER NOT NULL, lsn_to INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS seen (table_uuid TEXT PRIMARY KEY, log_id TEXT NOT NULL, lsn INTEGER NOT NULL, snapshot_id TEXT, metadata_location TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS garbage (table_uuid TEXT NOT NULL, location TEXT NOT NULL, removed_sequence INTEGER, due_ms INTEGER) STRICT;
  CREATE TABLE IF NOT EXISTS def (table_uuid TEXT PRIMARY KEY, def TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS garbage_due ON garbage (due_ms);
  CREATE TABLE IF NOT EXISTS catalog_seal (id INTEGER PRIMARY KEY CHECK (id = 1), changes INTEGER NOT NULL, sum INTEGER NOT NULL, own INTEGER NOT NULL) STRICT; ${SEAL_SCHEMA} ${FILE_SUMS_SCHEMA}`;

/** Instead of a path: a delta of a file of which no row is left; its `bytes` are the file's rows. */
const WHOLE = 'whole-';
const FLUSH_FILE = /\.(parquet|delta|tmp)$/;

interface Place {
  readonly dir: string;
  readonly file: string;
  readonly db: DatabaseSync;
  readonly commits: GroupedCommits;
  readonly seal: ManifestSeal;
  readonly sums: FileSums;
}

export async function openFlushStore(dataDir: string): Promise<FlushStore> {
  const dir = resolve(dataDir, 'disk'); // manifests name absolute paths, and sweep compares them
  const file = join(dir, 'flush.db');
  try {
    await makeFolder(dir);
  } catch (error) {
    throw ioError(error, dir);
  }
  const db = await openDatabase(file);
  await syncFolder(dir);
  const seal = guard(file, () => new ManifestSeal(db));
  const place: Place = { dir, file, db, commits: new GroupedCommits(db), seal, sums: new FileSums(db) };
  return {
    sums: place.sums,
    forgetSums: (locations) => transaction(place, () => place.sums.forget(locations)),
    writeFlush: (manifest) => writeFlush(place, manifest),
    together: (work) => together(place, work),
    ...definitions(place),
    read: (uuid) => guard(file, () => read(place, uuid)),
    check: (uuid) => checkFiles(place, uuid),
    dropCommitted: (uuid, logId, lsn, locations) =>
      transaction(place, () => seal.changing(uuid, () => dropCommitted(db, uuid, logId, lsn, locations))),
    discard: (uuid, folder) => discard(place, uuid, folder),
    forget: (uuid, definitionToo) =>
      transaction(place, () => {
        const defToo = definitionToo || !seal.isWhole(uuid);
        for (const table of ['flush', 'segment', 'delta', 'seen', 'garbage', ...(defToo ? ['def'] : [])])
          db.prepare(`DELETE FROM ${table} WHERE table_uuid = ?`).run(uuid);
        place.sums.forgetTable(uuid);
        seal.anew(uuid);
      }),
    ...seenAndGarbage(place),
    catalogSeal: () =>
      guard(file, () => {
        const row = db.prepare('SELECT changes, sum, own FROM catalog_seal').get();
        const seal = { changes: Number(row?.['changes']), sum: Number(row?.['sum']) };
        return row?.['own'] === sealOf(seal) ? seal : null;
      }),
    sealCatalog: (seal) => {
      const write = db.prepare('INSERT OR REPLACE INTO catalog_seal VALUES (1, ?, ?, ?)');
      transaction(place, () => void write.run(seal.changes, seal.sum, sealOf(seal)));
    },
    sweep: () => sweep(place),
    close: () => db.close(),
  };
}

function sealOf({ changes, sum }: CatalogSeal): number {
  return crc32(`${changes} ${sum}`);
}

/** F4: the manifest is a cache of the log. Damaged, it is put aside, and said; the log says what it had, or the start that it cannot. */
async function openDatabase(file: string): Promise<DatabaseSync> {
  const open = (): DatabaseSync =>
    guard(file, () => {
      const db = new DatabaseSync(file, { timeout: 5000 });
      try {
        db.exec(`PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; ${SCHEMA}`);
        const found = String(db.prepare('PRAGMA quick_check(1)').get()?.['quick_check']);
        if (found !== 'ok')
          throw new SqlError(SqlState.dataCorrupted, `"${file}" ${sqliteDamage(file)}: ${problemText(found)}`);
        return db;
      } catch (error) {
        db.close();
        throw error;
      }
    });
  try {
    return open();
  } catch (error) {
    if (!(error instanceof SqlError) || error.code !== SqlState.dataCorrupted) throw error;
    process.emitWarning(`${error.message}; it is now "${file}.damaged", and the log is replayed instead`, 'ArkaLake');
    await rename(file, `${file}.damaged`);
    await rm(`${file}-journal`, { force: true });
    return open();
  }
}

function definitions(place: Place): Pick<FlushStore, 'remember' | 'def' | 'uuidAt' | 'uuidNamed' | 'remembered'> {
  const { db, file, seal } = place;
  const whole = (uuid: unknown): string | null => (typeof uuid === 'string' && seal.isWhole(uuid) ? uuid : null);
  return {
    remember: (def) => {
      const text = JSON.stringify(def);
      const row = guard(file, () => db.prepare('SELECT def FROM def WHERE table_uuid = ?').get(def.uuid));
      if (row?.['def'] === text) return;
      const insert = db.prepare('INSERT OR REPLACE INTO def VALUES (?, ?)');
      transaction(place, () => seal.changing(def.uuid, () => void insert.run(def.uuid, text)));
    },
    def: (uuid) =>
      guard(file, () => {
        const row = db.prepare('SELECT def FROM def WHERE table_uuid = ?').get(uuid);
        return row === undefined || !seal.isWhole(uuid) ? null : (JSON.parse(row['def'] as string) as TableDef);
      }),
    uuidAt: (location) =>
      guard(file, () => {
        const row = db.prepare('SELECT table_uuid FROM seen WHERE metadata_location = ?').get(location);
        return whole(row?.['table_uuid']);
      }),
    uuidNamed: (schema, name) =>
      guard(file, () => {
        const row = db
          .prepare(
            `SELECT d.table_uuid FROM def d LEFT JOIN seen s USING (table_uuid) LEFT JOIN flush f USING (table_uuid)
             WHERE d.def ->> 'schema' = ? AND d.def ->> 'name' = ? ORDER BY s.table_uuid IS NULL, f.table_uuid IS NULL, d.rowid DESC`,
          )
          .get(schema, name);
        return whole(row?.['table_uuid']);
      }),
    remembered: () =>
      guard(file, () =>
        db
          .prepare('SELECT table_uuid AS u FROM def UNION SELECT table_uuid FROM flush ORDER BY 1')
          .all()
          .map((row) => row['u'] as string),
      ),
  };
}

function together<T>(place: Place, work: () => T): Promise<T> {
  return guardAsync(place.file, () => place.commits.add(work));
}

function transaction<T>(place: Place, work: () => T): T {
  return guard(place.file, () => {
    if (place.db.isTransaction) return work(); // a part of `together`
    place.db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      place.db.exec('COMMIT');
      return result;
    } catch (error) {
      if (place.db.isTransaction) place.db.exec('ROLLBACK');
      throw error;
    }
  });
}

async function writeFlush(place: Place, manifest: FlushManifest): Promise<void> {
  const folder = join(place.dir, manifest.tableUuid);
  const written: { delta: Delta; path: string; bytes: number }[] = [];
  const sums: Uint32Array[] = [];
  try {
    for (const { path } of manifest.segments) sums.push(await blockSums(path));
    await makeFolder(folder);
    for (const delta of manifest.deltas) {
      if (delta.whole !== undefined) {
        written.push({ delta, path: `${WHOLE}${randomBytes(12).toString('hex')}`, bytes: delta.whole });
        continue;
      }
      const path = join(folder, deltaFileName(delta, randomBytes(6).toString('hex')));
      const bytes = encodeDelta(delta);
      await writeSynced(path, bytes);
      written.push({ delta, path, bytes: bytes.length });
    }
    if (written.length > 0) await syncFolder(folder);
  } catch (error) {
    for (const { path, delta } of written) if (delta.whole === undefined) await rm(path, { force: true });
    throw ioError(error, folder);
  }
  const uuid = manifest.tableUuid;
  for (const [i, { location }] of manifest.segments.entries()) place.sums.note(uuid, location, sums[i]!);
  const write = (): void => {
    const { db } = place;
    const earlier = db.prepare('SELECT log_id FROM flush WHERE table_uuid = ?').get(uuid);
    if (earlier !== undefined && earlier['log_id'] !== manifest.logId) {
      // Rows of another log were taken over by this one: for it they have been there from its beginning (F3).
      for (const table of ['segment', 'delta'])
        db.prepare(`UPDATE ${table} SET lsn_from = 0, lsn_to = ? WHERE table_uuid = ?`).run(manifest.flushedLsn, uuid);
    } else {
      // F5: a flush whose COMMIT failed for its caller may have taken place. Its rows come once more with this one.
      for (const table of ['segment', 'delta'])
        db.prepare(`DELETE FROM ${table} WHERE table_uuid = ? AND lsn_to > ?`).run(uuid, manifest.fromLsn);
    }
    for (const location of manifest.removed ?? [])
      db.prepare('DELETE FROM delta WHERE table_uuid = ? AND location = ?').run(uuid, location);
    db.prepare('INSERT OR REPLACE INTO flush VALUES (?, ?, ?, ?)').run(
      uuid,
      manifest.logId,
      manifest.flushedLsn,
      manifest.baseSnapshotId?.toString() ?? null,
    );
    const segment = db.prepare('INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?, ?)');
    for (const [i, s] of manifest.segments.entries())
      segment.run(uuid, s.location, s.path, s.bytes, s.lsnFrom, s.lsnTo, sealSegment(s, sumOf(sums[i]!)));
    const delta = db.prepare('INSERT INTO delta VALUES (?, ?, ?, ?, ?, ?)');
    for (const { delta: d, path, bytes } of written) delta.run(uuid, path, d.location, bytes, d.lsnFrom, d.lsnTo);
    place.sums.store(uuid);
  };
  await together(place, () => place.seal.changing(uuid, write));
}

function read(place: Place, uuid: string): { flush: StoredFlush | null; damage: Error | null } {
  const { db } = place;
  if (!place.seal.isWhole(uuid))
    return {
      flush: null,
      damage: new Error(`what "${place.file}" says of table ${uuid} is damaged: it has a wrong checksum`),
    };
  const row = db.prepare('SELECT * FROM flush WHERE table_uuid = ?').get(uuid);
  if (row === undefined) return { flush: null, damage: null };
  try {
    const segments = db
      .prepare('SELECT * FROM segment WHERE table_uuid = ? ORDER BY lsn_to, location')
      .all(uuid)
      .map((stored): Segment => {
        checkSize(stored['path'] as string, stored['bytes'] as number);
        return {
          ...unsealSegment(stored['info'] as string, stored['path'] as string).segment,
          lsnFrom: stored['lsn_from'] as number,
          lsnTo: stored['lsn_to'] as number,
        };
      });
    const deltas = db
      .prepare('SELECT * FROM delta WHERE table_uuid = ? ORDER BY lsn_to, path')
      .all(uuid)
      .map((stored): Delta => {
        const path = stored['path'] as string;
        const lsnTo = stored['lsn_to'] as number;
        const place = { location: stored['location'] as string, lsnFrom: stored['lsn_from'] as number, lsnTo };
        const bytes = stored['bytes'] as number;
        if (path.startsWith(WHOLE))
          return { ...place, positions: new Uint32Array(0), lsns: new Float64Array(0), whole: bytes };
        checkSize(path, bytes);
        const { positions, lsns } = decodeDelta(readFileSync(path), path);
        return {
          ...place,
          positions,
          lsns: lsns.map((lsn) => Math.min(lsn, lsnTo)),
        };
      });
    const base = row['base_snapshot'] as string | null;
    return {
      flush: {
        logId: row['log_id'] as string,
        flushedLsn: row['flushed_lsn'] as number,
        baseSnapshotId: base === null ? null : BigInt(base),
        segments,
        deltas,
      },
      damage: null,
    };
  } catch (error) {
    return { flush: null, damage: damageOf(error, place.file) }; // F2
  }
}

function checkSize(path: string, bytes: number): void {
  const found = statSync(path).size;
  if (found !== bytes) throw new RangeError(`"${path}" has ${found} bytes, expected ${bytes}`);
}

async function checkFiles(place: Place, uuid: string): Promise<Error | null> {
  const rows = guard(place.file, () =>
    place.db.prepare('SELECT path, location, info FROM segment WHERE table_uuid = ?').all(uuid),
  );
  try {
    for (const row of rows) {
      const path = row['path'] as string;
      const { sum } = unsealSegment(row['info'] as string, path);
      if (sum === null) continue;
      const found = await blockSums(path);
      if (sumOf(found) === sum) continue;
      const expected = place.sums.of(row['location'] as string);
      if (expected !== null) compareSums(path, expected, found);
      return new Error(`"${path}" has a wrong checksum`);
    }
    return null;
  } catch (error) {
    return damageOf(error, place.file);
  }
}

/** A file that is not there is damage; one that is there and cannot be read is a fault. */
function damageOf(error: unknown, file: string): Error {
  const { code, path } = error as NodeJS.ErrnoException;
  return (code === 'ENOENT' ? error : ioError(error, path ?? file)) as Error;
}

function dropCommitted(db: DatabaseSync, uuid: string, logId: string, lsn: Lsn, locations: readonly string[]): void {
  const byLocation = db.prepare('DELETE FROM segment WHERE table_uuid = ? AND location = ?');
  for (const location of locations) byLocation.run(uuid, location);
  const row = db.prepare('SELECT log_id FROM flush WHERE table_uuid = ?').get(uuid);
  if (row?.['log_id'] !== logId) return;
  for (const table of ['segment', 'delta'])
    db.prepare(`DELETE FROM ${table} WHERE table_uuid = ? AND lsn_to <= ?`).run(uuid, lsn);
}

async function discard(place: Place, uuid: string, folder: string): Promise<void> {
  const paths = guard(place.file, () => [
    ...place.db.prepare('SELECT path FROM segment WHERE table_uuid = ?').all(uuid),
    ...place.db.prepare('SELECT path FROM delta WHERE table_uuid = ?').all(uuid),
  ]).map((row) => row['path'] as string);
  if (paths.length > 0) await mkdir(folder, { recursive: true });
  for (const path of paths)
    if (!path.startsWith(WHOLE)) await rename(path, join(folder, basename(path))).catch(() => undefined); // missing is why it is discarded
  transaction(place, () => {
    const all = place.seal.isWhole(uuid) ? [] : ['seen', 'def']; // S2
    for (const table of ['flush', 'segment', 'delta', ...all])
      place.db.prepare(`DELETE FROM ${table} WHERE table_uuid = ?`).run(uuid);
    place.seal.anew(uuid);
  });
}

function seenAndGarbage(
  place: Place,
): Pick<
  FlushStore,
  'seen' | 'saw' | 'addGarbage' | 'ripenGarbage' | 'distrustGarbage' | 'forgetGarbage' | 'garbage' | 'takeGarbage'
> {
  const { db, seal, sums } = place;
  return {
    seen: (uuid) =>
      guard(place.file, () => {
        if (!seal.isWhole(uuid)) return null;
        const row = db.prepare('SELECT * FROM seen WHERE table_uuid = ?').get(uuid);
        if (row === undefined) return null;
        const snapshot = row['snapshot_id'] as string | null;
        return {
          logId: row['log_id'] as string,
          lsn: row['lsn'] as number,
          snapshotId: snapshot === null ? null : BigInt(snapshot),
          metadataLocation: row['metadata_location'] as string,
        };
      }),
    saw: (uuid, { logId, lsn, snapshotId, metadataLocation }) =>
      transaction(place, () => {
        sums.store(uuid);
        // What stands there already, as at each start, costs no fsync.
        seal.changing(
          uuid,
          () =>
            void db
              .prepare(
                `INSERT INTO seen VALUES (?, ?, ?, ?, ?) ON CONFLICT (table_uuid) DO UPDATE SET log_id = excluded.log_id,
                 lsn = excluded.lsn, snapshot_id = excluded.snapshot_id, metadata_location = excluded.metadata_location
               WHERE (log_id, lsn, snapshot_id, metadata_location)
                 IS NOT (excluded.log_id, excluded.lsn, excluded.snapshot_id, excluded.metadata_location)`,
              )
              .run(uuid, logId, lsn, snapshotId?.toString() ?? null, metadataLocation),
        );
      }),
    addGarbage: (uuid, garbage) =>
      transaction(place, () => {
        const insert = db.prepare('INSERT INTO garbage VALUES (?, ?, ?, ?)');
        for (const item of garbage) insert.run(uuid, item.location, item.removedSequence, item.dueMs);
      }),
    ripenGarbage: (uuid, oldest, dueMs) =>
      transaction(
        place,
        () =>
          void db
            .prepare('UPDATE garbage SET due_ms = ? WHERE table_uuid = ? AND due_ms IS NULL AND removed_sequence <= ?')
            .run(dueMs, uuid, oldest),
      ),
    distrustGarbage: (uuid) =>
      transaction(
        place,
        () => void db.prepare('DELETE FROM garbage WHERE table_uuid = ? AND removed_sequence IS NOT NULL').run(uuid),
      ),
    forgetGarbage: (uuid) =>
      transaction(place, () => void db.prepare('DELETE FROM garbage WHERE table_uuid = ?').run(uuid)),
    garbage: (uuid) =>
      guard(place.file, () =>
        db
          .prepare('SELECT location FROM garbage WHERE table_uuid = ?')
          .all(uuid)
          .map((row) => row['location'] as string),
      ),
    takeGarbage: ({ beforeMs, tableUuid }, limit) =>
      transaction(place, () => {
        // Those of no table are such that a store did not delete when it was asked before.
        const rows = db
          .prepare(
            `SELECT rowid, location FROM garbage WHERE due_ms < ? AND (?2 IS NULL OR table_uuid IN (?2, '')) LIMIT ?3`,
          )
          .all(beforeMs, tableUuid, limit);
        const remove = db.prepare('DELETE FROM garbage WHERE rowid = ?');
        for (const row of rows) remove.run(row['rowid'] as number);
        const locations = rows.map((row) => row['location'] as string);
        sums.forget(locations);
        return locations;
      }),
  };
}

async function sweep(place: Place): Promise<void> {
  const named = new Set(
    guard(place.file, () => [
      ...place.db.prepare('SELECT path FROM segment').all(),
      ...place.db.prepare('SELECT path FROM delta').all(),
    ]).map((row) => resolve(row['path'] as string)),
  );
  const entries = await readdir(place.dir, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && FLUSH_FILE.test(entry.name) && !named.has(path)) await rm(path, { force: true });
  }
}
