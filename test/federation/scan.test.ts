/** The one scan function: any split of rows over units is one table, whatever is deleted where. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeInstance, openInstance, run, withLease } from '../../src/federation/connections.ts';
import { createEngine } from '../../src/federation/engine.ts';
import { memorySource } from '../../src/federation/memory-source.ts';
import { addSource, registerSourceFunction, sourceRegistry } from '../../src/federation/row-source.ts';
import { scanSql } from '../../src/federation/scan-sql.ts';
import { SlabReads } from '../../src/federation/slab-reads.ts';
import { eachChunk } from '../../src/federation/vector-reader.ts';
import { SlabDirectory } from '../../src/storage/memory/slab.ts';
import type { EngineApi, OutputColumn } from '../../src/federation/engine-api.ts';
import type { FileUnit, MemoryUnit, TableScan } from '../../src/storage/scan-spec.ts';
import type { PgType } from '../../src/table-def.ts';
import { numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { tableDef, TestSlabs, valueAt, vectorOf, type Row, type Value } from './units.ts';

let folder: string;
let engine: EngineApi;
let slabs: TestSlabs;
let nextCursor = 1;
let nextFile = 1;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'arka-scan-'));
  engine = createEngine();
  await engine.open({ memoryLimitBytes: 500e6, threads: 2, tempDir: join(folder, 'tmp') });
  slabs = new TestSlabs((slab) => engine.addSlab(slab));
});
afterAll(async () => {
  await engine.shutdown(null);
  rmSync(folder, { recursive: true, force: true });
});

const plain = (oid: number): PgType => ({ oid, typmod: -1 });
const numeric = (precision: number, scale: number): PgType => ({
  oid: Oid.numeric,
  typmod: numericTypmod(precision, scale),
});
/** Every type that a column can have, numeric in each of its four widths. */
const ALL_TYPES: readonly PgType[] = [
  ...[
    Oid.bool,
    Oid.int2,
    Oid.int4,
    Oid.int8,
    Oid.float4,
    Oid.float8,
    Oid.text,
    Oid.varchar,
    Oid.bytea,
    Oid.date,
    Oid.time,
    Oid.timestamp,
    Oid.timestamptz,
    Oid.uuid,
    Oid.json,
    Oid.jsonb,
  ].map(plain),
  numeric(4, 1),
  numeric(9, 2),
  numeric(18, 6),
  numeric(38, 10),
];

/** Microseconds that DuckDB's timestamps hold as finite values and dates likewise. */
const MICROS = 9_000_000_000_000_000n;
function valueOf(type: PgType): fc.Arbitrary<Value> {
  const byType: Readonly<Record<number, fc.Arbitrary<Value>>> = {
    [Oid.bool]: fc.boolean(),
    [Oid.int2]: fc.integer({ min: -32_768, max: 32_767 }),
    [Oid.int4]: fc.integer(),
    [Oid.int8]: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    [Oid.float4]: fc.float({ noNaN: true }),
    [Oid.float8]: fc.double({ noNaN: true }),
    [Oid.bytea]: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    [Oid.date]: fc.integer({ min: -700_000, max: 2_000_000 }),
    [Oid.time]: fc.bigInt({ min: 0n, max: 86_399_999_999n }),
    [Oid.timestamp]: fc.bigInt({ min: -MICROS, max: MICROS }),
    [Oid.timestamptz]: fc.bigInt({ min: -MICROS, max: MICROS }),
    [Oid.uuid]: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  };
  const modifier = (type.typmod - 4) >> 16;
  const bound = 10n ** BigInt(Math.max(1, modifier)) - 1n;
  const value =
    type.oid === Oid.numeric
      ? fc.bigInt({ min: -bound, max: bound })
      : (byType[type.oid] ?? fc.string({ unit: 'grapheme', maxLength: 40 }));
  return fc.oneof({ arbitrary: value, weight: 5 }, { arbitrary: fc.constant(null), weight: 1 });
}

async function query(sql: string, scans: readonly TableScan[], columns: readonly PgType[] | null): Promise<Row[]> {
  const cursor = nextCursor++;
  const wanted = columns?.map((type): OutputColumn => ({ typeOid: type.oid, typmod: type.typmod, format: 0 })) ?? null;
  const opened = await engine.query({
    cursor,
    sql,
    scans,
    columns: wanted,
    formats: [],
    output: 'vectors',
    timeZone: 'UTC',
  });
  const rows: Row[] = [];
  for (;;) {
    const chunk = await engine.next(cursor);
    const vectors = chunk.vectors ?? [];
    for (let i = 0; i < chunk.rows; i++)
      rows.push(vectors.map((vector, k) => valueAt(plain(opened.columns[k]!.typeOid), vector, i)));
    if (chunk.done) return rows;
  }
}

