/** What a client gets: DataRow messages of the promised types, errors with PostgreSQL's codes, an end when it is asked for. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SqlError } from '../../src/errors.ts';
import { createEngine } from '../../src/federation/engine.ts';
import type { EngineApi, OutputColumn, QueryRequest } from '../../src/federation/engine-api.ts';
import { RpcClient } from '../../src/rpc.ts';
import { numericTypmod, Oid } from '../../src/types/pg-type.ts';

let folder: string;
let engine: EngineApi;
let nextCursor = 1;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'arka-results-'));
  engine = createEngine();
  await engine.open({ memoryLimitBytes: 400e6, threads: 2, tempDir: join(folder, 'tmp') });
});
afterAll(async () => {
  await engine.shutdown(null);
  rmSync(folder, { recursive: true, force: true });
});

type Field = string | null;
const request = (sql: string, more: Partial<QueryRequest> = {}): QueryRequest => ({
  cursor: nextCursor++,
  sql,
  scans: [],
  columns: null,
  formats: [],
  output: 'rows',
  timeZone: 'UTC',
  ...more,
});

/** The fields of each DataRow; binary ones as hex. */
function fieldsOf(messages: Uint8Array, formats: readonly number[]): Field[][] {
  const bytes = Buffer.from(messages);
  const rows: Field[][] = [];
  for (let at = 0; at < bytes.length;) {
    expect(bytes[at]).toBe(68);
    const end = at + 1 + bytes.readInt32BE(at + 1);
    let field = at + 7;
    rows.push(
      Array.from({ length: bytes.readInt16BE(at + 5) }, (_, i) => {
        const length = bytes.readInt32BE(field);
        field += 4;
        if (length === -1) return null;
        const value = bytes.subarray(field, field + length);
        field += length;
        return value.toString(formats[i] === 1 ? 'hex' : 'utf8');
      }),
    );
    expect(field).toBe(end);
    at = end;
  }
  return rows;
}

async function rowsOf(asked: QueryRequest): Promise<Field[][]> {
  await engine.query(asked);
  const rows: Field[][] = [];
  const formats = asked.columns?.map((column) => column.format) ?? [];
  for (;;) {
    const chunk = await engine.next(asked.cursor);
    if (chunk.messages !== null) rows.push(...fieldsOf(chunk.messages, formats));
    if (chunk.done) return rows;
  }
}

const as = (typeOid: number, format: 0 | 1 = 0, typmod = -1): OutputColumn => ({ typeOid, typmod, format });

test.each<[string, OutputColumn, Field]>([
  ['1::smallint + 1::smallint', as(Oid.int2), '2'],
  ['7 / 2', as(Oid.int4), '3'],
  ['count(*)', as(Oid.int8), '1'],
  ['sum(9223372036854775807::bigint)', as(Oid.numeric), '9223372036854775807'],
  ['2.50::decimal(10,2)', as(Oid.numeric), '2.50'],
  ['2.5::double', as(Oid.numeric, 0, numericTypmod(10, 3)), '2.500'],
  ['1e300::double', as(Oid.float8), '1e+300'],
  ['true', as(Oid.bool), 't'],
  ["'abc'", as(Oid.name), 'abc'],
  ['5::bigint', as(Oid.oid), '5'],
  ['5::bigint', as(Oid.oid, 1), '00000005'],
  [
    'interval 13 month - interval 3 day + to_microseconds(3723500000)',
    as(Oid.interval),
    '1 year 1 mon -3 days +01:02:03.5',
  ],
  ["interval '0' second", as(Oid.interval), '00:00:00'],
  ["-interval '90' minute", as(Oid.interval), '-01:30:00'],
  ['interval 1 month + interval 2 day + to_microseconds(3)', as(Oid.interval, 1), '00000000000000030000000200000001'],
  ['[1, NULL, 3]', as(1007), '{1,NULL,3}'],
  ["['a', 'b c', '', 'null', 'q\"x', 'back\\', NULL]", as(1009), '{a,"b c","","null","q\\"x","back\\\\",NULL}'],
  ['[[1, 2], [3, 4]]', as(1007), '{{1,2},{3,4}}'],
  ['[]::integer[]', as(1007), '{}'],
  ['[true, false]', as(1000), '{t,f}'],
  ['[1.0::double, 0.5]', as(1022), '{1,0.5}'],
  ["[timestamp '2020-01-02 03:04:05']", as(1115), '{"2020-01-02 03:04:05"}'],
  ["{'a': 1, 'b': NULL, 'c': 'x,y', 'd': ''}", as(2249), '(1,,"x,y","")'],
  ["'\\xAB'::blob", as(Oid.bytea), '\\xab'],
  ["'2020-01-01 00:00:00+02'::timestamptz", as(Oid.timestamptz), '2019-12-31 22:00:00+00'],
  ['NULL', as(Oid.text), null],
  ['\'{"a": 1}\'', as(Oid.jsonb, 1), '017b2261223a20317d'],
])('SELECT %s as %o is %s', async (expression, column, expected) => {
  const rows = await rowsOf(request(`SELECT ${expression}`, { columns: [column] }));
  expect(rows).toEqual([[expected]]);
});

