/**
 * Values of every type are on the wire, in text and in binary, as parameters, results and COPY, byte for byte what PostgreSQL has
 * there, with the same descriptions; rows that are in memory and in Iceberg alike.
 */
import { PGlite } from '@electric-sql/pglite';
import fc from 'fast-check';
import { serialize } from 'pg-protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arrayText } from '../../src/types/array-value.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { WireConnection } from '../process/wire-connection.ts';

/** Messages of an answer: the type's letter and the body. */
type Answer = readonly { readonly type: string; readonly body: Buffer }[];
type Ask = (...messages: readonly Buffer[]) => Promise<Answer>;

let server: ServerProcess;
let connection: WireConnection;
let pglite: PGlite;
let arka: Ask;
let postgres: Ask;

beforeAll(async () => {
  server = await startServer();
  let got: { type: string; body: Buffer }[] = [];
  let ready: (answer: Answer) => void = () => {};
  const next = (): Promise<Answer> => new Promise((resolve) => (ready = resolve));
  const started = next();
  connection = new WireConnection(server.url, {
    message(type, bytes, start, end) {
      got.push({ type: String.fromCharCode(type), body: Buffer.from(bytes.subarray(start, end)) });
      if (type !== 0x5a) return;
      const whole = got;
      got = [];
      ready(whole);
    },
    closed: (error) => {
      throw error;
    },
  });
  await started;
  arka = (...messages) => {
    const answer = next();
    connection.send(Buffer.concat(messages));
    return answer;
  };
  pglite = await PGlite.create();
  postgres = async (...messages) => {
    const bytes = Buffer.from(await pglite.execProtocolRaw(Buffer.concat(messages)));
    const answer: { type: string; body: Buffer }[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + bytes.readInt32BE(at + 1);
      answer.push({ type: String.fromCharCode(bytes[at]!), body: bytes.subarray(at + 5, end) });
      at = end;
    }
    return answer;
  };
}, 90_000);
afterAll(async () => {
  await connection.end();
  await pglite.close();
  await server[Symbol.asyncDispose]();
});

const extended = (sql: string, values: readonly (string | Buffer | null)[], binary: boolean): Buffer =>
  Buffer.concat([
    serialize.parse({ text: sql }),
    serialize.bind({ values: [...values], binary }),
    serialize.describe({ type: 'P' }),
    serialize.execute({}),
    serialize.sync(),
  ]);

/** The description without the table's OID, which differs, and the rows; an error as its fields, but for places in PostgreSQL's source. */
function seen(answer: Answer): unknown {
  const error = answer.find(({ type }) => type === 'E');
  if (error !== undefined)
    return error.body
      .toString()
      .split('\0')
      .filter((field) => !/^[FLR]/.test(field));
  return answer.flatMap(({ type, body }): unknown[] => {
    if (type === 'D') return [body.toString('latin1')];
    if (type !== 'T') return [];
    const fields: unknown[] = [];
    for (let at = 2; at < body.length;) {
      const end = body.indexOf(0, at);
      const int16 = (offset: number): number => body.readInt16BE(end + 1 + offset);
      // attnum, type, length, modifier, format
      fields.push([
        body.toString('utf8', at, end),
        int16(4),
        body.readInt32BE(end + 7),
        int16(10),
        body.readInt32BE(end + 13),
      ]);
      at = end + 19;
    }
    return [fields];
  });
}

const rowsOf = (answer: Answer): (Buffer | null)[][] =>
  answer
    .filter(({ type }) => type === 'D')
    .map(({ body }) => {
      const values: (Buffer | null)[] = [];
      for (let at = 2; at < body.length;) {
        const length = body.readInt32BE(at);
        values.push(length < 0 ? null : body.subarray(at + 4, at + 4 + length));
        at += 4 + Math.max(length, 0);
      }
      return values;
    });

async function both(sql: string, values: readonly (string | Buffer | null)[] = [], binary = false): Promise<Answer> {
  const message = extended(sql, values, binary);
  const [ours, theirs] = [await arka(message), await postgres(message)];
  expect([sql, seen(ours)]).toEqual([sql, seen(theirs)]);
  return theirs;
}

const text = fc.string({ unit: 'grapheme', maxLength: 20 }).map((value) => value.replaceAll('\0', ''));
const int = (bits: bigint): fc.Arbitrary<string> =>
  fc.oneof(fc.bigInt(-(2n ** bits), 2n ** bits - 1n), fc.constantFrom(-(2n ** bits), 2n ** bits - 1n, 0n)).map(String);
const instant = (from: string, to: string): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.date({ min: new Date(from), max: new Date(to), noInvalidDate: true }),
      fc.integer({ min: 0, max: 999_999 }),
    )
    .map(([date, micros]) => `${date.toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}`);
const moments = fc.oneof(
  instant('0001-01-01', '9999-12-31'),
  instant('1990-01-01', '2030-01-01'),
  fc.constantFrom(
    '4713-01-01 00:00:00 BC',
    '0044-03-15 12:00:00.5 BC',
    '1999-12-31 23:59:59.9999995',
    '294246-12-31 23:59:59.999999',
  ),
);
/** Those, and what is after and before them all. */
const instants = fc.oneof({ weight: 9, arbitrary: moments }, fc.constantFrom('infinity', '-infinity'));

