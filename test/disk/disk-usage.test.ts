import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { diskUsage, NO_USAGE } from '../../src/storage/disk/disk-usage.ts';
import { temporary } from '../iceberg/harness.ts';

test('the data directory is counted by what its files are for, at whatever depth; what is not there counts nothing', async () => {
  const dir = temporary();
  expect(await diskUsage(dir)).toEqual(NO_USAGE);
  const files: readonly (readonly [string, number])[] = [
    ['disk/flush.db', 1],
    ['disk/table/a.delta', 2],
    ['disk/table/a.parquet', 4], // main knows it
    ['index/secret', 8],
    ...Array.from({ length: 300 }, (_, i) => [`index/table${i}/runs/run`, 16] as const),
    ['tmp/cursors/1.rows', 32], // main knows it
    ['tmp/chores/own/rows', 64],
    ['tmp/queries/own/rows', 128],
    ['tmp/queries-of-nobody', 256],
    ['wal/segment', 512],
    ['catalog.db', 1024],
    ['lost/table/rows.parquet', 2048],
  ];
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), 'x'.repeat(bytes));
  }
  expect(await diskUsage(dir)).toEqual({
    deltas: 3,
    index: 8 + 300 * 16,
    spill: 64 + 128 + 256,
    queries: 128,
    sorts: 64,
    rest: 1024 + 2048,
  });
});