test('a double is no result of type numeric: its digits are not those of PostgreSQL', async () => {
  const asked = rowsOf(request('SELECT 1.5::double', { columns: [as(Oid.numeric)] }));
  await expect(asked).rejects.toMatchObject({ code: '0A000' });
});

test('casts around a statement keep its order, its duplicate names and its LIMIT', async () => {
  const rows = await rowsOf(
    request('SELECT i::bigint AS a, i::hugeint AS a FROM range(100000) t(i) ORDER BY -i LIMIT 3;', {
      columns: [as(Oid.int4), as(Oid.text)],
    }),
  );
  expect(rows).toEqual([
    ['99999', '99999'],
    ['99998', '99998'],
    ['99997', '99997'],
  ]);
});

test("without described types the columns are named, and DuckDB's types become PostgreSQL's", async () => {
  const asked = request(
    "SELECT 1 AS a, 2.5 AS b, sum(1) AS c, 'x' AS d, [1] AS e, [['x']] AS f, 1::utinyint AS g, NULL AS h",
  );
  const { columns } = await engine.query(asked);
  await engine.close(asked.cursor);
  expect(columns.map((column) => column.name)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  expect(columns.map((column) => column.typeOid)).toEqual([23, 1700, 1700, 25, 1007, 1009, 21, 23]);
});

test("the time zone is the statement's own", async () => {
  const columns = [as(Oid.timestamptz), as(Oid.int8)];
  const sql = 'SELECT to_timestamp(0), hour(to_timestamp(0))';
  expect(await rowsOf(request(sql, { columns, timeZone: 'Asia/Tokyo' }))).toEqual([['1970-01-01 09:00:00+09', '9']]);
  expect(await rowsOf(request(sql, { columns, timeZone: 'UTC' }))).toEqual([['1970-01-01 00:00:00+00', '0']]);
});

test.each([
  ["SELECT 'abc'::int", '22P02'],
  ['SELECT 2147483647::int + 1::int', '22003'],
  ['SELECT 70000::int', '22003'],
  ["SELECT 'x'::date", '22007'],
  ['SELECT nope', '42703'],
  ['SELECT * FROM nope', '42P01'],
  ['SELECT nope(1)', '42883'],
  ['SELEC', '42601'],
  ["SELECT error('22012: division by zero')", '22012'],
  ['SELECT (SELECT i FROM range(3) t(i))', '21000'],
  ["SELECT * FROM read_parquet('/secret/place.parquet')", '58030'],
])('%s fails with %s, without a path, and the next statement runs', async (sql, code) => {
  const failure = await rowsOf(request(sql, { columns: [as(Oid.int2)] })).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code });
  expect((failure as Error).message).not.toMatch(/secret|\n/);
  expect(await rowsOf(request('SELECT 1'))).toEqual([['1']]);
});

test('too much memory is 53200, and the engine goes on', async () => {
  const small = createEngine();
  await small.open({ memoryLimitBytes: 90e6, threads: 1, tempDir: join(folder, 'full') });
  const asked = request("SELECT length(list(i || 'some text' ORDER BY i)) FROM range(3000000) t(i)");
  await small.query(asked);
  await expect(small.next(asked.cursor)).rejects.toMatchObject({ code: '53200' });
  const next = request('SELECT 1');
  await small.query(next);
  expect((await small.next(next.cursor)).rows).toBe(1);
  await small.shutdown(null);
});

test('what a query puts aside beyond its bound is 53100 that names disk.limit, and a higher bound lets it pass', async () => {
  const small = createEngine();
  await small.open({ memoryLimitBytes: 128e6, threads: 1, tempDir: join(folder, 'bounded') });
  const sorted = (): QueryRequest =>
    request(
      "SELECT max(p) FROM (SELECT lag(t) OVER (ORDER BY h) p FROM (SELECT hash(i) h, i || 'some text' t FROM range(1200000) r(i)))",
    );
  const answer = async (asked: QueryRequest): Promise<number> => {
    await small.query(asked);
    return (await small.next(asked.cursor)).rows;
  };
  expect(await small.limitSpill(1e6)).toBe(true);
  await expect(answer(sorted())).rejects.toMatchObject({
    code: '53100',
    fields: { hint: expect.stringContaining('disk.limit') },
  });
  expect(await small.limitSpill(1e9)).toBe(true);
  expect(await answer(sorted())).toBe(1);
  await small.shutdown(null);
});

