/**
 * Question: how fast are 100 small files of one partition merged, beside how a scan of the table gets faster by it?
 * Unit: rows/s of the whole rewrite (files read, sorted, written, swapped in), ms of a scan (median of five).
 * Run: node test/bench/compaction.ts [rows per file]
 */
import { vacuumFull } from '../../src/ingest/vacuum.ts';
import { noPartition, tableDef, TestDatabase } from '../ingest/harness.ts';
import { createTable } from '../ingest/define.ts';

const FILES = 100;
const ROWS = Number(process.argv[2] ?? 5000);

/** ROWS rows with ids from `start`, v not in their order. */
const rowsFrom = (start: number) =>
  Array.from({ length: ROWS }, (_, k) => [start + k, (k * 7919) % 1_000_003, `name of row ${start + k}`] as const);

async function scanMs(db: TestDatabase, name: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    await db.rows(db.table(name), null, 'count(*) AS id, (sum(v) % 1000)::INTEGER AS v, max(name) AS name');
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[2]!;
}

for (const [what, sort] of [
  ['in order of arrival', []],
  ['sorted by v', [{ sourceId: 2, descending: false, nullsFirst: false }]],
] as const) {
  const db = await TestDatabase.create(2 ** 31);
  const { database } = db.tiers;
  await createTable(database, { ...tableDef('bench', noPartition), sort });
  for (let i = 0; i < FILES; i++) {
    const transaction = database.begin(false);
    await db.insert(transaction, db.table('bench'), rowsFrom(i * ROWS));
    await database.committer.commit(transaction);
    await database.commit(db.table('bench'), 'bench');
  }
  const transaction = database.begin(false);
  await db.delete(transaction, db.table('bench'), 'id % 100 = 7');
  await database.committer.commit(transaction);
  await database.commit(db.table('bench'), 'bench');
  const before = await scanMs(db, 'bench');
  const started = performance.now();
  await vacuumFull(database, db.table('bench'));
  const seconds = (performance.now() - started) / 1000;
  const after = await scanMs(db, 'bench');
  const files = db.table('bench').files.length;
  console.log(
    `${FILES} files of ${ROWS} rows, ${what}: ${Math.round((FILES * ROWS) / seconds)} rows/s into ${files} file, scan ${before.toFixed(1)} → ${after.toFixed(1)} ms`,
  );
  await db.destroy();
}
