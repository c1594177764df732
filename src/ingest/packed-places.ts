/**
 * The places of rows that a transaction has deleted, (unit, position), in the order in which it did: a statement finds rows unit by
 * unit, mostly in rising order, so what is behind is packed to about a byte a row, and to nothing where whole units go.
 *
 * - K1 Order is kept: names of the rows are parallel to it, and a rollback to a savepoint takes the last ones back.
 */
import { RowPlaces } from './row-places.ts';

/** So many are packed at a time. */
const PACKED_PLACES = 4096;
/** Of shorter runs units and positions are kept as they are. */
const RUN_PLACES_MIN = 64;
/** At most so many positions are handed out together. */
const PIECE_PLACES = 65_536;

/** Places of one unit: `deltas` from each to the next, null where each is the one after. */
interface Run {
  readonly unit: number;
  readonly first: number;
  readonly count: number;
  readonly deltas: Uint8Array | null;
}

/** Places of many units. */
interface Mixed {
  readonly unit: null;
  readonly count: number;
  readonly units: Int32Array;
  readonly positions: Uint32Array;
}

type Block = Run | Mixed;

export interface Place {
  readonly unit: number;
  readonly position: number;
}

export class PackedPlaces {
  #blocks: Block[] = [];
  /** The last ones, not packed yet. */
  #tail = new RowPlaces();
  length = 0;

  push(unit: number, position: number): void {
    this.#tail.push(unit, position);
    this.length++;
    if (this.#tail.length === PACKED_PLACES) this.#pack();
  }

  #pack(): void {
    const tail = this.#tail;
    const { length } = tail;
    let runs = 0;
    tail.forRuns(() => runs++);
    if (runs * RUN_PLACES_MIN > length) {
      const [units, positions] = [tail.units.slice(0, length), tail.positions.slice(0, length)];
      this.#blocks.push({ unit: null, count: length, units, positions });
    } else tail.forRuns((unit, positions) => this.#add(runOf(unit, positions)));
    tail.truncate(0);
  }

  #add(run: Run): void {
    const last = this.#blocks.at(-1);
    if (last?.unit === run.unit && last.deltas === null && run.deltas === null && last.first + last.count === run.first)
      this.#blocks[this.#blocks.length - 1] = { ...last, count: last.count + run.count };
    else this.#blocks.push(run);
  }

  /** Only the first `length` are left. */
  truncate(length: number): void {
    let surplus = this.length - length;
    if (surplus <= 0) return;
    this.length = length;
    if (surplus <= this.#tail.length) {
      this.#tail.truncate(this.#tail.length - surplus);
      return;
    }
    surplus -= this.#tail.length;
    this.#tail.truncate(0);
    while (surplus > 0) {
      const last = this.#blocks.pop()!;
      const kept = last.count - Math.min(surplus, last.count);
      surplus -= last.count - kept;
      if (kept > 0) this.#blocks.push(headOf(last, kept));
    }
  }

  has(unit: number): boolean {
    return this.#blocks.some((block) => holds(block, unit)) || this.#tail.has(unit);
  }

  /** Neighbours of one unit together, of places [start, end); `take` gets positions that it must copy. */
  forRuns(take: (unit: number, positions: Uint32Array) => void, start = 0, end = this.length): void {
    let at = 0;
    for (const block of this.#blocks) {
      if (at >= end) return;
      const from = Math.max(0, start - at);
      const to = Math.min(block.count, end - at);
      if (from < to) eachPiece(block, from, to, take);
      at += block.count;
    }
    if (at < end) this.#tail.forRuns(take, Math.max(0, start - at), end - at);
  }

