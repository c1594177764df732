/**
 * Which files can hold a row by its name (its key, else all of it) or by an indexed column, by the bounds that manifests keep
 * of those columns: asked before any filter or index. A NULL has no bounds.
 *
 * Only ever leaves a file out that surely lacks the key: a column without bounds, or of a type whose order in memory is not
 * that of its bounds, admits everything. Text bounds may be cut: the lower one is a prefix, the upper one rounded up.
 */
import type { ColumnDef, TableDef } from '../table-def.ts';
import { FIXED_WIDTH, isValid, type ColumnVector } from '../types/column-vector.ts';
import { wordsToNumber } from '../types/decimal-digits.ts';
import { physicalOf } from '../types/pg-type.ts';
import { decodeBound } from './iceberg/bounds.ts';
import type { Bounds, ColumnBounds } from './packed-bounds.ts';

/** Whether the value of a row may lie within a column's bounds. */
type Within = (vector: ColumnVector, row: number) => boolean;

export class KeyBounds {
  /** Of the columns asked for that have bounds, with their place among them. */
  readonly #columns: readonly { readonly index: number; readonly within: Within }[];

  constructor(def: TableDef, bounds: Bounds, fieldIds: readonly number[]) {
    this.#columns = fieldIds.flatMap((fieldId, index) => {
      const column = def.columns.find((each) => each.fieldId === fieldId);
      const own = bounds.of(fieldId);
      const within = column === undefined || own === undefined ? null : withinBounds(column, own);
      return within === null ? [] : [{ index, within }];
    });
  }

  /** False when no row of the file has these values; `vectors` in the order of the columns. */
  mayHold(vectors: readonly ColumnVector[], row: number): boolean {
    for (const { index, within } of this.#columns)
      if (isValid(vectors[index]!, row) && !within(vectors[index]!, row)) return false;
    return true;
  }
}

/** Numeric bounds of an integer-like column (integers, date, timestamps); null for others, or without bounds. */
export function integerBounds(
  def: TableDef,
  bounds: Bounds,
  fieldId: number | null,
): { readonly min: number; readonly max: number } | null {
  const column = def.columns.find((each) => each.fieldId === fieldId);
  const own = fieldId === null ? undefined : bounds.of(fieldId);
  if (column === undefined || own === undefined || own.lower === null || own.upper === null) return null;
  const physical = physicalOf(column.type);
  if (physical !== 'int32' && physical !== 'int64') return null;
  return { min: Number(decodeBound(column.type, own.lower)), max: Number(decodeBound(column.type, own.upper)) };
}

function withinBounds(column: ColumnDef, bounds: ColumnBounds): Within | null {
  const { lower, upper } = bounds;
  if (lower === null && upper === null) return null;
  const physical = physicalOf(column.type);
  switch (physical) {
    case 'int32':
    case 'int64': {
      const [min, max] = numbers(column, bounds);
      if (physical === 'int32') return ({ words }, row) => words[row]! >= min && words[row]! <= max;
      return ({ words }, row) => {
        const value = wordsToNumber(words[row * 2]!, words[row * 2 + 1]!);
        return value >= min && value <= max;
      };
    }
    case 'float32':
    case 'float64': {
      const [min, max] = numbers(column, bounds);
      // NaN has no place in bounds; -0 and 0 compare equal here.
      return (vector, row) => {
        const value = physical === 'float32' ? vector.float32[row]! : vector.float64[row]!;
        return !(value < min) && !(value > max);
      };
    }
    case 'int128': {
      const low = lower === null ? null : wideWords(decodeBound(column.type, lower) as bigint);
      const high = upper === null ? null : wideWords(decodeBound(column.type, upper) as bigint);
      return ({ words }, row) =>
        (low === null || compareWide(words, row * 4, low) >= 0) &&
        (high === null || compareWide(words, row * 4, high) <= 0);
    }
    case 'fixed16':
      // Java orders uuids by signed halves: such bounds admit everything, where it can be seen.
      if (lower !== null && upper !== null && compareBytes(lower, 0, lower.length, upper) > 0) return null;
      return ({ words }, row) => {
        const at = words.byteOffset + row * FIXED_WIDTH.fixed16;
        const bytes = new Uint8Array(words.buffer, at, FIXED_WIDTH.fixed16);
        return within(bytes, 0, FIXED_WIDTH.fixed16, lower, upper);
      };
    case 'bytes':
      return ({ heap, starts, ends }, row) => within(heap, starts[row]!, ends[row]!, lower, upper);
    case 'bool':
      return null;
  }
}

function numbers(column: ColumnDef, { lower, upper }: ColumnBounds): readonly [number, number] {
  return [
    lower === null ? Number.NEGATIVE_INFINITY : Number(decodeBound(column.type, lower)),
    upper === null ? Number.POSITIVE_INFINITY : Number(decodeBound(column.type, upper)),
  ];
}

export function wideWords(value: bigint): Int32Array {
  return Int32Array.from([0n, 32n, 64n, 96n], (shift) => Number(BigInt.asIntN(32, value >> shift)));
}

/** Two's complement, 128 bits, little-endian words. */
export function compareWide(words: Int32Array, at: number, bound: Int32Array): number {
  if (words[at + 3] !== bound[3]) return words[at + 3]! < bound[3]! ? -1 : 1;
  for (let i = 2; i >= 0; i--) {
    const a = words[at + i]! >>> 0;
    const b = bound[i]! >>> 0;
    if (a !== b) return a < b ? -1 : 1;
  }
  return 0;
}

function within(
  bytes: Uint8Array,
  start: number,
  end: number,
  lower: Uint8Array | null,
  upper: Uint8Array | null,
): boolean {
  return (
    (lower === null || compareBytes(bytes, start, end, lower) >= 0) &&
    (upper === null || compareBytes(bytes, start, end, upper) <= 0)
  );
}

/** In unsigned byte order, which is that of code points for UTF-8. */
export function compareBytes(bytes: Uint8Array, start: number, end: number, bound: Uint8Array): number {
  const length = Math.min(end - start, bound.length);
  for (let i = 0; i < length; i++) {
    const difference = bytes[start + i]! - bound[i]!;
    if (difference !== 0) return difference;
  }
  return end - start - bound.length;
}
