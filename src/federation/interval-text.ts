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

/**
 * Doubles that PostgreSQL calls numeric (averages, divisions): the shortest digits that name the double, never with an
 * exponent. PostgreSQL would pad with zeros or give more digits; both read back as the same double.
 */
export function numericTexts(vector: ColumnVector, rows: number): ColumnVector {
  const texts: string[] = [];
  for (let i = 0; i < rows; i++) texts.push(isValid(vector, i) ? numericText(vector.float64[i]!) : '');
  return textVector(texts, vector.validity);
}

export function numericText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  const text = String(value === 0 ? 0 : value);
  const at = text.indexOf('e');
  if (at === -1) return text;
  const sign = text.startsWith('-') ? '-' : '';
  const [whole, fraction = ''] = text.slice(sign.length, at).split('.') as [string, string?];
  const digits = whole + fraction;
  const point = whole.length + Number(text.slice(at + 1));
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length
    ? sign + digits + '0'.repeat(point - digits.length)
    : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function textOf(words: Int32Array, at: number): string {
  return intervalText(words[at]!, words[at + 1]!, words[at + 3]! * 0x1_0000_0000 + (words[at + 2]! >>> 0));
}
