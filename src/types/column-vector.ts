/**
 * One column of some rows, as bytes: what encoders read and builders write. Arrow's layout where Arrow has one.
 *
 * One object shape for every type, so that hot loops stay monomorphic; the fields a physical type does not use
 * hold the shared empty arrays. Rows count from 0; validity is an LSB bitmap (1 = valid), null when all are valid.
 */

/** How the values of a type lie in memory. int128 holds numeric (unscaled, little-endian two's complement); fixed16 holds uuid (16 bytes in text order). */
export type Physical = 'bool' | 'int32' | 'int64' | 'int128' | 'float32' | 'float64' | 'fixed16' | 'bytes';

export interface ColumnVector {
  readonly physical: Physical;
  readonly validity: Uint8Array | null;
  /** bool: an LSB bitmap. */
  readonly bits: Uint8Array;
  /** int32: 1 word a row; int64: 2 (low, high); int128 and fixed16: 4. Little-endian. */
  readonly words: Int32Array;
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  /** bytes: value i is heap[starts[i], ends[i]). In Arrow's layout starts is offsets and ends is offsets.subarray(1). */
  readonly heap: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

export const NO_BYTES = new Uint8Array(0);
export const NO_WORDS = new Int32Array(0);
export const NO_FLOAT32 = new Float32Array(0);
export const NO_FLOAT64 = new Float64Array(0);

/** A vector of one physical type from the arrays it uses. */
export function columnVector(physical: Physical, parts: Partial<Omit<ColumnVector, 'physical'>>): ColumnVector {
  return {
    physical,
    validity: parts.validity ?? null,
    bits: parts.bits ?? NO_BYTES,
    words: parts.words ?? NO_WORDS,
    float32: parts.float32 ?? NO_FLOAT32,
    float64: parts.float64 ?? NO_FLOAT64,
    heap: parts.heap ?? NO_BYTES,
    starts: parts.starts ?? NO_WORDS,
    ends: parts.ends ?? NO_WORDS,
  };
}

export function isValid(vector: ColumnVector, row: number): boolean {
  const validity = vector.validity;
  return validity === null || ((validity[row >> 3] ?? 0) & (1 << (row & 7))) !== 0;
}

/**
 * Where parsed values go: one column of a batch under construction. Exactly one call a row.
 * int128 and fixed16 take their four little-endian words; `bytes` copies src[start, end).
 */
export interface ColumnSink {
  null(): void;
  bool(value: boolean): void;
  int32(value: number): void;
  int64(low: number, high: number): void;
  words4(w0: number, w1: number, w2: number, w3: number): void;
  float32(value: number): void;
  float64(value: number): void;
  bytes(src: Uint8Array, start: number, end: number): void;
}

/** Takes a value that was to be looked at only, or that nobody wants. */
export const DISCARD: ColumnSink = {
  null: () => {},
  bool: () => {},
  int32: () => {},
  int64: () => {},
  words4: () => {},
  float32: () => {},
  float64: () => {},
  bytes: () => {},
};

/** Bytes of a row of a fixed-width physical type; bool 0 (a bit), bytes 0 (in the heap). */
export const FIXED_WIDTH: Readonly<Record<Physical, number>> = {
  bool: 0,
  int32: 4,
  int64: 8,
  int128: 16,
  float32: 4,
  float64: 8,
  fixed16: 16,
  bytes: 0,
};
