/** What goes into a frame: for one table, rows that were deleted, by name, or rows that were inserted. */
import type { ColumnVector, Physical } from '../types/column-vector.ts';

/** A physical type's number in a frame is its place here. */
export const PHYSICALS: readonly Physical[] = [
  'bool',
  'int32',
  'int64',
  'int128',
  'float32',
  'float64',
  'fixed16',
  'bytes',
];

export type SectionKind = 'delete' | 'insert';

/** Rows [start, end) of vectors as a section of their own. */
export interface SectionSource {
  /** 16 bytes. */
  readonly tableUuid: Uint8Array;
  readonly schemaId: number;
  readonly kind: SectionKind;
  readonly fieldIds: readonly number[];
  readonly vectors: readonly ColumnVector[];
  readonly start: number;
  readonly end: number;
}
