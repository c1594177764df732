/**
 * Bounds of a data file's columns in one array of bytes: main keeps them for every file of every table, and as the
 * manifests' objects they take half a kilobyte a column (H8).
 *
 * Bytes: for each column of which something is known `field id u32 | lower length u8 | upper length u8 | flags u8 | lower | upper`,
 * little-endian; a length of 255 is no bound. Of another writer's longer text the lower bound is cut, and the upper one left out: both only
 * ever admit more.
 */
import type { FileColumnStats } from './file-stats.ts';

export interface ColumnBounds extends Pick<FileColumnStats, 'lower' | 'upper'> {
  /** Of NO_NULL, ALL_NULL, NO_NAN those that are known to be so. */
  readonly flags: number;
}
export const NO_NULL = 1;
export const ALL_NULL = 2;
export const NO_NAN = 4;

/** Counts that do not add up to the file's rows say nothing. */
function flagsOf({ valueCount, nullCount, nanCount }: FileColumnStats, rows: number): number {
  if (valueCount !== rows || rows === 0) return 0;
  return (nullCount === 0 ? NO_NULL : nullCount === rows ? ALL_NULL : 0) | (nanCount === 0 ? NO_NAN : 0);
}

/** Where bounds of columns come from. */
export interface Bounds {
  of(fieldId: number): ColumnBounds | undefined;
}

/** Arka's own bounds have 16 code points at most. */
export const BOUND_BYTES_MAX = 64;
const NONE = 255;
const HEAD = 7;

export const statsBounds = (stats: readonly FileColumnStats[], rows: number): Bounds => ({
  of: (fieldId) => {
    const found = stats.find((each) => each.fieldId === fieldId);
    return found === undefined ? undefined : { lower: found.lower, upper: found.upper, flags: flagsOf(found, rows) };
  },
});

export class PackedBounds implements Bounds {
  readonly #bytes: Uint8Array;

  constructor(stats: readonly FileColumnStats[], rows: number) {
    const kept = stats.flatMap((column) => {
      const { fieldId, lower, upper } = column;
      const flags = flagsOf(column, rows);
      const low = lower?.subarray(0, BOUND_BYTES_MAX) ?? null;
      const high = upper !== null && upper.length <= BOUND_BYTES_MAX ? upper : null;
      return low === null && high === null && flags === 0 ? [] : [{ fieldId, low, high, flags }];
    });
    const size = kept.reduce((sum, { low, high }) => sum + HEAD + (low?.length ?? 0) + (high?.length ?? 0), 0);
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const { fieldId, low, high, flags } of kept) {
      view.setUint32(at, fieldId, true);
      bytes[at + 4] = low?.length ?? NONE;
      bytes[at + 5] = high?.length ?? NONE;
      bytes[at + 6] = flags;
      at += HEAD;
      if (low !== null) bytes.set(low, at);
      at += low?.length ?? 0;
      if (high !== null) bytes.set(high, at);
      at += high?.length ?? 0;
    }
    this.#bytes = bytes;
  }

  get byteLength(): number {
    return this.#bytes.length;
  }

  of(fieldId: number): ColumnBounds | undefined {
    const bytes = this.#bytes;
    for (let at = 0; at < bytes.length;) {
      const id = bytes[at]! + bytes[at + 1]! * 2 ** 8 + bytes[at + 2]! * 2 ** 16 + bytes[at + 3]! * 2 ** 24;
      const low = bytes[at + 4]! === NONE ? 0 : bytes[at + 4]!;
      const high = bytes[at + 5]! === NONE ? 0 : bytes[at + 5]!;
      const from = at + HEAD;
      if (id === fieldId)
        return {
          lower: bytes[at + 4] === NONE ? null : bytes.subarray(from, from + low),
          upper: bytes[at + 5] === NONE ? null : bytes.subarray(from + low, from + low + high),
          flags: bytes[at + 6]!,
        };
      at = from + low + high;
    }
    return undefined;
  }
}
