/**
 * The payload of a frame with a few rows, written into one buffer that is kept: a single-row commit makes no array and no
 * view for it. Same bytes as frame.ts makes of its parts, which are for what is large and should not be copied twice.
 */
import { FIXED_WIDTH, type ColumnVector } from '../types/column-vector.ts';
import { kindNumber, PHYSICALS, type SectionSource } from '../storage/log/frame-section.ts';

/** More rows, or more bytes, are cheaper as parts. */
const ROWS_MAX = 64;
const BYTES_MAX = 1 << 16;

const buffer = new ArrayBuffer(BYTES_MAX);
const bytes = new Uint8Array(buffer);
const words = new Int32Array(buffer);
const doubles = new Float64Array(buffer);
let at = 0;

/** Null: too much for it. The answer holds until the next call. */
export function encodeSmall(sections: readonly SectionSource[]): Uint8Array | null {
  if (sizeOf(sections) > BYTES_MAX) return null;
  words[0] = sections.length;
  words[1] = 0;
  at = 8;
  for (const section of sections) {
    for (let i = 0; i < 16; i++) bytes[at + i] = section.tableUuid[i]!;
    const word = (at + 16) / 4;
    words[word] = section.schemaId;
    words[word + 1] = kindNumber(section.kind);
    words[word + 2] = section.end - section.start;
    words[word + 3] = section.vectors.length;
    at += 32;
    for (let i = 0; i < section.vectors.length; i++)
      putColumn(section.fieldIds[i]!, section.vectors[i]!, section.start, section.end);
  }
  return bytes.subarray(0, at);
}

/** An upper bound of the payload's bytes; infinite for too many rows. */
function sizeOf(sections: readonly SectionSource[]): number {
  let size = 8;
  let rows = 0;
  for (const { vectors, start, end } of sections) {
    rows += end - start;
    if (rows > ROWS_MAX) return Number.POSITIVE_INFINITY;
    size += 32;
    for (const vector of vectors) {
      size += 48 + (end - start) * 16; // head, validity, paddings; an offset or a value of at most 16 bytes a row
      if (vector.physical === 'bytes')
        for (let row = start; row < end; row++) size += vector.ends[row]! - vector.starts[row]!;
    }
  }
  return size;
}

/** Starts a padded part of so many bytes: what its last 8 bytes do not fill is 0. */
function part(count: number): number {
  const from = at;
  at += (count + 7) & ~7;
  if (count > 0) doubles[at / 8 - 1] = 0;
  return from;
}

function putBits(bits: Uint8Array, start: number, end: number): void {
  const count = (end - start + 7) >> 3;
  const to = part(count);
  const shift = start & 7;
  const first = start >> 3;
  for (let i = 0; i < count; i++)
    bytes[to + i] = (bits[first + i]! >> shift) | (shift === 0 ? 0 : (bits[first + i + 1] ?? 0) << (8 - shift));
}

function putColumn(fieldId: number, vector: ColumnVector, start: number, end: number): void {
  const head = at / 4;
  words[head] = fieldId;
  words[head + 1] = PHYSICALS.indexOf(vector.physical);
  words[head + 2] = vector.validity === null ? 0 : 1;
  words[head + 3] = 0;
  at += 16;
  if (vector.validity !== null) putBits(vector.validity, start, end);
  const rows = end - start;
  switch (vector.physical) {
    case 'bool':
      putBits(vector.bits, start, end);
      return;
    case 'float32':
      new Float32Array(buffer, part(rows * 4), rows).set(vector.float32.subarray(start, end));
      return;
    case 'float64': {
      const to = part(rows * 8) / 8;
      for (let row = start; row < end; row++) doubles[to + row - start] = vector.float64[row]!;
      return;
    }
    case 'bytes':
      words[head + 3] = putHeap(vector, start, end);
      return;
    default: {
      const width = FIXED_WIDTH[vector.physical] / 4;
      const to = part(rows * width * 4) / 4;
      for (let i = start * width; i < end * width; i++) words[to + i - start * width] = vector.words[i]!;
    }
  }
}

/** Offsets, then the bytes; how many. */
function putHeap(vector: ColumnVector, start: number, end: number): number {
  const offsets = part((end - start + 1) * 4) / 4;
  let used = 0;
  words[offsets] = 0;
  for (let row = start; row < end; row++) {
    used += vector.ends[row]! - vector.starts[row]!;
    words[offsets + row - start + 1] = used;
  }
  let to = part(used);
  for (let row = start; row < end; row++) {
    const from = vector.starts[row]!;
    const count = vector.ends[row]! - from;
    if (count < 64) for (let i = 0; i < count; i++) bytes[to + i] = vector.heap[from + i]!;
    else bytes.set(vector.heap.subarray(from, from + count), to);
    to += count;
  }
  return used;
}
