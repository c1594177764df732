/**
 * Memory units as rows for DuckDB: batches in slabs, without their deleted rows.
 *
 * A chunk collects pieces of as many batches (and units) as fit 2,048 rows, since a unit of single-row inserts has many
 * small batches. Deletes are looked up in a bitmap built once per scan and unit, by position in the unit. Of a unit with
 * picks only those rows are touched.
 * Nothing here waits, and the caller's pin keeps the slabs' blocks in place until the statement has ended.
 */
import duckdb from '@duckdb/node-bindings';
import type { ColumnDef } from '../table-def.ts';
import { NO_BYTES, NO_WORDS } from '../types/column-vector.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { SlabDirectory } from '../storage/memory/slab.ts';
import { deletedBitmap } from './delete-sources.ts';
import { CHUNK_ROWS, type NextChunk, type RowSource } from './row-source.ts';
import { logicalType, vectorBuilder, type Piece, type StringMode, type VectorBuilder } from './vector-builder.ts';

/** A chunk's strings go through one buffer: this bounds it, as far as one row does not exceed it alone. */
const CHUNK_HEAP_BYTES = 8 * 1024 * 1024;

interface UnitScan {
  readonly unit: MemoryUnit;
  /** Numbers per batch in the shape. */
  readonly stride: number;
  /** Bit = deleted; null: no deletes. */
  readonly deleted: Uint8Array | null;
  /** Where the column's four numbers lie within a batch's, or -1: the unit is older than the column, all NULL. */
  readonly slots: Int32Array;
}

/** The def's columns, then `__unit` and `__position`. */
export function memorySource(
  columns: readonly ColumnDef[],
  units: readonly MemoryUnit[],
  slabs: SlabDirectory,
  mode: StringMode,
): RowSource {
  let rows = 0;
  for (const unit of units) rows += unit.picks?.length ?? unit.rows - (unit.deletes?.count ?? 0);
  const scans: (UnitScan | null)[] = units.map(() => null);
  const scanOf = (index: number): UnitScan => (scans[index] ??= unitScan(columns, units[index]!, slabs));
  return {
    rows,
    columns: [
      ...columns.map((column) => ({ name: column.name, type: logicalType(column.type) })),
      { name: '__unit', type: duckdb.create_logical_type(duckdb.Type.INTEGER) },
      { name: '__position', type: duckdb.create_logical_type(duckdb.Type.BIGINT) },
    ].map((column, i) => ({ name: `c${i}`, type: column.type })),
    open: (projection) => openScan(columns, units.length, scanOf, slabs, mode, projection),
  };
}

function unitScan(columns: readonly ColumnDef[], unit: MemoryUnit, slabs: SlabDirectory): UnitScan {
  const fieldIds = unit.fieldIds.length === 0 ? columns.map((column) => column.fieldId) : unit.fieldIds;
  const slots = Int32Array.from(columns, (column) => {
    const at = fieldIds.indexOf(column.fieldId);
    return at === -1 ? -1 : 1 + at * 4;
  });
  return {
    unit,
    slots,
    stride: 1 + fieldIds.length * 4,
    deleted: unit.deletes === null || unit.deletes.count === 0 ? null : deletedBitmap(unit.deletes, unit.rows, slabs),
  };
}

/** Where a scan stands, and what the chunk under construction holds. */
interface Cursor {
  unit: number;
  batch: number;
  rowInBatch: number;
  position: number;
  /** Of a unit's picks, those before the position. */
  picked: number;
}

/** From the cursor's position within a batch of so many rows: rows to leave out, then rows to take. */
function pickRun(
  picks: Uint32Array,
  cursor: Cursor,
  batchRows: number,
): { readonly skip: number; readonly take: number } {
  const left = batchRows - cursor.rowInBatch;
  const from = picks[cursor.picked];
  if (from === undefined || from - cursor.position >= left) return { skip: left, take: 0 };
  const skip = from - cursor.position;
  let take = 1;
  while (skip + take < left && picks[cursor.picked + take] === from + take) take++;
  return { skip, take };
}

