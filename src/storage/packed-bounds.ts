/**
 * Bounds of a data file's columns in one array of bytes: main keeps them for every file of every table, and as the
 * manifests' objects they take half a kilobyte a column (H8).
 *
 * Bytes: for each column with bounds `field id u32 | lower length u8 | upper length u8 | lower | upper`, little-endian; a
 * length of 255 is no bound. Of another writer's longer text the lower bound is cut, and the upper one left out: both only
 * ever admit more.
 */
import type { FileColumnStats } from './file-stats.ts';

export type ColumnBounds = Pick<FileColumnStats, 'lower' | 'upper'>;
/** Where bounds of columns come from. */
export interface Bounds {
  of(fieldId: number): ColumnBounds | undefined;
}

/** Arka's own bounds have 16 code points at most. */
export const BOUND_BYTES_MAX = 64;
const NONE = 255;
const HEAD = 6;

export const statsBounds = (stats: readonly FileColumnStats[]): Bounds => ({
  of: (fieldId) => stats.find((each) => each.fieldId === fieldId),
});

export class PackedBounds implements Bounds {
  readonly #bytes: Uint8Array;

  constructor(stats: readonly FileColumnStats[]) {
    const kept = stats.flatMap(({ fieldId, lower, upper }) => {
      const low = lower?.subarray(0, BOUND_BYTES_MAX) ?? null;
      const high = upper !== null && upper.length <= BOUND_BYTES_MAX ? upper : null;
      return low === null && high === null ? [] : [{ fieldId, low, high }];
    });
    const size = kept.reduce((sum, { low, high }) => sum + HEAD + (low?.length ?? 0) + (high?.length ?? 0), 0);
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const { fieldId, low, high } of kept) {
      view.setUint32(at, fieldId, true);
      bytes[at + 4] = low?.length ?? NONE;
      bytes[at + 5] = high?.length ?? NONE;
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
        };
      at = from + low + high;
    }
    return undefined;
  }
}
