/**
 * The one resolver from names to positions (C3), for writes and replay alike: the index of memory rows, then one
 * semi-join over the files whose bounds allow the name. It answers with live rows only.
 *
 * A name is the row's key or, in a table without one, its whole image; then as many of the equal rows are found as there
 * are names, whichever.
 */
import type { DataFileUnit } from '../storage/file-unit.ts';
import { ImageIndex } from '../storage/memory/image-index.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import { equalImages, hashImage } from '../storage/memory/row-images.ts';
import { RowIndex } from '../storage/memory/row-index.ts';
import type { Table } from '../storage/table.ts';
import type { LookupResult, UnitEngine } from '../storage/unit-engine.ts';
import type { ColumnVector } from '../types/column-vector.ts';

/** Files that may hold a row by its name; `vectors` in the name's order. */
export function candidateFiles(
  table: Table,
  vectors: readonly ColumnVector[],
  row: number,
  into: Set<DataFileUnit>,
): boolean {
  let any = false;
  for (const file of table.files) {
    if (file.deletes.length >= file.rows || !file.mayHold(vectors, row)) continue;
    into.add(file);
    any = true;
  }
  return any;
}

/** Calls back with each named row found alive in the files. The caller holds the keys' locks, so nobody deletes them meanwhile. */
export async function resolveCold(
  engine: UnitEngine,
  table: Table,
  files: ReadonlySet<DataFileUnit>,
  names: RowBuffer,
  found: (row: number, unit: number, position: number) => void,
): Promise<void> {
  const { rows, counts } = table.keyed ? { rows: names, counts: null } : distinct(table, names);
  for (let i = 0; i < rows.batches.length; i++) {
    const batch = rows.batches[i]!;
    const start = rows.batchStart(i);
    const vectors = batch.vectors();
    let wanted = files;
    let result: LookupResult;
    for (;;) {
      const request = {
        def: table.def,
        files: [...wanted].map((file) => file.scan(0)),
        keys: vectors,
        rows: batch.rows,
      };
      result = await (counts === null ? engine.lookup(request) : engine.lookupImages(request));
      if (table.dropped || [...wanted].every((file) => table.unit(file.unit) === file)) break;
      // A rewrite has moved rows to a file that was not looked into.
      const now = new Set<DataFileUnit>();
      for (let row = 0; row < batch.rows; row++) candidateFiles(table, vectors, row, now);
      wanted = now;
    }
    for (let k = 0; k < result.rows.length; k++) {
      const row = start + result.rows[k]!;
      if (counts !== null && counts[row] === 0) continue;
      const unit = table.unit(result.units[k]!);
      if (unit === undefined || unit.deletes.has(result.positions[k]!)) continue;
      if (counts !== null) counts[row]!--;
      found(row, result.units[k]!, result.positions[k]!);
    }
  }
  if (rows !== names) rows.retire();
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