function batchOf(types: readonly PgType[], rows: readonly Row[]): Parameters<TestSlabs['unit']>[2][number] {
  return {
    rows: rows.length,
    vectors: types.map((type, i) =>
      vectorOf(
        type,
        rows.map((row) => row[i]!),
      ),
    ),
  };
}

function memoryUnit(
  types: readonly PgType[],
  unit: number,
  batches: readonly (readonly Row[])[],
  deleted: readonly number[],
): MemoryUnit {
  return slabs.unit(
    unit,
    types.map((_, i) => i + 1),
    batches.map((rows) => batchOf(types, rows)),
    deleted,
  );
}

/** A file whose rows lie in the order given: its first column is written as the sort of the file's unit. */
async function fileUnit(
  types: readonly PgType[],
  unit: number,
  rows: readonly Row[],
  deleted: readonly number[],
  within = '',
): Promise<FileUnit> {
  mkdirSync(join(folder, within), { recursive: true });
  const path = join(folder, within, `f${nextFile++}.parquet`);
  const written = await engine.writeParquet({
    def: tableDef(types),
    memory: [memoryUnit(types, unit, [rows], [])],
    files: [],
    path,
  });
  expect(written?.rows).toBe(rows.length);
  return { unit, rows: rows.length, path, deletes: slabs.deletes(deleted, 3) };
}

/** -0 and 0 are one value to SQL. */
const comparable = (row: Row): string => row.map((value) => (value === 0 ? '0' : String(value))).join('|');
const bag = (rows: readonly Row[]): string[] => rows.map(comparable).sort();

test('rows of all types, NULLs included, come back from memory and from files as they went in', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(...ALL_TYPES.map(valueOf)), { minLength: 1, maxLength: 60 }), async (rows) => {
      const def = tableDef(ALL_TYPES);
      const half = rows.length >> 1;
      const memory = memoryUnit(
        ALL_TYPES,
        1,
        [rows.slice(0, half), rows.slice(half)].filter((part) => part.length > 0),
        [],
      );
      const file = await fileUnit(ALL_TYPES, 2, rows, []);
      for (const scan of [
        { memory: [memory], files: [] },
        { memory: [], files: [file] },
      ]) {
        const back = await query(
          'SELECT * FROM "__scan" AS s',
          [{ placeholder: '__scan', def, positions: false, ...scan }],
          ALL_TYPES,
        );
        expect(back.map(comparable)).toEqual(rows.map(comparable));
      }
    }),
    { numRuns: 25 },
  );
}, 30_000);

const SPLIT_TYPES = [plain(Oid.int4), plain(Oid.text), numeric(9, 2), plain(Oid.bool)];
const splitRow = fc.tuple(...SPLIT_TYPES.map(valueOf));
const part = fc.record({
  kind: fc.constantFrom('memory', 'file'),
  batches: fc.array(fc.array(splitRow, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 6 }),
  deleted: fc.array(fc.nat(), { maxLength: 60 }),
  few: fc.boolean(),
});

