/** CREATE INDEX and DROP INDEX outside blocks wait for others, and what a cancel does to that. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createIndex, dropIndex } from '../../src/ingest/define-index.ts';
import { uncancelled, type Running } from '../../src/running.ts';
import type { IndexShape } from '../../src/table-def.ts';
import { createSchema } from './define.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const index: IndexShape = {
  columns: [{ fieldId: 2, descending: false, nullsFirst: false }],
  included: [],
  method: 'hash',
  options: {},
};

test('CREATE INDEX that waits for the lane of its table ends with 57014 when it is cancelled, keeps no other definition waiting, and makes no index later', async () => {
  const { database } = db.tiers;
  const table = await db.newTable();
  const draft = { tableUuid: table.def.uuid, name: 'by_v', index };
  const held = Promise.withResolvers<void>();
  const holding = database.inLane(table, () => held.promise);
  let cancel = (): void => {};
  const running: Running = (given) => {
    cancel = given;
    return () => {};
  };
  const made = createIndex(database, draft, false, running);
  made.catch(() => undefined);
  await turn();
  cancel();
  await expect(made).rejects.toMatchObject({ code: '57014' });
  await createSchema(database, 'meanwhile');
  held.resolve();
  await holding;
  await database.inLane(table, () => Promise.resolve());
  expect(table.def.indexes).toEqual([]);
  expect(await createIndex(database, draft, false, uncancelled)).toBe('by_v');

  const again = Promise.withResolvers<void>();
  const holdingAgain = database.inLane(table, () => again.promise);
  const dropped = dropIndex(database, 'public', 'by_v', running);
  dropped.catch(() => undefined);
  await turn();
  cancel();
  await expect(dropped).rejects.toMatchObject({ code: '57014' });
  again.resolve();
  await holdingAgain;
  await database.inLane(table, () => Promise.resolve());
  expect(table.def.indexes.map(({ name }) => name)).toEqual(['by_v']);
});
