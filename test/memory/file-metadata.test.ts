/** H8: what main keeps of a table's files, and what a commit does with it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { DataFileUnit } from '../../src/storage/file-unit.ts';
import type { DataFileInfo } from '../../src/storage/iceberg/lake-api.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { BOUND_BYTES_MAX, NO_NULL, PackedBounds } from '../../src/storage/packed-bounds.ts';
import type { TableDef } from '../../src/table-def.ts';
import { noPartition, tableDef, TestDatabase } from '../ingest/harness.ts';
import { dropTable } from '../ingest/define.ts';

const WIDTHS = [8, 4, 16] as const;
const OIDS = [20, 23, 25] as const;

function wideDef(columns: number): TableDef {
  const base = tableDef('t', noPartition);
  const column = base.columns[0]!;
  const made = Array.from({ length: columns }, (_, i) => ({
    ...column,
    name: `c${i}`,
    fieldId: i + 1,
    attnum: i + 1,
    type: { oid: OIDS[i % 3]!, typmod: -1 },
  }));
  return { ...base, columns: made };
}

function fileOf(def: TableDef, number: number): DataFileInfo {
  const name = `public/t-0123abcd/data/0b5a7c1e-0000-4000-8000-${String(number).padStart(12, '0')}.parquet`;
  const columns = def.columns.map(({ fieldId }, i) => ({
    fieldId,
    columnBytes: 1000,
    valueCount: 1000,
    nullCount: 0,
    nanCount: null,
    lower: new Uint8Array(WIDTHS[i % 3]!).fill(number & 63, 0, 4), // little-endian: below 2 ** 30
    upper: new Uint8Array(WIDTHS[i % 3]!).fill((number & 63) + 1, 0, 4),
  }));
  const location = `s3://bucket/warehouse/${name}`;
  return { location, path: `/data/cache/${name}`, rows: 1000, bytes: 10_000, columns, partition: [], specId: 0 };
}

test.each([3, 20, 60])(
  'H8: a data file of %i columns takes on main what is counted for it, a kilobyte and its bounds, however many there are',
  (columns) => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const memory = new Memory(2 ** 24);
    const def = wideDef(columns);
    const held = (): number => {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const before = held();
    const files = Array.from(
      { length: 5000 },
      (_, i) => new DataFileUnit(memory, i + 1, def, fileOf(def, i), 'iceberg'),
    );
    const each = (held() - before) / files.length;
    const counted = files[0]!.heapBytes;
    expect(each).toBeLessThan(counted * 1.25);
    const bounds = columns * (7 + (2 * (8 + 4 + 16)) / 3);
    expect(counted).toBeLessThan(1100 + bounds);
    expect(files[0]!.info.columns).toEqual([]);
  },
);

test('H8: bounds that another writer has made are kept up to a length: a longer lower one is cut, a longer upper one left out', () => {
  const long = new Uint8Array(1000).fill(7);
  const stats = { fieldId: 9, columnBytes: 1, valueCount: 1, nullCount: 0, nanCount: null, lower: long, upper: long };
  const packed = new PackedBounds([stats], 1);
  expect(packed.of(9)).toEqual({ lower: long.subarray(0, BOUND_BYTES_MAX), upper: null, flags: NO_NULL });
  expect(packed.byteLength).toBe(7 + BOUND_BYTES_MAX);
  expect(packed.of(8)).toBeUndefined();
});

test('H8: a commit looks at no file of its table and installs no Version, however many files there are', async () => {
  const db = await TestDatabase.create();
  try {
    for (const keyed of [true, false]) {
      const table = await db.newTable(false, keyed);
      const { memory, nextUnit } = db.tiers.database;
      const files = Array.from({ length: 20_000 }, (_, i) => fileOf(table.def, i)).map(
        (info) => new DataFileUnit(memory, nextUnit(), table.def, info, 'iceberg'),
      );
      table.install(null, files);
      const highest = 2 ** 53 - 1; // beyond the bounds of all files, as a new id is: seen once for all of them
      await db.transact((transaction) => db.insert(transaction, table, [[highest, 1, 'a']]));
      let looks = 0;
      const counted = new Proxy(table.files, {
        get: (target, property) => {
          looks++;
          return Reflect.get(target, property) as unknown;
        },
      });
      const { generations, version } = table;
      if (!keyed) table.files = counted;
      for (let i = 1; i <= 10; i++)
        await db.transact((transaction) => db.insert(transaction, table, [[highest - i, 1, 'a']]));
      expect({ looks, version: table.version }).toEqual({ looks: 0, version });
      expect(table.generations).toBe(generations);
      if (!keyed) expect(table.files).toBe(counted);
      expect(table.publishedLsn).toBe(db.tiers.database.committer.publishedLsn);
      await dropTable(db.tiers.database, table);
    }
  } finally {
    await db.destroy();
  }
}, 60_000);