test('a large result comes in turns of about a megabyte, none before it is asked for, complete and in order', async () => {
  const asked = request("SELECT i, 'row number ' || i FROM range(200000) t(i)");
  await engine.query(asked);
  let expected = 0;
  let turns = 0;
  for (let done = false; !done; turns++) {
    const chunk = await engine.next(asked.cursor);
    done = chunk.done;
    expect(chunk.messages?.length ?? 0).toBeLessThan(1.5e6);
    for (const [i, text] of chunk.messages === null ? [] : fieldsOf(chunk.messages, [])) {
      if (i !== String(expected) || text !== `row number ${expected}`) throw new Error(`row ${expected} is ${i}`);
      expected++;
    }
  }
  expect(expected).toBe(200_000);
  expect(turns).toBeGreaterThan(5);
});

test('wide rows come in turns of about a megabyte, too, whatever their number in one chunk of DuckDB', async () => {
  const asked = request("SELECT i, i || repeat('x', 100000) FROM range(300) t(i)");
  await engine.query(asked);
  let rows = 0;
  for (let done = false; !done;) {
    const chunk = await engine.next(asked.cursor);
    done = chunk.done;
    expect(chunk.messages?.length ?? 0).toBeLessThan(1e6);
    for (const [i, text] of chunk.messages === null ? [] : fieldsOf(chunk.messages, []))
      expect([i, text]).toEqual([String(rows), rows++ + 'x'.repeat(100_000)]);
  }
  expect(rows).toBe(300);
});

test('a data file that is damaged or missing is named, without its path', async () => {
  const path = join(folder, 'rows.parquet');
  const scan = request(`SELECT * FROM read_parquet('${path}')`);
  await expect(rowsOf(scan)).rejects.toMatchObject({
    code: '58030',
    message: 'could not read or write data file "rows.parquet"',
  });
  writeFileSync(path, 'PAR1 is how such a file begins');
  const failure = await rowsOf({ ...scan, cursor: nextCursor++ }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'XX001', message: 'data file "rows.parquet" is damaged' });
  expect((failure as SqlError).fields.detail).not.toContain(folder);
});

const ENDLESS = 'SELECT count(*) FROM range(100000000000) a';

test('close interrupts a running query with 57014, twice does no harm, and its connection works again', async () => {
  const asked = request(ENDLESS);
  await engine.query(asked);
  const turn = engine.next(asked.cursor);
  turn.catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await Promise.all([engine.close(asked.cursor), engine.close(asked.cursor)]);
  await expect(turn).rejects.toMatchObject({ code: '57014' });
  await engine.close(asked.cursor);
  expect(await rowsOf(request('SELECT 1'))).toEqual([['1']]);
});

test('close ends a query that nobody has read, one that is half read, and one that is still being opened', async () => {
  const unread = request(ENDLESS);
  await engine.query(unread);
  await engine.close(unread.cursor);
  const half = request("SELECT repeat('x', 1000) FROM range(1000000)");
  await engine.query(half);
  await engine.next(half.cursor);
  await engine.close(half.cursor);
  await expect(engine.next(half.cursor)).rejects.toMatchObject({ code: '57014' });
  const opening = request(ENDLESS);
  const opened = engine.query(opening);
  opened.catch(() => undefined);
  await engine.close(opening.cursor);
  await opened.catch((error: unknown) => expect(error).toMatchObject({ code: '57014' }));
  expect(await rowsOf(request('SELECT 1'))).toEqual([['1']]);
});

test('statements run side by side, and this thread answers meanwhile', async () => {
  const slow = request('SELECT count(*) FROM range(3000) a, range(30000) b WHERE (a.range * b.range) % 7 = 3');
  await engine.query(slow);
  const turn = engine.next(slow.cursor);
  const begun = performance.now();
  expect(await rowsOf(request('SELECT 42'))).toEqual([['42']]);
  expect(performance.now() - begun).toBeLessThan(1000);
  expect((await turn).rows).toBe(1);
});

test("behind the thread's port results and errors are the same", async () => {
  const worker = new Worker(new URL('../../src/threads/engine.ts', import.meta.url), {
    execArgv: ['--experimental-strip-types', '--no-warnings'],
  });
  const { remote } = new RpcClient<EngineApi>(worker, 'engine');
  await remote.open({ memoryLimitBytes: 200e6, threads: 1, tempDir: join(folder, 'worker') });
  const asked = request("SELECT 1, 'text' || i FROM range(3) t(i)");
  await remote.query(asked);
  const chunk = await remote.next(asked.cursor);
  expect(fieldsOf(chunk.messages!, [])).toEqual([
    ['1', 'text0'],
    ['1', 'text1'],
    ['1', 'text2'],
  ]);
  const vectors = request('SELECT i::integer, NULL::text FROM range(3) t(i)', {
    output: 'vectors',
    columns: [as(Oid.int4), as(Oid.text)],
  });
  await remote.query(vectors);
  expect([...(await remote.next(vectors.cursor)).vectors![0]!.words]).toEqual([0, 1, 2]);
  await expect(remote.query(request('SELEC'))).rejects.toMatchObject({ code: '42601' });
  await remote.shutdown(null);
  await worker.terminate();
});
