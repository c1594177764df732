/**
 * The protocol over the whole server, as it is spoken. With CONVERSATION_WITH=postgresql://… it is spoken with another server:
 * PostgreSQL 15 says the same, but that it ends the session where a COPY meets another message, and looks for a Bind's statement before
 * it reads its message to the end, and that it plans at Bind: an error of a cast of constants comes then.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RoleServer } from '../gateway/role-server.ts';
import {
  bind,
  closePortal,
  closeStatement,
  copyData,
  copyDone,
  copyFail,
  describePortal,
  describeStatement,
  execute,
  flush,
  held,
  int16,
  int32,
  message,
  parse,
  query,
  sync,
  type Turn,
  WAYS,
} from './conversation.ts';

const address = process.env['CONVERSATION_WITH'];
let server: RoleServer | null = null;
let url = address ?? '';

beforeAll(async () => {
  if (address === undefined) {
    server = await RoleServer.start();
    url = `postgresql://arka@127.0.0.1:${server.listener.port}/arka`;
  }
  await held(url, [[query('DROP TABLE IF EXISTS talk, talked, short'), 'C', 'Z']], 'in turns');
  await held(
    url,
    [
      [
        query(
          "CREATE TABLE talk (a int PRIMARY KEY, b text); CREATE TABLE talked (a int, b text); CREATE TABLE short (v varchar(3), n numeric(3,2)); INSERT INTO talk VALUES (1, 'one'), (2, NULL), (3, 'three')",
        ),
        'C',
        'C',
        'C',
        'C',
        'Z',
      ],
    ],
    'in turns',
  );
}, 60_000);
afterAll(() => server?.destroy());

/** What it is about, and its turns. */
const CONVERSATIONS: readonly (readonly [title: string, ...turns: Turn[]])[] = [
  [
    'the statements of one Query are answered one by one, and the first error ends them',
    [
      query("SELECT a FROM talk WHERE a < 3 ORDER BY a; SELECT 'x' AS x"),
      'T a:23',
      'D 1',
      'D 2',
      'C SELECT 2',
      'T x:25',
      'D x',
      'C SELECT 1',
      'Z I',
    ],
    [query('SELECT 1 AS a; SELECT 1/0; SELECT 2'), 'T a:23', 'D 1', 'C SELECT 1', 'E 22012 division by zero', 'Z I'],
    [query(''), 'I', 'Z I'],
    [query(' ; ;'), 'I', 'Z I'],
    [query('SELEC 1'), 'E 42601 syntax error at or near "SELEC"', 'Z I'],
  ],
  [
    'a block that failed takes nothing but its end',
    [query('BEGIN'), 'C BEGIN', 'Z T'],
    [
      query("INSERT INTO talk VALUES (1, 'again')"),
      'E 23505 duplicate key value violates unique constraint "talk_pkey"',
      'Z E',
    ],
    [
      query('SELECT 1'),
      'E 25P02 current transaction is aborted, commands ignored until end of transaction block',
      'Z E',
    ],
    [parse('', 'SELECT 1')],
    [sync, 'E 25P02 current transaction is aborted, commands ignored until end of transaction block', 'Z E'],
    [query('COMMIT'), 'C ROLLBACK', 'Z I'],
    [query('COMMIT'), 'N 25P01 there is no transaction in progress', 'C COMMIT', 'Z I'],
  ],
  [
    'a statement is described, bound twice, and closed',
    [parse('s', 'SELECT a, b FROM talk WHERE a = $1')],
    [describeStatement('s')],
    [bind('p', 's', ['1'])],
    [describePortal('p')],
    [execute('p')],
    [bind('q', 's', [int32(3)], [1], [1, 0])],
    [execute('q')],
    [closeStatement('s')],
    [closePortal('no such')],
    [
      sync,
      '1',
      't',
      'T a:23|b:25',
      '2',
      'T a:23|b:25',
      'D 1|one',
      'C SELECT 1',
      '2',
      'D \0\0\0\x03|three',
      'C SELECT 1',
      '3',
      '3',
      'Z I',
    ],
    [bind('', 's')],
    [sync, 'E 26000 prepared statement "s" does not exist', 'Z I'],
  ],
  [
    'a portal gives its rows in portions, as long as its transaction lasts',
    [parse('', 'SELECT a FROM talk ORDER BY a')],
    [bind()],
    [execute('', 2)],
    [flush, '1', '2', 'D 1', 'D 2', 's'],
    [execute('', 2)],
    [execute('', 0)],
    [sync, 'D 3', 'C SELECT 1', 'C SELECT 0', 'Z I'],
    [execute('')],
    [sync, 'E 34000 portal "" does not exist', 'Z I'],
  ],
  [
    'after an error all is left out up to the Sync, and what came before it in the same transaction is undone',
    [parse('', 'INSERT INTO talked VALUES ($1, $2)')],
    [bind('', '', ['1', null])],
    [execute()],
    [bind('', '', ['x', null])],
    [execute()],
    [query('SELECT 1')],
    [sync, '1', '2', 'C INSERT 0 1', 'E 22P02 invalid input syntax for type integer: "x"', 'Z I'],
    [query('SELECT count(*) FROM talked'), 'T count:20', 'D 0', 'C SELECT 1', 'Z I'],
  ],
  [
    'COPY in text, and an error in it, which leaves out the rest of its data',
    [query('COPY talked FROM STDIN'), 'G'],
    [copyData('1\to')],
    [copyData('ne\n2\t\\N\n')],
    [copyDone, 'C COPY 2', 'Z I'],
    [query('COPY talked TO STDOUT'), 'H', 'd', 'd', 'c', 'C COPY 2', 'Z I'],
    [query('COPY talked FROM STDIN'), 'G'],
    [copyData('x\tone\n')],
    [copyData('2\ttwo\n')],
    [copyDone, 'E 22P02 invalid input syntax for type integer: "x"', 'Z I'],
    [query('COPY talked FROM STDIN'), 'G'],
    [copyFail('enough'), 'E 57014 COPY from stdin failed: enough', 'Z I'],
    [query('DELETE FROM talked'), 'C DELETE 2', 'Z I'],
  ],
  [
    'COPY in the extended protocol: Flush and Sync inside it are nothing, its end is followed by a Sync',
    [parse('', 'COPY talked FROM STDIN')],
    [bind()],
    [execute(), '1', '2', 'G'],
    [flush],
    [sync],
    [copyData('7\tseven\n')],
    [copyDone],
    [sync, 'C COPY 1', 'Z I'],
    [query('DELETE FROM talked'), 'C DELETE 1', 'Z I'],
  ],
  [
    'after an error in a COPY what follows of its data is skipped, up to the next Query or Sync',
    [query('COPY talked FROM STDIN BINARY'), 'G'],
    [copyData('no head of a binary COPY')],
    [copyDone, 'E 22P04 COPY file signature not recognized', 'Z I'],
    [copyData('2\ttwo\n')],
    [copyFail('late')],
    [query('COPY talked FROM STDIN'), 'G'],
    [copyData('3\tthree\n')],
    [copyDone, 'C COPY 1', 'Z I'],
    [query('DELETE FROM talked'), 'C DELETE 1', 'Z I'],
    [parse('', 'COPY talked FROM STDIN BINARY'), '1'],
    [bind(), '2'],
    [execute(), 'G'],
    [copyData('no head of a binary COPY')],
    [copyDone, 'E 22P04 COPY file signature not recognized'],
    [copyData('2\ttwo\n')],
    [sync, 'Z I'],
  ],
  [
    'another message inside a COPY ends it',
    [query('COPY talked FROM STDIN'), 'G'],
    [copyData('1\tone\n')],
    [query('SELECT 1'), 'E 08P01 unexpected message type 0x51 during COPY from stdin', 'Z I'],
    [query('SELECT count(*) FROM talked'), 'T count:20', 'D 0', 'C SELECT 1', 'Z I'],
  ],
  [
    'a statement that executes itself comes to an end',
    [parse('x', 'EXECUTE x')],
    [bind('', 'x')],
    [execute()],
    [sync, '1', '2', 'E 54001 stack depth limit exceeded', 'Z I'],
    [query('EXPLAIN ANALYZE EXECUTE x'), 'E 54001 stack depth limit exceeded', 'Z I'],
    [query('EXECUTE x'), 'E 54001 stack depth limit exceeded', 'Z I'],
  ],
  [
    'names are taken once, until they are closed',
    [parse('s', 'SELECT 1')],
    [parse('s', 'SELECT 2')],
    [sync, '1', 'E 42P05 prepared statement "s" already exists', 'Z I'],
    [query('BEGIN'), 'C BEGIN', 'Z T'],
    [bind('p', 's')],
    [bind('p', 's')],
    [sync, '2', 'E 42P03 cursor "p" already exists', 'Z E'],
    [query('ROLLBACK'), 'C ROLLBACK', 'Z I'],
  ],
];