/** Types of columns, and texts that they take. */
const TYPES: Record<string, fc.Arbitrary<string>> = {
  boolean: fc.constantFrom('t', 'f', 'true', 'no'),
  smallint: int(15n),
  integer: int(31n),
  bigint: int(63n),
  oid: fc.nat({ max: 0xffff_ffff }).map(String),
  real: fc.float().map(String),
  'double precision': fc.double().map(String),
  'numeric(12,4)': fc.integer({ min: -99_999_999, max: 99_999_999 }).map((value) => `${value / 1000}`),
  'numeric(38,0)': fc.bigInt(-(10n ** 38n) + 1n, 10n ** 38n - 1n).map(String),
  numeric: fc.oneof(
    fc
      .tuple(fc.bigInt(-(10n ** 60n), 10n ** 60n), fc.integer({ min: -30, max: 30 }))
      .map(([digits, exponent]) => `${digits}e${exponent}`),
    fc.constantFrom('NaN', 'Infinity', '-Infinity', '0.000', '-0', '1.50'),
  ),
  'numeric(60,5)': fc.bigInt(-(10n ** 54n), 10n ** 54n).map((value) => `${value}.123456`),
  interval: fc
    .tuple(
      fc.integer({ min: -120_000, max: 120_000 }),
      fc.integer({ min: -9_000_000, max: 9_000_000 }),
      fc.integer({ min: -1e15, max: 1e15 }),
    )
    .map(([months, days, micros]) => `${months} mons ${days} days ${micros} microseconds`),
  'time with time zone': fc.tuple(moments, fc.integer({ min: -57_599, max: 57_599 })).map(([moment, east]) => {
    const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
    const size = Math.abs(east);
    const zone = `${two(size / 3600)}:${two((size / 60) % 60)}:${two(size % 60)}`;
    return `${/\d\d:\d\d:\d\d[.\d]{0,7}/.exec(moment)![0]}${east < 0 ? '-' : '+'}${zone}`;
  }),
  text,
  'character varying(7)': text.map((value) => [...value].slice(0, 7).join('')),
  'character(6)': text.map((value) => [...value].slice(0, 6).join('')),
  name: text,
  '"char"': fc.constantFrom('a', 'Z', '0', ''),
  bytea: fc.uint8Array({ maxLength: 20 }).map((value) => `\\x${Buffer.from(value).toString('hex')}`),
  date: fc.oneof(
    instant('0001-01-01', '9999-12-31').map((value) => value.slice(0, 10)),
    fc.constantFrom('4713-01-01 BC', '5874897-12-31', 'infinity', '-infinity'),
  ),
  'time(3)': moments
    .map((value) => /\d\d:\d\d:\d\d[.\d]*/.exec(value)![0])
    .filter((value) => !value.includes('.9999995')),
  time: fc.constantFrom('00:00:00', '23:59:59.999999', '24:00:00', '12:34:56.7'),
  timestamp: instants,
  'timestamp(2)': instants,
  'timestamp with time zone': instants.map((value) =>
    value.endsWith('infinity') ? value : value.replace(/( BC)?$/, '+03$1'),
  ),
  'timestamp(0) with time zone': moments.map((value) => value.replace(/( BC)?$/, '-01:30$1')),
  uuid: fc.uuid(),
  json: fc.json().filter((value) => !value.includes('\\u0000')),
  jsonb: fc.json({ maxDepth: 2 }).filter((value) => !value.includes('\\u0000')),
};
for (const type of Object.keys(TYPES))
  TYPES[`${type}[]`] = fc
    .array(fc.option(TYPES[type]!), { maxLength: 5 })
    .map((items) => arrayText({ lengths: [items.length], lowerBounds: [1], items }));
const NAMES = Object.keys(TYPES);
const COLUMNS = NAMES.map((_, i) => `c${i}`).join(', ');
const PLACES = ['$1', ...NAMES.map((_, i) => `$${i + 2}`)].join(', ');

/** Rows of columns of all types. */
const anyRow = fc.tuple(...Object.values(TYPES).map((each) => fc.option(each, { freq: 9 })));

let nextTable = 1;

async function newTable(): Promise<string> {
  const name = `formats_${nextTable++}`;
  await both(`CREATE TABLE ${name} (id int PRIMARY KEY, ${NAMES.map((type, i) => `c${i} ${type}`).join(', ')})`);
  return name;
}

test('parameters and results of every type, in both formats', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRow, { minLength: 4, maxLength: 8 }), async (rows) => {
      const table = await newTable();
      const insert = `INSERT INTO ${table} VALUES (${PLACES})`;
      for (const [i, row] of rows.entries()) await both(insert, [String(i), ...row]);
      for (const [i, values] of rowsOf(await both(`SELECT ${COLUMNS} FROM ${table} ORDER BY id`, [], true)).entries()) {
        const id = Buffer.alloc(4);
        id.writeInt32BE(100 + i);
        await both(insert, [id, ...values]);
      }
      for (const move of ['', 'CHECKPOINT']) {
        if (move !== '') await arka(serialize.query(move));
        for (const binary of [false, true]) {
          await both(`SELECT * FROM ${table} ORDER BY id`, [], binary);
          await both(`SELECT * FROM ${table} WHERE id = $1`, ['101'], binary);
        }
      }
    }),
    { numRuns: 3, endOnFailure: true },
  );
}, 60_000);

