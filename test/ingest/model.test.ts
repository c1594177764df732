import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { vacuum, vacuumFull } from '../../src/ingest/vacuum.ts';
import { noPartition, tableDef, TestDatabase, threeBuckets } from './harness.ts';
import { createTable, dropTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 600_000);
afterAll(() => db.destroy());

type Step =
  | { readonly kind: 'insert'; readonly ids: readonly number[] }
  | { readonly kind: 'upsert'; readonly ids: readonly number[] }
  | { readonly kind: 'delete'; readonly below: number; readonly above: number }
  | { readonly kind: 'rollback'; readonly ids: readonly number[] }
  | { readonly kind: 'flush' | 'commit' | 'restart' | 'vacuum' | 'vacuum full' };

const ids = fc.uniqueArray(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 25 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('insert' as const), ids }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('upsert' as const), ids }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('delete' as const),
      above: fc.integer({ min: 0, max: 60 }),
      below: fc.integer({ min: 0, max: 60 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const), ids }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('vacuum full' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('vacuum' as const) }) },
);

let made = 0;
/** Carries the steps out beside a plain map; after each the engine must see the map's rows. */
async function run(steps: readonly Step[], partitioned: boolean, sorted: boolean): Promise<void> {
  const name = `t${made++}`;
  const partition = partitioned ? threeBuckets : noPartition;
  const sort = sorted ? [{ sourceId: 2, descending: true, nullsFirst: true }] : [];
  await createTable(db.tiers.database, { ...tableDef(name, partition), sort });
  const model = new Map<number, string>();
  let counter = 0;
  for (const each of steps) {
    const { database } = db.tiers;
    const table = db.table(name);
    switch (each.kind) {
      case 'flush':
        await database.flush(table, 'test');
        break;
      case 'commit':
        await database.commit(table, 'test');
        break;
      case 'restart':
        await db.restart();
        break;
      case 'vacuum':
        await vacuum(database, table);
        break;
      case 'vacuum full':
        await vacuumFull(database, table);
        break;
      default: {
        const transaction = database.begin(true);
        if (each.kind === 'delete') {
          expect(await db.delete(transaction, table, `id >= ${each.above} AND id <= ${each.below}`)).toBe(
            [...model.keys()].filter((id) => id >= each.above && id <= each.below).length,
          );
          await database.committer.commit(transaction);
          for (const id of [...model.keys()]) if (id >= each.above && id <= each.below) model.delete(id);
          break;
        }
        counter++;
        const rows = each.ids.map((id) => [id, counter, id % 5 === 0 ? null : `n${id}-${counter}`] as const);
        const clash = each.kind !== 'upsert' && each.ids.some((id) => model.has(id));
        const insert = db.insert(transaction, table, rows, each.kind === 'upsert');
        if (clash) {
          await expect(insert).rejects.toMatchObject({ code: '23505' });
          transaction.finish();
        } else {
          await insert;
          if (each.kind === 'rollback') transaction.finish();
          else {
            await database.committer.commit(transaction);
            for (const [id, v, text] of rows) model.set(id, `${id}|${v}|${text ?? 'null'}`);
          }
        }
      }
    }
    expect(await db.rows(db.table(name))).toEqual([...model].sort(([a], [b]) => a - b).map(([, row]) => row));
  }
  await dropTable(db.tiers.database, db.table(name));
}

test('any order of writes, flushes, commits, rewrites and restarts leaves exactly the rows that a plain map holds', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), fc.boolean(), fc.boolean(), run), {
    numRuns: Number(process.env['MODEL_RUNS'] ?? 12),
  });
}, 600_000);
