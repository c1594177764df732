import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyIndex } from '../../src/storage/memory/key-index.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { OwnIndex } from '../../src/storage/memory/own-index.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { RowKeys } from '../../src/storage/memory/row-keys.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import { MemorySlice } from '../../src/storage/memory/slice.ts';
import type { ColumnVector, Physical } from '../../src/types/column-vector.ts';
import { put, rowsOf } from './values.ts';

/** Every hash is one of three: nothing but the comparison of values tells keys apart. */
class CollidingKeys extends RowKeys {
  override hashRows(vectors: readonly ColumnVector[], start: number, end: number, out: Int32Array): void {
    super.hashRows(vectors, start, end, out);
    for (let i = 0; i < end - start; i++) out[i] = (out[i]! & 3) - 2;
  }
}

const keyTypes: readonly (readonly Physical[])[] = [
  ['int32'],
  ['int64'],
  ['fixed16'],
  ['bytes'],
  ['int32', 'bool', 'int64'],
  ['bytes', 'bytes'],
  ['int128', 'int32'],
  ['float64'],
  ['float32', 'int32'],
];

type Row = Parameters<typeof put>[2][];

/** Equal for equal keys: -0 is 0, NaN is NaN. */
const nameOf = (row: Row): string =>
  JSON.stringify(row.map((value) => (typeof value === 'number' ? String(value) : value)));

function bufferOf(memory: Memory, types: readonly Physical[], rows: readonly Row[]): RowBuffer {
  const buffer = new RowBuffer(memory, types);
  for (const row of rows) {
    const sinks = buffer.sinks();
    row.forEach((value, i) => put(sinks[i]!, types[i]!, value));
    buffer.endRow();
  }
  return buffer;
}

test('C12: the index of memory rows finds the live row of each key, among entered and adopted rows, also where all hashes collide', () => {
  const memory = new Memory(2 * SLAB_BYTES);
  const cases = fc.constantFrom(...keyTypes).chain((types) =>
    fc.record({
      types: fc.constant(types),
      rows: rowsOf(types, 60).map((rows) => rows.filter((row) => !row.includes(null)) as Row[]),
      /** In which order rows are written, as one transaction each of a few rows. */
      writes: fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 8 }), { maxLength: 12 }),
      large: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      colliding: fc.boolean(),
    }),
  );
  fc.assert(
    fc.property(cases, ({ types, rows, writes, large, colliding }) => {
      fc.pre(rows.length > 0);
      const columns = types.map((_, i) => i);
      const keys = new (colliding ? CollidingKeys : RowKeys)(columns, types, Int32Array.of(7, 8, 9, 10));
      const slice = new MemorySlice(memory, 1, types, -1, '', []);
      const index = new KeyIndex(keys);
      const probes = bufferOf(memory, types, rows);
      const hashes = new Int32Array(1);
      const positionOf = (row: number): number => {
        const at = probes.batchOf(row);
        const vectors = probes.batches[at]!.vectors();
        keys.hashRows(vectors, row - probes.batchStart(at), row - probes.batchStart(at) + 1, hashes);
        return index.find(hashes[0]!, vectors, row - probes.batchStart(at)) ? index.position : -1;
      };
      const model = new Map<string, number>();
      writes.forEach((picks, i) => {
        const unique = new Map(picks.map((pick) => rows[pick % rows.length]!).map((row) => [nameOf(row), row]));
        const buffer = bufferOf(memory, types, [...unique.values()]);
        const own = new OwnIndex(i + 1, keys, buffer);
        let at = 0;
        for (const batch of buffer.batches) {
          for (let row = 0; row < batch.rows; row++, at++) {
            keys.hashRows(batch.vectors(), row, row + 1, hashes);
            expect(own.claim(hashes[0]!, batch.vectors(), row, at)).toBe(-1);
            expect(own.holds(hashes[0]!, batch.vectors(), row)).toBe(true);
          }
        }
        for (const name of unique.keys()) {
          if (!model.has(name)) continue;
          slice.deletes.reserve(1);
          slice.deletes.append(model.get(name)!, i);
        }
        const start = slice.rows;
        for (const batch of buffer.batches) {
          const position = slice.rows;
          slice.append(batch.vectors(), 0, batch.rows);
          if (!large[i]!) index.add(slice, batch.vectors(), 0, batch.rows, position);
        }
        if (large[i]!) {
          own.place([{ row: 0, rows: buffer.rows, slice, position: start }]);
          index.adopt(own);
          own.isOpen = false;
        }
        [...unique.keys()].forEach((name, k) => model.set(name, start + k));
        buffer.retire();
        index.settle(3);
        rows.forEach((row, k) => expect(positionOf(k)).toBe(model.get(nameOf(row)) ?? -1));
      });
      index.settle(1000);
      probes.retire();
      slice.retire();
    }),
    { numRuns: 60 },
  );
  expect(memory.pool.usedBytes).toBe(0);
});