describe.each(CONVERSATIONS.map(([title, ...turns]) => ({ title, turns })))('$title', ({ turns }) => {
  test.each(WAYS)('%s', async (way) => {
    expect(await held(url, turns, way)).toEqual(turns.flatMap(([, ...answers]) => answers));
  });
});

/** A message that cannot be read, and what is said to it; the session goes on. */
const MALFORMED: readonly (readonly [title: string, bytes: Buffer, said: string])[] = [
  ['Query without its zero', message('Q', 'SELECT 1'), '08P01 invalid string in message'],
  ['Query with more behind its zero', message('Q', 'SELECT 1\0\0'), '08P01 invalid message format'],
  ['Query of nothing', message('Q'), '08P01 invalid string in message'],
  ['Parse that ends in its name', message('P', 's'), '08P01 invalid string in message'],
  ['Parse without a number of types', message('P', '\0SELECT 1\0'), '08P01 insufficient data left in message'],
  [
    'Parse with fewer types than it says',
    message('P', '\0SELECT 1\0', int16(2), int32(23)),
    '08P01 insufficient data left in message',
  ],
  [
    'Parse with more types than it says',
    message('P', '\0SELECT 1\0', int16(0), int32(23)),
    '08P01 invalid message format',
  ],
  [
    'Bind with a value that is cut',
    message('B', '\0\0', int16(0), int16(1), int32(5), 'ab'),
    '08P01 insufficient data left in message',
  ],
  [
    'Bind with a value of length -2',
    message('B', '\0\0', int16(0), int16(1), int32(-2), int16(0)),
    '08P01 insufficient data left in message',
  ],
  [
    'Bind with 65,535 values and none',
    message('B', '\0\0', int16(0), int16(-1)),
    '08P01 insufficient data left in message',
  ],
  ['Describe of something else', message('D', 'X\0'), '08P01 invalid DESCRIBE message subtype 88'],
  ['Describe of nothing', message('D'), '08P01 insufficient data left in message'],
  ['Close of something else', message('C', 'X\0'), '08P01 invalid CLOSE message subtype 88'],
  ['Execute without a number of rows', message('E', '\0'), '08P01 insufficient data left in message'],
  ['Sync with a body', message('S', 'x'), '08P01 invalid message format'],
  ['Flush with a body', message('H', 'x'), '08P01 invalid message format'],
  ['a function call', message('F', int32(0)), '0A000 the function call message is not supported'],
  [
    'Query that is not UTF-8',
    message('Q', Buffer.from('SELECT \xe9\0', 'latin1')),
    '22021 invalid byte sequence for encoding "UTF8": 0xe9',
  ],
  [
    'Parse of a text that is not UTF-8',
    message('P', '\0', Buffer.from("SELECT '\xc0\x80'\0", 'latin1'), int16(0)),
    '22021 invalid byte sequence for encoding "UTF8": 0xc0 0x80',
  ],
  [
    'a name that is not UTF-8',
    message('C', Buffer.from('S\xff\0', 'latin1')),
    '22021 invalid byte sequence for encoding "UTF8": 0xff',
  ],
];