test('only what C calls space may stand around a value', async () => {
  const table = await newTable();
  const values = fc.sample(fc.tuple(...Object.values(TYPES)), { numRuns: 1, seed: 1 })[0]!;
  for (const [i, value] of values.entries())
    for (const space of NAMES[i] === '"char"' ? [' '] : [' ', '\v', '\u00a0', '\u3000', '\ufeff']) {
      await both(`INSERT INTO ${table} (id, c${i}) VALUES ($1, $2)`, ['1', `${space}${value}${space}`]);
      await both(`DELETE FROM ${table} RETURNING c${i}`);
    }
}, 60_000);

test('a text may begin with U+FEFF', async () => {
  await both('CREATE TABLE marks (k text PRIMARY KEY, v text)');
  await arka(serialize.query("ALTER TABLE marks SET (partition_by = 'truncate(3, k)')"));
  await both('INSERT INTO marks VALUES ($1, $2), ($3, $4)', ['\ufeffa', '\ufeff', '\ufeffb', 'x\ufeff']);
  for (const move of ['', 'CHECKPOINT']) {
    if (move !== '') await arka(serialize.query(move));
    await both('SELECT k, v, length(k), length(v), (v) || k FROM marks ORDER BY k');
    await both('SELECT v FROM marks WHERE k = $1', ['\ufeffb']);
    await both(`SELECT k FROM marks WHERE v >= '\ufeff' AND k < '\ufeffb'`);
    await both('INSERT INTO marks VALUES ($1, $2)', ['\ufeffa', '']);
  }
}, 60_000);

/** Elements of arrays that queries make of columns, by the array's type. */
const ELEMENTS: Readonly<Record<string, string>> = {
  boolean: 'bool[]',
  smallint: 'int2[]',
  integer: 'int4[]',
  bigint: 'int8[]',
  real: 'float4[]',
  'double precision': 'float8[]',
  text: 'text[]',
  date: 'date[]',
  timestamp: 'timestamp[]',
  uuid: 'uuid[]',
};

test('arrays that queries make, and arrays as parameters, in both formats', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRow, { minLength: 4, maxLength: 8 }), async (rows) => {
      const table = await newTable();
      const plain = rows.map((row) => row.map((value) => (value?.endsWith('BC') === true ? null : value)));
      for (const [i, row] of plain.entries())
        await both(`INSERT INTO ${table} VALUES (${PLACES})`, [String(i), ...row]);
      const columns = Object.entries(ELEMENTS).map(([type, array]) => ({ name: `c${NAMES.indexOf(type)}`, array }));
      const select = `SELECT ${columns.map(({ name }) => `array_agg(${name} ORDER BY id)`).join(', ')} FROM ${table}`;
      await both(select);
      const arrays = rowsOf(await both(select, [], true))[0]!;
      for (const [i, { name, array }] of columns.entries()) {
        await both(`SELECT count(*) FROM ${table} WHERE ${name} = ANY($1::${array})`, [arrays[i]!]);
        await both(`SELECT id FROM ${table} WHERE ${name} = ANY($1) ORDER BY id`, [arrays[i]!], true);
      }
    }),
    { numRuns: 2, endOnFailure: true },
  );
}, 60_000);

test("COPY TO gives PostgreSQL's bytes in each format, and COPY FROM takes them", async () => {
  const rows = fc.sample(anyRow, { numRuns: 8, seed: 1 });
  const table = await newTable();
  for (const [i, row] of rows.entries()) await both(`INSERT INTO ${table} VALUES (${PLACES})`, [String(i), ...row]);
  for (const format of ['text', 'csv', 'binary']) {
    const out = serialize.query(`COPY (SELECT * FROM ${table} ORDER BY id) TO STDOUT (FORMAT ${format})`);
    const data = Buffer.concat((await arka(out)).filter(({ type }) => type === 'd').map(({ body }) => body));
    const theirs = await pglite.query(`COPY (SELECT * FROM ${table} ORDER BY id) TO '/dev/blob' (FORMAT ${format})`);
    expect(data.equals(Buffer.from(await theirs.blob!.arrayBuffer()))).toBe(true);
    const copy = await newTable();
    const answer = await arka(
      serialize.query(`COPY ${copy} FROM STDIN (FORMAT ${format})`),
      serialize.copyData(data),
      serialize.copyDone(),
    );
    expect(answer.find(({ type }) => type === 'C')?.body.toString()).toBe(`COPY ${rows.length}\0`);
    const [read, wanted] = [
      await arka(extended(`SELECT * FROM ${copy} ORDER BY id`, [], true)),
      await postgres(extended(`SELECT * FROM ${table} ORDER BY id`, [], true)),
    ];
    expect(seen(read)).toEqual(seen(wanted));
  }
}, 60_000);
