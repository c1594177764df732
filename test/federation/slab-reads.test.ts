/** H5: when a statement has read what it reads of memory, others may have that memory, however long it goes on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEngine } from '../../src/federation/engine.ts';
import type { EngineApi } from '../../src/federation/engine-api.ts';
import type { NextChunk, RowSource } from '../../src/federation/row-source.ts';
import { hasQueryInExpression } from '../../src/federation/expression-queries.ts';
import { SlabReads } from '../../src/federation/slab-reads.ts';
import type { TableScan } from '../../src/storage/scan-spec.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { tableDef, TestSlabs, vectorOf } from './units.ts';

const types = [Oid.int8, Oid.text].map((oid) => ({ oid, typmod: -1 }));
const def = tableDef(types);
let folder: string;
let engine: EngineApi;
let scans: readonly TableScan[];
let nextCursor = 1;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'arka-reads-'));
  engine = createEngine();
  await engine.open({ memoryLimitBytes: 200e6, threads: 2, tempDir: join(folder, 'tmp') });
  const slabs = new TestSlabs((slab) => engine.addSlab(slab));
  const rows = 50_000;
  const vectors = [
    vectorOf(
      types[0]!,
      Array.from({ length: rows }, (_, i) => BigInt(i)),
    ),
    vectorOf(
      types[1]!,
      Array.from({ length: rows }, (_, i) => `a text of some length ${i}`),
    ),
  ];
  const memory = slabs.unit(1, [1, 2], [{ rows, vectors }]);
  scans = [{ placeholder: 't', def, memory: [memory], files: [], positions: false }];
});
afterAll(async () => {
  await engine.shutdown(null);
  rmSync(folder, { recursive: true, force: true });
});

test('what DuckDB makes of a window, reading its input twice, finds the rows', async () => {
  const columns = [20, 20].map((typeOid) => ({ typeOid, typmod: -1, format: 0 as const }));
  const cursor = nextCursor++;
  const sql = 'SELECT c0, count(*) OVER (PARTITION BY c0 % 4) FROM t WHERE c0 < 8';
  await engine.query({ cursor, sql, scans, columns, formats: [], output: 'rows', timeZone: 'UTC' });
  let rows = 0;
  for (let done = false; !done;) {
    const chunk = await engine.next(cursor);
    ({ done } = chunk);
    rows += chunk.rows;
  }
  expect(rows).toBe(8);
});

/** Opens it and takes some rows. */
async function open(sql: string): Promise<number> {
  const cursor = nextCursor++;
  const named = /\bt\b/.test(sql) ? scans : [];
  const request = {
    cursor,
    sql,
    scans: named,
    columns: null,
    formats: [],
    output: 'vectors',
    timeZone: 'UTC',
  } as const;
  await engine.query(request);
  expect((await engine.next(cursor)).done).toBe(false);
  return cursor;
}

async function hasRead(cursor: number): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 200));
  return await Promise.race([engine.slabsRead(cursor).then(() => true), later]);
}

test.each([
  [
    'rows in memory that are joined with many',
    'SELECT r.range, u.c1 FROM range(1000000) r JOIN t u ON u.c0 = r.range % 7',
  ],
  [
    'a table that is named twice',
    'SELECT r.range FROM range(1000000) r, (SELECT max(a.c0) FROM t a JOIN t b USING (c0))',
  ],
  ['no table', 'SELECT r.range FROM range(1000000) r'],
])('a statement that has read %s needs no slab any more, though most of its rows are to come', async (_, sql) => {
  const cursor = await open(sql);
  expect(await hasRead(cursor)).toBe(true);
  expect((await engine.next(cursor)).done).toBe(false);
  await engine.close(cursor);
});

test.each([
  ['has rows in memory before it', 'SELECT c0, c1 FROM t'],
  [
    'has a CTE, which may be scanned anew',
    'WITH "x" AS (SELECT max(c0) FROM t) SELECT r.range FROM range(1000000) r, x',
  ],
  [
    'has a query in an expression, which may be written out twice',
    'SELECT r.range, nullif((SELECT max(c0) FROM t), 3) FROM range(1000000) r',
  ],
])('a statement that %s keeps its slabs to the end, or until it is closed', async (_, sql) => {
  const cursor = await open(sql);
  expect(await hasRead(cursor)).toBe(false);
  await engine.close(cursor);
  expect(await hasRead(cursor)).toBe(true);
});

test('a scan that begins after all have ended reads nothing of what may be another’s by now', async () => {
  const reads = new SlabReads();
  const source: RowSource = { columns: [], rows: 0, open: (): NextChunk => () => 0 };
  const watched = reads.watch(source);
  reads.named('arka_rows(1)');
  reads.begin('SELECT 1 FROM arka_rows(1)');
  watched.open([])(null as never);
  await reads.ended;
  expect(() => watched.open([])).toThrow('given up');
});

test.each([
  [
    'SELECT a FROM (SELECT 1) AS a, (SELECT 2) AS b JOIN ((SELECT 3)) AS c ON a.x = b.x, LATERAL (SELECT 4) AS d',
    false,
  ],
  ['(SELECT 1 UNION ALL (SELECT 2)) EXCEPT (SELECT 3) ORDER BY 1', false],
  [
    'SELECT \'nullif((SELECT 1), 2)\' AS "(SELECT" FROM (SELECT b FROM (SELECT 0 FROM arka_rows(1) UNION ALL SELECT 1))',
    false,
  ],
  ['SELECT nullif((SELECT 1), 2)', true],
  ['SELECT a, (SELECT 1) AS b FROM t', true],
  ['SELECT a FROM t WHERE a IS DISTINCT FROM (SELECT 1)', true],
  ['SELECT a FROM t JOIN u ON a = (SELECT 1)', true],
  ['SELECT a FROM t WHERE b AND EXISTS (SELECT 1)', true],
  ['SELECT a FROM t WHERE a <> ALL (SELECT 1)', true],
  ['SELECT a FROM unnest((SELECT 1)) AS a', true],
  ['SELECT extract(epoch FROM (SELECT 1)) FROM t', true],
  ['SELECT a FROM (SELECT (SELECT 1) AS a) AS t', true],
])('whether a query is part of an expression: %s', (sql, expected) => {
  expect(hasQueryInExpression(sql)).toBe(expected);
});
