/**
 * Whole rows as names, in tables without a key (C3): equal images are interchangeable. NULL is equal to NULL, every
 * NaN to every other, and -0 to 0: a Parquet file may keep one for the other. Vectors are in def order.
 */
import { FIXED_WIDTH, isValid, type ColumnVector } from '../../types/column-vector.ts';
import { equalValue } from './equal-value.ts';

const float = new Float64Array(1);
const floatWords = new Int32Array(float.buffer);

const mixed = (hash: number, word: number): number => {
  const h = Math.imul(hash ^ word, 0x85ebca6b);
  return Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
};

/** A hash of a row's image, a signed word. */
export function hashImage(vectors: readonly ColumnVector[], row: number, seed: number): number {
  let hash = seed;
  for (const vector of vectors) hash = isValid(vector, row) ? hashValue(vector, row, hash) : mixed(hash, 0x4e554c4c);
  return hash ^ (hash >>> 16);
}

function hashValue(vector: ColumnVector, row: number, before: number): number {
  let hash = before;
  switch (vector.physical) {
    case 'bool':
      return mixed(hash, (vector.bits[row >> 3]! >> (row & 7)) & 1);
    case 'float32':
    case 'float64':
      float[0] = vector.physical === 'float32' ? vector.float32[row]! : vector.float64[row]!;
      if (float[0] === 0) float[0] = 0;
      else if (float[0] !== float[0]) float[0] = Number.NaN;
      return mixed(mixed(hash, floatWords[0]!), floatWords[1]!);
    case 'bytes': {
      const end = vector.ends[row]!;
      for (let at = vector.starts[row]!; at < end; at++) hash = Math.imul(hash ^ vector.heap[at]!, 0x01000193);
      return mixed(hash, end - vector.starts[row]!);
    }
    default: {
      const width = FIXED_WIDTH[vector.physical] / 4;
      for (let i = 0; i < width; i++) hash = mixed(hash, vector.words[row * width + i]!);
      return hash;
    }
  }
}

export function equalImages(
  a: readonly ColumnVector[],
  rowA: number,
  b: readonly ColumnVector[],
  rowB: number,
): boolean {
  for (let i = 0; i < a.length; i++) {
    const valid = isValid(a[i]!, rowA);
    if (valid !== isValid(b[i]!, rowB)) return false;
    if (valid && !equalValue(a[i]!, rowA, b[i]!, rowB)) return false;
  }
  return true;
}
