/**
 * A table as main holds it: its units, what is where, and how far each tier has come.
 *
 * - V1 A row is in exactly one unit: writes append to the newest generation, a cut freezes it, a flush replaces the
 *   frozen one by segments in one synchronous step, a commit changes only the tier of those segments.
 * - V2 committedLsn ≤ flushedLsn ≤ publishedLsn, all at ends of transactions.
 * Everything here is synchronous: a pin taken in one turn of the loop sees one Version.
 */
import { invariant } from '../errors.ts';
import { nameFields, type IndexDef, type Lsn, type TableDef } from '../table-def.ts';
import type { ColumnVector, Physical } from '../types/column-vector.ts';
import { hashedColumns, isSameList } from '../types/hashed-columns.ts';
import { physicalOf } from '../types/pg-type.ts';
import { EqualityKnown } from './equality-known.ts';
import { FileSets } from './file-sets.ts';
import type { DataFileUnit } from './file-unit.ts';
import type { Detached, PartitionValue, UuidSource } from './iceberg/lake-api.ts';
import { partitionKey, partitionTransform } from './iceberg/transforms.ts';
import { BatchPool } from './memory/batch-pool.ts';
import type { KeyChanges } from './key-changes.ts';
import { KeyRenames } from './key-renames.ts';
import { isNeeded, type TableCheckpoint } from './log/checkpoint.ts';
import { HashIndex } from './memory/hash-index.ts';
import type { KeyMatches } from './index/index-api.ts';
import type { KeyEncoder } from './memory/key-encoder.ts';
import { KeyIndex } from './memory/key-index.ts';
import type { KeyWords } from './memory/key-table.ts';
import { LockTable } from './memory/lock-table.ts';
import type { HashSecret } from './memory/keyed-hash.ts';
import type { Memory } from './memory/memory.ts';
import type { OwnIndex } from './memory/own-index.ts';
import { PlaceLocks } from './memory/place-locks.ts';
import { RowKeys } from './memory/row-keys.ts';
import { MemorySlice } from './memory/slice.ts';
import { RowCounts } from './row-counts.ts';
import { Troubles } from './troubles.ts';
import { UniqueKey, type UniqueWriter } from './unique-key.ts';
import { WarmCopies, type Flushed } from './warm-copies.ts';

export type Unit = MemorySlice | DataFileUnit;

/** Finds keys in the files that the index covers. */
export interface KeyLookup {
  /** Rises whenever a file ceases to be covered. */
  readonly losses: number;
  /** `keys`: four words a key, as `encodeKey` makes them; the array is given away. */
  lookup(table: Table, keys: Int32Array): Promise<KeyMatches>;
  /** The same for values of a UNIQUE constraint. */
  lookupUnique(table: Table, unique: UniqueKey, values: Int32Array): Promise<KeyMatches>;
  /** Whether the index of a UNIQUE constraint covers the file. */
  covers(table: Table, unique: UniqueKey, file: DataFileUnit): boolean;
}

/** The slices between two cuts and the index of their keys. */
export interface Generation {
  readonly slices: MemorySlice[];
  /** By partition, the slice that takes its rows: a large one gets a successor. */
  readonly heads: Map<string, MemorySlice>;
  readonly index: KeyIndex;
  /** One for each list of `hashedColumns`. */
  hashes: readonly HashIndex[];
  /** LSNs in (lsnFrom, …]: everything of the table after the cut before. */
  readonly lsnFrom: Lsn;
}

const NOT_KEPT: ReadonlyMap<MemorySlice, Flushed> = new Map();

