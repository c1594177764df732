/** Values of a column that was of a narrower type when they were written: Iceberg's promotions of integers and floats. */
import { invariant } from '../errors.ts';
import { columnVector, type ColumnVector, type Physical } from './column-vector.ts';

export function widened(vector: ColumnVector, physical: Physical, rows: number): ColumnVector {
  if (vector.physical === physical) return vector;
  const { validity } = vector;
  if (vector.physical === 'int32' && physical === 'int64') {
    const words = new Int32Array(rows * 2);
    for (let row = 0; row < rows; row++) {
      words[row * 2] = vector.words[row]!;
      words[row * 2 + 1] = vector.words[row]! >> 31;
    }
    return columnVector(physical, { validity, words });
  }
  invariant(vector.physical === 'float32' && physical === 'float64', 'a column is only ever widened');
  return columnVector(physical, { validity, float64: Float64Array.from(vector.float32) });
}
