/**
 * Which files surely hold no row that a filter on one column lets through, by what manifests say of the column: bounds, counts
 * of NULL and NaN, and the bucket of the file's partition.
 *
 * - B1 Only ever says no where it is sure: without statistics, or with bounds of another length than the type's, a file is read.
 * - B2 Text and binary bounds may be cut: the lower one is a prefix, the upper one rounded up. Both are on the right side of every
 *   value of the file, which is all that is used.
 * - B3 Floats are compared with some room, for a constant is not always rounded alike. NaN has no place in bounds and is above
 *   all: what asks for large values leaves a file out only if it is known to hold none.
 * - B4 Of a uuid the first 8 bytes are compared, and bounds in the wrong order say nothing: Java's order of uuids is a signed one.
 */
import type { PgType } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { Oid, physicalOf } from '../types/pg-type.ts';
import { decodeValue } from './iceberg/bounds.ts';
import { compareBytes, compareWide, wideWords } from './key-bounds.ts';
import { ALL_NULL, NO_NAN, NO_NULL, type ColumnBounds } from './packed-bounds.ts';

/** `vector` holds `rows` values, of which one is to be met; for `prefix` one text. */
export type FileFilter =
  | {
      readonly kind: '=' | '<' | '>' | '<=' | '>=' | 'prefix';
      readonly type: PgType;
      readonly vector: ColumnVector;
      readonly rows: number;
    }
  | { readonly kind: 'null' }
  | { readonly kind: 'not null' };

/** Whether no row of the file passes. `bounds` are those of the filter's column, undefined: nothing is known of it. */
export function excludesAll(filter: FileFilter, bounds: ColumnBounds | undefined): boolean {
  if (bounds === undefined) return false;
  if (filter.kind === 'null') return (bounds.flags & NO_NULL) !== 0;
  if ((bounds.flags & ALL_NULL) !== 0) return true;
  if (filter.kind === 'not null') return false;
  const { type, vector, rows } = filter;
  const lower = usable(type, bounds.lower);
  const upper = usable(type, bounds.upper);
  if (lower === null && upper === null) return false;
  if (type.oid === Oid.uuid && lower !== null && upper !== null && compareBytes(lower, 0, 16, upper) > 0) return false; // B4
  for (let row = 0; row < rows; row++) if (mayPass(filter.kind, vector, row, lower, upper, bounds.flags)) return false;
  return true;
}

function mayPass(
  kind: '=' | '<' | '>' | '<=' | '>=' | 'prefix',
  vector: ColumnVector,
  row: number,
  lower: Uint8Array | null,
  upper: Uint8Array | null,
  flags: number,
): boolean {
  if (kind === 'prefix') return mayBegin(vector.heap, vector.starts[row]!, vector.ends[row]!, lower, upper);
  // Whether all of the file is above the value, or not below; and the same from the other side.
  const exact = EXACT.has(vector.physical);
  const floating = vector.physical === 'float32' || vector.physical === 'float64';
  const mayBeNan = floating && (flags & NO_NAN) === 0;
  const toLower = lower === null ? 1 : compareBound(vector, row, lower);
  const toUpper = upper === null ? -1 : compareBound(vector, row, upper);
  switch (kind) {
    case '=':
      return toLower >= 0 && toUpper <= 0;
    case '<=':
      return toLower >= 0;
    case '<':
      return toLower > 0 || (toLower === 0 && !exact);
    case '>=':
      return toUpper <= 0 || mayBeNan;
    case '>':
      return toUpper < 0 || (toUpper === 0 && !exact) || mayBeNan;
  }
}

/** Of the others 0 also means: too near to be sure. */
const EXACT: ReadonlySet<string> = new Set(['bool', 'int32', 'int64', 'int128', 'bytes']);

const BYTES: Readonly<Record<string, readonly number[]>> = {
  bool: [1],
  int32: [4],
  int64: [4, 8], // a file written before int became long
  float32: [4],
  float64: [4, 8],
  fixed16: [16],
};

function usable(type: PgType, bound: Uint8Array | null): Uint8Array | null {
  if (bound === null) return null;
  const physical = physicalOf(type);
  if (physical === 'int128') return bound.length > 0 && bound.length <= 16 ? bound : null;
  return BYTES[physical]?.includes(bound.length) === false ? null : bound;
}

/** A row's value against a bound: negative, 0 or positive. */
function compareBound(vector: ColumnVector, row: number, bound: Uint8Array): number {
  const view = new DataView(bound.buffer, bound.byteOffset, bound.byteLength);
  const { words } = vector;
  switch (vector.physical) {
    case 'bool':
      return ((vector.bits[row >> 3]! >> (row & 7)) & 1) - (bound[0] === 0 ? 0 : 1);
    case 'int32':
      return Math.sign(words[row]! - view.getInt32(0, true));
    case 'int64': {
      const low = view.getInt32(0, true);
      const high = bound.length === 4 ? low >> 31 : view.getInt32(4, true);
      if (words[row * 2 + 1] !== high) return words[row * 2 + 1]! < high ? -1 : 1;
      return Math.sign((words[row * 2]! >>> 0) - (low >>> 0));
    }
    case 'float32':
      return compareNear(vector.float32[row]!, view.getFloat32(0, true), 2 ** -21);
    case 'float64':
      return compareNear(
        vector.float64[row]!,
        bound.length === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true),
        2 ** -48,
      );
    case 'int128':
      return compareWide(words, row * 4, wideWords(decodeValue('decimal', bound) as bigint));
    case 'fixed16':
      return compareBytes(new Uint8Array(words.buffer, words.byteOffset + row * 16, 8), 0, 8, bound.subarray(0, 8)); // B4
    case 'bytes':
      return compareBytes(vector.heap, vector.starts[row]!, vector.ends[row]!, bound);
  }
}

/** B3. A bound of NaN compares with nothing. */
function compareNear(value: number, bound: number, room: number): number {
  const margin = Math.max(Math.abs(value), Math.abs(bound)) * room;
  return value < bound - margin ? -1 : value > bound + margin ? 1 : 0;
}

/** Whether a text that begins with these bytes may lie within the bounds. */
function mayBegin(
  heap: Uint8Array,
  start: number,
  end: number,
  lower: Uint8Array | null,
  upper: Uint8Array | null,
): boolean {
  if (upper !== null && compareBytes(heap, start, end, upper) > 0) return false;
  return lower === null || compareBytes(heap, start, end, lower.subarray(0, end - start)) >= 0;
}
