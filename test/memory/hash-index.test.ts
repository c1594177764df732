import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HashIndex, type Matches } from '../../src/storage/memory/hash-index.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { RowKeys } from '../../src/storage/memory/row-keys.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import { MemorySlice } from '../../src/storage/memory/slice.ts';
import type { ColumnVector, Physical } from '../../src/types/column-vector.ts';
import { PHYSICALS } from '../../src/storage/log/frame-section.ts';
import { put, rowsOf, type Value } from './values.ts';

/** Every hash is one of three: nothing but the comparison of values tells them apart. */
class CollidingKeys extends RowKeys {
  override hashRows(vectors: readonly ColumnVector[], start: number, end: number, out: Int32Array): void {
    super.hashRows(vectors, start, end, out);
    for (let i = 0; i < end - start; i++) out[i] = (out[i]! & 3) - 2;
  }
}

/** Equal for equal values: -0 is 0, NaN is NaN. */
const nameOf = (value: Value): string => JSON.stringify(typeof value === 'number' ? String(value) : value);

function bufferOf(memory: Memory, types: readonly Physical[], rows: readonly (readonly Value[])[]): RowBuffer {
  const buffer = new RowBuffer(memory, types);
  for (const row of rows) {
    const sinks = buffer.sinks();
    row.forEach((value, i) => put(sinks[i]!, types[i]!, value));
    buffer.endRow();
  }
  return buffer;
}

function find(index: HashIndex, vector: ColumnVector, row: number): Matches {
  const matches: Matches = { slices: [], positions: [], stepsLeft: 10_000 };
  index.find([vector], row, matches);
  return matches;
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('write' as const), rows: fc.array(fc.nat(), { maxLength: 40 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), row: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('publish' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('follow' as const), rows: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const) }) },
);

test('of each Version the index finds the rows that a scan finds, in their order, whatever is written, deleted and published between', () => {
  const memory = new Memory(4 * SLAB_BYTES);
  const cases = fc.constantFrom(...PHYSICALS).chain((physical) =>
    fc.record({
      physical: fc.constant(physical),
      values: rowsOf([physical], 8),
      steps: fc.array(step, { maxLength: 40 }),
      colliding: fc.boolean(),
    }),
  );
  fc.assert(
    fc.property(cases, ({ physical, values, steps, colliding }) => {
      fc.pre(values.length > 0);
      const types: readonly Physical[] = ['int32', physical];
      const keys = new (colliding ? CollidingKeys : RowKeys)([1], [physical], Int32Array.of(7, 8, 9, 10));
      const index = new HashIndex([2], keys);
      const slices = [new MemorySlice(memory, 1, types, -1, '', []), new MemorySlice(memory, 2, types, -1, '', [])];
      const written: Value[][] = [[], []];
      const probes = bufferOf(memory, [physical], values);
      const expectAll = (): void => {
        while (index.lag(slices) > 0) index.follow(slices, 7);
        values.forEach(([value], i) => {
          if (value === null) return;
          const at = probes.batchOf(i);
          const matches = find(index, probes.batches[at]!.columns[0]!.vector(), i - probes.batchStart(at));
          expect(matches.stepsLeft).toBeGreaterThanOrEqual(0);
          slices.forEach((slice, s) => {
            const found = matches.positions.filter((_, m) => matches.slices[m] === slice).toReversed();
            const dead = new Set(slice.deletes.positions(0, slice.deletes.published));
            const scanned = written[s]!.flatMap((held, position) =>
              position < slice.published && !dead.has(position) && held !== null && nameOf(held) === nameOf(value!)
                ? [position]
                : [],
            );
            expect(found).toEqual(scanned);
          });
        });
      };
      steps.forEach((each, lsn) => {
        if (each.kind === 'read') expectAll();
        else if (each.kind === 'follow') index.follow(slices, each.rows);
        else if (each.kind === 'publish') {
          for (const slice of slices) {
            slice.published = slice.rows;
            slice.deletes.publish(slice.deletes.length);
          }
        } else if (each.kind === 'write') {
          const s = each.rows.length % 2;
          const rows = each.rows.map((pick) => [pick, values[pick % values.length]![0]!] as const);
          const buffer = bufferOf(
            memory,
            types,
            rows.map(([n, value]) => [n % 1000, value]),
          );
          for (const batch of buffer.batches) slices[s]!.append(batch.vectors(), 0, batch.rows);
          buffer.retire();
          written[s]!.push(...rows.map(([, value]) => value));
        } else {
          const slice = slices[each.row % 2]!;
          const position = each.row % Math.max(1, slice.rows);
          if (slice.rows === 0 || slice.deletes.has(position)) return;
          slice.deletes.reserve(1);
          slice.deletes.append(position, lsn + 1);
        }
      });
      expectAll();
      for (const slice of slices) slice.retire();
      probes.retire();
    }),
    { numRuns: 150 },
  );
});