export class Table {
  def: TableDef;
  /** Not null: a transaction that has it alone is changing it, and this is what all others see. */
  committedDef: TableDef | null = null;
  /** And the spec of that; null: it has no other one. */
  committedSpecId: number | null = null;
  readonly location: string;
  /** Partition spec that new files are written under. */
  specId!: number;
  physicals!: readonly Physical[];
  fieldIds!: readonly number[];
  /** Indexes of the key's columns in def order; empty for a keyless table. */
  keyColumns!: readonly number[];
  keyPhysicals!: readonly Physical[];
  /** The columns that name a row (C3): the key's, without one all. */
  nameColumns!: readonly number[];
  namePhysicals!: readonly Physical[];
  keys!: RowKeys;
  encodeKey!: KeyEncoder;
  /** UNIQUE constraints and unique indexes. */
  uniques: readonly UniqueKey[] = [];
  /** Transactions that write to it, where it has such. */
  readonly writers = new Set<UniqueWriter>();
  /** Set by the database. */
  index: KeyLookup | null = null;
  /** While transactions of REPEATABLE READ are open. */
  changes: KeyChanges | null = null;
  readonly renames = new KeyRenames();
  /** For the rows of transactions, and for the names of rows that they delete. */
  rowPool!: BatchPool;
  namePool!: BatchPool;
  /** The uuid as log frames have it. */
  readonly uuidBytes: Uint8Array;
  /** key → (transaction, state): unique check, row lock and deadlock graph in one (C11). */
  locks!: LockTable;
  /** Of rows without a key. */
  readonly placeLocks = new PlaceLocks();
  /** Of large transactions under way, the keys of their own rows, which they hold beside `locks`. */
  ownIndexes: readonly OwnIndex[] = [];
  /** Newest first; [0] takes the writes. */
  generations: Generation[] = [];
  files: readonly DataFileUnit[] = [];
  /** Of flushed slices. */
  readonly warm: WarmCopies;
  /** Of transactions under way: nobody sees them but those and the index (spilled-units.ts). */
  spilledFiles: readonly DataFileUnit[] = [];
  readonly fileSets = new FileSets();
  /** Rises with every other shape of rows: what was seen of an older one cannot be read by the definition. */
  shape = 1;
  /** Rises with every structural change: what was planned on an older one may name units that are gone. */
  version = 1;
  /** Last LSN of an operation on this table: applied in memory, and visible. */
  appliedLsn: Lsn = 0;
  publishedLsn: Lsn = 0;
  flushedLsn: Lsn = 0;
  committedLsn: Lsn = 0;
  /** First LSN of an operation above committedLsn, 0 when there is none: what the log must keep (H3). */
  uncommittedFrom: Lsn = 0;
  /** While it is filled again: from where on the log is kept, whatever else is said; 0: not by that (`src/ingest/reattach.ts`). */
  logHeldFrom: Lsn = 0;
  unflushedFrom: Lsn = 0;
  metadataLocation = '';
  /** Locations of the live delete files of partitions, oldest first, by spec and partition (H12). */
  readonly partitionDeletes = new Map<string, readonly string[]>();
  /** What other writers' equality deletes have deleted. */
  readonly equality: EqualityKnown;
  snapshotId: bigint | null = null;
  dropped = false;
  /** Another writer's change of columns, spec or order that is not taken over yet. */
  found: { readonly def: TableDef; readonly specId: number } | null = null;
  /** Not null: it takes no writes (55000), and this is why (C6). An unreadable one has no rows here, and is not read. */
  detached: Detached | null = null;
  /** Otherwise the uuid is a stand-in until its metadata can be read: the log has its rows under another one. */
  uuidIs: UuidSource = 'proven';
  readonly troubles = new Troubles();
  readonly counts = new RowCounts();
  readonly #memory: Memory;
  readonly #secret: HashSecret;
  readonly #nextUnit: () => number;
  #timeColumn = -1;
  #transforms: readonly ((vector: ColumnVector, row: number) => PartitionValue)[] = [];
  #partitionColumns: readonly number[] = [];
  readonly #units = new Map<number, Unit>();

  constructor(
    memory: Memory,
    nextUnit: () => number,
    secret: HashSecret,
    def: TableDef,
    location: string,
    specId: number,
  ) {
    this.#memory = memory;
    this.warm = new WarmCopies(memory);
    this.equality = new EqualityKnown(memory);
    this.#secret = secret;
    this.#nextUnit = nextUnit;
    this.def = def;
    this.location = location;
    this.uuidBytes = Buffer.from(def.uuid.replaceAll('-', ''), 'hex');
    this.#shape(def, specId);
    this.#newGeneration(0);
  }

