import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame } from '../../src/ingest/frame.ts';
import { decodeFrame } from '../../src/storage/log/section-reader.ts';
import { encodeSmall } from '../../src/ingest/small-frame.ts';
import { Batch } from '../../src/storage/memory/batch.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import { MemorySlice } from '../../src/storage/memory/slice.ts';
import type { ColumnVector, Physical } from '../../src/types/column-vector.ts';
import { getRows, physicals, put, rowsOf, table, type Value } from './values.ts';

/** A memory whose blocks come dirty, as they do after a while. */
function dirtyMemory(): Memory {
  const memory = new Memory(2 * SLAB_BYTES);
  const address = memory.take(SLAB_BYTES);
  memory.pool.directory.bytes(address, SLAB_BYTES).fill(0xa5);
  memory.pool.free(address, SLAB_BYTES);
  return memory;
}
const memory = dirtyMemory();

function write(buffer: RowBuffer, types: readonly Physical[], row: readonly Value[]): void {
  const sinks = buffer.sinks();
  row.forEach((value, i) => put(sinks[i]!, types[i]!, value));
  buffer.endRow();
}

function read(buffer: RowBuffer): Value[][] {
  return buffer.batches.flatMap((batch) => getRows(batch.vectors(), 0, batch.rows));
}

test('a row buffer holds what plain arrays hold, through failed rows, truncation and copies', () => {
  const steps = (types: readonly Physical[]) =>
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: rowsOf(types, 90).map((rows) => ({ kind: 'write' as const, rows })) },
        { weight: 2, arbitrary: rowsOf(types, 90).map((rows) => ({ kind: 'copy' as const, rows })) },
        {
          weight: 1,
          arbitrary: fc
            .tuple(rowsOf(types, 1), fc.nat())
            .map(([rows, columns]) => ({ kind: 'fail' as const, rows, columns })),
        },
        { weight: 1, arbitrary: fc.nat().map((to) => ({ kind: 'truncate' as const, to })) },
      ),
      { maxLength: 12, size: 'max' },
    );
  fc.assert(
    fc.property(
      physicals.chain((types) => steps(types).map((list) => ({ types, list }))),
      ({ types, list }) => {
        const usedBefore = memory.pool.usedBytes;
        const buffer = new RowBuffer(memory, types);
        let model: (readonly Value[])[] = [];
        for (const step of list) {
          switch (step.kind) {
            case 'write':
              for (const row of step.rows) write(buffer, types, row);
              model.push(...step.rows);
              break;
            case 'copy': {
              const other = new RowBuffer(memory, types);
              for (const row of step.rows) write(other, types, row);
              for (const batch of other.batches) buffer.append(batch.vectors(), batch.rows >> 2, batch.rows);
              let at = 0;
              for (const batch of other.batches) {
                model.push(...step.rows.slice(at + (batch.rows >> 2), at + batch.rows));
                at += batch.rows;
              }
              other.retire();
              break;
            }
            case 'fail': {
              const [row] = step.rows;
              if (row === undefined) break;
              const sinks = buffer.sinks();
              for (let i = 0; i < step.columns % (types.length + 1); i++) put(sinks[i]!, types[i]!, row[i]!);
              buffer.dropRow();
              break;
            }
            default: {
              const to = step.to % (model.length + 1);
              buffer.truncate(to);
              model = model.slice(0, to);
            }
          }
          expect(buffer.rows).toBe(model.length);
        }
        expect(read(buffer)).toEqual(model);
        for (let row = 0; row < buffer.rows; row += 7) {
          const index = buffer.batchOf(row);
          expect(row - buffer.batchStart(index)).toBeLessThan(buffer.batches[index]!.rows);
        }
        buffer.retire();
        expect(memory.pool.usedBytes).toBe(usedBefore);
      },
    ),
    { numRuns: 60 },
  );
});

test('a slice holds the rows appended and adopted, finds each by position, and gives all memory back', () => {
  fc.assert(
    fc.property(
      table,
      fc.array(fc.record({ adopt: fc.boolean(), from: fc.nat(), count: fc.nat({ max: 200 }) }), {
        maxLength: 8,
        size: 'max',
      }),
      ({ types, rows }, parts) => {
        const usedBefore = memory.pool.usedBytes;
        const slice = new MemorySlice(memory, 1, types, -1, '', []);
        const model: (readonly Value[])[] = [];
        for (const part of parts) {
          const some = rows.slice(part.from % (rows.length + 1)).slice(0, part.count);
          const buffer = new RowBuffer(memory, types);
          for (const row of some) write(buffer, types, row);
          model.push(...some);
          if (part.adopt) for (const batch of buffer.release()) slice.adopt(batch);
          else {
            for (const batch of buffer.batches) slice.append(batch.vectors(), 0, batch.rows);
            buffer.retire();
          }
        }
        expect(slice.rows).toBe(model.length);
        const found = model.map((_, position) => {
          const { batch, row } = slice.locate(position);
          return getRows(batch.vectors(), row, row + 1)[0];
        });
        expect(found).toEqual(model);
        const { shape } = slice.scan(slice.rows, 0, []);
        let counted = 0;
        for (let at = 0; at < shape.length; at += 1 + 4 * types.length) counted += shape[at]!;
        expect(counted).toBe(model.length);
        slice.retire();
        expect(memory.pool.usedBytes).toBe(usedBefore);
      },
    ),
    { numRuns: 60 },
  );
});

