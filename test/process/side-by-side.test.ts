/** A few things at a time (src/side-by-side.ts). */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sideBySide } from '../../src/side-by-side.ts';

test('work is begun in order, at most the limit is under way, results keep the order, and a failure waits for what was begun', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ turns: fc.nat(4), fails: fc.boolean() }), { maxLength: 12 }),
      fc.integer({ min: 1, max: 4 }),
      async (items, limit) => {
        const begun: number[] = [];
        let running = 0;
        let most = 0;
        const all = sideBySide(items, limit, async ({ turns, fails }, index) => {
          begun.push(index);
          most = Math.max(most, ++running);
          for (let i = 0; i < turns; i++) await Promise.resolve();
          running--;
          if (fails) throw new Error(String(index));
          return index * 2;
        });
        const result = await all.then(
          (values) => values,
          (error: Error) => error,
        );
        expect(running).toBe(0);
        expect(most).toBeLessThanOrEqual(limit);
        expect(begun).toEqual(begun.map((_, index) => index));
        const failing = items.map(({ fails }, index) => (fails ? index : -1)).filter((index) => index >= 0);
        if (failing.length === 0) expect(result).toEqual(items.map((_, index) => index * 2));
        else expect(failing).toContain(Number((result as Error).message));
      },
    ),
  );
});