  /** From where on the log is kept for it until Iceberg has its rows, also while it is filled again; 0: not. */
  get logKeptFrom(): Lsn {
    return this.logHeldFrom || this.uncommittedFrom;
  }

  /** It is unreadable, and the log has what a checkpoint frame says; null: nothing of it. @param lsn the newest */
  lacks(known: TableCheckpoint | null, lsn: Lsn): void {
    this.committedLsn = known?.committedLsn ?? 0;
    this.uncommittedFrom = known !== null && isNeeded(known) ? known.neededFrom : 0;
    this.flushedLsn = this.uncommittedFrom === 0 ? lsn : this.uncommittedFrom - 1;
    this.appliedLsn = this.flushedLsn;
    this.publishedLsn = this.flushedLsn;
  }

  /** Everything that follows from the definition. */
  #shape(def: TableDef, specId: number): void {
    this.def = def;
    this.specId = specId;
    this.physicals = def.columns.map((column) => physicalOf(column.type));
    this.fieldIds = def.columns.map((column) => column.fieldId);
    const indexOf = (fieldId: number): number => def.columns.findIndex((column) => column.fieldId === fieldId);
    this.keyColumns = def.key.map(indexOf);
    this.keyPhysicals = this.keyColumns.map((column) => this.physicals[column]!);
    this.nameColumns = nameFields(def).map(indexOf);
    this.namePhysicals = this.nameColumns.map((column) => this.physicals[column]!);
    this.keys = new RowKeys(this.keyColumns, this.keyPhysicals, this.#secret);
    this.encodeKey = this.keys.encode;
    this.locks = new LockTable(this.keyPhysicals, this.keys.seed);
    this.rowPool = new BatchPool(this.#memory, this.physicals);
    this.namePool = new BatchPool(this.#memory, this.namePhysicals);
    this.#setUniques();
    this.#timeColumn = def.timeColumn === null ? -1 : indexOf(def.timeColumn);
    this.#partitionColumns = def.partition.map((field) => indexOf(field.sourceId));
    this.#transforms = def.partition.map((field, i) =>
      partitionTransform(field, def.columns[this.#partitionColumns[i]!]!.type),
    );
  }

  /**
   * Another definition of the same rows, none of which is in memory: files are read by field ids. Nobody else is at it; who is
   * keeps the locks of its keys, where they are of the same types.
   */
  redefine(def: TableDef, specId: number): void {
    const slices = [...this.slices()];
    const { locks } = this;
    const isSameKey = keyTypes(def) === keyTypes(this.def);
    invariant(
      slices.every(({ rows }) => rows === 0) && (isSameKey || this.ownIndexes.length + locks.size === 0),
      'a table changes its shape while no row of it is in memory',
    );
    for (const slice of slices) {
      this.#units.delete(slice.unit);
      slice.retire();
    }
    this.warm.clear();
    this.rowPool.close();
    this.namePool.close();
    this.#shape(def, specId);
    if (isSameKey) this.locks = locks;
    this.shape++;
    this.generations = [];
    this.#newGeneration(this.appliedLsn);
    for (const file of this.files) file.defined(def);
  }

  /** Of one session, and never in the log (ingest/temporary-tables.ts). */
  get temporary(): boolean {
    return this.def.onCommit !== undefined;
  }

  get keyed(): boolean {
    return this.keyColumns.length > 0;
  }

  unit(id: number): Unit | undefined {
    return this.#units.get(id);
  }

  /** Whether the unit is still there, and its row not deleted, by a visible transaction or one on its way. */
  isAlive(unit: number, position: number): boolean {
    const found = this.#units.get(unit);
    return found !== undefined && !found.deletes.has(position);
  }

  *slices(): IterableIterator<MemorySlice> {
    for (const generation of this.generations) yield* generation.slices;
  }

  /** The slice of the newest generation that takes a row; `vectors` in def order. */
  sliceFor(vectors: readonly ColumnVector[], row: number): MemorySlice {
    const { heads } = this.generations[0]!;
    if (this.#transforms.length === 0) return roomy(heads.get('')) ?? this.#newSlice('', []);
    const values = this.partitionOf(vectors, row);
    const key = partitionKey(values);
    return roomy(heads.get(key)) ?? this.#newSlice(key, values);
  }

  partitionOf(vectors: readonly ColumnVector[], row: number): readonly PartitionValue[] {
    return this.#transforms.map((transform, i) => transform(vectors[this.#partitionColumns[i]!]!, row));
  }

  get partitioned(): boolean {
    return this.#transforms.length > 0;
  }

  /**
   * Where the live row with a key is, if memory has it, given by its hash and as a row of vectors in key order: sets `foundUnit`
   * and `foundPosition`. The unit may be a file that memory has a copy of.
   */
  foundUnit = 0;
  foundPosition = 0;
  findInMemory(hash: number, vectors: readonly ColumnVector[], row: number): boolean {
    for (const { index } of this.generations) {
      if (!index.find(hash, vectors, row)) continue;
      this.foundUnit = index.slice!.unit;
      this.foundPosition = index.position;
      return true;
    }
    if (this.warm.size === 0 || !this.warm.find(hash, vectors, row)) return false;
    this.foundUnit = this.warm.unit;
    this.foundPosition = this.warm.position;
    return true;
  }

  /** The number of the transaction that holds the key, `own` aside; 0: none does. */
  holderOf(
    key: KeyWords,
    hash: number,
    vectors: readonly ColumnVector[],
    row: number,
    own: OwnIndex | null = null,
  ): number {
    for (const each of this.ownIndexes) if (each !== own && each.holds(hash, vectors, row)) return each.holder;
    return this.locks.size > 0 && this.locks.find(key, hash) ? this.locks.a : 0;
  }

  /** Heap bytes of indexes and locks, for the accounting. */
  get indexBytes(): number {
    let bytes = this.locks.bytes + this.placeLocks.bytes;
    for (const { locks } of this.uniques) bytes += locks.bytes;
    for (const { heldBytes } of this.writers) bytes += heldBytes;
    for (const { index, hashes } of this.generations) {
      bytes += index.bytes;
      for (const hash of hashes) bytes += hash.bytes;
    }
    for (const own of this.ownIndexes) if (own.pieces.length === 0) bytes += own.bytes;
    return bytes;
  }

  /** What is said of it, with rows as they are. */
  setDef(def: TableDef): void {
    this.def = def;
    this.#setUniques();
  }

  /** All that the indexes have of memory rows is made anew from the rows. */
  reindex(): void {
    for (const generation of this.generations) generation.hashes = this.#hashesOf([]);
  }

  /** Indexes come and go. A new one is empty until it has followed the rows that are there. */
  setIndexes(indexes: readonly IndexDef[]): void {
    this.def = { ...this.def, indexes };
    this.#setUniques();
    for (const generation of this.generations) generation.hashes = this.#hashesOf(generation.hashes);
  }

  /** What they lock stays locked. */
  #setUniques(): void {
    const indexes = this.def.indexes.filter(({ unique }) => unique !== undefined);
    if (indexes.length + this.uniques.length === 0) return;
    this.uniques = indexes.map((index) => new UniqueKey(this.def, index, this.#secret, this.uniques));
  }

  /** Indexes take in at most so many rows that they do not hold yet; how many. */
  followIndexes(rowsMax: number): number {
    let left = rowsMax;
    for (const { hashes, slices } of this.generations)
      for (const hash of hashes) if (left > 0) left -= hash.follow(slices, left);
    return rowsMax - left;
  }

  #hashesOf(known: readonly HashIndex[]): readonly HashIndex[] {
    return hashedColumns(this.def).map(({ fieldIds }) => {
      const columns = fieldIds.map((fieldId) => this.fieldIds.indexOf(fieldId));
      const physicals = columns.map((column) => this.physicals[column]!);
      const made = (): HashIndex => new HashIndex(fieldIds, new RowKeys(columns, physicals, this.#secret));
      return known.find((each) => isSameList(each.fieldIds, fieldIds)) ?? made();
    });
  }

  /** A cut: freezes the newest generation and starts another. Null: it holds no rows. */
  freeze(): Generation | null {
    this.rowPool.clear();
    this.namePool.clear();
    const frozen = this.generations[0]!;
    if (frozen.slices.length === 0) return null;
    this.#newGeneration(this.appliedLsn);
    return frozen;
  }

  /**
   * Puts segments in the place of a frozen generation: one step, no reader in between.
   * @param kept slices that stay in memory as copies of their files
   */
  install(
    generation: Generation | null,
    added: readonly DataFileUnit[],
    kept: ReadonlyMap<MemorySlice, Flushed> = NOT_KEPT,
  ): void {
    if (generation !== null) {
      this.generations = this.generations.filter((each) => each !== generation);
      for (const slice of generation.slices) {
        this.#units.delete(slice.unit);
        if (!kept.has(slice)) slice.retire();
      }
      this.warm.keep(generation.index, generation.slices, kept);
    }
    this.files = [...this.files, ...added];
    for (const file of added) this.#addFile(file);
    this.version++;
  }

  /** A transaction's own files come and go: the index hears of them. */
  spill(added: readonly DataFileUnit[], removed: readonly DataFileUnit[]): void {
    for (const file of added) this.#memory.fileBytes += file.heapBytes;
    for (const file of removed) this.#memory.fileBytes -= file.heapBytes;
    this.spilledFiles = [...this.spilledFiles.filter((file) => !removed.includes(file)), ...added];
    this.version++;
  }

  /** Another file set, in one step: files of other writers come and go, a rewrite puts its files in the place of its inputs. */
  replaceFiles(files: readonly DataFileUnit[]): void {
    const kept = new Set(files);
    for (const file of this.files) {
      if (kept.has(file)) continue;
      this.warm.drop(file);
      this.#memory.fileBytes -= file.heapBytes;
      this.#units.delete(file.unit);
      this.fileSets.remove(file);
      file.deletes.retire(this.#memory.pins);
    }
    this.files = files;
    for (const file of files) if (this.#units.get(file.unit) !== file) this.#addFile(file);
    this.version++;
  }

  /** A commit has made a segment a data file. */
  moveToIceberg(file: DataFileUnit, path: string): void {
    const before = file.heapBytes;
    file.moveToIceberg(path);
    if (this.#units.get(file.unit) === file) this.#memory.fileBytes += file.heapBytes - before;
  }

  #addFile(file: DataFileUnit): void {
    this.#units.set(file.unit, file);
    this.fileSets.add(file);
    this.#memory.fileBytes += file.heapBytes;
  }

  /** Gives all memory back (DROP TABLE). */
  drop(): void {
    this.dropped = true;
    this.letGo();
  }

  /** Nothing of it is here any more, as far as this process goes. */
  letGo(): void {
    this.rowPool.close();
    this.namePool.close();
    for (const slice of this.slices()) slice.retire();
    this.warm.clear();
    for (const file of this.files) {
      file.deletes.retire(this.#memory.pins);
      this.#memory.fileBytes -= file.heapBytes;
    }
    this.generations = [];
    this.#newGeneration(this.appliedLsn);
    this.files = [];
    this.fileSets.clear();
    this.equality.replace(new Map());
    this.#units.clear();
    this.version++;
  }

  #newGeneration(lsnFrom: Lsn): void {
    const empty = { slices: [], heads: new Map(), index: new KeyIndex(this.keys), hashes: this.#hashesOf([]), lsnFrom };
    this.generations = [empty, ...this.generations];
    this.version++;
  }

  #newSlice(key: string, values: readonly PartitionValue[]): MemorySlice {
    invariant(!this.dropped, 'a dropped table takes no rows');
    const slice = new MemorySlice(this.#memory, this.#nextUnit(), this.physicals, this.#timeColumn, key, values);
    const { slices, heads } = this.generations[0]!;
    slices.push(slice);
    heads.set(key, slice);
    this.#units.set(slice.unit, slice);
    return slice;
  }
}

/** Keys of the same fields and types have the same hashes. */
export function keyTypes({ key, columns }: TableDef): string {
  return JSON.stringify(key.map((id) => [id, columns.find(({ fieldId }) => fieldId === id)?.type.oid]));
}

function roomy(slice: MemorySlice | undefined): MemorySlice | null {
  return slice === undefined || slice.large ? null : slice;
}
