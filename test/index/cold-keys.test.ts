/** Keys of rows in files, through writes and restarts, whether the index covers the files or not. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveCold } from '../../src/ingest/resolver.ts';
import { RowWriter } from '../../src/ingest/row-writer.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import type { Table } from '../../src/storage/table.ts';
import type { PgType, TableDef } from '../../src/table-def.ts';
import { numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { UTC } from '../../src/types/time-zone.ts';
import { noPartition, tableDef, TestDatabase } from '../ingest/harness.ts';
import { createTable, dropTable } from '../ingest/define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
});
afterAll(() => db.destroy());

/** id, v, name as in the harness; the key's columns and their types vary. */
function defOf(name: string, key: readonly number[], types: Readonly<Record<number, PgType>> = {}): TableDef {
  const base = tableDef(name, noPartition);
  const columns = base.columns.map((column) => ({
    ...column,
    type: types[column.fieldId] ?? column.type,
    notNull: key.includes(column.fieldId),
  }));
  return { ...base, columns, key };
}

type Row = readonly [number, number, string];
const uuidOf = (n: number): string =>
  `${((n * 2_654_435_761) >>> 0).toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
const CASES: readonly (readonly [string, TableDef, (n: number) => Row])[] = [
  ['bigint', defOf('k_bigint', [1]), (n) => [n * 7919, n, `name ${n}`]],
  ['text', defOf('k_text', [3]), (n) => [n, n, `${n * 7919} is a key of some length`]],
  ['uuid', defOf('k_uuid', [3], { 3: { oid: Oid.uuid, typmod: -1 } }), (n) => [n, n, uuidOf(n)]],
  ['(integer, text)', defOf('k_both', [2, 3]), (n) => [n, n % 7, `key ${Math.floor(n / 7)}`]],
  ['(bigint, integer)', defOf('k_numbers', [1, 2]), (n) => [n % 11, n, 'x']],
  ['double precision', defOf('k_float', [2], { 2: { oid: Oid.float8, typmod: -1 } }), (n) => [n, n / 3, 'x']],
  [
    'numeric',
    defOf('k_numeric', [2], { 2: { oid: Oid.numeric, typmod: numericTypmod(12, 2) } }),
    (n) => [n, n / 4, 'x'],
  ],
];

async function write(table: Table, rows: readonly Row[], upsert = false): Promise<void> {
  const transaction = db.tiers.database.begin(true);
  try {
    await db.insert(transaction, table, rows, upsert);
    await db.tiers.database.committer.commit(transaction);
  } catch (error) {
    transaction.finish();
    throw error;
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

async function covered(table: Table): Promise<void> {
  while (table.files.some((file) => !file.indexed)) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Which of the rows' keys live in files, by the resolver. */
async function present(table: Table, rows: readonly Row[]): Promise<number[]> {
  const whole = new RowBuffer(db.context.memory, table.physicals);
  const writer = new RowWriter(table.def, table.fieldIds, whole, { timeZone: UTC, now: () => 0 });
  for (const row of rows) {
    row.forEach((value, i) => writer.text(i, String(value)));
    writer.endRow();
  }
  const keys = new RowBuffer(db.context.memory, table.keyPhysicals);
  for (const batch of whole.batches)
    keys.append(
      table.keyColumns.map((column) => batch.columns[column]!.vector()),
      0,
      batch.rows,
    );
  const found: number[] = [];
  await resolveCold(db.tiers.database.engine, table, keys, (row) => void found.push(row));
  whole.retire();
  keys.retire();
  return found.toSorted((a, b) => a - b);
}

const tableOf = (def: TableDef): Table => db.table(def.name);
const some = (rowOf: (n: number) => Row, from: number, to: number): Row[] => range(from, to).map(rowOf);

/** Of 1,500 keys the first 1,200 are in files, and cannot be written again. */
async function check(): Promise<void> {
  for (const [type, def, rowOf] of CASES) {
    expect(await present(tableOf(def), some(rowOf, 0, 1500)), type).toEqual(range(0, 1200));
    for (const n of [3, 777, 1199])
      await expect(write(tableOf(def), [rowOf(n)]), type).rejects.toMatchObject({ code: '23505' });
  }
}

test('a key of any type is found in files on disk and in Iceberg, covered by the index or not', async () => {
  for (const [, def, rowOf] of CASES) {
    const table = (await createTable(db.tiers.database, def))!;
    await write(table, some(rowOf, 0, 500));
    await db.tiers.database.flush(table, 'test');
    await write(table, some(rowOf, 500, 1000));
    await db.tiers.database.commit(table, 'test');
    await write(table, some(rowOf, 1000, 1200));
    await db.tiers.database.flush(table, 'test');
  }
  await check(); // as it happens to be
  for (const [, def] of CASES) await covered(tableOf(def));
  await check();
  for (const [, def] of CASES) for (const file of tableOf(def).files) file.indexed = false;
  await check(); // by the semi-join alone
});

test('a restart finds the index as it was, and builds it again where its folder is gone', async () => {
  await db.restart();
  for (const [type, def] of CASES)
    expect(
      tableOf(def).files.filter((file) => !file.indexed),
      type,
    ).toEqual([]);
  await check();
  await db.close();
  for (const name of readdirSync(join(db.dataDir, 'index')))
    if (name !== 'secret') rmSync(join(db.dataDir, 'index', name), { recursive: true });
  await db.open();
  await check();
  for (const [, def] of CASES) await covered(tableOf(def));
  await check();
});

test('an upsert takes the old row out of whatever file has it', async () => {
  for (const [type, def, rowOf] of CASES) {
    const table = tableOf(def);
    await write(table, some(rowOf, 400, 1300), true);
    expect(await present(table, some(rowOf, 0, 1500)), type).toEqual(range(0, 400));
    await db.tiers.database.commit(table, 'test');
    await covered(table);
    expect(await present(table, some(rowOf, 0, 1500)), type).toEqual(range(0, 1300));
    expect((await db.rows(table, null, "id, 1::INTEGER, 'x'")).length, type).toBe(1300);
  }
});

test('H9: without its folder, and with damaged runs, the index is built again in the background, and no key is missed meanwhile', async () => {
  const table = (await createTable(db.tiers.database, defOf('damaged', [1])))!;
  const rows = (from: number, to: number): Row[] => range(from, to).map((n) => [n * 3, n, 'x']);
  for (let i = 0; i < 3; i++) {
    await write(table, rows(i * 1000, (i + 1) * 1000));
    await db.tiers.database.flush(table, 'test');
  }
  await covered(table);
  const folder = join(db.dataDir, 'index', table.def.uuid);
  // Pages become zeros under the running server.
  for (const name of readdirSync(folder)) writeFileSync(join(folder, name), new Uint8Array(8192));
  expect(await present(table, rows(0, 4000))).toEqual(range(0, 3000));
  await db.close();
  rmSync(join(db.dataDir, 'index'), { recursive: true });
  await db.open();
  const again = db.table('damaged');
  expect(await present(again, rows(0, 4000))).toEqual(range(0, 3000));
  await covered(again);
  expect(await present(again, rows(0, 4000))).toEqual(range(0, 3000));
});

test('keys are found while files move from disk to Iceberg and the index is being built', async () => {
  const table = (await createTable(db.tiers.database, defOf('moving', [3])))!;
  const rowOf = (n: number): Row => [n, n, `key ${n}`];
  let written = 0;
  let stop = false;
  const move = async (): Promise<void> => {
    while (!stop) {
      await db.tiers.database.commit(table, 'test');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const moving = move();
  for (let round = 0; round < 30; round++) {
    await write(table, range(written, written + 50).map(rowOf));
    written += 50;
    if (round % 3 === 0) await db.tiers.database.flush(table, 'test');
    const n = (round * 7919) % written;
    await expect(write(table, [rowOf(n)])).rejects.toMatchObject({ code: '23505' });
  }
  stop = true;
  await moving;
  await db.tiers.database.commit(table, 'test');
  expect(await present(table, range(0, written + 100).map(rowOf))).toEqual(range(0, written));
}, 120_000);

test('a dropped table takes its runs with it', async () => {
  const table = (await createTable(db.tiers.database, defOf('dropped', [1])))!;
  await write(table, [[1, 1, 'x']]);
  await db.tiers.database.flush(table, 'test');
  await covered(table);
  expect(readdirSync(join(db.dataDir, 'index'))).toContain(table.def.uuid);
  await dropTable(db.tiers.database, table);
  while (readdirSync(join(db.dataDir, 'index')).includes(table.def.uuid))
    await new Promise((resolve) => setTimeout(resolve, 10));
});
