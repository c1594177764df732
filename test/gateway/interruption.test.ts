/** A cancel is for the statement of the client, whatever part of it is under way, and for none behind it. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { canceled } from '../../src/errors.ts';
import { Interruption } from '../../src/gateway/interruption.ts';

const settings = { statementTimeoutMs: 0, timeMs: () => 0 } as unknown as ConstructorParameters<typeof Interruption>[1];
const made = (): Interruption => new Interruption(systemClock, settings, () => {}, { waits: null });
/** Waits for a cancel alone. */
const forEver = (interruption: Interruption): Promise<never> => {
  const { promise, reject } = Promise.withResolvers<never>();
  interruption.running(() => reject(canceled()));
  return promise;
};

test('a cancel that comes before a statement within a statement ends it, as the rows of CREATE TABLE AS behind its table', async () => {
  const interruption = made();
  const outer = interruption.guarded(async () => {
    interruption.cancel();
    interruption.begin();
    return interruption.guarded(() => forEver(interruption));
  });
  await expect(outer).rejects.toMatchObject({ code: '57014' });
});

test('a cancel that came too late for its statement is nothing to the next', async () => {
  const interruption = made();
  await interruption.guarded(() => Promise.resolve());
  interruption.cancel();
  interruption.begin();
  let cancels = 0;
  interruption.running(() => cancels++);
  expect(cancels).toBe(0);
});

test('R1: when a wait inside another one is over, a cancel ends the outer one, also one that came in the turn between', async () => {
  for (const isEarly of [false, true]) {
    const interruption = made();
    const statement = interruption.guarded(async () => {
      const { promise: query, reject } = Promise.withResolvers<never>();
      interruption.running(() => reject(canceled()));
      const over = interruption.running(() => {}); // it ends by itself
      if (isEarly) interruption.cancel();
      over();
      if (!isEarly) interruption.cancel();
      return query;
    });
    await expect(statement).rejects.toMatchObject({ code: '57014' });
  }
});
