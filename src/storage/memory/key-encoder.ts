/**
 * Keys as four words (C12). Fixed-width keys of at most 16 bytes are themselves; others are a 128-bit MurmurHash3
 * (x86 variant, four lanes) of their bytes with a seed per table, so no one can prepare collisions.
 */
import { FIXED_WIDTH, type ColumnVector, type Physical } from '../../types/column-vector.ts';
import type { KeyWords } from './key-table.ts';

export type KeyEncoder = (vectors: readonly ColumnVector[], row: number, out: KeyWords) => void;

/** Bytes of a key part as a fixed-width key; 0 when it is not fixed. */
function keyWidth(physical: Physical): number {
  return physical === 'bool' ? 4 : FIXED_WIDTH[physical];
}

/** The encoder of a key over vectors given in key order. */
export function keyEncoder(physicals: readonly Physical[], seed: number): KeyEncoder {
  const widths = physicals.map(keyWidth);
  const fixed = widths.every((width) => width > 0) && widths.reduce((sum, width) => sum + width, 0) <= 16;
  if (!fixed) return hashingEncoder(physicals, seed);
  const single = physicals.length === 1 ? physicals[0] : undefined;
  if (single === 'int64') {
    return (vectors, row, out) => {
      const words = vectors[0]!.words;
      out[0] = words[row * 2]!;
      out[1] = words[row * 2 + 1]!;
      out[2] = 0;
      out[3] = 0;
    };
  }
  return (vectors, row, out) => {
    out.fill(0);
    let at = 0;
    for (let i = 0; i < physicals.length; i++) {
      const vector = vectors[i]!;
      if (physicals[i] === 'bool') {
        out[at++] = (vector.bits[row >> 3]! >> (row & 7)) & 1;
        continue;
      }
      const words = widths[i]! / 4;
      for (let w = 0; w < words; w++) out[at++] = vector.words[row * words + w]!;
    }
  };
}

let scratch = new Uint8Array(256);
let scratchView = new DataView(scratch.buffer);

function ensure(bytes: number): void {
  if (scratch.length >= bytes) return;
  const grown = new Uint8Array(2 ** (32 - Math.clz32(bytes - 1)));
  grown.set(scratch);
  scratch = grown;
  scratchView = new DataView(grown.buffer);
}

function hashingEncoder(physicals: readonly Physical[], seed: number): KeyEncoder {
  return (vectors, row, out) => {
    let at = 0;
    for (let i = 0; i < physicals.length; i++) {
      const vector = vectors[i]!;
      const physical = physicals[i]!;
      if (physical === 'bytes') {
        const start = vector.starts[row]!;
        const count = vector.ends[row]! - start;
        ensure(at + count + 8);
        scratchView.setInt32(at, count, true); // lengths keep ('a','bc') and ('ab','c') apart
        at += 4;
        for (let k = 0; k < count; k++) scratch[at + k] = vector.heap[start + k]!;
        at += count;
      } else if (physical === 'bool') {
        ensure(at + 4);
        scratch[at++] = (vector.bits[row >> 3]! >> (row & 7)) & 1;
      } else {
        const words = FIXED_WIDTH[physical] / 4;
        ensure(at + words * 4);
        for (let w = 0; w < words; w++, at += 4) scratchView.setInt32(at, vector.words[row * words + w]!, true);
      }
    }
    murmur128(scratch, scratchView, at, seed, out);
  };
}

const rotl = (x: number, r: number): number => (x << r) | (x >>> (32 - r));

function final(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** MurmurHash3_x86_128 of bytes [0, length). */
function murmur128(bytes: Uint8Array, view: DataView, length: number, seed: number, out: KeyWords): void {
  let h1 = seed;
  let h2 = seed;
  let h3 = seed;
  let h4 = seed;
  const blocks = length & ~15;
  for (let at = 0; at < blocks; at += 16) {
    h1 ^= Math.imul(rotl(Math.imul(view.getInt32(at, true), C1), 15), C2);
    h1 = (Math.imul(rotl(h1, 19) + h2, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotl(Math.imul(view.getInt32(at + 4, true), C2), 16), C3);
    h2 = (Math.imul(rotl(h2, 17) + h3, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotl(Math.imul(view.getInt32(at + 8, true), C3), 17), C4);
    h3 = (Math.imul(rotl(h3, 15) + h4, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotl(Math.imul(view.getInt32(at + 12, true), C4), 18), C1);
    h4 = (Math.imul(rotl(h4, 13) + h1, 5) + 0x32ac3b17) | 0;
  }
  const tail = [0, 0, 0, 0];
  for (let i = blocks; i < length; i++) tail[(i - blocks) >> 2]! |= bytes[i]! << (((i - blocks) & 3) * 8);
  h1 ^= Math.imul(rotl(Math.imul(tail[0]!, C1), 15), C2);
  h2 ^= Math.imul(rotl(Math.imul(tail[1]!, C2), 16), C3);
  h3 ^= Math.imul(rotl(Math.imul(tail[2]!, C3), 17), C4);
  h4 ^= Math.imul(rotl(Math.imul(tail[3]!, C4), 18), C1);
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = final(h1);
  h2 = final(h2);
  h3 = final(h3);
  h4 = final(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  out[0] = h1;
  out[1] = (h2 + h1) | 0;
  out[2] = (h3 + h1) | 0;
  out[3] = (h4 + h1) | 0;
}