test('any split of rows over memory batches, clean files and dirty files is the same table in plain DuckDB', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
      const memory: MemoryUnit[] = [];
      const files: FileUnit[] = [];
      const live: { readonly row: Row; readonly unit: number; readonly position: number }[] = [];
      for (const [index, { kind, batches, deleted, few }] of parts.entries()) {
        const rows = batches.flat();
        // `few` stays below the part at which a bitmap replaces the anti-join.
        const gone = [
          ...new Set(deleted.slice(0, few ? Math.floor(rows.length / 25) : 60).map((n) => n % rows.length)),
        ];
        if (kind === 'memory') memory.push(memoryUnit(SPLIT_TYPES, index, batches, gone));
        else files.push(await fileUnit(SPLIT_TYPES, index, rows, gone, `p=${index % 2}`));
        rows.forEach((row, position) => {
          if (!gone.includes(position)) live.push({ row, unit: index, position });
        });
      }
      const scan: TableScan = { placeholder: '__scan', def: tableDef(SPLIT_TYPES), memory, files, positions: true };
      const types = [...SPLIT_TYPES, plain(Oid.int4), plain(Oid.int8)];
      const back = await query('SELECT * FROM __scan AS s', [scan], types);
      expect(bag(back)).toEqual(bag(live.map(({ row, unit, position }) => [...row, unit, BigInt(position)])));
      // the same rows in a plain relation
      const values = live.map(
        ({ row: [a, b] }) => `(${a ?? 'NULL'}, ${b === null ? 'NULL' : `'${(b as string).replaceAll("'", "''")}'`})`,
      );
      const aggregate =
        'count(*), count(c0), sum(c0)::bigint, min(c1), max(length(c1)), count(*) FILTER (WHERE c0 > 0)';
      const aggregated = [Oid.int8, Oid.int8, Oid.int8, Oid.text, Oid.int8, Oid.int8].map(plain);
      const plainRows = `(SELECT NULL::integer AS c0, NULL::varchar AS c1 WHERE false ${values.length === 0 ? '' : `UNION ALL VALUES ${values.join(', ')}`})`;
      expect(await query(`SELECT ${aggregate} FROM "__scan" s`, [scan], aggregated)).toEqual(
        await query(`SELECT ${aggregate} FROM ${plainRows}`, [], aggregated),
      );
    }),
    { numRuns: 30 },
  );
}, 60_000);

test('C8: with every row of the second of two hive-style files deleted, a filter on the partition column finds none', async () => {
  const types = [plain(Oid.text), plain(Oid.int4)];
  const rows = (region: string): Row[] => Array.from({ length: 1000 }, (_, i) => [region, i]);
  const first = await fileUnit(types, 1, rows('a'), [], 'region=a');
  const all = Array.from({ length: 1000 }, (_, i) => i);
  for (const gone of [all, all.slice(1), all.slice(0, 40)]) {
    const second = await fileUnit(types, 2, rows('b'), gone, 'region=b');
    const def = {
      ...tableDef(types),
      columns: tableDef(types).columns.map((column, i) => ({ ...column, name: ['region', 'n'][i]! })),
    };
    for (const files of [
      [first, second],
      [{ ...first, deletes: slabs.deletes([5]) }, second],
    ]) {
      const scan: TableScan = { placeholder: '__scan', def, memory: [], files, positions: false };
      expect(await query(`SELECT count(*) FROM __scan s WHERE region = 'b'`, [scan], [plain(Oid.int8)])).toEqual([
        [BigInt(1000 - gone.length)],
      ]);
    }
  }
});

test('S6: count(*) over clean, dirty and memory units reads no column, with a filter that column alone', async () => {
  const types = [plain(Oid.text), plain(Oid.int4)];
  const rows: Row[] = Array.from({ length: 100 }, (_, i) => [`text ${i}`, i]);
  const scan: TableScan = {
    placeholder: '__scan',
    def: {
      ...tableDef(types),
      columns: tableDef(types).columns.map((each, i) => ({ ...each, name: ['__none', 'n'][i]! })),
    },
    memory: [memoryUnit(types, 1, [rows], [0, 7])],
    files: [
      await fileUnit(types, 2, rows, []),
      await fileUnit(types, 3, rows, [4]),
      await fileUnit(types, 4, rows, [1, 2, 3, 4, 5, 6, 7]),
    ],
    positions: false,
  };
  const plans = ['', 'WHERE n < 50'].map((where) => `SELECT count(*) FROM __scan s ${where}`);
  for (const sql of plans) {
    const [[, plan]] = (await query(`EXPLAIN ${sql}`, [scan], null)) as [[string, string]];
    expect(plan).not.toMatch(/\bf1\b/);
  }
  expect(await query(plans[0]!, [scan], null)).toEqual([[390n]]);
  expect(await query(plans[1]!, [scan], null)).toEqual([[190n]]);
  expect(await query('SELECT min("__none"), max(n) FROM __scan s', [scan], null)).toEqual([['text 0', 99]]);
});

