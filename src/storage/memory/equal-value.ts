/** Whether two values of one physical type are equal, as keys and row images have it. */
import { FIXED_WIDTH, type ColumnVector } from '../../types/column-vector.ts';

/** Neither value is NULL. Floats are equal as PostgreSQL says: -0 is 0, and every NaN is the same. */
export function equalValue(a: ColumnVector, rowA: number, b: ColumnVector, rowB: number): boolean {
  switch (a.physical) {
    case 'int32':
      return a.words[rowA] === b.words[rowB];
    case 'int64':
      return a.words[rowA * 2] === b.words[rowB * 2] && a.words[rowA * 2 + 1] === b.words[rowB * 2 + 1];
    case 'float32':
      return equalFloat(a.float32[rowA]!, b.float32[rowB]!);
    case 'float64':
      return equalFloat(a.float64[rowA]!, b.float64[rowB]!);
    case 'bool':
      return ((a.bits[rowA >> 3]! >> (rowA & 7)) & 1) === ((b.bits[rowB >> 3]! >> (rowB & 7)) & 1);
    case 'bytes': {
      const startA = a.starts[rowA]!;
      const startB = b.starts[rowB]!;
      const count = a.ends[rowA]! - startA;
      if (b.ends[rowB]! - startB !== count) return false;
      for (let i = 0; i < count; i++) if (a.heap[startA + i] !== b.heap[startB + i]) return false;
      return true;
    }
    default: {
      const width = FIXED_WIDTH[a.physical] / 4;
      for (let i = 0; i < width; i++) if (a.words[rowA * width + i] !== b.words[rowB * width + i]) return false;
      return true;
    }
  }
}

const equalFloat = (a: number, b: number): boolean => a === b || (a !== a && b !== b);
