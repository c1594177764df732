/** Rows that a cursor puts aside come back as they were, wherever they lie. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SqlError, SqlState } from '../../src/errors.ts';
import { RowSpool, rowsIn, MEMORY_BYTES, type SpoolFiles } from '../../src/gateway/row-spool.ts';
import { GrowingRoom } from '../../src/storage/disk/growing-room.ts';
import { dataRow } from '../wire/fake-gateway.ts';

/** A file in memory, on a disk with room for so many bytes. */
function files(roomBytes = Number.POSITIVE_INFINITY): SpoolFiles & { bytes: Uint8Array; closed: number; kept: number } {
  const file = { bytes: new Uint8Array(16 * 1024 * 1024), closed: 0, kept: 0 };
  let reserved = 0;
  const books = {
    reserve: async (bytes: number) => {
      if (reserved + file.kept + bytes > roomBytes) throw new SqlError(SqlState.diskFull, 'no room');
      reserved += bytes;
    },
    reserved: (change: number) => void (reserved += change),
    kept: (change: number) => void (file.kept += change),
  };
  const engine = {
    spoolWrite: async ({ offset, bytes }: { offset: number; bytes: Uint8Array }) => file.bytes.set(bytes, offset),
    spoolRead: async ({ offset, length }: { offset: number; length: number }) =>
      file.bytes.slice(offset, offset + length),
    spoolClose: async () => void file.closed++,
  } as SpoolFiles['engine'];
  return Object.assign(file, { engine, room: () => new GrowingRoom(books, 1 << 20) });
}

test('any rows come back in any order, and memory holds few of them', async () => {
  const anyRow = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.constantFrom(1, 100, 30_000));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(anyRow, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 20 }),
      fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 10 }),
      async (chunks, reads) => {
        const store = files();
        const spool = new RowSpool(store);
        const all: string[] = [];
        for (const chunk of chunks) {
          const texts = chunk.map(([digit, length]) => String(digit).repeat(length));
          all.push(...texts);
          await spool.append(Buffer.concat(texts.map(dataRow)), texts.length);
          expect(spool.heldBytes).toBeLessThanOrEqual(MEMORY_BYTES + 8 * 30_016);
        }
        expect(spool.rows).toBe(all.length);
        for (const [a, b] of reads) {
          const from = a % all.length;
          const count = b % (all.length - from + 1);
          const parts: Uint8Array[] = [];
          let rows = 0;
          await spool.send(from, count, (messages, given) => {
            parts.push(new Uint8Array(messages));
            expect(rowsIn(messages)).toBe(given);
            rows += given;
          });
          expect(rows).toBe(count);
          expect(Buffer.concat(parts)).toEqual(Buffer.concat(all.slice(from, from + count).map(dataRow)));
        }
        await spool.close();
        expect(store.closed).toBeLessThanOrEqual(1);
        expect(store.kept).toBe(0);
      },
    ),
    { numRuns: 50 },
  );
});

test('D6: rows that find no room on the disk are 53100 before anything of them is written, and those before stay readable', async () => {
  const store = files(2 << 20);
  const spool = new RowSpool(store);
  const row = dataRow('x'.repeat(100_000));
  const fill = async (): Promise<never> => {
    for (;;) await spool.append(row, 1);
  };
  await expect(fill()).rejects.toMatchObject({ code: '53100' });
  expect(store.kept).toBeGreaterThan(1 << 20);
  expect(store.kept).toBeLessThanOrEqual(2 << 20);
  let first = 0;
  await spool.send(0, 1, (messages) => void (first = messages.length));
  expect(first).toBe(row.length);
  await spool.close();
  expect(store.kept).toBe(0);
});