test('columns are found by field id: a renamed one keeps its rows, a new one is NULL, in memory and in files', async () => {
  const old = [plain(Oid.int4), plain(Oid.text)];
  const rows: Row[] = [
    [1, 'one'],
    [2, null],
  ];
  const file = await fileUnit(old, 1, rows, []);
  const memory = memoryUnit(old, 2, [rows], [0]);
  const def = tableDef(old);
  const columns = [
    { ...def.columns[1]!, name: 'file_index', attnum: 2 },
    { ...def.columns[0]!, name: 'select "x', attnum: 1 },
    { name: 'new', fieldId: 7, attnum: 3, type: plain(Oid.date), notNull: false, default: null },
  ];
  const scan: TableScan = {
    placeholder: '__scan',
    def: { ...def, columns },
    memory: [memory],
    files: [file],
    positions: false,
  };
  const back = await query(
    'SELECT "file_index", "select ""x", "new" FROM __scan s ORDER BY 2, 1',
    [scan],
    [plain(Oid.text), plain(Oid.int4), plain(Oid.date)],
  );
  expect(back).toEqual([
    ['one', 1, null],
    [null, 2, null],
    [null, 2, null],
  ]);
});

test('batches larger than a chunk, with deletes over their borders, keep the others in place', async () => {
  const types = [plain(Oid.int4), plain(Oid.text), plain(Oid.bool)];
  const rows: Row[] = Array.from({ length: 10_000 }, (_, i) => [
    i,
    i % 3 === 0 ? null : `text number ${i}`,
    i % 2 === 0,
  ]);
  const gone = rows.map((_, i) => i).filter((i) => i % 7 === 0 || (i > 2000 && i < 4200));
  const memory = memoryUnit(types, 1, [rows.slice(0, 1), rows.slice(1, 5000), rows.slice(5000)], gone);
  const scan: TableScan = { placeholder: '__scan', def: tableDef(types), memory: [memory], files: [], positions: true };
  const back = await query('SELECT * FROM __scan s', [scan], [...types, plain(Oid.int4), plain(Oid.int8)]);
  const dead = new Set(gone);
  expect(back).toEqual(rows.map((row, i) => [...row, 1, BigInt(i)]).filter((_, i) => !dead.has(i)));
});

test('of a unit with picks those rows alone come, in order and at their positions, and copies of file rows at those of their files, however batches and chunks are cut', async () => {
  const types = [plain(Oid.int4), plain(Oid.text)];
  const cases = fc.record({
    sizes: fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 }),
    runs: fc.array(fc.tuple(fc.integer({ min: 0, max: 2500 }), fc.integer({ min: 1, max: 2500 })), { maxLength: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ sizes, runs }) => {
      let rows = 0;
      const batches = sizes.map((size) =>
        Array.from({ length: size }, (): Row => {
          const n = rows++;
          return [n, n % 5 === 0 ? null : `text ${n}`];
        }),
      );
      const picks: number[] = [];
      let at = 0;
      for (const [gap, length] of runs) {
        at += gap;
        for (let i = 0; i < length && at < rows; i++) picks.push(at++);
      }
      const unit = { ...memoryUnit(types, 1, batches, []), picks: Uint32Array.from(picks) };
      const places = { units: Int32Array.of(8, 7), positions: Uint32Array.of(3_000_000_000, 5) };
      const copies = { ...memoryUnit(types, 2, [[[-1, 'other']], [[-2, 'one']]], []), places };
      const scan = { placeholder: '__scan', def: tableDef(types), memory: [unit, copies], files: [], positions: true };
      const back = await query('SELECT * FROM __scan s', [scan], [...types, plain(Oid.int4), plain(Oid.int8)]);
      const all = batches.flat();
      expect(back).toEqual([
        ...picks.map((n) => [...all[n]!, 1, BigInt(n)]),
        [-1, 'other', 8, 3_000_000_000n],
        [-2, 'one', 7, 5n],
      ]);
    }),
    { numRuns: 25 },
  );
});

test('one call per string, where the bulk layout is not proven, gives the same rows', async () => {
  const types = [plain(Oid.text), plain(Oid.bytea)];
  const rows: Row[] = [
    ['', 'ff'],
    [null, '00'.repeat(30)],
    ['a text that is not inlined', null],
    ['é', ''],
  ];
  const memory = memoryUnit(types, 1, [rows, rows], [1]);
  const directory = new SlabDirectory();
  slabs.slabs.forEach((slab, index) => directory.add(index, slab));
  const instance = await openInstance({
    memoryLimitBytes: 100e6,
    threads: 1,
    tempDir: join(folder, 'single'),
    footerBytes: 0,
  });
  const registry = sourceRegistry();
  const source = addSource(registry, memorySource(tableDef(types).columns, [memory], directory, { bulk: false }));
  await withLease(instance, async (lease) => {
    registerSourceFunction(lease.connection, registry);
    const back: Row[] = [];
    await eachChunk(await run(lease, `SELECT c0, c1 FROM ${source.sql}`), (vectors, count) => {
      for (let i = 0; i < count; i++) back.push(types.map((type, k) => valueAt(type, vectors[k]!, i)));
    });
    expect(back).toEqual([...rows, ...rows].filter((_, i) => i !== 1));
  });
  await closeInstance(instance);
});

