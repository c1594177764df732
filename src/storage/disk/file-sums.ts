/**
 * Checksums of Parquet files that this server has written, in `flush.db`: neither Parquet nor a local file system has one, and
 * DuckDB reads another byte in a page as another value more often than not.
 *
 * Bytes of `sums`: for each block of BLOCK_BYTES of the file its CRC-32 as u32 LE, then the CRC-32 of the location and of all those.
 *
 * - C1 A file whose sums are unknown, or damaged, is not said to be damaged: other writers' files have none, and those of a lost
 *   data directory are gone with it.
 * - C2 A file is looked at before it is first read after a start; what this process has written or looked at is not again.
 */
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { SqlError, SqlState } from '../../errors.ts';
import { ioError } from '../iceberg/local-store.ts';

export const FILE_SUMS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS file_sums (location TEXT PRIMARY KEY, table_uuid TEXT NOT NULL, sums BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS file_sums_table ON file_sums (table_uuid);`;

const BLOCK_BYTES = 4 * 2 ** 20;
const READ_BYTES = 2 ** 20;

/** The CRC-32 of each block of bytes that come in order. */
export class BlockSums {
  readonly #sums: number[] = [];
  #sum = 0;
  #left = BLOCK_BYTES;

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + this.#left);
      this.#sum = crc32(piece, this.#sum);
      this.#left -= piece.length;
      at += piece.length;
      if (this.#left === 0) this.#end();
    }
  }

  #end(): void {
    this.#sums.push(this.#sum);
    this.#sum = 0;
    this.#left = BLOCK_BYTES;
  }

  /** After the last byte. */
  take(): Uint32Array {
    if (this.#left < BLOCK_BYTES || this.#sums.length === 0) this.#end();
    return Uint32Array.from(this.#sums);
  }
}

export async function blockSums(path: string): Promise<Uint32Array> {
  const piece = Buffer.allocUnsafe(READ_BYTES);
  const sums = new BlockSums();
  await using file = await open(path, 'r');
  for (let at = 0; ;) {
    const { bytesRead } = await file.read(piece, 0, READ_BYTES, at);
    if (bytesRead === 0) return sums.take();
    sums.add(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
}

/** @throws {SqlError} XX001 with the first place where they differ */
export function compareSums(path: string, expected: Uint32Array, found: Uint32Array): void {
  const block = expected.findIndex((sum, i) => sum !== found[i]);
  if (block < 0 && found.length === expected.length) return;
  const from = (block < 0 ? expected.length : block) * BLOCK_BYTES;
  throw new SqlError(
    SqlState.dataCorrupted,
    `data file "${basename(path)}" is damaged between bytes ${from} and ${from + BLOCK_BYTES}: its checksum is another than when it was written`,
    { hint: 'Restore the file from a copy of the warehouse.' },
  );
}

/** What a download is compared with. */
export type KnownSums = Pick<FileSums, 'of' | 'looked'>;

export class FileSums {
  readonly #db: DatabaseSync;
  /** Written, but not in the database yet, by table. */
  readonly #pending = new Map<string, Map<string, Uint32Array>>();
  /** Written or looked at by this process. */
  readonly #fresh = new Set<string>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** A file is at its location, or will be: `store` makes it durable. */
  note(tableUuid: string, location: string, sums: Uint32Array): void {
    const pending = this.#pending.get(tableUuid) ?? new Map<string, Uint32Array>();
    this.#pending.set(tableUuid, pending.set(location, sums));
    this.#fresh.add(location);
  }

  /** Part of a transaction. */
  store(tableUuid: string): void {
    const pending = this.#pending.get(tableUuid);
    if (pending === undefined) return;
    const insert = this.#db.prepare('INSERT OR REPLACE INTO file_sums VALUES (?, ?, ?)');
    for (const [location, sums] of pending) insert.run(location, tableUuid, encode(location, sums));
    this.#pending.delete(tableUuid);
  }

  /** Part of a transaction: the files are gone. */
  forget(locations: readonly string[]): void {
    const remove = this.#db.prepare('DELETE FROM file_sums WHERE location = ?');
    for (const location of locations) {
      remove.run(location);
      this.#fresh.delete(location);
      for (const pending of this.#pending.values()) pending.delete(location);
    }
  }

  /** Part of a transaction: the table is gone. */
  forgetTable(tableUuid: string): void {
    this.#pending.delete(tableUuid);
    this.#db.prepare('DELETE FROM file_sums WHERE table_uuid = ?').run(tableUuid);
  }

  of(location: string): Uint32Array | null {
    for (const pending of this.#pending.values()) {
      const sums = pending.get(location);
      if (sums !== undefined) return sums;
    }
    const row = this.#db.prepare('SELECT sums FROM file_sums WHERE location = ?').get(location);
    return row === undefined ? null : decode(location, row['sums'] as Uint8Array);
  }

  /** C1, C2. A file that is away is another's to say. @throws {SqlError} XX001 with file and place */
  async check(path: string, location: string): Promise<void> {
    if (this.#fresh.has(location)) return;
    const sums = this.of(location);
    if (sums === null) return;
    let found: Uint32Array;
    try {
      found = await blockSums(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw ioError(error, path);
    }
    compareSums(path, sums, found);
    this.looked(location);
  }

  /** The file of this machine is as it was written. */
  looked(location: string): void {
    this.#fresh.add(location);
  }
}

function encode(location: string, sums: Uint32Array): Uint8Array {
  const bytes = Buffer.alloc(sums.length * 4 + 4);
  sums.forEach((sum, i) => bytes.writeUInt32LE(sum, i * 4));
  bytes.writeUInt32LE(sealOf(location, bytes.subarray(0, -4)), sums.length * 4);
  return bytes;
}

function decode(location: string, stored: Uint8Array): Uint32Array | null {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  if (bytes.length < 4 || bytes.length % 4 !== 0) return null;
  const count = bytes.length / 4 - 1;
  if (bytes.readUInt32LE(count * 4) !== sealOf(location, bytes.subarray(0, -4))) return null;
  return Uint32Array.from({ length: count }, (_, i) => bytes.readUInt32LE(i * 4));
}

function sealOf(location: string, sums: Uint8Array): number {
  return crc32(sums, crc32(location));
}
