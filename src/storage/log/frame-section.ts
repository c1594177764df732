/** What goes into a frame: for one table, rows that were deleted, by name, or rows that were inserted; or that all went (TRUNCATE). */
import type { ColumnVector, Physical } from '../../types/column-vector.ts';

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

export type SectionKind = 'delete' | 'insert' | 'truncate';
/** A kind's number in a frame; 0: none. */
const KINDS = [null, 'delete', 'insert', 'truncate'] as const;
export const kindNumber = (kind: SectionKind): number => KINDS.indexOf(kind);
export const kindOf = (number: number): SectionKind | null => KINDS[number] ?? null;

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

/** The payload of a frame of one section, in words from its start; of a column, from its own. */
export const FrameLayout = {
  insert: 2,
  section: { uuid: 2, kind: 7, rows: 8, columnCount: 9, columns: 10 },
  column: { physical: 1, flags: 2, heapBytes: 3, words: 4 },
} as const;
