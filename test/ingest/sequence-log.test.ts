/** What PostgreSQL's `log_cnt` counts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SequenceLog } from '../../src/ingest/sequence-log.ts';

test('values drawn at one go leave the same as one after another, up to the limit', () => {
  const portions = fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(portions, fc.integer({ min: 0, max: 60 }), fc.boolean(), (counts, more, isUp) => {
      const increment = isUp ? 3n : -3n;
      const limit = increment * BigInt(counts.reduce((sum, count) => sum + count, more));
      const restOf = (value: bigint): bigint => (limit - value) / increment;
      const [together, single] = [new SequenceLog(undefined), new SequenceLog(undefined)];
      let last = 0n;
      for (const count of counts) {
        for (let i = 1; i <= count; i++) {
          const value = last + increment * BigInt(i);
          single.fetched(value, 1, restOf(value));
        }
        last += increment * BigInt(count);
        together.ran(count, last, increment, restOf);
        expect(together.state).toEqual(single.state);
      }
    }),
  );
});

test('a checkpoint writes ahead anew at the next value, a definition that goes on does not', () => {
  const log = new SequenceLog(undefined);
  log.fetched(1n, 1, 100n);
  log.fetched(2n, 1, 99n);
  const going = new SequenceLog(log.state);
  going.fetched(3n, 1, 98n);
  expect(going.state).toEqual({ from: '1', fetches: 2, left: 30 });
  log.checkpointed();
  log.fetched(3n, 1, 98n);
  expect(log.state).toEqual({ from: '3', fetches: 0, left: 32 });
});
