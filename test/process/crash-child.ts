/** Writes transactions without end beside flushes, commits and rewrites; says each that was acknowledged. Ended by SIGKILL. */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { vacuumFull } from '../../src/ingest/vacuum.ts';
import { noPartition, tableDef, TestDatabase } from '../ingest/harness.ts';
import { createTable } from '../ingest/define.ts';

const [dataDir, firstText] = process.argv.slice(2);
const ACCOUNTS = 8;
const db = await TestDatabase.create(2 ** 31, dataDir);
const { database } = db.tiers;
if (database.table('public', 'crash') === undefined) {
  await createTable(database, tableDef('crash', noPartition));
  await createTable(database, tableDef('accounts', noPartition));
  const transaction = database.begin(true);
  await db.insert(
    transaction,
    db.table('accounts'),
    Array.from({ length: ACCOUNTS }, (_, i) => [i, 100, null] as const),
  );
  await database.committer.commit(transaction);
}
const rows = db.table('crash');
const accounts = db.table('accounts');

/** Of transaction n: rows n × 1000 + i with v = how many they are; n % 25 = 7 takes more than one frame of the log. */
async function write(n: number): Promise<void> {
  if (database.pressed) await database.admit();
  const transaction = database.begin(true);
  const large = n % 25 === 7;
  const count = large ? 300 : 5;
  const name = large ? 'z'.repeat(40_000) : `n${n}`;
  await db.insert(
    transaction,
    rows,
    Array.from({ length: count }, (_, i) => [n * 1000 + i, count, name] as const),
  );
  if (n % 3 === 0) {
    // a transfer: two rows of another table, in the order of their ids
    const from = n % (ACCOUNTS - 1);
    const values: number[] = [];
    await db.delete(transaction, accounts, `id IN (${from}, ${from + 1})`, (found) => {
      values.length = 0;
      for (const row of [...found].sort()) values.push(Number(row.split('|')[1]));
    });
    await db.insert(transaction, accounts, [
      [from, values[0]! - 1, null],
      [from + 1, values[1]! + 1, null],
    ]);
  }
  // a transaction takes its own predecessor's first row away: replay must find it wherever it was
  const gone = n % 4 === 3 && large === false ? await db.delete(transaction, rows, `id = ${(n - 1) * 1000}`) : 0;
  await database.committer.commit(transaction);
  writeSync(1, `${n} ${gone}\n`);
}

async function session(index: number): Promise<void> {
  for (let n = Number(firstText) + index * 6000; ; n++) {
    try {
      await write(n);
    } catch (error) {
      writeSync(2, `${String(error)}\n${error instanceof Error ? error.stack : ''}`);
      process.exit(3);
    }
  }
}

async function move(): Promise<void> {
  for (let i = 0; ; i++) {
    for (const table of [rows, accounts]) {
      if (i % 6 === 5) await vacuumFull(database, table);
      else if (i % 3 === 2) await database.commit(table, 'test');
      else await database.flush(table, 'test');
    }
    await sleep(5);
  }
}

await Promise.all([session(0), session(1), session(2), move()]);