test('a value that was updated a hundred thousand times is found in few steps once its dead rows were met', () => {
  const memory = new Memory(4 * SLAB_BYTES);
  const index = new HashIndex([1], new RowKeys([0], ['int32'], Int32Array.of(7, 8, 9, 10)));
  const slice = new MemorySlice(memory, 1, ['int32'], -1, '', []);
  const one = bufferOf(memory, ['int32'], [[5]]);
  const vector = one.batches[0]!.columns[0]!.vector();
  for (let i = 0; i < 100_000; i++) slice.append([vector], 0, 1);
  slice.published = slice.rows;
  slice.deletes.reserve(99_999);
  for (let i = 0; i < 99_999; i++) slice.deletes.append(i, i + 1);
  slice.deletes.publish(99_999);
  index.follow([slice], 100_000);
  expect(find(index, vector, 0).stepsLeft).toBeLessThan(0);
  for (let i = 0; i < 12; i++) find(index, vector, 0);
  const matches = find(index, vector, 0);
  expect(matches.positions).toEqual([99_999]);
  expect(matches.stepsLeft).toBe(9_999);
});

test('the index counts its bytes: at most 24 a row, of few and of many values', () => {
  for (const values of [10, 200_000]) {
    const memory = new Memory(4 * SLAB_BYTES);
    const index = new HashIndex([1], new RowKeys([0], ['int32'], Int32Array.of(7, 8, 9, 10)));
    const slice = new MemorySlice(memory, 1, ['int32'], -1, '', []);
    const rows = bufferOf(
      memory,
      ['int32'],
      Array.from({ length: 200_000 }, (_, i) => [i % values]),
    );
    for (const batch of rows.batches) slice.append(batch.vectors(), 0, batch.rows);
    expect(index.follow([slice], 1_000_000)).toBe(200_000);
    expect(index.bytes / 200_000).toBeGreaterThan(4);
    expect(index.bytes / 200_000).toBeLessThanOrEqual(24);
  }
});

test('an index of several columns finds the rows that have all the values, and no row with a NULL among them', () => {
  const memory = new Memory(4 * SLAB_BYTES);
  const types: readonly Physical[] = ['int32', 'bytes', 'int64'];
  const row = fc.tuple(
    fc.option(fc.integer({ min: 0, max: 3 })),
    fc.option(fc.constantFrom('', 'a', 'ab')),
    fc.option(fc.constantFrom([0, 0], [1, 0], [0, 1])),
  );
  const columns = fc.constantFrom([0, 1], [1, 2], [0, 1, 2]);
  fc.assert(
    fc.property(fc.array(row, { maxLength: 60 }), columns, fc.boolean(), (written, of, colliding) => {
      const physicals = of.map((column) => types[column]!);
      const keys = new (colliding ? CollidingKeys : RowKeys)(of, physicals, Int32Array.of(7, 8, 9, 10));
      const index = new HashIndex(of, keys);
      const slice = new MemorySlice(memory, 1, types, -1, '', []);
      const rows = bufferOf(memory, types, written);
      for (const batch of rows.batches) slice.append(batch.vectors(), 0, batch.rows);
      slice.published = slice.rows;
      index.follow([slice], 1000);
      const namesOf = (each: (typeof written)[number]): string => JSON.stringify(of.map((column) => each[column]));
      written.forEach((each, i) => {
        if (of.some((column) => each[column] === null)) return;
        const at = rows.batchOf(i);
        const matches: Matches = { slices: [], positions: [], stepsLeft: 10_000 };
        const vectors = of.map((column) => rows.batches[at]!.columns[column]!.vector());
        index.find(vectors, i - rows.batchStart(at), matches);
        const same = written.flatMap((other, position) => (namesOf(other) === namesOf(each) ? [position] : []));
        expect(matches.positions.toReversed()).toEqual(same);
      });
      slice.retire();
      rows.retire();
    }),
    { numRuns: 100 },
  );
});
