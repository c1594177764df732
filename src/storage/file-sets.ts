/**
 * A table's files by what is to be done with them, kept as they change, so that choosing what to move costs nothing
 * per file (H8): staged segments, files with deletes that Iceberg lacks, data files by spec and partition.
 */
import type { DataFileUnit } from './file-unit.ts';

export class FileSets {
  /** Segments on disk that no commit has taken yet. */
  readonly staged = new Set<DataFileUnit>();
  /** Files with delete entries above `deletesCommitted`. */
  readonly dirty = new Set<DataFileUnit>();
  readonly #partitions = new Map<string, Set<DataFileUnit>>();
  #changed = new Set<string>();

  add(file: DataFileUnit): void {
    if (file.deletes.length > file.deletesCommitted) this.dirty.add(file);
    if (file.tier === 'disk') this.staged.add(file);
    else this.#place(file);
  }

  remove(file: DataFileUnit): void {
    this.staged.delete(file);
    this.dirty.delete(file);
    const { partitionKey } = file;
    const members = this.#partitions.get(partitionKey);
    if (members?.delete(file) !== true) return;
    if (members.size === 0) this.#partitions.delete(partitionKey);
    this.#changed.add(partitionKey);
  }

  /** A delete entry was appended to the file's list. */
  deleted(file: DataFileUnit): void {
    this.dirty.add(file);
  }

  /** The file became a data file, or deletes of it are in Iceberg now. */
  committed(file: DataFileUnit): void {
    if (file.deletes.length > file.deletesCommitted) this.dirty.add(file);
    else this.dirty.delete(file);
    if (file.tier === 'disk') return;
    this.staged.delete(file);
    this.#place(file);
  }

  clear(): void {
    this.staged.clear();
    this.dirty.clear();
    this.#partitions.clear();
    this.#changed.clear();
  }

  /** Data files of one spec and partition. */
  partition(key: string): ReadonlySet<DataFileUnit> {
    return this.#partitions.get(key) ?? NONE;
  }

  partitionKeys(): IterableIterator<string> {
    return this.#partitions.keys();
  }

  /** Partitions whose files, or committed deletes of them, have changed since the last call. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  lookAgain(key: string): void {
    this.#changed.add(key);
  }

  #place(file: DataFileUnit): void {
    const { partitionKey } = file;
    const members = this.#partitions.get(partitionKey);
    if (members === undefined) this.#partitions.set(partitionKey, new Set([file]));
    else members.add(file);
    this.#changed.add(partitionKey);
  }
}

const NONE: ReadonlySet<DataFileUnit> = new Set();
