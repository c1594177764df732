/**
 * Intervals as PostgreSQL shows them (IntervalStyle postgres): `1 year 2 mons -3 days +04:05:06.789`. DuckDB holds months,
 * days and microseconds as PostgreSQL does, and prints them in other words.
 */
import { columnVector, isValid, type ColumnVector } from '../types/column-vector.ts';
import { intervalText } from '../types/interval-output.ts';

/** From vectors of (months, days, microseconds low, high) to their text. */
export function intervalTexts(vector: ColumnVector, rows: number): ColumnVector {
  const texts: string[] = [];
  for (let i = 0; i < rows; i++) texts.push(isValid(vector, i) ? textOf(vector.words, i * 4) : '');
  return textVector(texts, vector.validity);
}

/** A vector of ASCII texts. */
export function textVector(texts: readonly string[], validity: Uint8Array | null): ColumnVector {
  const heap = Buffer.from(texts.join(''), 'latin1');
  const starts = new Int32Array(texts.length);
  const ends = new Int32Array(texts.length);
  let at = 0;
  for (let i = 0; i < texts.length; i++) {
    starts[i] = at;
    at += texts[i]!.length;
    ends[i] = at;
  }
  return columnVector('bytes', { validity, heap: new Uint8Array(heap), starts, ends });
}

/** The binary form: microseconds, days, months, big-endian, 16 bytes. */
export function intervalBytes(vector: ColumnVector, rows: number): ColumnVector {
  const heap = new Uint8Array(rows * 16);
  const view = new DataView(heap.buffer);
  const starts = new Int32Array(rows);
  const ends = new Int32Array(rows);
  for (let i = 0; i < rows; i++) {
    const at = i * 16;
    view.setInt32(at, vector.words[i * 4 + 3]!);
    view.setInt32(at + 4, vector.words[i * 4 + 2]!);
    view.setInt32(at + 8, vector.words[i * 4 + 1]!);
    view.setInt32(at + 12, vector.words[i * 4]!);
    starts[i] = at;
    ends[i] = at + 16;
  }
  return columnVector('bytes', { validity: vector.validity, heap, starts, ends });
}

function textOf(words: Int32Array, at: number): string {
  return intervalText(words[at]!, words[at + 1]!, words[at + 3]! * 0x1_0000_0000 + (words[at + 2]! >>> 0));
}
