/** Rows that a statement changes together while its query goes on: what it takes of memory has a bound. */
import type { RowBuffer } from '../storage/memory/row-buffer.ts';

/** So many, or of so many bytes. */
const PORTION_ROWS = 8192;
const PORTION_BYTES = 2 ** 23;

export function isPortion(rows: number, buffers: readonly (RowBuffer | null)[]): boolean {
  if (rows >= PORTION_ROWS) return true;
  let bytes = 0;
  for (const buffer of buffers) for (const batch of buffer?.batches ?? []) bytes += batch.dataBytes;
  return bytes >= PORTION_BYTES;
}