function openScan(
  columns: readonly ColumnDef[],
  unitCount: number,
  scanOf: (index: number) => UnitScan,
  slabs: SlabDirectory,
  mode: StringMode,
  projection: readonly number[],
): NextChunk {
  const builders = projection.map((index) =>
    index >= 0 && index < columns.length ? vectorBuilder(columns[index]!.type, mode) : null,
  );
  const unitVector = projection.indexOf(columns.length);
  const positionVector = projection.indexOf(columns.length + 1);
  const unitNumbers = new Int32Array(CHUNK_ROWS);
  const positions = new Int32Array(CHUNK_ROWS * 2);
  const kept = new Int32Array(CHUNK_ROWS);
  const cursor: Cursor = { unit: 0, batch: 0, rowInBatch: 0, position: 0, picked: 0 };
  const reader = pieceReader(slabs);

  /** Collects up to 2,048 rows; how many, and in `kept` those that live. */
  const collect = (): { readonly rows: number; readonly live: number } => {
    let rows = 0;
    let live = 0;
    let heapBytes = 0;
    for (const builder of builders) builder?.reset();
    while (rows < CHUNK_ROWS && cursor.unit < unitCount) {
      const scan = scanOf(cursor.unit);
      const at = cursor.batch * scan.stride;
      const batchRows =
        at < scan.unit.shape.length
          ? Math.min(scan.unit.shape[at]!, cursor.rowInBatch + scan.unit.rows - cursor.position)
          : 0;
      if (cursor.position >= scan.unit.rows || at >= scan.unit.shape.length) {
        nextUnit(cursor);
        continue;
      }
      const { picks } = scan.unit;
      const run = picks === undefined ? null : pickRun(picks, cursor, batchRows);
      cursor.rowInBatch += run?.skip ?? 0;
      cursor.position += run?.skip ?? 0;
      let take = Math.min(CHUNK_ROWS - rows, run?.take ?? batchRows - cursor.rowInBatch);
      if (take <= 0) {
        cursor.batch++;
        cursor.rowInBatch = 0;
        continue;
      }
      const bytes = (count: number): number =>
        stringBytes(reader, scan, at, projection, builders, cursor.rowInBatch, count);
      while (take > 1 && heapBytes + bytes(take) > CHUNK_HEAP_BYTES) take >>= 1;
      const added = bytes(take);
      if (rows > 0 && heapBytes + added > CHUNK_HEAP_BYTES) break;
      heapBytes += added;
      for (let i = 0; i < builders.length; i++) {
        const builder = builders[i];
        if (builder === null || builder === undefined) continue;
        const slot = scan.slots[projection[i]!]!;
        if (slot === -1) builder.nulls(take, rows);
        else
          builder.append(
            reader(scan.unit.shape, at + slot, scan.unit.shape[at]!, builder.physical),
            cursor.rowInBatch,
            take,
            rows,
          );
      }
      if (unitVector !== -1) putUnits(scan.unit, cursor.position, take, unitNumbers, rows);
      if (positionVector !== -1) putPositions(scan.unit, cursor.position, take, positions, rows);
      const deleted = scan.deleted;
      for (let i = 0; i < take; i++) {
        const position = cursor.position + i;
        if (deleted === null || (deleted[position >> 3]! & (1 << (position & 7))) === 0) kept[live++] = rows + i;
      }
      rows += take;
      cursor.rowInBatch += take;
      cursor.position += take;
      if (run !== null) cursor.picked += take;
    }
    return { rows, live };
  };

  return (chunk) => {
    let { rows, live } = collect();
    while (rows > 0 && live === 0) ({ rows, live } = collect());
    if (live === 0) return 0;
    if (live < rows) {
      for (const builder of builders) builder?.keep(kept, live);
      for (let i = 0; i < live; i++) {
        unitNumbers[i] = unitNumbers[kept[i]!]!;
        positions[i * 2] = positions[kept[i]! * 2]!;
      }
    }
    for (let i = 0; i < builders.length; i++) builders[i]?.flush(duckdb.data_chunk_get_vector(chunk, i), live);
    if (unitVector !== -1)
      duckdb.copy_data_to_vector(duckdb.data_chunk_get_vector(chunk, unitVector), 0, unitNumbers.buffer, 0, live * 4);
    if (positionVector !== -1)
      duckdb.copy_data_to_vector(duckdb.data_chunk_get_vector(chunk, positionVector), 0, positions.buffer, 0, live * 8);
    return live;
  };
}

function putUnits({ places, unit }: MemoryUnit, from: number, count: number, into: Int32Array, at: number): void {
  if (places === undefined) into.fill(unit, at, at + count);
  else into.set(places.units.subarray(from, from + count), at);
}

/** 64 bits each, of which the upper half is 0. */
function putPositions({ places }: MemoryUnit, from: number, count: number, into: Int32Array, at: number): void {
  for (let i = 0; i < count; i++) into[(at + i) * 2] = places?.positions[from + i] ?? from + i;
}

function nextUnit(cursor: Cursor): void {
  cursor.unit++;
  cursor.batch = 0;
  cursor.rowInBatch = 0;
  cursor.position = 0;
  cursor.picked = 0;
}

type PieceReader = (shape: Float64Array, slot: number, rows: number, physical: VectorBuilder['physical']) => Piece;

/** Views over the slabs for one batch's column; `slot` is where its four addresses lie. */
function pieceReader(slabs: SlabDirectory): PieceReader {
  return (shape, slot, rows, physical) => {
    const validity = shape[slot]!;
    const data = shape[slot + 1]!;
    const offsets = shape[slot + 2]!;
    const heap = shape[slot + 3]!;
    const empty = { bits: NO_BYTES, words: NO_WORDS, heap: NO_BYTES, starts: NO_WORDS, ends: NO_WORDS };
    const common = { ...empty, validity: validity === -1 ? null : slabs.bytes(validity, (rows + 7) >> 3) };
    switch (physical) {
      case 'bool':
        return { ...common, bits: slabs.bytes(data, (rows + 7) >> 3) };
      case 'int32':
      case 'float32':
        return { ...common, words: slabs.words(data, rows) };
      case 'int64':
      case 'float64':
        return { ...common, words: slabs.words(data, rows * 2) };
      case 'int128':
      case 'fixed16':
        return { ...common, words: slabs.words(data, rows * 4) };
      case 'bytes': {
        const starts = slabs.words(offsets, rows + 1);
        const length = starts[rows]!;
        return {
          ...common,
          starts,
          ends: starts.subarray(1),
          heap: length === 0 ? NO_BYTES : slabs.bytes(heap, length),
        };
      }
    }
  };
}

/** The bytes that the projected strings of `count` rows take in this batch. */
function stringBytes(
  reader: PieceReader,
  scan: UnitScan,
  at: number,
  projection: readonly number[],
  builders: readonly (VectorBuilder | null)[],
  from: number,
  count: number,
): number {
  let bytes = 0;
  for (let i = 0; i < builders.length; i++) {
    if (builders[i]?.physical !== 'bytes') continue;
    const slot = scan.slots[projection[i]!]!;
    if (slot === -1) continue;
    const { starts } = reader(scan.unit.shape, at + slot, scan.unit.shape[at]!, 'bytes');
    bytes += starts[from + count]! - starts[from]!;
  }
  return bytes;
}
