/**
 * Question: what do deletes of random rows, spread over many data files, cost per commit?
 * Unit: ms of one commit, delete files that it adds, delete files alive after it.
 * Run: node test/bench/delete-files.ts [data files] [deletes per commit] [commits]
 */
import { TestDatabase, tableDef } from '../ingest/harness.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { currentSnapshot } from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { tableReader } from '../../src/storage/iceberg/table-reader.ts';
import { createTable, dropTable } from '../ingest/define.ts';

const FILES = Number(process.argv[2] ?? 1000);
const DELETES = Number(process.argv[3] ?? 10_000);
const ROWS = 200;
const COMMITS = Number(process.argv[4] ?? 10);
/** Partitions give many files with one commit: the table is made of rounds of as many. */
const BUCKETS = 100;

const db = await TestDatabase.create(2 ** 31);
const { database } = db.tiers;
const partition = [{ sourceId: 2, fieldId: 1000, name: 'v_identity', transform: 'identity' as const, arg: 0 }] as const;
const reader = tableReader(localStore(), toLocalPath);

for (const [what, partitions] of [
  ['no partition', 0],
  [`${BUCKETS} partitions`, BUCKETS],
] as const) {
  const table = (await createTable(database, tableDef(`b${partitions}`, partitions === 0 ? [] : partition)))!;
  const perCommit = Math.max(1, partitions);
  let id = 0;
  for (let made = 0; made < FILES; made += perCommit) {
    const transaction = database.begin(false);
    const rows = Array.from({ length: ROWS * perCommit }, () => [id, id++ % perCommit, 'x'] as const);
    await db.insert(transaction, table, rows);
    await database.committer.commit(transaction);
    await database.commit(table, 'bench');
  }
  let random = 42;
  for (let i = 0; i < COMMITS; i++) {
    random = (Math.imul(random, 48_271) >>> 0) % 2_147_483_647;
    const transaction = database.begin(false);
    await db.delete(transaction, table, `hash(id + ${random}) % ${id} < ${DELETES}`);
    await database.committer.commit(transaction);
    await database.flush(table, 'bench');
    const started = performance.now();
    await database.commit(table, 'bench');
    const ms = performance.now() - started;
    const summary = currentSnapshot(await reader.metadata(table.metadataLocation))!.summary!;
    console.log(
      `${what}, ${FILES} files, commit ${i + 1}: ${summary['added-position-deletes']} positions in ${summary['added-delete-files']} delete files, ${summary['total-delete-files']} alive, ${ms.toFixed(0)} ms`,
    );
  }
  await dropTable(database, table);
}
await db.destroy();
