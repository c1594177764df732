/**
 * A checksum of all that the flush manifest says of a table: SQLite has none, and another digit of `flushed_lsn` would lose
 * rows, or double them, without a word.
 *
 * - S1 Each transaction that changes rows of a table seals them anew, if they were whole before it.
 * - S2 What is not whole stays so until it is discarded: then nothing of it is left, and the table is sealed again.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';

export const SEAL_SCHEMA =
  'CREATE TABLE IF NOT EXISTS seal (table_uuid TEXT PRIMARY KEY, sum INTEGER NOT NULL) STRICT;';
/** Of a database in which every table is sealed. */
const SEALED_VERSION = 1;
const SEALED = ['flush', 'segment', 'delta', 'seen', 'def'] as const;

export class ManifestSeal {
  readonly #db: DatabaseSync;
  /** By table; it is this process alone that changes them. */
  readonly #whole = new Map<string, boolean>();
  readonly #rows: readonly StatementSync[];

  /** Seals what a database of the first versions has. */
  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#rows = SEALED.map((table) => db.prepare(`SELECT * FROM ${table} WHERE table_uuid = ? ORDER BY 1, 2`));
    if (db.prepare('PRAGMA user_version').get()!['user_version'] !== 0) return;
    const uuids = SEALED.map((table) => `SELECT table_uuid AS u FROM ${table}`).join(' UNION ');
    db.exec('BEGIN IMMEDIATE');
    try {
      for (const row of db.prepare(uuids).all()) this.#seal(row['u'] as string);
      db.exec(`PRAGMA user_version = ${SEALED_VERSION}; COMMIT`);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  isWhole(tableUuid: string): boolean {
    let whole = this.#whole.get(tableUuid);
    if (whole === undefined) {
      const stored = this.#db.prepare('SELECT sum FROM seal WHERE table_uuid = ?').get(tableUuid);
      const sum = this.#sum(tableUuid);
      whole = stored === undefined ? sum === null : stored['sum'] === sum;
      this.#whole.set(tableUuid, whole);
    }
    return whole;
  }

  /** S1. `work` is a part of a transaction, and changes rows of this table alone. */
  changing<T>(tableUuid: string, work: () => T): T {
    const whole = this.isWhole(tableUuid);
    const result = work();
    if (whole) this.#seal(tableUuid);
    return result;
  }

  /** S2. Part of a transaction: what is left is right. */
  anew(tableUuid: string): void {
    this.#seal(tableUuid);
    this.#whole.set(tableUuid, true);
  }

  #seal(tableUuid: string): void {
    const sum = this.#sum(tableUuid);
    if (sum === null) this.#db.prepare('DELETE FROM seal WHERE table_uuid = ?').run(tableUuid);
    else
      // What stands there already costs no fsync.
      this.#db
        .prepare(
          'INSERT INTO seal VALUES (?, ?) ON CONFLICT (table_uuid) DO UPDATE SET sum = excluded.sum WHERE sum IS NOT excluded.sum',
        )
        .run(tableUuid, sum);
  }

  /** Null: no row. */
  #sum(tableUuid: string): number | null {
    let sum = 0;
    let rows = 0;
    for (const [i, statement] of this.#rows.entries())
      for (const row of statement.all(tableUuid)) {
        sum = crc32(SEALED[i] + JSON.stringify(row), sum);
        rows++;
      }
    return rows === 0 ? null : sum;
  }
}
