/** A sequence between the writers and the catalog: what leaves it, what is stored, what a crash takes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Sequence, type SequenceValue } from '../../src/ingest/sequence.ts';
import { alteredSequence, newSequence } from '../../src/ingest/sequence-rules.ts';
import type { SequenceOptions, StoredSequence } from '../../src/sequence-def.ts';

/** A catalog whose writes take effect when the test says so. */
class Catalog {
  held: StoredSequence;
  readonly #waiting: (() => void)[] = [];

  constructor(options: SequenceOptions) {
    const def = newSequence({ oid: 1, schema: 'public', name: 's', owner: null }, options);
    this.held = { def, state: { last: def.start, isCalled: false } };
  }

  open(): Sequence {
    return new Sequence(this.held, (stored) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(() => {
        this.held = stored;
        resolve();
      });
      return promise;
    });
  }

  /** All writes asked for, in their order. */
  async write(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      for (const done of this.#waiting.splice(0)) {
        done();
        quiet = 0;
      }
      await Promise.resolve();
      await Promise.resolve();
    }
  }

  /** The process is gone, and what it had asked for with it. */
  lose(): void {
    this.#waiting.length = 0;
  }
}

test('M-5: a value that has left the server is never given again, whenever it crashes', async () => {
  const command = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ kind: fc.constant('next' as const), count: fc.integer({ min: 1, max: 700 }) }),
    },
    { weight: 4, arbitrary: fc.constant({ kind: 'write' as const }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'crash' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'stop' as const }) },
  );
  const options = fc.record({
    increment: fc.constantFrom(1n, 5n, -1n, -7n),
    start: fc.constantFrom(1n, -1n, 2n ** 53n - 900n, -(2n ** 53n) + 300n),
    min: fc.constant(-(2n ** 62n)),
    max: fc.constant(2n ** 62n),
  });
  await fc.assert(
    fc.asyncProperty(options, fc.array(command, { maxLength: 40 }), async (given, commands) => {
      const catalog = new Catalog(given);
      let sequence = catalog.open();
      const left = new Set<bigint>();
      let waiting: { value: bigint; saving: Promise<void> | null; isFree: boolean }[] = [];
      const leave = (): void => {
        for (const { value } of waiting.filter(({ isFree }) => isFree)) left.add(value);
        waiting = waiting.filter(({ isFree }) => !isFree);
      };
      for (const step of commands) {
        if (step.kind === 'next')
          for (let i = 0; i < step.count; i++) {
            const value = BigInt(sequence.next());
            expect(left.has(value), `${value} has left before`).toBe(false);
            expect(waiting.some((each) => each.value === value)).toBe(false);
            const { saving } = sequence;
            const one = { value, saving, isFree: saving === null };
            if (saving !== null) void saving.then(() => (one.isFree = true));
            waiting.push(one);
            if (one.isFree) leave();
          }
        else if (step.kind === 'write') await catalog.write();
        else {
          if (step.kind === 'stop') {
            const closing = sequence.close();
            await catalog.write();
            await closing;
          }
          leave();
          waiting = [];
          catalog.lose();
          sequence = catalog.open();
        }
        leave();
      }
    }),
    { numRuns: 60 },
  );
});

test('after a clean stop the next value follows the last one', async () => {
  const catalog = new Catalog({});
  const first = catalog.open();
  const values: SequenceValue[] = [first.next(), first.next()];
  const closing = first.close();
  await catalog.write();
  await closing;
  const logged = { from: '1', fetches: 1, left: 31 };
  expect(catalog.held.state).toEqual({ last: '2', isCalled: true, logged });
  values.push(catalog.open().next());
  expect(values).toEqual([1, 2, 3]);
});

test('a value that is asked for after the stop has begun waits for a mark of its own', async () => {
  const catalog = new Catalog({});
  const sequence = catalog.open();
  sequence.next();
  await catalog.write();
  const closing = sequence.close();
  await catalog.write();
  await closing;
  expect(sequence.next()).toBe(2);
  expect(sequence.saving).not.toBeNull();
});

test('a writer waits for the catalog once a block, not once a value', async () => {
  const catalog = new Catalog({});
  const sequence = catalog.open();
  let waits = 0;
  for (let i = 0; i < 10_000; i++) {
    sequence.next();
    if (sequence.saving !== null) waits++;
    await catalog.write();
  }
  expect(waits).toBe(1); // for the first block; the others were asked for in time
});

test('the values that a failed write of the catalog was to cover do not leave, and the next ask again', async () => {
  const def = newSequence({ oid: 1, schema: 'public', name: 's', owner: null }, {});
  let fails = true;
  const stored: StoredSequence[] = [];
  const sequence = new Sequence({ def, state: { last: '1', isCalled: false } }, (state) => {
    stored.push(state);
    return fails ? Promise.reject(new Error('no')) : Promise.resolve();
  });
  sequence.next();
  await expect(sequence.saving).rejects.toThrow('no');
  fails = false;
  expect(sequence.next()).toBe(2);
  expect(sequence.saving).not.toBeNull();
  await sequence.saving;
  expect(stored.at(-1)!.state).toEqual({ last: '1001', isCalled: true });
});

test('values beyond 2^53 are exact', async () => {
  const catalog = new Catalog({ start: 2n ** 63n - 3n, max: 2n ** 63n - 1n });
  const sequence = catalog.open();
  expect([sequence.next(), sequence.next(), sequence.next()]).toEqual([2n ** 63n - 3n, 2n ** 63n - 2n, 2n ** 63n - 1n]);
  expect(() => sequence.next()).toThrow('nextval: reached maximum value of sequence "s" (9223372036854775807)');
});

test('CYCLE begins again at the other end', () => {
  const sequence = new Catalog({ max: 3n, cycle: true }).open();
  expect(Array.from({ length: 7 }, () => sequence.next())).toEqual([1, 2, 3, 1, 2, 3, 1]);
});

test('ALTER SEQUENCE keeps where it was, RESTART goes back', () => {
  const { held } = new Catalog({ start: 10n });
  const moved: StoredSequence = { ...held, state: { last: '42', isCalled: true } };
  expect(alteredSequence(moved, { increment: 3n }).state).toEqual(moved.state);
  expect(alteredSequence(moved, { restart: null }).state).toEqual({ last: '10', isCalled: false });
  expect(alteredSequence(moved, { typeOid: 23 }).def.max).toBe('2147483647');
  const small: StoredSequence = { ...held, def: { ...held.def, typeOid: 21, min: '-32768', max: '32767' } };
  expect(alteredSequence(small, { typeOid: 23 }).def).toMatchObject({ min: '-2147483648', max: '2147483647' });
});
