/** When rows are seen by others (V3). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

test('H4: what is committed is seen once its group is durable, not before; without synchronous_commit at once, but never before what came earlier', async () => {
  const { database } = db.tiers;
  const { committer, log } = database;
  const table = (await createTable(database, tableDef('t', noPartition)))!;
  const put = async (
    id: number,
    synchronous: boolean,
  ): Promise<{ readonly lsn: number; readonly done: Promise<void> }> => {
    const transaction = database.begin(synchronous);
    await db.insert(transaction, table, [[id, id, 'x']]);
    const done = committer.commit(transaction);
    return { lsn: committer.appliedLsn, done };
  };
  const alone = await put(1, false);
  expect(committer.publishedLsn).toBe(alone.lsn);
  await alone.done;
  const durable = await put(2, true);
  expect(committer.publishedLsn).toBe(alone.lsn);
  const seenAt = committer.published(durable.lsn).then(() => log.durableLsn);
  const behind = database.begin(false);
  await db.insert(behind, table, [[3, 3, 'x']]);
  const durableBefore = log.durableLsn;
  const late = committer.commit(behind);
  if (durableBefore < durable.lsn) expect(committer.publishedLsn).toBe(alone.lsn);
  await Promise.all([durable.done, late]);
  expect(await seenAt).toBeGreaterThanOrEqual(durable.lsn);
  expect(await db.rows(table)).toEqual(['1|1|x', '2|2|x', '3|3|x']);
});
