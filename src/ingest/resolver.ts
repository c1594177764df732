/**
 * The one resolver from names to positions (C3), for writes and replay alike: the index of memory rows, then, where
 * bounds of files allow the name, the index over files, and one semi-join over the files that it does not cover (M-13). It
 * answers with live rows only.
 *
 * A name is the row's key or, in a table without one, its whole image; then as many of the equal rows are found as there
 * are names, whichever.
 */
import type { DataFileUnit } from '../storage/file-unit.ts';
import { ImageIndex } from '../storage/memory/image-index.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { equalImages, hashImage } from '../storage/memory/row-images.ts';
import { RowIndex } from '../storage/memory/row-index.ts';
import { integerAt } from '../storage/memory/slice.ts';
import type { KeyMatches } from '../storage/index/index-api.ts';
import type { KeyEncoder } from '../storage/memory/key-encoder.ts';
import type { KeyLookup, Table } from '../storage/table.ts';
import type { LookupRequest, LookupResult, UnitEngine } from '../storage/unit-engine.ts';
import type { TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';

/** So many covered files are asked for their bounds; with more, the index answers sooner. */
export const BOUNDS_ASKED_MAX = 64;

/** Whether a file may hold a row by its name, which memory was asked for in the same turn; `vectors` in the name's order. */
export function mayBeInFiles(table: Table, vectors: readonly ColumnVector[], row: number): boolean {
  if (isBeyondAll(table, vectors[0]!, row)) return false;
  let asked = 0;
  for (const file of table.files) {
    if (file.deletes.length >= file.rows || file.warm?.isWhole === true) continue; // C3
    if (file.indexed && ++asked > BOUNDS_ASKED_MAX) return true;
    if (file.mayHold(vectors, row)) return true;
  }
  return false;
}

/** The range of a set of files, kept for the set that was asked for last. */
let ranged: readonly DataFileUnit[] = [];
let rangeMin = Number.POSITIVE_INFINITY;
let rangeMax = Number.NEGATIVE_INFINITY;

/** A new id, as of a sequence, is seen to be in no file without asking each. */
function isBeyondAll(table: Table, first: ColumnVector, row: number): boolean {
  if (!table.keyed || (first.physical !== 'int32' && first.physical !== 'int64')) return false;
  const { files } = table;
  if (files !== ranged) {
    ranged = files;
    rangeMin = Number.POSITIVE_INFINITY;
    rangeMax = Number.NEGATIVE_INFINITY;
    for (const { keyRange } of files) {
      if (keyRange.min < rangeMin) rangeMin = keyRange.min;
      if (keyRange.max > rangeMax) rangeMax = keyRange.max;
    }
  }
  const value = integerAt(first, row);
  return value < rangeMin || value > rangeMax;
}

export type Found = (row: number, unit: number, position: number) => void;

/** Some names, in columns of the name's order. */
export interface Names {
  readonly vectors: readonly ColumnVector[];
  readonly rows: number;
}

/** By what rows of files are looked for: their names, or the values of a UNIQUE constraint (`unique-files.ts`). */
export interface Sought {
  /** Whether the index over files answers for the file. */
  isCovered(file: DataFileUnit): boolean;
  /** By the file's bounds. */
  mayBeIn(file: DataFileUnit, vectors: readonly ColumnVector[], row: number): boolean;
  askIndex(index: KeyLookup, names: Names): Promise<KeyMatches>;
  /** Asks files themselves. */
  scan(engine: UnitEngine, files: readonly DataFileUnit[], names: Names): Promise<LookupResult>;
}

function byName(table: Table): Sought {
  return {
    isCovered: (file) => file.indexed,
    mayBeIn: (file, vectors, row) => file.deletes.length < file.rows && file.mayHold(vectors, row),
    askIndex: (index, names) => index.lookup(table, wordsOf(names, table.encodeKey)),
    scan(engine, files, names) {
      const request = lookupRequest(table.def, files, names);
      return table.keyed ? engine.lookup(request) : engine.lookupImages(request);
    },
  };
}

export function lookupRequest(def: TableDef, files: readonly DataFileUnit[], { vectors, rows }: Names): LookupRequest {
  return { def, files: files.map((file) => file.scan(0)), keys: vectors, rows };
}

/** Four words a name. */
export function wordsOf({ vectors, rows }: Names, encode: KeyEncoder): Int32Array {
  const words = new Int32Array(rows * 4);
  for (let row = 0; row < rows; row++) {
    encode(vectors, row, key);
    words.set(key, row * 4);
  }
  return words;
}

const key: KeyWords = new Int32Array(4);

/** Calls back with each named row found alive in the files. The caller holds the keys' locks, so nobody deletes them meanwhile. */
export async function resolveCold(engine: UnitEngine, table: Table, names: RowBuffer, found: Found): Promise<void> {
  const { rows, counts } = table.keyed ? { rows: names, counts: null } : distinct(table, names);
  try {
    for (let i = 0; i < rows.batches.length; i++) {
      const batch = rows.batches[i]!;
      const start = rows.batchStart(i);
      await resolveBatch(engine, table, { vectors: batch.vectors(), rows: batch.rows }, (inBatch, unit, position) => {
        const row = start + inBatch;
        if (counts !== null && counts[row]!-- <= 0) return;
        found(row, unit, position);
      });
    }
  } finally {
    if (rows !== names) rows.retire();
  }
}

/** Whether there is a row with a key, given as a row of vectors; rows that are not committed count as none. */
export async function isTaken(
  { memory, engine }: { readonly memory: Memory; readonly engine: UnitEngine },
  table: Table,
  vectors: readonly ColumnVector[],
  row: number,
): Promise<boolean> {
  // nobody holds the key here: whoever has it may move the row while files are asked
  for (;;) {
    if (table.findInMemory(table.keys.hashRow(vectors, row), vectors, row)) return true;
    const { files } = table;
    if (!mayBeInFiles(table, vectors, row)) return false;
    if (await isInFiles(memory, engine, table, vectors, row)) return true;
    if (table.files === files) return table.findInMemory(table.keys.hashRow(vectors, row), vectors, row);
  }
}

async function isInFiles(
  memory: Memory,
  engine: UnitEngine,
  table: Table,
  vectors: readonly ColumnVector[],
  row: number,
): Promise<boolean> {
  const names = new RowBuffer(memory, table.keyPhysicals);
  const pin = memory.pins.acquire(); // a commit removes the staged files that it has copied
  let isThere = false;
  try {
    names.append(vectors, row, row + 1);
    await resolveCold(engine, table, names, () => {
      isThere = true;
    });
  } finally {
    pin.release();
    names.retire();
  }
  return isThere;
}

/** The same for the names of one batch; in a table without a key all rows that are equal. */
export async function resolveBatch(
  engine: UnitEngine,
  table: Table,
  names: Names,
  found: Found,
  sought = byName(table),
): Promise<void> {
  for (;;) {
    const { files } = table;
    const rows: number[] = [];
    const units: number[] = [];
    const positions: number[] = [];
    const take = (row: number, unit: number, position: number): void => {
      rows.push(row);
      units.push(unit);
      positions.push(position);
    };
    await askFiles(engine, table, files, names, take, sought);
    // Rows may have moved from files that are gone into others: what was asked of those is worth nothing.
    const moved = table.files !== files && files.some((file) => table.unit(file.unit) !== file);
    if (moved && !table.dropped) continue;
    for (let k = 0; k < rows.length; k++)
      if (table.isAlive(units[k]!, positions[k]!)) found(rows[k]!, units[k]!, positions[k]!);
    return;
  }
}

/** The rows of some files of a table by their names, dead ones included: by the index, and by a scan of what it does not cover. */
export async function askFiles(
  engine: UnitEngine,
  table: Table,
  files: readonly DataFileUnit[],
  names: Names,
  take: Found,
  sought = byName(table),
): Promise<void> {
  const scanned = await askIndex(table, files, names, take, sought);
  if (scanned.length === 0) return;
  const result = await sought.scan(engine, scanned, names);
  for (let k = 0; k < result.rows.length; k++) take(result.rows[k]!, result.units[k]!, result.positions[k]!);
}

/**
 * Where rows of some files are by their names, dead ones included, as far as the index and bounds say it without a scan: the positions in
 * each file that is answered for, in the other files nothing is known. The caller's pin keeps the files.
 */
export async function placesInFiles(
  table: Table,
  files: readonly DataFileUnit[],
  names: Names,
): Promise<ReadonlyMap<number, ReadonlySet<number>>> {
  const places = new Map(files.map(({ unit }) => [unit, new Set<number>()]));
  const take: Found = (_, unit, position) => places.get(unit)?.add(position);
  const scanned = await askIndex(table, files, names, take, byName(table));
  for (const { unit } of scanned) places.delete(unit);
  // Of a file that has left the table meanwhile the index may have known nothing.
  for (const file of files) if (table.unit(file.unit) !== file) places.delete(file.unit);
  return places;
}

/** Takes what the index finds; the files that it does not answer for and that may hold a name. */
async function askIndex(
  { index }: Table,
  files: readonly DataFileUnit[],
  names: Names,
  take: Found,
  sought: Sought,
): Promise<readonly DataFileUnit[]> {
  const covered = new Set<number>();
  const uncovered: DataFileUnit[] = [];
  for (const file of files) {
    if (sought.isCovered(file)) covered.add(file.unit);
    else if (mayHoldAny(file, names, sought)) uncovered.push(file);
  }
  if (index === null || covered.size === 0) return uncovered;
  const { losses } = index;
  const matches = await sought.askIndex(index, names);
  if (index.losses !== losses) {
    // What ceased to be covered is scanned, whatever the index still knew of it.
    for (const file of files) {
      if (sought.isCovered(file) || !covered.delete(file.unit)) continue;
      if (mayHoldAny(file, names, sought)) uncovered.push(file);
    }
  }
  for (let k = 0; k < matches.rows.length; k++) {
    if (covered.has(matches.units[k]!)) take(matches.rows[k]!, matches.units[k]!, matches.positions[k]!);
  }
  return uncovered;
}

function mayHoldAny(file: DataFileUnit, { vectors, rows }: Names, sought: Sought): boolean {
  for (let row = 0; row < rows; row++) if (sought.mayBeIn(file, vectors, row)) return true;
  return false;
}

/** Each image once, and how often it is named. */
function distinct(table: Table, names: RowBuffer): { readonly rows: RowBuffer; readonly counts: Int32Array } {
  const rows = names.like();
  const counts = new Int32Array(names.rows);
  const index = new RowIndex();
  for (const batch of names.batches) {
    const vectors = batch.vectors();
    for (let row = 0; row < batch.rows; row++) {
      const hash = hashImage(vectors, row, table.keys.seed);
      let known = false;
      for (let more = index.seek(hash); more; more = index.next()) {
        const at = rows.batchOf(index.ref - 1);
        known = equalImages(rows.batches[at]!.vectors(), index.ref - 1 - rows.batchStart(at), vectors, row);
        if (known) break;
      }
      if (known) {
        counts[index.ref - 1]!++;
        continue;
      }
      index.insert(hash, rows.rows + 1);
      counts[rows.rows] = 1;
      rows.append(vectors, row, row + 1);
    }
  }
  return { rows, counts };
}

/** Where memory rows are by name. Of a table without a key they are looked up during replay only, so its index is made here. */
export class HotNames {
  readonly #images = new Map<Table, ImageIndex>();
  unit = 0;
  position = 0;
  readonly #key: KeyWords = new Int32Array(4);

  /** Rows may have come or gone since the last look. */
  follow(table: Table): void {
    if (table.keyed) return;
    let images = this.#images.get(table);
    if (images === undefined) {
      images = new ImageIndex(table.keys.seed);
      this.#images.set(table, images);
    }
    images.follow([...table.slices()]);
  }

  /** Finds a live row by its name, a row of vectors in the name's order; sets `unit` and `position`. Its deletion must follow. */
  find(table: Table, vectors: readonly ColumnVector[], row: number): boolean {
    if (table.keyed) {
      table.encodeKey(vectors, row, this.#key);
      if (!table.findInMemory(table.keys.hash(this.#key), vectors, row)) return false;
      this.unit = table.foundUnit;
      this.position = table.foundPosition;
      return true;
    }
    const images = this.#images.get(table);
    if (images?.take(vectors, row) !== true) return false;
    this.unit = images.unit;
    this.position = images.position;
    return true;
  }
}
