/**
 * The protocol over the whole server, as it is spoken. With CONVERSATION_WITH=postgresql://… it is spoken with another server:
 * PostgreSQL 15 says the same, but that it looks at a value at Bind already, ends the session where a COPY meets another message,
 * and looks for a Bind's statement before it reads the values.
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
  await held(url, [[query('DROP TABLE IF EXISTS talk, talked'), 'C', 'Z']], 'in turns');
  await held(
    url,
    [
      [
        query(
          "CREATE TABLE talk (a int PRIMARY KEY, b text); CREATE TABLE talked (a int, b text); INSERT INTO talk VALUES (1, 'one'), (2, NULL), (3, 'three')",
        ),
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
    [sync, '1', '2', 'C INSERT 0 1', '2', 'E 22P02 invalid input syntax for type integer: "x"', 'Z I'],
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
      const answers = await held(url, [...turns.slice(0, 3), [sync, '1', '2', 'E', 'Z I']], 'pipelined');
      expect(answers.filter((each) => each !== '2')).toEqual(['1', `E ${said}`, 'Z I']);
    }
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