describe('a message that cannot be read is an error of its own, and the session goes on', () => {
  test.each(MALFORMED)('%s', async (_, bytes, said) => {
    const type = String.fromCharCode(bytes[0]!);
    const ends = type === 'Q' || type === 'F' || type === 'S' ? ['Z I'] : [];
    const rest: Turn[] = ends.length === 0 ? [[sync, 'Z I']] : [];
    const turns: Turn[] = [
      [bytes, `E ${said}`, ...ends],
      ...rest,
      [query('SELECT 1 AS a'), 'T a:23', 'D 1', 'C SELECT 1', 'Z I'],
    ];
    expect(await held(url, turns, 'pipelined')).toEqual(turns.flatMap(([, ...answers]) => answers));
  });

  test.each<[string, Buffer, readonly number[], string]>([
    [
      'a text that is not UTF-8',
      Buffer.from('\xff', 'latin1'),
      [0],
      '22021 invalid byte sequence for encoding "UTF8": 0xff',
    ],
    ['the same in binary', Buffer.from('\xff', 'latin1'), [1], '22021 invalid byte sequence for encoding "UTF8": 0xff'],
    ['a zero byte', Buffer.from('a\0b'), [0], '22021 invalid byte sequence for encoding "UTF8": 0x00'],
    ['a zero byte in binary', Buffer.from('a\0b'), [1], '22021 invalid byte sequence for encoding "UTF8": 0x00'],
  ])('a parameter with %s, of a table and of none', async (_, value, formats, said) => {
    for (const sql of ['INSERT INTO talked VALUES (1, $1)', 'SELECT $1::text', 'SELECT a FROM talk WHERE b = $1']) {
      const turns: Turn[] = [[parse('', sql, 25)], [bind('', '', [value], formats)], [execute()], [sync]];
      const answers = await held(url, [...turns.slice(0, 3), [sync, '1', 'E', 'Z I']], 'pipelined');
      expect(answers).toEqual(['1', `E ${said}`, 'Z I']);
    }
  });

  const of = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
  const lists = (...words: number[]): Buffer => Buffer.concat(words.map(int32));
  test.each<[type: string, oid: number, value: string | Uint8Array, said: string]>([
    ['integer', 23, 'x', '22P02 invalid input syntax for type integer: "x"'],
    ['integer', 23, '3000000000', '22003 value "3000000000" is out of range for type integer'],
    ['integer', 23, of(0, 1), '08P01 insufficient data left in message'],
    ['integer', 23, of(0, 0, 0, 0, 1), '22P03 incorrect binary data format in bind parameter 1'],
    ['boolean', 16, 'maybe', '22P02 invalid input syntax for type boolean: "maybe"'],
    ['boolean', 16, of(1, 0), '22P03 incorrect binary data format in bind parameter 1'],
    ['double precision', 701, '1e400', '22003 "1e400" is out of range for type double precision'],
    ['numeric', 1700, '1.2.3', '22P02 invalid input syntax for type numeric: "1.2.3"'],
    ['numeric', 1700, of(0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10), '22P03 invalid digit in external "numeric" value'],
    ['date', 1082, '2020-02-30', '22008 date/time field value out of range: "2020-02-30"'],
    ['timestamp', 1114, 'soon', '22007 invalid input syntax for type timestamp: "soon"'],
    ['interval', 1186, '1 moon', '22007 invalid input syntax for type interval: "1 moon"'],
    ['uuid', 2950, 'a0', '22P02 invalid input syntax for type uuid: "a0"'],
    ['uuid', 2950, of(1, 2, 3), '08P01 insufficient data left in message'],
    ['jsonb', 3802, '{', '22P02 invalid input syntax for type json'],
    ['bytea', 17, String.raw`\x0`, '22023 invalid hexadecimal data: odd number of digits'],
    ['integer[]', 1007, '{1,x}', '22P02 invalid input syntax for type integer: "x"'],
    ['integer[]', 1007, '{1', '22P02 malformed array literal: "{1"'],
    ['integer[]', 1007, '{{1},{x}}', '22P02 invalid input syntax for type integer: "x"'],
    [
      'integer[]',
      1007,
      lists(1, 0, 25, 1, 1, 4, 7),
      '42804 binary data has array element type 25 (text) instead of expected 23 (integer)',
    ],
    ['integer[]', 1007, lists(1, 0, 23, 1, 1, 4), '22P03 insufficient data left in message'],
    ['money', 790, 'dear', '22P02 invalid input syntax for type money: "dear"'],
    ['regclass', 2205, 'nowhere', '42P01 relation "nowhere" does not exist'],
    ['inet', 869, of(1), '22P03 invalid address family in external "inet" value'],
  ])(
    'a value that is no %s is the answer to Bind, and there is no portal (type %i, case %#)',
    async (_, oid, value, said) => {
      const isText = typeof value === 'string';
      const turns: Turn[] = [
        [parse('', 'SELECT $1 IS NULL, $2::text', oid)],
        [bind('p', '', [value, 'x'], [isText ? 0 : 1, 0])],
        [execute('p')],
        [sync, '1', `E ${said}`, 'Z I'],
        [execute('p')],
        [sync, 'E 34000 portal "p" does not exist', 'Z I'],
      ];
      expect(await held(url, turns, 'pipelined')).toEqual(turns.flatMap(([, ...answers]) => answers));
    },
  );

  test('values that fit their own type, and not the column, are refused by Execute', async () => {
    const turns: Turn[] = [
      [parse('', 'INSERT INTO talked VALUES ($1, NULL)', 20)],
      [bind('', '', ['3000000000'])],
      [execute()],
      [sync, '1', '2', 'E 22003 integer out of range', 'Z I'],
      [parse('', 'INSERT INTO short VALUES ($1, $2)')],
      [bind('', '', ['too long', null])],
      [execute()],
      [sync, '1', '2', 'E 22001 value too long for type character varying(3)', 'Z I'],
      [bind('', '', [null, '99.9'])],
      [execute()],
      [sync, '2', 'E 22003 numeric field overflow', 'Z I'],
      [parse('', 'SELECT $1::int[], $2::int[]')],
      [bind('', '', ['{{1,2},{3,4}}', '[0:1]={5,6}'])],
      [execute()],
      [sync, '1', '2', 'D {{1,2},{3,4}}|[0:1]={5,6}', 'C SELECT 1', 'Z I'],
    ];
    expect(await held(url, turns, 'pipelined')).toEqual(turns.flatMap(([, ...answers]) => answers));
  });

  test('an array that a column cannot hold is 0A000 where it comes, and nothing of its statement is kept', async () => {
    const dimensions = 'E 0A000 an array of more than one dimension in a column is not supported';
    const bound = 'E 0A000 an array in a column whose first index is not 1 is not supported';
    const turns: Turn[] = [
      [query('CREATE TABLE lists (k int PRIMARY KEY, n int[])'), 'C CREATE TABLE', 'Z I'],
      [query(`INSERT INTO lists VALUES (1, '{1}'), (2, '{{1,2},{3,4}}')`), dimensions, 'Z I'],
      [query(`INSERT INTO lists VALUES (1, '{1}'), (2, '[0:1]={1,2}')`), bound, 'Z I'],
      [query('INSERT INTO lists VALUES (1, NULL), (2, ARRAY[[1],[2]])'), dimensions, 'Z I'],
      [query('INSERT INTO lists (k, n[2]) VALUES (1, 1)'), bound, 'Z I'],
      [query('COPY lists FROM STDIN'), 'G'],
      [copyData('1\t{1}\n2\t{{1},{2}}\n')],
      [copyDone, dimensions, 'Z I'],
      [parse('', 'INSERT INTO lists VALUES ($1, $2)')],
      [bind('', '', ['1', lists(2, 0, 23, 1, 1, 1, 1, 4, 7)], [0, 1])],
      [execute()],
      [sync, '1', '2', dimensions, 'Z I'],
      [bind('', '', ['1', lists(1, 0, 23, 1, 0, 4, 7)], [0, 1])],
      [execute()],
      [sync, '2', bound, 'Z I'],
      [query('SELECT count(*) FROM lists'), 'T count:20', 'D 0', 'C SELECT 1', 'Z I'],
      [query(`INSERT INTO lists VALUES (1, '{1,2}'), (2, '{}'), (3, NULL)`), 'C INSERT 0 3', 'Z I'],
      [query('UPDATE lists SET n[0] = 5 WHERE k = 1'), bound, 'Z I'],
      [query('UPDATE lists SET n[2] = 5'), bound, 'Z I'],
      [query('UPDATE lists SET n[1][1] = 5 WHERE k = 3'), dimensions, 'Z I'],
      [query(`UPDATE lists SET n[0:1] = '{5,6}' WHERE k = 1`), bound, 'Z I'],
      [query('SELECT * FROM lists'), 'T k:23|n:1007', 'D 1|{1,2}', 'D 2|{}', 'D 3|NULL', 'C SELECT 3', 'Z I'],
      [query('DROP TABLE lists'), 'C DROP TABLE', 'Z I'],
    ];
    expect(await held(url, turns, 'in turns')).toEqual(turns.flatMap(([, ...answers]) => answers));
  });

  test('a portal of a block that failed is not run', async () => {
    const turns: Turn[] = [
      [query('BEGIN'), 'C BEGIN', 'Z T'],
      [parse('', 'SELECT a FROM talk')],
      [bind('p', '')],
      [flush, '1', '2'],
      [query('SELEC 1'), 'E 42601 syntax error at or near "SELEC"', 'Z E'],
      [execute('p')],
      [sync, 'E 25P02 current transaction is aborted, commands ignored until end of transaction block', 'Z E'],
      [query('ROLLBACK'), 'C ROLLBACK', 'Z I'],
      [execute('p')],
      [sync, 'E 34000 portal "p" does not exist', 'Z I'],
    ];
    expect(await held(url, turns, 'in turns')).toEqual(turns.flatMap(([, ...answers]) => answers));
  });

  test('a Bind that fails ends the unnamed portal before it, and fails its block', async () => {
    const turns: Turn[] = [
      [query('BEGIN'), 'C BEGIN', 'Z T'],
      [parse('s', 'SELECT a FROM talk WHERE a = $1')],
      [bind('', 's', ['1'])],
      [flush, '1', '2'],
      [bind('', 's', ['one'])],
      [sync, 'E 22P02 invalid input syntax for type integer: "one"', 'Z E'],
      [bind('', 's', ['also'])],
      [sync, 'E 25P02 current transaction is aborted, commands ignored until end of transaction block', 'Z E'],
      [query('ROLLBACK'), 'C ROLLBACK', 'Z I'],
      [execute('')],
      [sync, 'E 34000 portal "" does not exist', 'Z I'],
    ];
    expect(await held(url, turns, 'pipelined')).toEqual(turns.flatMap(([, ...answers]) => answers));
  });

  test('a bad line of COPY is answered when it is whole, though the client sends no more', async () => {
    const bad = 'E 22P02 invalid input syntax for type integer: "x"';
    const signature = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
    const turns: Turn[] = [
      [query('COPY talked FROM STDIN'), 'G'],
      [copyData('1\tone\nx\ttwo\n3')],
      [flush, bad, 'Z I'],
      [copyData('\tthree\n')],
      [copyDone],
      [query('COPY talked FROM STDIN (FORMAT csv)'), 'G'],
      [copyData('x,"one"\n'), bad, 'Z I'],
      [copyFail('it knows')],
      [query('COPY talked FROM STDIN (FORMAT binary)'), 'G'],
      [copyData(signature)],
      [copyData(Buffer.concat([int16(3)])), 'E 22P04 row field count is 3, expected 2', 'Z I'],
      [copyDone],
      [query('COPY talked FROM STDIN WHERE a > 1'), 'G'],
      [copyData('1\tone\n2\tt')],
      [copyData('wo\n')],
      [copyDone, 'C COPY 1', 'Z I'],
      [query('DELETE FROM talked'), 'C DELETE 1', 'Z I'],
    ];
    expect(await held(url, turns, 'in turns')).toEqual(turns.flatMap(([, ...answers]) => answers));
  });

  test('data of COPY that is not UTF-8', async () => {
    const turns: Turn[] = [
      [query('COPY talked FROM STDIN'), 'G'],
      [copyData(Buffer.from('1\t\xff\n', 'latin1'))],
      [copyDone, 'E 22021 invalid byte sequence for encoding "UTF8": 0xff', 'Z I'],
    ];
    for (const way of WAYS) expect(await held(url, turns, way)).toEqual(turns.flatMap(([, ...answers]) => answers));
  });

  test.each([
    ['a type that there is not', message('z'), '08P01 invalid frontend message type 122'],
    ['a length of 3', Buffer.from([0x51, 0, 0, 0, 3]), '08P01 invalid message length'],
    ['a negative length', Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]), '08P01 invalid message length'],
    ['a Query of 2 GB', Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff]), '08P01 invalid message length'],
    ['a Sync of 10,001 bytes', Buffer.from([0x53, 0, 0, 0x27, 0x11]), '08P01 invalid message length'],
    ['a password in the middle', message('p', 'x\0'), '08P01 invalid frontend message type 112'],
  ])('%s ends the session', async (_, bytes, said) => {
    expect(await held(url, [[bytes, `E ${said}`, 'more']], 'pipelined')).toEqual([`E ${said}`]);
  });
});
