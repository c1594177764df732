/**
 * What a transaction's log frames say: per table the rows deleted, by name (C3: their key), and the rows inserted,
 * evaluated, by field id (M-2). LSNs: a frame's deletes first, then its inserts, section by section.
 *
 * Payload, little-endian, every part padded to 8 bytes so that replay views it without copying:
 *   section count u32, 0 u32
 *   section: uuid 16 B · schema id u32 · kind u32 (1 delete, 2 insert, 3 truncate) · rows u32 · columns u32
 *   column:  field id u32 · physical u32 · flags u32 (1: validity) · heap bytes u32 · validity · data or offsets · heap
 */
import { FIXED_WIDTH, type ColumnVector } from '../types/column-vector.ts';
import { kindNumber, PHYSICALS, type SectionSource } from '../storage/log/frame-section.ts';

const PADDING = new Uint8Array(8);

const padded = (bytes: number): number => (bytes + 7) & ~7;

function push(parts: Uint8Array[], bytes: Uint8Array): void {
  parts.push(bytes);
  const rest = padded(bytes.length) - bytes.length;
  if (rest > 0) parts.push(PADDING.subarray(0, rest));
}

function viewOf(array: Int32Array | Float32Array | Float64Array | Uint8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Bits [start, end) of an LSB bitmap, shifted to start at 0. */
function bitsOf(bits: Uint8Array, start: number, end: number): Uint8Array {
  const count = (end - start + 7) >> 3;
  const shift = start & 7;
  const first = start >> 3;
  if (shift === 0) return bits.subarray(first, first + count);
  const out = new Uint8Array(count);
  for (let i = 0; i < count; i++) out[i] = (bits[first + i]! >> shift) | ((bits[first + i + 1] ?? 0) << (8 - shift));
  return out;
}

/** Where the values of rows [start, end) end, from 0: the vector's own offsets, where they are such. */
function offsetsOf({ starts, ends }: ColumnVector, start: number, end: number): Int32Array {
  if (ends.buffer === starts.buffer && ends.byteOffset === starts.byteOffset + 4 && starts[start] === 0)
    return new Int32Array(starts.buffer, starts.byteOffset + start * 4, end - start + 1);
  const offsets = new Int32Array(end - start + 1);
  let used = 0;
  for (let row = start; row < end; row++) {
    used += ends[row]! - starts[row]!;
    offsets[row - start + 1] = used;
  }
  return offsets;
}

function pushColumn(parts: Uint8Array[], fieldId: number, vector: ColumnVector, start: number, end: number): void {
  const physical = PHYSICALS.indexOf(vector.physical);
  const head = new Uint32Array([fieldId, physical, vector.validity === null ? 0 : 1, 0]);
  parts.push(viewOf(head as unknown as Int32Array));
  if (vector.validity !== null) push(parts, bitsOf(vector.validity, start, end));
  switch (vector.physical) {
    case 'bool':
      push(parts, bitsOf(vector.bits, start, end));
      return;
    case 'float32':
      push(parts, viewOf(vector.float32.subarray(start, end)));
      return;
    case 'float64':
      push(parts, viewOf(vector.float64.subarray(start, end)));
      return;
    case 'bytes': {
      const offsets = offsetsOf(vector, start, end);
      const used = offsets[end - start]!;
      head[3] = used;
      push(parts, viewOf(offsets));
      const low = start < end ? vector.starts[start]! : 0;
      const high = start < end ? vector.ends[end - 1]! : 0;
      if (high - low === used) push(parts, vector.heap.subarray(low, high));
      else {
        const heap = new Uint8Array(used);
        for (let row = start, at = 0; row < end; row++) {
          heap.set(vector.heap.subarray(vector.starts[row]!, vector.ends[row]!), at);
          at += vector.ends[row]! - vector.starts[row]!;
        }
        push(parts, heap);
      }
      return;
    }
    default: {
      const width = FIXED_WIDTH[vector.physical] / 4;
      push(parts, viewOf(vector.words.subarray(start * width, end * width)));
    }
  }
}

/** The payload's parts, mostly views of the vectors. */
export function encodeFrame(sections: readonly SectionSource[]): Uint8Array[] {
  const parts: Uint8Array[] = [viewOf(new Int32Array([sections.length, 0]))];
  for (const section of sections) {
    parts.push(section.tableUuid);
    const head = new Int32Array([
      section.schemaId,
      kindNumber(section.kind),
      section.end - section.start,
      section.vectors.length,
    ]);
    parts.push(viewOf(head));
    for (let i = 0; i < section.vectors.length; i++)
      pushColumn(parts, section.fieldIds[i]!, section.vectors[i]!, section.start, section.end);
  }
  return parts;
}
