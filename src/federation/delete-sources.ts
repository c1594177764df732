/**
 * Delete lists as DuckDB wants them: positions to anti-join with, or, where more than 5 % of a file is deleted, one BIT value
 * per file to test with `get_bit` (M2, M4). Both carry `file_index`, a file's place in the list given to `read_parquet`.
 */
import duckdb from '@duckdb/node-bindings';
import type { DeleteRef, FileUnit } from '../storage/scan-spec.ts';
import type { SlabDirectory } from '../storage/memory/slab.ts';
import { CHUNK_ROWS, type RowSource } from './row-source.ts';

/** Above this part of deleted rows a bitmap per file beats the anti-join. */
export const DENSE_PART = 0.05;

/** Calls back with each pinned block of the list. */
function eachBlock(deletes: DeleteRef, slabs: SlabDirectory, visit: (positions: Int32Array) => void): void {
  let left = deletes.count;
  for (const block of deletes.blocks) {
    if (left <= 0) return;
    const count = Math.min(left, block.count);
    visit(slabs.words(block.address, count));
    left -= count;
  }
}

/** LSB bitmap over `rows` positions, 1 = deleted. */
export function deletedBitmap(deletes: DeleteRef, rows: number, slabs: SlabDirectory): Uint8Array {
  const bitmap = new Uint8Array((rows + 7) >> 3);
  eachBlock(deletes, slabs, (positions) => {
    for (let i = 0; i < positions.length; i++) {
      const position = positions[i]!;
      bitmap[position >> 3]! |= 1 << (position & 7);
    }
  });
  return bitmap;
}

/** c0: file_index UBIGINT, c1: file_row_number BIGINT, of exactly DuckDB's types: mixed types cost 40 times (duckdb: comparisons are cast). */
export function positionSource(files: readonly FileUnit[], slabs: SlabDirectory): RowSource {
  const lists = files.map((file) => {
    const all = new Uint32Array(file.deletes?.count ?? 0);
    let at = 0;
    if (file.deletes !== null)
      eachBlock(file.deletes, slabs, (positions) => {
        all.set(positions, at);
        at += positions.length;
      });
    return all;
  });
  return { ...positionListSource(lists), held: true };
}

/** The same of positions that are at hand. */
export function positionListSource(lists: readonly Uint32Array[]): RowSource {
  return {
    rows: lists.reduce((sum, list) => sum + list.length, 0),
    columns: [
      { name: 'c0', type: duckdb.create_logical_type(duckdb.Type.UBIGINT) },
      { name: 'c1', type: duckdb.create_logical_type(duckdb.Type.BIGINT) },
    ],
    open(projection) {
      let file = 0;
      let at = 0;
      const scratch = [new Int32Array(CHUNK_ROWS * 2), new Int32Array(CHUNK_ROWS * 2)];
      return (chunk) => {
        let rows = 0;
        while (rows < CHUNK_ROWS && file < lists.length) {
          const list = lists[file]!;
          const take = Math.min(CHUNK_ROWS - rows, list.length - at);
          for (let i = 0; i < take; i++) {
            scratch[0]![(rows + i) * 2] = file;
            scratch[1]![(rows + i) * 2] = list[at + i]!;
          }
          rows += take;
          at += take;
          if (at === list.length) {
            file++;
            at = 0;
          }
        }
        projection.forEach((column, i) => {
          if (column >= 0)
            duckdb.copy_data_to_vector(duckdb.data_chunk_get_vector(chunk, i), 0, scratch[column]!.buffer, 0, rows * 8);
        });
        return rows;
      };
    },
  };
}

/**
 * c0: file_index UBIGINT, c1: BIT, one row a file. DuckDB's BIT value is a byte that counts the padding bits, then the
 * bits from the most significant on; a multiple of 8 bits needs no padding.
 */
export function bitmapSource(files: readonly FileUnit[], slabs: SlabDirectory): RowSource {
  return {
    rows: files.length,
    held: true,
    columns: [
      { name: 'c0', type: duckdb.create_logical_type(duckdb.Type.UBIGINT) },
      { name: 'c1', type: duckdb.create_logical_type(duckdb.Type.BIT) },
    ],
    open(projection) {
      let file = 0;
      return (chunk) => {
        if (file === files.length) return 0;
        // One file a chunk: bitmaps of many files need not be in memory twice.
        const unit = files[file]!;
        projection.forEach((column, i) => {
          if (column < 0) return;
          const vector = duckdb.data_chunk_get_vector(chunk, i);
          if (column === 0) duckdb.copy_data_to_vector(vector, 0, Int32Array.of(file, 0).buffer, 0, 8);
          else duckdb.vector_assign_string_element_len(vector, 0, bitValue(unit, slabs));
        });
        file++;
        return 1;
      };
    },
  };
}

/** The bits of a file as a constant: bit = position, 1: deleted. */
export function bitLiteral(unit: FileUnit, slabs: SlabDirectory): string {
  const bytes = bitValue(unit, slabs).subarray(1);
  return `'${Array.from(bytes, (byte) => HEX[byte]).join('')}'::BLOB::BIT`;
}

const HEX = Array.from({ length: 256 }, (_, byte) => `\\x${byte.toString(16).padStart(2, '0')}`);

function bitValue(unit: FileUnit, slabs: SlabDirectory): Uint8Array {
  const bytes = new Uint8Array(1 + Math.max(1, (unit.rows + 7) >> 3));
  if (unit.deletes !== null) {
    eachBlock(unit.deletes, slabs, (positions) => {
      for (let i = 0; i < positions.length; i++) {
        const position = positions[i]!;
        bytes[1 + (position >> 3)]! |= 0x80 >> (position & 7);
      }
    });
  }
  return bytes;
}
