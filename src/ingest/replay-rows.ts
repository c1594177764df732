/**
 * Replay of small transactions: what inserts a few rows into one table and does nothing else gathers here, column by column,
 * and enters the slices together. Nothing is made a row: a log of single-row commits has millions of them.
 *
 * - P1 Rows enter in the order of the log: whoever applies a frame itself calls `release` first.
 * - P2 Only frames with the fields of the table's definition, in its order, are taken; others go the general way (M-2).
 */
import { invariant } from '../errors.ts';
import type { RecoveredFrame } from '../storage/log/log-api.ts';
import type { MemorySlice } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import { FIXED_WIDTH, type Physical } from '../types/column-vector.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { insertVectors, noteOperations } from './committer.ts';
import type { Database } from './database.ts';
import { FrameLayout, PHYSICALS } from '../storage/log/frame-section.ts';

/** A frame of more rows is applied by itself. */
const ROWS_MAX_FRAME = 64;
/** So many rows or bytes are released together. */
const ROWS_MAX = 8192;
const HEAP_BYTES_MAX = 1 << 20;

/** A table's rows on their way, and what its frames look like. */
interface Target {
  readonly table: Table;
  /** The uuid as four little-endian words. */
  readonly uuid: Int32Array;
  readonly physicals: readonly number[];
  readonly builders: readonly VectorBuilder[];
}

export class ReplayRows {
  readonly #database: Database;
  readonly #accepts: (table: Table, lsn: Lsn) => boolean;
  readonly #targets = new Map<Table, Target>();
  #target: Target | null = null;
  #rows = 0;
  #heapBytes = 0;
  #firstLsn: Lsn = 0;
  #lastLsn: Lsn = 0;
  /** Views of the window that frames lie in. */
  #buffer: ArrayBuffer | null = null;
  #words = new Int32Array(0);
  #bytes = new Uint8Array(0);
  #doubles = new Float64Array(0);
  #floats = new Float32Array(0);

  /** @param accepts whether operations at an LSN are still missing from a table */
  constructor(database: Database, accepts: (table: Table, lsn: Lsn) => boolean) {
    this.#database = database;
    this.#accepts = accepts;
  }

