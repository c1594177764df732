/** Transactions that share one COMMIT (src/storage/disk/grouped-commits.ts). */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { GroupedCommits } from '../../src/storage/disk/grouped-commits.ts';

interface World {
  readonly db: DatabaseSync;
  readonly commits: GroupedCommits;
  /** What was executed outside of statements. */
  readonly executed: string[];
  put(id: number): () => number;
  ids(): number[];
  /** The next COMMIT: fails, or takes place and is not heard of. */
  fault: 'none' | 'failed' | 'unheard';
}

function world(): World {
  const db = new DatabaseSync(':memory:');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)');
  const executed: string[] = [];
  const made: World = {
    db,
    executed,
    fault: 'none',
    commits: new GroupedCommits(
      new Proxy(db, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          if (name !== 'exec') return value.bind(target) as unknown;
          return (sql: string) => {
            executed.push(sql);
            if (sql === 'COMMIT' && made.fault === 'failed') throw new Error('the disk says no');
            target.exec(sql);
            if (sql === 'COMMIT' && made.fault === 'unheard') throw new Error('the disk says nothing');
          };
        },
      }),
    ),
    put: (id) => () => {
      db.prepare('INSERT INTO t VALUES (?)').run(id);
      return id;
    },
    ids: () =>
      db
        .prepare('SELECT id FROM t ORDER BY 1')
        .all()
        .map((row) => row['id'] as number),
  };
  return made;
}
const count = (executed: readonly string[], sql: string): number => executed.filter((each) => each === sql).length;

test('what is asked for in one turn has one COMMIT, and each caller its own answer', async () => {
  const { commits, executed, ids, put } = world();
  expect(await Promise.all([1, 2, 3].map((id) => commits.add(put(id))))).toEqual([1, 2, 3]);
  expect(ids()).toEqual([1, 2, 3]);
  expect(count(executed, 'COMMIT')).toBe(1);
  await commits.add(put(4));
  expect(count(executed, 'COMMIT')).toBe(2);
});

test('G1: a piece that throws is taken back alone and whole; those beside it are there', async () => {
  const { commits, ids, put } = world();
  const failing = (): void => {
    put(2)();
    throw new Error('not this one');
  };
  const answers = await Promise.allSettled([commits.add(put(1)), commits.add(failing), commits.add(put(3))]);
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(ids()).toEqual([1, 3]);
});

test.each([
  ['fails', 'failed', []],
  ['takes place unheard', 'unheard', [1, 2]],
] as const)('G2: a COMMIT that %s is an error for all, and the next transaction works', async (_, fault, left) => {
  const made = world();
  made.fault = fault;
  const answers = await Promise.allSettled([made.commits.add(made.put(1)), made.commits.add(made.put(2))]);
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(made.ids()).toEqual(left);
  made.fault = 'none';
  await made.commits.add(made.put(9));
  expect(made.ids()).toEqual([...left, 9]);
});

test('where SQLite gives up the whole transaction, every caller hears why', async () => {
  const { commits, db, ids, put } = world();
  const givenUp = (): void => {
    db.exec('ROLLBACK');
    throw new Error('database or disk is full');
  };
  const answers = await Promise.allSettled([commits.add(put(1)), commits.add(givenUp), commits.add(put(3))]);
  expect(answers.map((answer) => (answer.status === 'rejected' ? (answer.reason as Error).message : ''))).toEqual(
    Array.from({ length: 3 }, () => 'database or disk is full'),
  );
  expect(ids()).toEqual([]);
});
