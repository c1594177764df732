import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ImageIndex } from '../../src/storage/memory/image-index.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { equalImages, hashImage } from '../../src/storage/memory/row-images.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import { MemorySlice } from '../../src/storage/memory/slice.ts';
import type { Physical } from '../../src/types/column-vector.ts';
import { PHYSICALS } from '../../src/storage/log/frame-section.ts';
import { put, rowsOf, type Value } from './values.ts';

type Row = readonly Value[];

function bufferOf(memory: Memory, types: readonly Physical[], rows: readonly Row[]): RowBuffer {
  const buffer = new RowBuffer(memory, types);
  for (const row of rows) {
    const sinks = buffer.sinks();
    row.forEach((value, i) => put(sinks[i]!, types[i]!, value));
    buffer.endRow();
  }
  return buffer;
}

/** As equalImages has it: -0 is 0, NaN is NaN, NULL is NULL. */
const nameOf = (row: Row): string =>
  JSON.stringify(row.map((value) => (typeof value === 'number' ? String(value) : value)));

test('images are equal, and then have one hash, exactly when the rows are', () => {
  const memory = new Memory(2 * SLAB_BYTES);
  fc.assert(
    fc.property(rowsOf(PHYSICALS, 30), (rows) => {
      const twice = [...rows, ...rows];
      const buffer = bufferOf(memory, PHYSICALS, twice);
      const at = (row: number) => {
        const index = buffer.batchOf(row);
        return { vectors: buffer.batches[index]!.vectors(), row: row - buffer.batchStart(index) };
      };
      twice.forEach((row, i) => {
        const j = (i * 7 + 3) % twice.length;
        const [a, b] = [at(i), at(j)];
        const equal = nameOf(row) === nameOf(twice[j]!);
        expect(equalImages(a.vectors, a.row, b.vectors, b.row)).toBe(equal);
        if (equal) expect(hashImage(a.vectors, a.row, 5)).toBe(hashImage(b.vectors, b.row, 5));
      });
      buffer.retire();
    }),
    { numRuns: 60 },
  );
});

test('each live row is given out once by its image, while rows come, die and leave with their slice', () => {
  const memory = new Memory(2 * SLAB_BYTES);
  const types: readonly Physical[] = ['int32', 'bytes'];
  const row = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.option(fc.constantFrom('a', 'b')));
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), rows: fc.array(row, { maxLength: 6 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('take' as const), row, count: fc.integer({ min: 1, max: 4 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('die' as const), at: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('slice' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let units = 0;
      const newSlice = (): MemorySlice => new MemorySlice(memory, ++units, types, -1, '', []);
      let slices = [newSlice()];
      /** Live rows: their place and image. */
      let live: { readonly slice: MemorySlice; readonly position: number; readonly name: string }[] = [];
      const kill = (slice: MemorySlice, position: number): void => {
        slice.deletes.reserve(1);
        slice.deletes.append(position, 1);
        live = live.filter((each) => each.slice !== slice || each.position !== position);
      };
      const index = new ImageIndex(3);
      for (const each of steps) {
        const slice = slices.at(-1)!;
        if (each.kind === 'add') {
          const buffer = bufferOf(memory, types, each.rows);
          each.rows.forEach((one, i) => live.push({ slice, position: slice.rows + i, name: nameOf(one) }));
          for (const batch of buffer.batches) slice.append(batch.vectors(), 0, batch.rows);
          buffer.retire();
        } else if (each.kind === 'take') {
          const probe = bufferOf(memory, types, [each.row]);
          index.follow(slices);
          const equal = live.filter(({ name }) => name === nameOf(each.row));
          // as replay does it: all of a frame are found, then deleted
          const places = new Set<(typeof live)[number]>();
          for (let i = 0; i < each.count; i++) {
            if (!index.take(probe.batches[0]!.vectors(), 0)) continue;
            const at = equal.find((one) => one.slice.unit === index.unit && one.position === index.position);
            expect(at).toBeDefined();
            places.add(at!);
          }
          expect(places.size).toBe(Math.min(each.count, equal.length));
          for (const { slice: from, position } of places) kill(from, position);
          probe.retire();
        } else if (each.kind === 'die' && live.length > 0) {
          const one = live[each.at % live.length]!;
          kill(one.slice, one.position);
        } else if (each.kind === 'leave' && slices.length > 1) {
          const [left] = slices.splice(0, 1);
          live = live.filter((one) => one.slice !== left);
          left!.retire();
        } else if (each.kind === 'slice') {
          slices = [...slices, newSlice()];
        }
      }
      for (const slice of slices) slice.retire();
    }),
    { numRuns: 200 },
  );
  expect(memory.pool.usedBytes).toBe(0);
});