  /** Takes the rows of a frame; 0 when it must go the general way. `full` says when to `release`. */
  take(frame: RecoveredFrame): number {
    const { payload } = frame;
    if (frame.kind !== 'data' || !frame.last || frame.count > ROWS_MAX_FRAME) return 0;
    if (payload.buffer !== this.#buffer) this.#view(payload.buffer as ArrayBuffer);
    const words = this.#words;
    const start = payload.byteOffset >> 2;
    const { section } = FrameLayout;
    if (words[start] !== 1 || words[start + section.kind] !== FrameLayout.insert) return 0;
    const rows = words[start + section.rows]!;
    const target = this.#targetOf(start + section.uuid);
    if (target === null || rows !== frame.count || !fits(target, words, start, rows)) return 0;
    const lsn = frame.firstLsn + frame.count - 1;
    if (!this.#accepts(target.table, lsn)) return 0;
    if (target !== this.#target) {
      this.release();
      this.#target = target;
    }
    if (this.#rows === 0) this.#firstLsn = frame.firstLsn;
    this.#lastLsn = lsn;
    this.#rows += rows;
    let at = start + section.columns;
    for (const builder of target.builders) at = this.#column(builder, at, rows);
    return rows;
  }

  get full(): boolean {
    return this.#rows >= ROWS_MAX || this.#heapBytes >= HEAP_BYTES_MAX;
  }

  /** The rows enter their slices. */
  release(): void {
    const { table, builders } = this.#target ?? { table: null, builders: [] };
    if (table === null || this.#rows === 0) return;
    const { committer, memory } = this.#database;
    const vectors = builders.map((builder) => builder.vector());
    const slices = new Set<MemorySlice>();
    // A limit that was lowered since must not keep the server from starting.
    memory.pool.unbounded(() => insertVectors(table, vectors, this.#rows, this.#lastLsn, slices));
    for (const slice of slices) {
      if (slice.lsnMin === this.#lastLsn) slice.lsnMin = this.#firstLsn;
      slice.published = slice.rows;
    }
    noteOperations(table, this.#firstLsn, this.#lastLsn);
    committer.appliedLsn = this.#lastLsn;
    committer.publishedLsn = this.#lastLsn;
    for (const builder of builders) builder.reset();
    this.#rows = 0;
    this.#heapBytes = 0;
  }

  #view(buffer: ArrayBuffer): void {
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    this.#floats = new Float32Array(buffer, 0, buffer.byteLength >> 2);
    this.#doubles = new Float64Array(buffer, 0, buffer.byteLength >> 3);
  }

  #targetOf(at: number): Target | null {
    if (this.#target !== null && isUuid(this.#target.uuid, this.#words, at)) return this.#target;
    for (const table of this.#database.tables.values()) {
      let target = this.#targets.get(table);
      if (target === undefined) {
        const uuid = Buffer.from(table.def.uuid.replaceAll('-', ''), 'hex');
        target = {
          table,
          uuid: Int32Array.from({ length: 4 }, (_, i) => uuid.readInt32LE(i * 4)),
          physicals: table.physicals.map((physical) => PHYSICALS.indexOf(physical)),
          builders: table.physicals.map((physical) => new VectorBuilder(physical)),
        };
        this.#targets.set(table, target);
      }
      if (isUuid(target.uuid, this.#words, at)) return target;
    }
    return null;
  }

  /** Appends a column's values; where the next column begins. */
  #column(builder: VectorBuilder, head: number, rows: number): number {
    const words = this.#words;
    let at = head + FrameLayout.column.words;
    let validity = -1;
    if (words[head + FrameLayout.column.flags] === 1) {
      validity = at << 2;
      at += wordsOf((rows + 7) >> 3);
    }
    const { physical } = builder;
    if (physical === 'bytes') {
      const heapBytes = words[head + FrameLayout.column.heapBytes]!;
      const offsets = at;
      const heap = (at + wordsOf((rows + 1) * 4)) << 2;
      for (let row = 0; row < rows; row++) {
        if (this.#isNull(validity, row)) builder.null();
        else builder.bytes(this.#bytes, heap + words[offsets + row]!, heap + words[offsets + row + 1]!);
      }
      this.#heapBytes += heapBytes;
      return (heap >> 2) + wordsOf(heapBytes);
    }
    for (let row = 0; row < rows; row++) {
      if (this.#isNull(validity, row)) builder.null();
      else this.#value(builder, physical, at, row);
    }
    return at + wordsOf(physical === 'bool' ? (rows + 7) >> 3 : FIXED_WIDTH[physical] * rows);
  }

  #isNull(validity: number, row: number): boolean {
    return validity >= 0 && (this.#bytes[validity + (row >> 3)]! & (1 << (row & 7))) === 0;
  }

  #value(builder: VectorBuilder, physical: Exclude<Physical, 'bytes'>, at: number, row: number): void {
    const words = this.#words;
    switch (physical) {
      case 'bool':
        builder.bool((this.#bytes[(at << 2) + (row >> 3)]! & (1 << (row & 7))) !== 0);
        return;
      case 'int32':
        builder.int32(words[at + row]!);
        return;
      case 'int64':
        builder.int64(words[at + row * 2]!, words[at + row * 2 + 1]!);
        return;
      case 'float32':
        builder.float32(this.#floats[at + row]!);
        return;
      case 'float64':
        invariant((at & 1) === 0, 'values of 8 bytes lie at multiples of 8');
        builder.float64(this.#doubles[(at >> 1) + row]!);
        return;
      case 'int128':
      case 'fixed16': {
        const from = at + row * 4;
        builder.words4(words[from]!, words[from + 1]!, words[from + 2]!, words[from + 3]!);
        return;
      }
      default:
        physical satisfies never;
    }
  }
}

const wordsOf = (bytes: number): number => ((bytes + 7) & ~7) >> 2;

function isUuid(uuid: Int32Array, words: Int32Array, at: number): boolean {
  return words[at] === uuid[0] && words[at + 1] === uuid[1] && words[at + 2] === uuid[2] && words[at + 3] === uuid[3];
}

/** P2. */
function fits({ table, physicals }: Target, words: Int32Array, start: number, rows: number): boolean {
  const { section, column } = FrameLayout;
  if (words[start + section.columnCount] !== physicals.length) return false;
  let at = start + section.columns;
  for (let i = 0; i < physicals.length; i++) {
    if (words[at] !== table.fieldIds[i] || words[at + column.physical] !== physicals[i]) return false;
    const physical = table.physicals[i]!;
    const validity = words[at + column.flags] === 1 ? wordsOf((rows + 7) >> 3) : 0;
    const heap = wordsOf(words[at + column.heapBytes]!);
    let data = FIXED_WIDTH[physical] * rows;
    if (physical === 'bool') data = (rows + 7) >> 3;
    else if (physical === 'bytes') data = (rows + 1) * 4;
    at += column.words + validity + wordsOf(data) + heap;
  }
  return true;
}
