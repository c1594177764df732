/** A key that is read from a Bind's bytes: it finds what its value as a constant finds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bind, describePortal, execute, held, int16, int32, parse, query, sync } from '../wire/conversation.ts';
import { RoleServer } from './role-server.ts';

let server: RoleServer;
let url: string;
beforeAll(async () => {
  server = await RoleServer.start();
  url = `postgresql://arka@127.0.0.1:${server.listener.port}/arka`;
}, 60_000);
afterAll(() => server.destroy());

const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};
const UUID = '123e4567-e89b-12d3-a456-426614174000';
const LONG = 'a text of more than sixty-four bytes, which do not fit where short ones are read, täglich';

/** Type of the key, a value that is there, OIDs that a driver declares with the forms in which it may send the value. */
const KEYS: readonly [type: string, value: string, ...sent: [oid: number, value: string | Buffer][]][] = [
  ['smallint', '-7', [21, '-7'], [21, int16(-7)]],
  ['integer', '-70000', [23, '-70000'], [23, int32(-70000)], [0, ' -070000 ']],
  ['integer', '-7', [21, '-7'], [21, int16(-7)], [20, int64(-7n)], [20, '-7'], [705, int32(-7)]],
  ['bigint', '-7', [20, '-7'], [20, int64(-7n)], [23, int32(-7)], [23, '-7'], [21, int16(-7)], [1700, '-7.0']],
  ['bigint', '9007199254740993', [20, '9007199254740993'], [20, int64(9007199254740993n)]],
  ['text', LONG, [25, LONG], [1043, LONG], [0, LONG]],
  ['varchar(200)', 'vc', [25, 'vc'], [1043, 'vc']],
  ['char(5)', 'ab', [1042, 'ab'], [1042, 'ab   ']],
  ['uuid', UUID, [2950, UUID.toUpperCase()], [2950, Buffer.from(UUID.replaceAll('-', ''), 'hex')]],
  ['boolean', 'true', [16, 'yes'], [16, Buffer.of(1)]],
  ['date', '2026-02-03', [1082, '2026-02-03'], [1082, int32(9530)]],
  ['numeric(8,2)', '1.50', [1700, '1.5'], [0, '1.500']],
];

test.each(KEYS)(
  'a key of type %s with the value %s is found however the value is sent',
  async (type, value, ...sent) => {
    await held(
      url,
      [
        [
          query(`CREATE TABLE k (k ${type} PRIMARY KEY, v text); INSERT INTO k VALUES ('${value}', 'v')`),
          'C',
          'C',
          'Z',
        ],
      ],
      'in turns',
    );
    try {
      for (const [oid, given] of sent) {
        const format = typeof given === 'string' ? 0 : 1;
        const one = [bind('', 's', [given], [format]), describePortal(), execute(), execute(), sync];
        const said = await held(
          url,
          [
            [parse('s', 'SELECT v FROM k WHERE k = $1', oid), '1'],
            [Buffer.concat(one), '2', 'T', 'D', 'C', 'C', 'Z'],
            [Buffer.concat(one), '2', 'T', 'D', 'C', 'C', 'Z'],
          ],
          'in turns',
        );
        const expected = oid === 23 && type.startsWith('numeric') ? [] : ['D v'];
        const once = ['2', 'T v:25', ...expected, `C SELECT ${expected.length}`, 'C SELECT 0', 'Z I'];
        expect(said, `${oid} ${String(given)}`).toEqual(['1', ...once, ...once]);
        const change = Buffer.concat([bind('', 's', [given], [format]), execute(), sync]);
        const changed = ['2', 'C UPDATE 1', 'Z I'];
        const updated = await held(
          url,
          [
            [parse('s', 'UPDATE k SET v = v WHERE k = $1', oid), '1'],
            [change, ...changed],
            [change, ...changed],
          ],
          'in turns',
        );
        expect(updated, `${oid} ${String(given)}`).toEqual(['1', ...changed, ...changed]);
      }
    } finally {
      await held(url, [[query('DROP TABLE k'), 'C', 'Z']], 'in turns');
    }
  },
);

test('a key of several parameters is read in the order of the key, and NULL in any of them is no row', async () => {
  await held(
    url,
    [
      [
        query("CREATE TABLE pair (a bigint, b text, v int, PRIMARY KEY (b, a)); INSERT INTO pair VALUES (1, '2', 3)"),
        'C',
        'C',
        'Z',
      ],
    ],
    'in turns',
  );
  const ask = (a: string | null, b: string | null): Buffer => Buffer.concat([bind('', 's', [a, b]), execute(), sync]);
  const said = await held(
    url,
    [
      [parse('s', 'SELECT v FROM pair WHERE a = $1 AND b = $2'), '1'],
      [ask('1', '2'), '2', 'D', 'C', 'Z'],
      [ask('2', '1'), '2', 'C', 'Z'],
      [ask(null, '2'), '2', 'C', 'Z'],
      [ask('1', null), '2', 'C', 'Z'],
      [ask('1', '2'), '2', 'D', 'C', 'Z'],
      [query('UPDATE pair SET v = 4'), 'C', 'Z'],
      [ask('1', '2'), '2', 'D', 'C', 'Z'],
    ],
    'in turns',
  );
  const [row, none] = [
    ['2', 'D 3', 'C SELECT 1', 'Z I'],
    ['2', 'C SELECT 0', 'Z I'],
  ];
  expect(said).toEqual([
    '1',
    ...row,
    ...none,
    ...none,
    ...none,
    ...row,
    'C UPDATE 1',
    'Z I',
    '2',
    'D 4',
    'C SELECT 1',
    'Z I',
  ]);
});