test('rows with values near the largest go into batches of their own, not over the end of a heap', () => {
  const big = new Memory(8 * SLAB_BYTES);
  const source = new RowBuffer(big, ['bytes']);
  const sizes = [900_000, 7_000_000, 10, 7_500_000, 7_900_000, 1_048_576, 0, 1_048_577];
  for (const size of sizes) {
    source.sinks()[0]!.bytes(new Uint8Array(size).fill(size % 251), 0, size);
    source.endRow();
  }
  const slice = new MemorySlice(big, 1, ['bytes'], -1, '', []);
  for (const batch of source.batches) slice.append(batch.vectors(), 0, batch.rows);
  source.retire();
  sizes.forEach((size, position) => {
    const { batch, row } = slice.locate(position);
    const vector = batch.vectors()[0]!;
    expect(vector.ends[row]! - vector.starts[row]!).toBe(size);
    if (size > 0) expect(vector.heap[vector.starts[row]!]).toBe(size % 251);
  });
  slice.retire();
  expect(big.pool.usedBytes).toBe(0);
});

test('a vector taken before more rows came still shows its rows', () => {
  const batch = new Batch(memory, ['int32', 'bytes'], 4096);
  const pin = memory.pins.acquire();
  const add = (value: Value, text: Value): void => {
    put(batch.columns[0]!, 'int32', value);
    put(batch.columns[1]!, 'bytes', text);
    batch.endRows(1);
  };
  add(1, 'one');
  add(2, 'two');
  const before: readonly ColumnVector[] = batch.vectors();
  batch.describe(new Float64Array(9), 0, 2); // a reader was told of it
  for (let i = 0; i < batch.capacity - 2; i++) add(i % 2 === 0 ? null : i, i % 3 === 0 ? null : 'x'.repeat(200));
  expect(getRows(before, 0, 2)).toEqual([
    [1, 'one'],
    [2, 'two'],
  ]);
  expect(getRows(batch.vectors(), 0, 3)).toEqual([
    [1, 'one'],
    [2, 'two'],
    [null, null],
  ]);
  batch.retire();
  const usedWhilePinned = memory.pool.usedBytes;
  expect(usedWhilePinned).toBeGreaterThan(0);
  pin.release();
  expect(memory.pool.usedBytes).toBe(0);
});

test('a frame says again what it was told: all types, nulls, and any part of the rows', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(table, fc.nat(), fc.nat(), fc.boolean()), { maxLength: 3 }), (sections) => {
      const buffers: RowBuffer[] = [];
      const sources = sections.map(([{ types, rows }, a, b, isDelete], i) => {
        const buffer = new RowBuffer(memory, types);
        for (const row of rows) write(buffer, types, row);
        buffers.push(buffer);
        // one batch of it: a section never spans two
        const batch = buffer.batches[0] ?? buffer.head();
        const start = a % (batch.rows + 1);
        const end = start + (b % (batch.rows - start + 1));
        const uuid = `0000000${i}-1111-4222-8333-44444444444${i}`;
        return {
          tableUuid: Buffer.from(uuid.replaceAll('-', ''), 'hex'),
          uuid,
          schemaId: i,
          kind: isDelete ? 'delete' : 'insert',
          fieldIds: types.map((_, c) => c + 10),
          vectors: batch.vectors(),
          start,
          end,
        } as const;
      });
      const payload = Buffer.concat(encodeFrame(sources));
      const small = encodeSmall(sources);
      if (small !== null) expect(Buffer.from(small).equals(payload)).toBe(true);
      expect(payload.length % 8).toBe(0);
      const copy = new Uint8Array(new ArrayBuffer(payload.length + 8), 8);
      copy.set(payload);
      const decoded = decodeFrame(copy);
      expect(decoded.length).toBe(sources.length);
      decoded.forEach((section, i) => {
        const source = sources[i]!;
        expect(section).toMatchObject({
          tableUuid: source.uuid,
          schemaId: source.schemaId,
          kind: source.kind,
          fieldIds: source.fieldIds,
          rows: source.end - source.start,
        });
        expect(getRows(section.vectors, 0, section.rows)).toEqual(getRows(source.vectors, source.start, source.end));
      });
      for (const buffer of buffers) buffer.retire();
    }),
    { numRuns: 60 },
  );
});
