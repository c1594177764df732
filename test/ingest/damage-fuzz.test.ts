/**
 * A byte of any file of a data directory and its warehouse changes while the server is down: the next start has the right rows, or
 * says what is wrong and names the file; never other rows, never a hang.
 * DAMAGE_SEEDS: how many files are harmed; DAMAGE_SEED: one of them alone; DAMAGE_FILE: such whose paths have this.
 */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SqlError } from '../../src/errors.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable } from './define.ts';

const one = process.env['DAMAGE_SEED'];
const SEEDS =
  one === undefined ? Array.from({ length: Number(process.env['DAMAGE_SEEDS'] ?? 4) }, (_, i) => i + 1) : [Number(one)];
const TABLES = ['a', 'b'];

let db: TestDatabase;
let backup: string;
const expected = new Map<string, readonly string[]>();

/** Rows of a keyed table in Iceberg, on disk and in the log, with deletes in each. */
async function fill(name: string): Promise<void> {
  const { database } = db.tiers;
  await createTable(database, tableDef(name, noPartition));
  const table = db.table(name);
  const write = (from: number, to: number, v: number): Promise<void> =>
    db.transact((transaction) =>
      db.insert(
        transaction,
        table,
        Array.from({ length: to - from }, (_, i) => [from + i, v, `n${from + i}`] as const),
        true,
      ),
    );
  const remove = (where: string): Promise<void> =>
    db.transact(async (transaction) => void (await db.delete(transaction, table, where)));
  await write(0, 50, 1);
  await database.commit(table, 'test');
  await remove('id < 5');
  await database.commit(table, 'test');
  await write(40, 60, 2);
  await database.flush(table, 'test');
  await remove('id IN (10, 45)');
  await write(55, 70, 3);
  expected.set(name, await db.rows(table));
}

beforeAll(async () => {
  db = await TestDatabase.create();
  for (const name of TABLES) await fill(name);
  await db.close();
  backup = `${db.dataDir}-backup`;
  cpSync(db.dataDir, backup, { recursive: true });
}, 120_000);
afterAll(() => {
  rmSync(backup, { recursive: true });
  rmSync(db.dataDir, { recursive: true });
});

/** Numbers in [0, below), the same for a seed. */
function randomOf(seed: number): (below: number) => number {
  let state = (seed * 0x9e37_79b9) >>> 0;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x297a_2d39) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function files(): string[] {
  return readdirSync(db.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .filter(({ name }) => name !== 'lock')
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => path.includes(process.env['DAMAGE_FILE'] ?? ''))
    .sort();
}

const ofAFile = (error: unknown): boolean =>
  error instanceof SqlError && ['XX001', '58030', '0A000', '55000'].includes(error.code);

test.each(SEEDS)(
  'damage %i: a start has the right rows, or says what is wrong and where',
  async (seed) => {
    const random = randomOf(seed);
    const all = files();
    const path = all[random(all.length)]!;
    const bytes = readFileSync(path);
    const at = random(bytes.length);
    bytes[at] = bytes[at]! ^ (1 << random(8));
    writeFileSync(path, bytes);
    const what = `${path.slice(db.dataDir.length + 1)} byte ${at} of ${bytes.length}`;
    try {
      try {
        await db.open();
      } catch (error) {
        expect(ofAFile(error), `${what}: ${String(error)}`).toBe(true);
        expect((error as SqlError).message + String((error as SqlError).fields.detail), what).toContain(basename(path));
        return;
      }
      for (const name of TABLES) {
        const { detached } = db.table(name);
        if (detached !== null) expect(detached.message, what).toMatch(/"|LSN|operations/);
        if (detached !== null) continue;
        const rows = await db.rows(db.table(name)).catch((error: unknown) => {
          expect(ofAFile(error), `${what}: ${String(error)}`).toBe(true);
          return null;
        });
        if (rows !== null) expect(rows, what).toEqual(expected.get(name));
      }
    } finally {
      await db.close();
      rmSync(db.dataDir, { recursive: true });
      cpSync(backup, db.dataDir, { recursive: true });
    }
  },
  60_000,
);
