/**
 * Keys as four words (C12). Fixed-width keys of at most 16 bytes are themselves; others are a 128-bit keyed hash of their
 * bytes, its secret the table's own, so no one can prepare collisions.
 *
 * Floats that PostgreSQL calls equal are one key: -0 is 0, and every NaN is the same NaN.
 */
import { FIXED_WIDTH, type ColumnVector, type Physical } from '../../types/column-vector.ts';
import type { KeyWords } from './key-table.ts';
import { keyedHash, type HashSecret } from './keyed-hash.ts';

export type KeyEncoder = (vectors: readonly ColumnVector[], row: number, out: KeyWords) => void;

/** Bytes of a key part as a fixed-width key; 0 when it is not fixed. */
function keyWidth(physical: Physical): number {
  return physical === 'bool' ? 4 : FIXED_WIDTH[physical];
}

/** Whether a key is its own words, not a hash. */
export function isFixedKey(physicals: readonly Physical[]): boolean {
  const widths = physicals.map(keyWidth);
  return widths.every((width) => width > 0) && widths.reduce((sum, width) => sum + width, 0) <= 16;
}

/** Words of a fixed key that can differ from 0. */
export function fixedKeyWords(physicals: readonly Physical[]): number {
  return physicals.reduce((sum, physical) => sum + keyWidth(physical), 0) / 4;
}

const float64 = new Float64Array(1);
const float32 = new Float32Array(1);
const floatWords = new Int32Array(float64.buffer);
const floatWord = new Int32Array(float32.buffer);

/** Puts a float's canonical words into `floatWord` or `floatWords`; how many. */
function readFloat(vector: ColumnVector, row: number): number {
  if (vector.physical === 'float32') {
    const value = vector.float32[row]!;
    float32[0] = value === 0 ? 0 : value !== value ? Number.NaN : value;
    return 1;
  }
  const value = vector.float64[row]!;
  float64[0] = value === 0 ? 0 : value !== value ? Number.NaN : value;
  return 2;
}

const isFloat = (physical: Physical): boolean => physical === 'float32' || physical === 'float64';

/** The encoder of a key over vectors given in key order. */
export function keyEncoder(physicals: readonly Physical[], secret: HashSecret): KeyEncoder {
  const widths = physicals.map(keyWidth);
  if (!isFixedKey(physicals)) return hashingEncoder(physicals, secret);
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
      if (isFloat(physicals[i]!)) {
        const count = readFloat(vector, row);
        for (let w = 0; w < count; w++) out[at++] = count === 1 ? floatWord[0]! : floatWords[w]!;
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

function hashingEncoder(physicals: readonly Physical[], secret: HashSecret): KeyEncoder {
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
      } else if (isFloat(physical)) {
        ensure(at + 8);
        const count = readFloat(vector, row);
        for (let w = 0; w < count; w++, at += 4)
          scratchView.setInt32(at, count === 1 ? floatWord[0]! : floatWords[w]!, true);
      } else {
        const words = FIXED_WIDTH[physical] / 4;
        ensure(at + words * 4);
        for (let w = 0; w < words; w++, at += 4) scratchView.setInt32(at, vector.words[row * words + w]!, true);
      }
    }
    keyedHash(scratchView, at, secret, out);
  };
}
