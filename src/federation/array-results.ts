/** Arrays out of the engine that no column can have, as text that SQL has made of them, in their binary form. */
import { arrayBinary, parseArray } from '../types/array-value.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { columnVector, isValid, type ColumnVector } from '../types/column-vector.ts';
import { decodeText } from '../types/utf8.ts';

/** @throws {SqlError} 0A000 for elements without a binary form here */
export function arrayBytes(element: number): (vector: ColumnVector, rows: number) => ColumnVector {
  const put = arrayBinary(element);
  return (vector, rows) => {
    const out = new ByteWriter(rows * 32 + 64);
    const starts = new Int32Array(rows);
    const ends = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      starts[row] = out.length;
      if (isValid(vector, row)) put(parseArray(decodeText(vector.heap, vector.starts[row]!, vector.ends[row]!)), out);
      ends[row] = out.length;
    }
    return columnVector('bytes', { validity: vector.validity, heap: out.take(), starts, ends });
  };
}