test('H17: clean files are read plainly; only files with deletes are joined with them, by a bitmap where more than 5 % are deleted', async () => {
  const types = [plain(Oid.int4)];
  const rows = Array.from({ length: 100 }, (_, i): Row => [i]);
  const files: FileUnit[] = [];
  for (let unit = 1; unit <= 4; unit++) files.push(await fileUnit(types, unit, rows, []));
  const planOf = (
    deleted: ReadonlyMap<number, readonly number[]>,
  ): readonly (readonly [how: string, units: number[]])[] => {
    const units = files.map((file) => ({ ...file, deletes: slabs.deletes(deleted.get(file.unit) ?? []) }));
    const scan: TableScan = { placeholder: 's', def: tableDef(types), memory: [], files: units, positions: false };
    const directory = new SlabDirectory();
    slabs.slabs.forEach((buffer, index) => directory.add(index, buffer));
    const context = {
      registry: sourceRegistry(),
      slabs: directory,
      mode: { bulk: false },
      slabReads: new SlabReads(),
      sourceIds: [],
    };
    return scanSql(scan, context)
      .slice(1, -1)
      .split(' UNION ALL ')
      .map((branch) => [
        / ANTI JOIN .*file_row_number/.test(branch)
          ? 'anti-join'
          : /get_bit/.test(branch)
            ? 'bitmap'
            : /JOIN/.test(branch)
              ? 'join'
              : 'plain',
        files.filter(({ path }) => branch.includes(path)).map(({ unit }) => unit),
      ]);
  };
  expect(planOf(new Map())).toEqual([['plain', [1, 2, 3, 4]]]);
  const some = new Map([
    [2, [7]],
    [3, [1, 2, 3, 4, 5, 6]],
    [4, rows.map((_, i) => i)],
  ]);
  expect(planOf(some)).toEqual([
    ['plain', [1]],
    ['anti-join', [2]],
    ['bitmap', [3]],
  ]);
  const scan: TableScan = { placeholder: 's', def: tableDef(types), memory: [], files, positions: false };
  const [plan] = await query('EXPLAIN SELECT sum(c0) FROM s', [scan], null);
  expect(plan!.join('\n')).not.toMatch(/JOIN/);
});

test('S7: deletes are what a join with files holds in memory, however many there are and whatever a filter promises', async () => {
  const types = [plain(Oid.int4)];
  const rows = Array.from({ length: 50_000 }, (_, i): Row => [i]);
  const deleted = Array.from({ length: 2400 }, (_, i) => i * 20);
  const file = await fileUnit(types, 1, rows, deleted);
  const scan: TableScan = { placeholder: 's', def: tableDef(types), memory: [], files: [file], positions: false };
  for (const where of ['', ' WHERE c0 >= 0 AND c0 % 2 >= 0 AND c0 <> -1']) {
    const [plan] = await query(`EXPLAIN SELECT sum(c0) FROM s${where}`, [scan], null);
    expect(plan!.join('\n')).toMatch(/Join Type: ANTI/);
  }
});

test('S7: a join of two tables holds the smaller one, although it has more files', async () => {
  const types = [plain(Oid.int4)];
  const large = await fileUnit(
    types,
    1,
    Array.from({ length: 20_000 }, (_, i): Row => [i]),
    [],
  );
  const small: FileUnit[] = [];
  for (let unit = 2; unit < 6; unit++) small.push(await fileUnit(types, unit, [[unit]], []));
  const scanOf = (placeholder: string, files: readonly FileUnit[]): TableScan => ({
    placeholder,
    def: tableDef(types),
    memory: [],
    files,
    positions: false,
  });
  const scans = [scanOf('a', small), scanOf('b', [large])];
  const [plan] = await query('EXPLAIN SELECT count(*) FROM a x JOIN b y ON x.c0 = y.c0', scans, null);
  expect(plan!.join('\n')).toMatch(/~20,000 rows.*~4 rows/s);
});
