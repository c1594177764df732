/** What is said of a data file that cannot be read: which one, and where (src/federation/damaged-file.ts). */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEngine } from '../../src/federation/engine.ts';
import type { SqlError } from '../../src/errors.ts';
import { tableDef } from '../ingest/harness.ts';
import { duckdb } from '../iceberg/harness.ts';
import { emptied, flippedAt, footerFlipped, removed, truncated, type Harm } from '../ingest/damage.ts';

const folder = mkdtempSync(join(tmpdir(), 'arka-damaged-'));
const good = join(folder, 'good.parquet');
/** Of each case: DuckDB keeps footers by name. */
let path = good;
let cases = 0;
const engine = createEngine();
let nextCursor = 1;
let pages: number[];
beforeAll(async () => {
  await engine.open({ memoryLimitBytes: 256 * 2 ** 20, threads: 1, tempDir: folder });
  await duckdb(
    `COPY (SELECT range::BIGINT AS id, (hash(range) % 1000000)::INTEGER AS v, md5(range::VARCHAR) AS name FROM range(6000)) TO '${good}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048, FIELD_IDS {id: 1, v: 2, name: 3})`,
  );
  const offsets = await duckdb(
    `SELECT least(data_page_offset, coalesce(dictionary_page_offset, data_page_offset))::INTEGER FROM parquet_metadata('${good}') ORDER BY row_group_id, column_id`,
  );
  pages = offsets.map(([offset]) => Number(offset));
}, 60_000);
afterAll(async () => {
  await engine.shutdown(null);
  rmSync(folder, { recursive: true });
});

async function readAll(): Promise<SqlError | number> {
  const cursor = nextCursor++;
  const def = tableDef('t', []);
  const files = [good, path].map((at, unit) => ({ unit, rows: 6000, path: at, bytes: 1, deletes: null }));
  const scan = { placeholder: '__arka_scan_1', def, memory: [], files, positions: false };
  const request = { columns: null, formats: [], timeZone: 'UTC', output: 'rows' as const, scans: [scan] };
  try {
    await engine.query({ cursor, sql: 'SELECT count(hash(id, v, name)) FROM __arka_scan_1', ...request });
    return (await engine.next(cursor)).rows;
  } catch (error) {
    return error as SqlError;
  }
}

const pageOverwritten: Harm = (file) => {
  const bytes = readFileSync(file);
  const other = Buffer.from(bytes);
  other.fill(0xff, pages[5]! + 8, pages[5]! + 200);
  writeFileSync(file, other);
  return () => writeFileSync(file, bytes);
};

test.each([
  ['is away', removed, '58030', () => 'could not be read: no such file'],
  ['is empty', emptied, 'XX001', () => 'is damaged at byte 0: it has 0 bytes'],
  ['is cut short', truncated, 'XX001', (size: number) => `is damaged at byte ${Math.floor(size / 2) - 4}: no magic`],
  ['ends otherwise', flippedAt(-1), 'XX001', (size: number) => `is damaged at byte ${size - 4}: no magic bytes`],
  [
    'has a footer longer than itself',
    flippedAt(-6),
    'XX001',
    (size: number) => `is damaged at byte ${size - 8}: a foot`,
  ],
  ['has a damaged footer', footerFlipped, 'XX001', (_: number, footer: number) => `is damaged at byte ${footer}`],
  ['has a damaged page', pageOverwritten, 'XX001', () => `is damaged at byte ${pages[5]}`],
] as const)('of the files of a scan the one that %s is named, with the byte', async (_, harm, code, what) => {
  const bytes = readFileSync(good);
  path = join(folder, `ill${cases++}.parquet`);
  writeFileSync(path, bytes);
  const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
  const undo = harm(path);
  const failure = await readAll();
  undo();
  expect(failure).toMatchObject({ code });
  expect((failure as SqlError).message).toContain(`data file "${basename(path)}" ${what(bytes.length, footer)}`);
  expect(await readAll()).toBe(1);
});