  /** How many there are of each unit, of places [start, end). */
  counts(start = 0, end = this.length): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    const add = (unit: number, count: number): void => void counts.set(unit, (counts.get(unit) ?? 0) + count);
    let at = 0;
    for (const block of this.#blocks) {
      const from = Math.max(0, start - at);
      const to = Math.min(block.count, end - at);
      at += block.count;
      if (from >= to) continue;
      if (block.unit === null) for (let i = from; i < to; i++) add(block.units[i]!, 1);
      else add(block.unit, to - from);
    }
    if (at < end) this.#tail.forRuns((unit, { length }) => add(unit, length), Math.max(0, start - at), end - at);
    return counts;
  }

  /** Of each unit its positions, in their order; of places [start, end). */
  byUnit(start = 0, end = this.length): ReadonlyMap<number, Uint32Array> {
    const all = new Map<number, Uint32Array>();
    for (const [unit, count] of this.counts(start, end)) all.set(unit, new Uint32Array(count));
    const filled = new Map<number, number>();
    this.forRuns(
      (unit, positions) => {
        const at = filled.get(unit) ?? 0;
        all.get(unit)!.set(positions, at);
        filled.set(unit, at + positions.length);
      },
      start,
      end,
    );
    return all;
  }

  /** Rows have gone elsewhere; `null`: this one has not. */
  remap(moved: (unit: number, position: number) => Place | null): void {
    const before = this.#blocks;
    const tail = this.#tail;
    this.#blocks = [];
    this.#tail = new RowPlaces();
    this.length = 0;
    const push = (unit: number, position: number): void => {
      const to = moved(unit, position);
      if (to === null) this.push(unit, position);
      else this.push(to.unit, to.position);
    };
    const take = (unit: number, positions: Uint32Array): void => {
      for (const position of positions) push(unit, position);
    };
    for (const block of before) eachPiece(block, 0, block.count, take);
    tail.forRuns(take);
  }
}

function holds(block: Block, unit: number): boolean {
  return block.unit === unit || (block.unit === null && block.units.subarray(0, block.count).includes(unit));
}

/** The first `count` of a block. */
function headOf(block: Block, count: number): Block {
  if (block.unit === null || block.deltas === null) return { ...block, count };
  return runOf(block.unit, positionsOf(block, block.deltas).subarray(0, count));
}

function runOf(unit: number, positions: Uint32Array): Run {
  const [first, count] = [positions[0]!, positions.length];
  let isRising = true;
  for (let i = 1; isRising && i < count; i++) isRising = positions[i] === positions[i - 1]! + 1;
  return { unit, first, count, deltas: isRising ? null : deltasOf(positions) };
}

/** From each position to the next, zigzag, seven bits a byte. */
function deltasOf(positions: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(positions.length * 5);
  let at = 0;
  for (let i = 1; i < positions.length; i++) {
    const delta = positions[i]! - positions[i - 1]!;
    let left = delta < 0 ? -delta * 2 - 1 : delta * 2;
    for (; left >= 128; left = Math.floor(left / 128)) bytes[at++] = (left & 127) | 128;
    bytes[at++] = left;
  }
  return bytes.slice(0, at);
}

/** Places [from, to) of a block, in pieces of one unit. */
function eachPiece(block: Block, from: number, to: number, take: (unit: number, positions: Uint32Array) => void): void {
  if (block.unit === null) {
    const { units, positions } = block;
    for (let start = from, end = from; start < to; start = end) {
      while (end < to && units[end] === units[start]) end++;
      take(units[start]!, positions.subarray(start, end));
    }
    return;
  }
  if (block.deltas !== null) {
    take(block.unit, positionsOf(block, block.deltas).subarray(from, to));
    return;
  }
  for (let start = from; start < to; start += PIECE_PLACES) {
    const positions = new Uint32Array(Math.min(PIECE_PLACES, to - start));
    for (let i = 0; i < positions.length; i++) positions[i] = block.first + start + i;
    take(block.unit, positions);
  }
}

function positionsOf({ first, count }: Run, deltas: Uint8Array): Uint32Array {
  const positions = new Uint32Array(count);
  positions[0] = first;
  for (let i = 1, at = 0, position = first; i < count; i++) {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = deltas[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) break;
      scale *= 128;
    }
    position += value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    positions[i] = position;
  }
  return positions;
}
