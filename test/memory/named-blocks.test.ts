import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Batch } from '../../src/storage/memory/batch.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';

const TEXT = new Uint8Array(5000).fill(0x6e);

/** The addresses that a batch's description tells. */
function described(batch: Batch): number[] {
  const shape = new Float64Array(1 + 4 * batch.columns.length);
  batch.describe(shape, 0, batch.rows);
  return [...shape.subarray(1)].filter((address) => address >= 0);
}

/** The block that the fixed part of a batch begins with is told by its first column's data. */
function addressesOf(batch: Batch): readonly number[] {
  return batch.columns.flatMap((column) =>
    column.physical === 'bytes' ? [column.dataAddress, column.heapAddress] : [column.dataAddress],
  );
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), bytes: fc.nat({ max: 5000 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('describe' as const), batch: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('drop' as const, 'truncate' as const, 'pin' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), pin: fc.nat() }) },
);

test('N1: a block that no reader was told of goes back at once, one that a reader was told of when its pin is gone', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const memory = new Memory(8 * SLAB_BYTES);
      const buffer = new RowBuffer(memory, ['int64', 'bytes', 'bytes']);
      /** Told since the block was taken; and, by open pin, what its reader was told. */
      const told = new Set<number>();
      const pins: { readonly release: () => void; readonly knows: Set<number> }[] = [];
      const { pool } = memory;
      const [allocate, free] = [pool.allocate.bind(pool), pool.free.bind(pool)];
      pool.allocate = (bytes) => {
        const address = allocate(bytes);
        told.delete(address);
        return address;
      };
      pool.free = (address, bytes) => {
        for (const { knows } of pins) expect(knows.has(address)).toBe(false);
        free(address, bytes);
      };
      const giveBack = memory.giveBack.bind(memory);
      memory.giveBack = (address, bytes, isNamed) => {
        expect(isNamed).toBe(told.has(address));
        giveBack(address, bytes, isNamed);
      };
      for (const each of steps) {
        switch (each.kind) {
          case 'write': {
            const sinks = buffer.sinks();
            sinks[0]!.int64(buffer.rows, 0);
            sinks[1]!.bytes(TEXT, 0, each.bytes);
            sinks[2]!.bytes(TEXT, 0, each.bytes >> 4);
            buffer.endRow();
            break;
          }
          case 'describe': {
            const reader = pins.at(-1);
            const batch = buffer.batches[each.batch % Math.max(1, buffer.batches.length)];
            if (reader === undefined || batch === undefined) break;
            const addresses = described(batch);
            expect(addresses).toEqual(expect.arrayContaining([...addressesOf(batch)].filter((a) => a >= 0)));
            const fixed = batch.columns[0]!.validityAddress; // where the fixed block begins
            for (const address of [fixed, ...addresses]) {
              told.add(address);
              reader.knows.add(address);
            }
            break;
          }
          case 'drop':
            buffer.dropBatches(Math.min(1, buffer.batches.length - 1));
            break;
          case 'truncate':
            buffer.truncate(Math.max(buffer.first, buffer.rows >> 1));
            break;
          case 'pin':
            pins.push({ release: memory.pins.acquire().release, knows: new Set() });
            break;
          default: {
            const [gone] = pins.splice(each.pin % Math.max(1, pins.length), 1);
            gone?.release();
          }
        }
        if (told.size === 0) expect(memory.pins.heldBytes.memory).toBe(0);
      }
      buffer.retire();
      for (const { release } of pins.splice(0)) release();
      expect(pool.usedBytes).toBe(0);
    }),
    { numRuns: 60 },
  );
});
