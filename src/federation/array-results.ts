/** Arrays out of the engine, as text that SQL has made of them: to their binary form, or to PostgreSQL's own text. */
import { arrayBinary, arrayReprinted } from '../types/array-value.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { columnVector, isValid, type ColumnVector } from '../types/column-vector.ts';
import { Oid } from '../types/pg-type.ts';
import type { Format } from '../types/result-column.ts';
import { decodeText } from '../types/utf8.ts';

/** Null: the text is as it has to be. @throws {SqlError} 0A000 for elements without a binary form here */
export function arrayConversion(
  element: number,
  format: Format,
): ((vector: ColumnVector, rows: number) => ColumnVector) | null {
  // The engine prints large floats without an exponent.
  if (format === 0 && element !== Oid.float4 && element !== Oid.float8) return null;
  const put = format === 1 ? arrayBinary(element) : arrayReprinted(element);
  return (vector, rows) => {
    const out = new ByteWriter(rows * 32 + 64);
    const starts = new Int32Array(rows);
    const ends = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      starts[row] = out.length;
      if (isValid(vector, row)) put(decodeText(vector.heap, vector.starts[row]!, vector.ends[row]!), out);
      ends[row] = out.length;
    }
    return columnVector('bytes', { validity: vector.validity, heap: out.take(), starts, ends });
  };
}