test('the zone of the session and the formats of a Bind decide how a row that is read so is written', async () => {
  await held(
    url,
    [
      [
        query(
          "CREATE TABLE zoned (k int PRIMARY KEY, v timestamptz, w int2); INSERT INTO zoned VALUES (1, '2026-01-01 00:00:00+00', 258)",
        ),
        'C',
        'C',
        'Z',
      ],
    ],
    'in turns',
  );
  const ask = (...formats: number[]): Buffer => Buffer.concat([bind('', 's', ['1'], [], formats), execute(), sync]);
  const answers = ['2', 'D', 'C', 'Z'];
  const said = await held(
    url,
    [
      [parse('s', 'SELECT v, w FROM zoned WHERE k = $1'), '1'],
      [ask(), ...answers],
      [ask(0, 1), ...answers],
      [ask(0), ...answers],
      [query("SET TimeZone = 'Asia/Kolkata'"), 'C', 'Z'],
      [ask(0, 0), ...answers],
      [query("SET DateStyle = 'German'"), 'C', 'Z'],
      [ask(), ...answers],
    ],
    'in turns',
  );
  expect(said.filter((each) => each.startsWith('D'))).toEqual([
    'D 2026-01-01 00:00:00+00|258',
    'D 2026-01-01 00:00:00+00|\x01\x02',
    'D 2026-01-01 00:00:00+00|258',
    'D 2026-01-01 05:30:00+05:30|258',
    'D 01.01.2026 05:30:00 IST|258',
  ]);
});

test('rows that a client asks for and does not read hold it up, and all come', async () => {
  await held(
    url,
    [
      [
        query("CREATE TABLE wide (k int PRIMARY KEY, v text); INSERT INTO wide VALUES (1, repeat('x', 100000))"),
        'C',
        'C',
        'Z',
      ],
    ],
    'in turns',
  );
  const many = Array.from({ length: 40 }, () => [bind('', 's', ['1']), execute()]).flat();
  const said = await held(
    url,
    [
      [parse('s', 'SELECT v FROM wide WHERE k = $1'), '1'],
      [Buffer.concat([...many, sync]), ...Array.from({ length: 40 }, () => ['2', 'D', 'C']).flat(), 'Z'],
    ],
    'pipelined',
  );
  expect(said.filter((each) => each === `D ${'x'.repeat(100_000)}`)).toHaveLength(40);
});

test('numbers of SET are those of the statement, or of its Bind, each time; NULL as a key changes nothing', async () => {
  await held(
    url,
    [
      [
        query('CREATE TABLE sums (k int PRIMARY KEY, a int, b bigint); INSERT INTO sums VALUES (1, 0, 0), (2, 0, 0)'),
        'C',
      ],
      [Buffer.alloc(0), 'C', 'Z'],
    ],
    'in turns',
  );
  const ask = (name: string, ...values: (string | null)[]): Buffer =>
    Buffer.concat([bind('', name, values), execute(), sync]);
  const answers = ['2', 'C', 'Z'];
  const said = await held(
    url,
    [
      [parse('fixed', 'UPDATE sums SET a = a + 5 WHERE k = $1'), '1'],
      [parse('given', 'UPDATE sums SET a = a - $2, b = b + $3 WHERE k = $1'), '1'],
      [parse('gone', 'DELETE FROM sums WHERE k = $1'), '1'],
      [ask('fixed', '1'), ...answers],
      [ask('fixed', '2'), ...answers],
      [ask('fixed', '1'), ...answers],
      [ask('given', '1', '3', '4'), ...answers],
      [ask('given', '1', '30', null), ...answers],
      [ask('given', '2', '1', '7'), ...answers],
      [ask('fixed', null), ...answers],
      [ask('gone', null), ...answers],
      [ask('gone', '3'), ...answers],
      [query('SELECT a, b FROM sums ORDER BY k'), 'T', 'D', 'D', 'C', 'Z'],
      [ask('gone', '2'), ...answers],
      [query('SELECT k FROM sums'), 'T', 'D', 'C', 'Z'],
    ],
    'in turns',
  );
  expect(said.filter((each) => /^(D|C UPDATE 0|C DELETE)/.test(each))).toEqual([
    'C UPDATE 0',
    'C DELETE 0',
    'C DELETE 0',
    'D -23|NULL',
    'D 4|7',
    'C DELETE 1',
    'D 1',
  ]);
});
