/** Files out of units and back: their Iceberg form, their bounds, where rows went, and finding rows by key. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEngine } from '../../src/federation/engine.ts';
import type { EngineApi } from '../../src/federation/engine-api.ts';
import { decodeValue } from '../../src/storage/iceberg/bounds.ts';
import type { FileUnit } from '../../src/storage/scan-spec.ts';
import type { PgType, TableDef } from '../../src/table-def.ts';
import { icebergType, numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { tableDef, TestSlabs, valueAt, vectorOf, type Row } from './units.ts';

let folder: string;
let engine: EngineApi;
let slabs: TestSlabs;
let nextCursor = 1;
let nextFile = 1;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'arka-parquet-'));
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
const newPath = (): string => join(folder, `f${nextFile++}.parquet`);

async function query(sql: string, types: readonly PgType[]): Promise<Row[]> {
  const cursor = nextCursor++;
  const columns = types.map((type) => ({ typeOid: type.oid, typmod: type.typmod, format: 0 as const }));
  await engine.query({ cursor, sql, scans: [], columns, formats: [], output: 'vectors', timeZone: 'UTC' });
  const rows: Row[] = [];
  for (;;) {
    const chunk = await engine.next(cursor);
    const vectors = chunk.vectors ?? [];
    for (let i = 0; i < chunk.rows; i++) rows.push(vectors.map((vector, k) => valueAt(types[k]!, vector, i)));
    if (chunk.done) return rows;
  }
}

const unitOf = (
  def: TableDef,
  unit: number,
  rows: readonly Row[],
  deleted: readonly number[] = [],
): ReturnType<TestSlabs['unit']> =>
  slabs.unit(
    unit,
    def.columns.map((column) => column.fieldId),
    [
      {
        rows: rows.length,
        vectors: def.columns.map((column, i) =>
          vectorOf(
            column.type,
            rows.map((row) => row[i]!),
          ),
        ),
      },
    ],
    deleted,
  );

const TYPES = [
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
  numeric(9, 2),
  numeric(18, 6),
  numeric(38, 10),
];
const ROW: Row = [
  true,
  1,
  -2,
  3n,
  0.5,
  -0.25,
  'a',
  'b',
  '00ff',
  -1,
  1n,
  -1n,
  1_700_000_000_123_456n,
  '00112233445566778899aabbccddeeff',
  '{}',
  '[]',
  -12345n,
  5n,
  -(10n ** 37n),
];

test('a file has the physical types, logical types and field ids of the Iceberg specification', async () => {
  const def = tableDef(TYPES);
  const path = newPath();
  await engine.writeParquet({ def, memory: [unitOf(def, 1, [ROW])], files: [], path });
  const text = plain(Oid.text);
  const schema = await query(
    `SELECT type, coalesce(type_length, ''), coalesce(converted_type, ''), coalesce(logical_type, ''), field_id::integer FROM parquet_schema('${path}') OFFSET 1`,
    [text, text, text, text, plain(Oid.int4)],
  );
  const micros = 'unit=TimeUnit(MILLIS=<null>, MICROS=MicroSeconds(), NANOS=<null>))';
  const expected: readonly (readonly [string, string, string, string])[] = [
    ['BOOLEAN', '', '', ''],
    ['INT32', '', 'INT_32', ''],
    ['INT32', '', 'INT_32', ''],
    ['INT64', '', 'INT_64', ''],
    ['FLOAT', '', '', ''],
    ['DOUBLE', '', '', ''],
    ['BYTE_ARRAY', '', 'UTF8', ''],
    ['BYTE_ARRAY', '', 'UTF8', ''],
    ['BYTE_ARRAY', '', '', ''],
    ['INT32', '', 'DATE', ''],
    ['INT64', '', 'TIME_MICROS', `TimeType(isAdjustedToUTC=0, ${micros}`],
    ['INT64', '', 'TIMESTAMP_MICROS', `TimestampType(isAdjustedToUTC=0, ${micros}`],
    ['INT64', '', 'TIMESTAMP_MICROS', `TimestampType(isAdjustedToUTC=1, ${micros}`],
    ['FIXED_LEN_BYTE_ARRAY', '16', '', 'UUIDType()'],
    ['BYTE_ARRAY', '', 'UTF8', ''],
    ['BYTE_ARRAY', '', 'UTF8', ''],
    ['INT32', '', 'DECIMAL', 'DecimalType(scale=2, precision=9)'],
    ['INT64', '', 'DECIMAL', 'DecimalType(scale=6, precision=18)'],
    ['FIXED_LEN_BYTE_ARRAY', '16', 'DECIMAL', 'DecimalType(scale=10, precision=38)'],
  ];
  expect(schema).toEqual(expected.map((row, i) => [...row, i + 1]));
});

test("bounds are Iceberg's single values of the smallest and largest row, text cut to 16 code points, none beside NaN", async () => {
  const def = tableDef(TYPES);
  const long = 'a'.repeat(15) + '😀' + 'tail';
  const other: Row = [
    false,
    -1,
    2,
    -3n,
    -0.5,
    1e300,
    long,
    null,
    '00'.repeat(20),
    20_000,
    86_399_999_999n,
    -62_135_596_800_000_001n,
    253_402_300_800_000_000n,
    'ff112233445566778899aabbccddeeff',
    null,
    '{"a": 1}',
    99n,
    -5n,
    10n ** 37n,
  ];
  const nothing: Row = TYPES.map(() => null);
  const written = await engine.writeParquet({
    def,
    memory: [unitOf(def, 1, [ROW, other, nothing])],
    files: [],
    path: newPath(),
  });
  const bounds = written!.columns.map((column, i) =>
    [column.lower, column.upper].map((bytes) => {
      if (bytes === null) return null;
      const value = decodeValue(icebergType(TYPES[i]!), bytes);
      return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
    }),
  );
  expect(bounds).toEqual([
    [false, true],
    [-1, 1],
    [-2, 2],
    [-3n, 3n],
    [-0.5, 0.5],
    [-0.25, 1e300],
    ['a', 'a'.repeat(15) + '😁'],
    ['b', 'b'],
    ['00'.repeat(16), '00ff'],
    [-1, 20_000],
    [1n, 86_399_999_999n],
    [-62_135_596_800_000_001n, -1n],
    [1_700_000_000_123_456n, 253_402_300_800_000_000n],
    ['00112233445566778899aabbccddeeff', 'ff112233445566778899aabbccddeeff'],
    ['{}', '{}'],
    ['[]', '{"a": 1}'],
    [-12345n, 99n],
    [-5n, 5n],
    [-(10n ** 37n), 10n ** 37n],
  ]);
  expect(written!.columns.map((column) => [column.valueCount, column.nullCount])).toEqual(
    TYPES.map((_, i) => [3, [7, 14].includes(i) ? 2 : 1]),
  );
  const floats = tableDef([plain(Oid.float8), plain(Oid.float4), plain(Oid.float8)]);
  const odd = await engine.writeParquet({
    def: floats,
    memory: [
      unitOf(floats, 1, [
        [NaN, -Infinity, 0],
        [1, Infinity, -0],
      ]),
    ],
    files: [],
    path: newPath(),
  });
  expect(odd!.columns.map((column) => [column.nanCount, column.lower === null])).toEqual([
    [null, true],
    [0, false],
    [0, false],
  ]);
  expect(Object.is(decodeValue('double', odd!.columns[2]!.lower!), -0)).toBe(true);
});

test('bounds of any values of exact types are the smallest and the largest', async () => {
  const types = [
    plain(Oid.int8),
    plain(Oid.date),
    plain(Oid.timestamp),
    numeric(38, 10),
    plain(Oid.float8),
    numeric(18, 18),
    plain(Oid.oid),
  ];
  const def = tableDef(types);
  const MICROS = 200_000_000_000_000_000n;
  const row = fc.tuple(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.integer({ min: -1_000_000, max: 3_000_000 }),
    fc.bigInt({ min: -MICROS, max: MICROS }),
    fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }),
    fc.double({ noNaN: true }).map((value) => value + 0),
    fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }),
    fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (rows) => {
      const written = await engine.writeParquet({ def, memory: [unitOf(def, 1, rows)], files: [], path: newPath() });
      types.forEach((type, i) => {
        const values = rows.map((one) => one[i]!).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
        const { lower, upper } = written!.columns[i]!;
        expect(decodeValue(icebergType(type), lower!) === values[0]).toBe(true);
        expect(decodeValue(icebergType(type), upper!) === values.at(-1)).toBe(true);
      });
    }),
    { numRuns: 30 },
  );
}, 20_000);

test('bounds of any text and any bytes enclose every value', async () => {
  const types = [plain(Oid.text), plain(Oid.bytea), plain(Oid.jsonb)];
  const def = tableDef(types);
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: fc.constantFrom('\\', 'x', "'", '\0', '\n', '\u{7f}', '\u{10ffff}', 'é'), maxLength: 30 }),
  );
  const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value).toString('hex'));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(text, bytes, text), { minLength: 1, maxLength: 8 }), async (rows) => {
      const written = await engine.writeParquet({
        def,
        memory: [unitOf(def, 1, rows)],
        files: [],
        path: newPath(),
      });
      types.forEach((type, i) => {
        const { lower, upper } = written!.columns[i]!;
        for (const row of rows) {
          const value = Buffer.from(row[i]!, type.oid === Oid.bytea ? 'hex' : 'utf8');
          if (lower !== null) expect(Buffer.compare(lower, value)).toBeLessThanOrEqual(0);
          if (upper !== null) expect(Buffer.compare(upper, value)).toBeGreaterThanOrEqual(0);
        }
      });
    }),
    { numRuns: 60 },
  );
}, 20_000);

test('rows are ordered by the sort, then unit, then position, and newPositions says where each one went', async () => {
  const types = [plain(Oid.int4), plain(Oid.text)];
  const row = fc.tuple(fc.option(fc.integer({ min: 0, max: 3 })), fc.constantFrom('x', 'y', null));
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(fc.array(row, { minLength: 1, maxLength: 30 }), fc.array(fc.nat(), { maxLength: 10 }), fc.boolean()),
        { minLength: 1, maxLength: 4 },
      ),
      fc.boolean(),
      fc.boolean(),
      async (parts, descending, nullsFirst) => {
        const def = tableDef(types, { sort: [{ sourceId: 1, descending, nullsFirst }] });
        const unsorted = tableDef(types);
        const memory = [];
        const files: FileUnit[] = [];
        const live: { row: Row; unit: number; position: number }[] = [];
        for (const [unit, [rows, deleted, inFile]] of parts.entries()) {
          const gone = [...new Set(deleted.map((n) => n % rows.length))];
          if (inFile) {
            const path = newPath();
            await engine.writeParquet({ def: unsorted, memory: [unitOf(unsorted, unit, rows)], files: [], path });
            files.push({ unit, rows: rows.length, path, deletes: slabs.deletes(gone) });
          } else memory.push(unitOf(def, unit, rows, gone));
          rows.forEach((one, position) => {
            if (!gone.includes(position)) live.push({ row: one, unit, position });
          });
        }
        const rank = (value: number | null): number =>
          value === null ? (nullsFirst ? -100 : 100) : descending ? -value : value;
        live.sort(
          (a, b) =>
            rank(a.row[0] as number | null) - rank(b.row[0] as number | null) ||
            a.unit - b.unit ||
            a.position - b.position,
        );
        const request = { def, memory, files, path: newPath() };
        const written = await engine.writeParquet(request);
        const went = await engine.newPositions(request);
        expect([...went.units]).toEqual(live.map(({ unit }) => unit));
        expect([...went.positions]).toEqual(live.map(({ position }) => position));
        if (live.length === 0) expect(written).toBeNull();
        else
          expect(await query(`SELECT * FROM read_parquet('${request.path}')`, types)).toEqual(
            live.map((one) => one.row),
          );
      },
    ),
    { numRuns: 25 },
  );
  expect(readdirSync(folder).filter((name) => name.endsWith('.writing'))).toEqual([]);
}, 30_000);

test('files of a def without a sort are written by unit, then position, whatever is deleted from which, over many row groups', async () => {
  const types = [plain(Oid.int4), plain(Oid.text)];
  const def = tableDef(types);
  const rowsOf = (unit: number, rows: number): Row[] =>
    Array.from({ length: rows }, (_, i) => [unit * 1e6 + i, `row ${i}`]);
  const sizes = [50_000, 3, 30_000, 1, 25_000, 2048, 41_000];
  const paths: string[] = [];
  for (const [unit, rows] of sizes.entries()) {
    const path = newPath();
    await engine.writeParquet({ def, memory: [unitOf(def, unit, rowsOf(unit, rows))], files: [], path });
    paths.push(path);
  }
  const some = fc.constantFrom(0, 1, 17, 3);
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray([...sizes.keys()], { minLength: 1 }),
      fc.array(some, { minLength: sizes.length, maxLength: sizes.length }),
      async (order, every) => {
        const gone = (unit: number, position: number): boolean => every[unit]! > 0 && position % every[unit]! === 0;
        const files = order.map((unit): FileUnit => {
          const deleted = Array.from({ length: sizes[unit]! }, (_, i) => i).filter((i) => gone(unit, i));
          const deletes = deleted.length === 0 ? null : slabs.deletes(deleted);
          return { unit, rows: sizes[unit]!, path: paths[unit]!, deletes };
        });
        const live = order
          .toSorted((a, b) => a - b)
          .flatMap((unit) => Array.from({ length: sizes[unit]! }, (_, i) => [unit, i] as const))
          .filter(([unit, i]) => !gone(unit, i));
        const request = { def, memory: [], files, path: newPath() };
        const written = await engine.writeParquet(request);
        expect(written?.rows ?? 0).toBe(live.length);
        if (written === null) return;
        const went = await engine.newPositions(request);
        expect(Buffer.from(went.units.buffer).equals(Buffer.from(Int32Array.from(live, ([unit]) => unit).buffer))).toBe(
          true,
        );
        const positions = Uint32Array.from(live, ([, position]) => position);
        expect(Buffer.from(went.positions.buffer).equals(Buffer.from(positions.buffer))).toBe(true);
        const sql = `SELECT count(*)::bigint, (count(*) FILTER (k <= before))::bigint FROM (SELECT c0 AS k, lag(c0) OVER (ORDER BY file_row_number) AS before FROM read_parquet('${request.path}', file_row_number=true))`;
        expect(await query(sql, [plain(Oid.int8), plain(Oid.int8)])).toEqual([[BigInt(live.length), 0n]]);
      },
    ),
    { numRuns: 12 },
  );
}, 60_000);

test('P3 a row group ends at 8 MB of values or soon after, with all rows in their order, also when files are written anew', async () => {
  const def = tableDef([plain(Oid.int8), plain(Oid.text)]);
  const rowOf = (id: number): Row => [BigInt(id), `${String(id).padStart(5, '0').repeat(100_000)}`];
  const ids = (from: number): Row[] => Array.from({ length: 12 }, (_, i) => rowOf(from + i));
  const groupsOf = async (path: string): Promise<readonly number[]> => {
    const sql = `SELECT max(row_group_bytes)::int8, count(DISTINCT row_group_id)::int8 FROM parquet_metadata('${path}')`;
    const [[bytes, groups]] = (await query(sql, [plain(Oid.int8), plain(Oid.int8)])) as [[bigint, bigint]];
    return [Number(bytes), Number(groups)];
  };
  const files: FileUnit[] = [];
  for (let unit = 1; unit <= 3; unit++) {
    // As they come from writers: batches of less than a slab.
    const parts = [ids(unit * 100), ids(unit * 100 + 12), ids(unit * 100 + 24)].map((rows, i) =>
      unitOf(def, unit * 10 + i, rows, i === 1 ? [3] : []),
    );
    const path = newPath();
    const written = await engine.writeParquet({ def, memory: parts, files: [], path });
    expect(written!.rows).toBe(35);
    const [bytes, groups] = await groupsOf(path);
    expect(bytes).toBeLessThan(18e6);
    expect(groups).toBeGreaterThanOrEqual(2);
    files.push({ unit, rows: written!.rows, path, bytes: written!.bytes, deletes: slabs.deletes([unit]) });
  }
  const path = newPath();
  const request = { def, memory: [], files, path };
  const written = await engine.writeParquet(request);
  const [bytes, groups] = await groupsOf(path);
  expect(bytes).toBeLessThan(18e6);
  expect(groups).toBeGreaterThanOrEqual(4);
  const { positions, units } = await engine.newPositions(request);
  const found = await query(
    `SELECT f1 FROM read_parquet('${path}', schema=MAP {1: {name: 'f1', type: 'BIGINT', default_value: NULL}})`,
    [plain(Oid.int8)],
  );
  const expected = Array.from(positions, (position, i) => {
    const row = position < 15 ? position : position + 1;
    return BigInt(units[i]! * 100 + row);
  });
  expect(found.map(([id]) => id)).toEqual(expected);
  expect(written!.rows).toBe(expected.length);
});

test('a file that cannot be written is 58030 and leaves nothing', async () => {
  const def = tableDef([plain(Oid.int4)]);
  const request = { def, memory: [unitOf(def, 1, [[1]])], files: [], path: join(folder, 'missing', 'x.parquet') };
  await expect(engine.writeParquet(request)).rejects.toMatchObject({ code: '58030' });
});

test('position deletes come back sorted, each once, by data file; their path bounds are whole', async () => {
  const first = newPath();
  const second = newPath();
  const location = `file:///a rather long/place/it's here/${'x'.repeat(50)}.parquet`;
  const written = await engine.writePositionDeletes({
    path: first,
    deletes: [{ location, positions: Uint32Array.of(9, 1, 5) }],
  });
  await engine.writePositionDeletes({
    path: second,
    deletes: [{ location: 'file:///b', positions: Uint32Array.of(2) }],
  });
  expect(written.rows).toBe(3);
  const text = new TextEncoder().encode(location);
  expect(written.columns[0]).toMatchObject({ fieldId: 2_147_483_546, lower: text, upper: text });
  expect(
    await query(`SELECT name, field_id::integer FROM parquet_schema('${first}') OFFSET 1`, [
      plain(Oid.text),
      plain(Oid.int4),
    ]),
  ).toEqual([
    ['file_path', 2_147_483_546],
    ['pos', 2_147_483_545],
  ]);
  expect(await engine.readPositionDeletes([second, first, first])).toEqual([
    { location, positions: Uint32Array.of(1, 5, 9) },
    { location: 'file:///b', positions: Uint32Array.of(2) },
  ]);
});

test('a lookup finds each row of any key types in any number of files, deleted or not, and nothing else', async () => {
  const types = [
    plain(Oid.int8),
    plain(Oid.text),
    plain(Oid.uuid),
    numeric(12, 2),
    plain(Oid.date),
    plain(Oid.timestamp),
    plain(Oid.timestamptz),
    plain(Oid.int4),
  ];
  const def = tableDef(types, { key: [1, 2, 3, 4, 5, 6, 7] });
  const rowOf = (i: number): Row => [
    BigInt(i) - 50n,
    `it's ${i}`,
    i.toString(16).padStart(32, '0'),
    BigInt(i * 7 - 100),
    i - 10,
    BigInt(i) * 1_000_001n - 5n,
    BigInt(i),
    i,
  ];
  const files: FileUnit[] = [];
  for (let unit = 0; unit < 3; unit++) {
    const path = newPath();
    const rows = Array.from({ length: 100 }, (_, i) => rowOf(unit * 100 + i));
    await engine.writeParquet({ def, memory: [unitOf(def, unit, rows)], files: [], path });
    files.push({ unit: unit + 7, rows: 100, path, deletes: slabs.deletes([5]) });
  }
  for (const wanted of [[105], [5, 399, 0, 299, 105, 1000], Array.from({ length: 250 }, (_, i) => i * 2)]) {
    const keys = types.slice(0, 7).map((type, column) =>
      vectorOf(
        type,
        wanted.map((i) => rowOf(i)[column]!),
      ),
    );
    const found = await engine.lookup({ def, files, keys, rows: wanted.length });
    const triples = [...found.rows]
      .map((row, i) => [row, found.units[i], found.positions[i]])
      .sort((a, b) => a[0]! - b[0]!);
    expect(triples).toEqual(
      wanted.map((i, row) => [row, Math.floor(i / 100) + 7, i % 100]).filter(([, unit]) => unit! < 10),
    );
  }
  expect(await engine.lookup({ def, files: [], keys: [], rows: 0 }).catch((error: unknown) => error)).toBeDefined();
});
