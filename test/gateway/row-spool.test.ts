/** Rows that a cursor puts aside come back as they were, wherever they lie. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowSpool, rowsIn, MEMORY_BYTES, type SpoolFiles } from '../../src/gateway/row-spool.ts';
import { dataRow } from '../wire/fake-gateway.ts';

/** A file in memory. */
function files(): SpoolFiles & { bytes: Uint8Array; closed: number } {
  const file = { bytes: new Uint8Array(16 * 1024 * 1024), closed: 0 };
  const engine = {
    spoolWrite: async ({ offset, bytes }: { offset: number; bytes: Uint8Array }) => file.bytes.set(bytes, offset),
    spoolRead: async ({ offset, length }: { offset: number; length: number }) =>
      file.bytes.slice(offset, offset + length),
    spoolClose: async () => void file.closed++,
  } as SpoolFiles['engine'];
  return Object.assign(file, { engine, admit: () => {} });
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
      },
    ),
    { numRuns: 50 },
  );
});
