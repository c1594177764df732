/** Clients that speak another encoding than UTF-8; with ARKA_TEST_POSTGRES the same is asked of PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { int16, int32, message, SYNC, WireConnection } from '../process/wire-connection.ts';

const READY = 'Z';

/** Says bytes and hears bytes, shown as Latin-1: one character for each. */
class ByteClient {
  readonly #wire: WireConnection;
  #said: string[] = [];
  #ready = Promise.withResolvers<readonly string[]>();

  constructor(url: string, settings: Readonly<Record<string, string>>) {
    this.#wire = new WireConnection(
      url,
      {
        message: (type, bytes, start, end) => this.#heard(String.fromCharCode(type), bytes.subarray(start, end)),
        closed: (error) => this.#ready.reject(error),
      },
      settings,
    );
  }

  #heard(type: string, body: Buffer): void {
    if (type !== READY) this.#said.push(`${type} ${shown(type, body)}`);
    else {
      const said = this.#said.filter((line) => /^[TDCESdA]/.test(line));
      this.#said = [];
      this.#ready.resolve(said);
      this.#ready = Promise.withResolvers();
    }
  }

  get opened(): Promise<readonly string[]> {
    return this.#ready.promise;
  }

  /** What the server says up to ReadyForQuery. */
  async send(...messages: readonly Buffer[]): Promise<readonly string[]> {
    const { promise } = this.#ready;
    this.#wire.send(Buffer.concat(messages));
    return promise;
  }

  /** Rows, tags, errors. */
  query(latin1: string): Promise<readonly string[]> {
    return this.send(message('Q', Buffer.from(`${latin1}\0`, 'latin1')));
  }

  end(): Promise<void> {
    return this.#wire.end();
  }
}

const bytes = (latin1: string): Buffer => Buffer.from(latin1, 'latin1');

function shown(type: string, body: Buffer): string {
  if (type === 'd') return body.toString('latin1').replaceAll('\n', '|');
  if (type === 'T') return body.toString('latin1', 2, body.indexOf(0, 2));
  if (type === 'D') {
    const fields: string[] = [];
    for (let at = 2; at < body.length;) {
      const length = body.readInt32BE(at);
      fields.push(length < 0 ? 'NULL' : body.toString('latin1', at + 4, at + 4 + length));
      at += 4 + Math.max(0, length);
    }
    return fields.join('|');
  }
  const parts = body.toString('latin1').split('\0');
  return type === 'E'
    ? ['C', 'M', 'P'].map((f) => parts.find((p) => p.startsWith(f))?.slice(1) ?? '').join(' ')
    : parts.join(' ').trim();
}

const servers: [string, () => string][] = [['Arka', () => server.url]];
const postgres = process.env['ARKA_TEST_POSTGRES'];
if (postgres !== undefined) servers.push(['PostgreSQL', () => postgres]);
let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
}, 60_000);
afterAll(() => server[Symbol.asyncDispose]());

describe.each(servers)('%s', (_, url) => {
  const open = async (settings: Readonly<Record<string, string>>): Promise<ByteClient> => {
    const client = new ByteClient(url(), settings);
    await client.opened;
    return client;
  };

  test('a client of LATIN1 has texts, names, parameters and errors in it', async () => {
    const client = new ByteClient(url(), { client_encoding: 'iso-8859-1' });
    expect(await client.opened).toContain('S client_encoding LATIN1');
    expect(await client.query(`SHOW client_encoding; SELECT pg_client_encoding()`)).toEqual([
      'T client_encoding',
      'D LATIN1',
      'C SHOW',
      'T pg_client_encoding',
      'D LATIN1',
      'C SELECT 1',
    ]);
    await client.query(`CREATE TEMP TABLE "gr\xfc\xdfe" (id int PRIMARY KEY, "\xe9t\xe9" text)`);
    expect(await client.query(`INSERT INTO "gr\xfc\xdfe" VALUES (1, '\xe4\xf6\xfc'), (2, U&'\\20AC')`)).toEqual([
      'C INSERT 0 2',
    ]);
    expect(await client.query(`SELECT "\xe9t\xe9", length("\xe9t\xe9") FROM "gr\xfc\xdfe" WHERE id = 1`)).toEqual([
      'T \xe9t\xe9',
      'D \xe4\xf6\xfc|3',
      'C SELECT 1',
    ]);
    expect(
      await client.query(`SELECT id FROM "gr\xfc\xdfe" WHERE "\xe9t\xe9" = '\xe4\xf6\xfc' AND "fehlt\xe4"`),
    ).toEqual(['E 42703 column "fehlt\xe4" does not exist 48']);
    expect((await client.query(`SELECT * FROM "gr\xfc\xdfe" ORDER BY id`)).slice(-1)).toEqual([
      'E 22P05 character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1" ',
    ]);
    expect(await client.query('SELECT 1 AS "n\xf6ch"')).toEqual(['T n\xf6ch', 'D 1', 'C SELECT 1']);
    await client.end();
  });

  test('a row that the client cannot have fails the transaction', async () => {
    const client = await open({ client_encoding: 'latin1' });
    await client.query(`BEGIN; CREATE TEMP TABLE t (id int PRIMARY KEY, x text)`);
    await client.query(`INSERT INTO t VALUES (1, U&'\\0416')`);
    expect((await client.query(`UPDATE t SET id = 2 RETURNING x`)).slice(-1)[0]).toMatch(/^E 22P05/);
    expect(await client.query('SELECT 1')).toEqual([expect.stringMatching(/^E 25P02/)]);
    expect(await client.query('ROLLBACK')).toEqual(['C ROLLBACK']);
    await client.end();
  });

  test('parameters and results of both formats are in it, arrays of texts, too', async () => {
    const client = await open({ client_encoding: 'WIN1252' });
    const call = (sql: string, oid: number, format: number, value: Buffer): Promise<readonly string[]> =>
      client.send(
        message('P', bytes('s\xe4\0'), bytes(`${sql}\0`), int16(1), int32(oid)),
        message(
          'B',
          '\0',
          bytes('s\xe4\0'),
          int16(1),
          int16(format),
          int16(1),
          int32(value.length),
          value,
          int16(1),
          int16(format),
        ),
        message('D', bytes('P\0')),
        message('E', '\0', int32(0)),
        message('C', bytes('Ss\xe4\0')),
        SYNC,
      );
    const euros = bytes('5 \x80');
    expect(await call('SELECT $1 AS "\x80"', 25, 0, euros)).toEqual(['T \x80', 'D 5 \x80', 'C SELECT 1']);
    expect(await call('SELECT $1 AS "\x80"', 25, 1, euros)).toEqual(['T \x80', 'D 5 \x80', 'C SELECT 1']);
    expect(await call('SELECT $1 AS n', 20, 1, Buffer.alloc(8, 0x80))).toEqual([
      'T n',
      `D ${'\x80'.repeat(8)}`,
      'C SELECT 1',
    ]);
    const array = [int32(1), int32(0), int32(25), int32(2), int32(1), int32(3), euros, int32(1), bytes('\xe4')];
    expect(await call('SELECT $1 AS a', 1009, 1, Buffer.concat(array))).toEqual([
      'T a',
      `D ${Buffer.concat(array).toString('latin1')}`,
      'C SELECT 1',
    ]);
    await client.end();
  });

  test('COPY gives and takes lines in it, or in the encoding that it names', async () => {
    const client = await open({});
    expect(await client.query(`SET NAMES 'win1251'`)).toEqual(['C SET', 'S client_encoding WIN1251']);
    await client.query('CREATE TEMP TABLE t (id int PRIMARY KEY, x text)');
    const copied = (sql: string, data: string): Promise<readonly string[]> =>
      client.send(message('Q', bytes(`${sql}\0`)), message('d', bytes(data)), message('c'));
    expect(await copied('COPY t FROM STDIN', '1\t\xc6\xe8\n')).toEqual(['C COPY 1']);
    expect(await copied('COPY t FROM STDIN (FORMAT csv)', '2,"\xda,"\n')).toEqual(['C COPY 1']);
    expect(await copied(`COPY t FROM STDIN (ENCODING 'latin1')`, '3\t\xe4\n')).toEqual(['C COPY 1']);
    expect(await copied(`COPY t FROM STDIN (ENCODING 'utf-8')`, '4\t\xd0\x96\n')).toEqual(['C COPY 1']);
    expect((await copied('COPY t FROM STDIN', '5\t\x98\n')).at(-1)).toMatch(
      /^E 22P05 character with byte sequence 0x98 in encoding "WIN1251" has no equivalent in encoding "UTF8"/,
    );
    expect(await client.query('COPY (SELECT * FROM t WHERE id <> 3 ORDER BY id) TO STDOUT')).toEqual([
      'd 1\t\xc6\xe8|',
      'd 2\t\xda,|',
      'd 4\t\xc6|',
      'C COPY 3',
    ]);
    expect(await client.query(`COPY (SELECT * FROM t WHERE id > 2 ORDER BY id) TO STDOUT (ENCODING 'UTF8')`)).toEqual([
      'd 3\t\xc3\xa4|',
      'd 4\t\xd0\x96|',
      'C COPY 2',
    ]);
    expect((await client.query(`COPY (SELECT * FROM t WHERE id = 3) TO STDOUT`)).at(-1)).toMatch(/^E 22P05/);
    expect(await client.query(`COPY t TO STDOUT (ENCODING 'klingon')`)).toEqual([
      'E 22023 argument to option "encoding" must be a valid encoding name 19',
    ]);
    expect(await client.query(`COPY (SELECT count(*) FROM t) TO STDOUT`)).toEqual(['d 4|', 'C COPY 1']);
    await client.end();
  });

  test('SET and ROLLBACK change it at once, and ParameterStatus says how PostgreSQL spells it', async () => {
    const client = await open({});
    expect(
      await client.query(`SELECT '\xc3\xa4' AS a; SET client_encoding = latin9; SELECT U&'\\00E4\\20AC' AS a`),
    ).toEqual([
      'T a',
      'D \xc3\xa4',
      'C SELECT 1',
      'C SET',
      'T a',
      'D \xe4\xa4',
      'C SELECT 1',
      'S client_encoding LATIN9',
    ]);
    await client.query('BEGIN');
    expect(await client.query(`SET LOCAL client_encoding = 'sql_ascii'; SELECT U&'\\00E4' AS a`)).toEqual([
      'C SET',
      'T a',
      'D \xc3\xa4',
      'C SELECT 1',
      'S client_encoding SQL_ASCII',
    ]);
    expect(await client.query('ROLLBACK')).toEqual(['C ROLLBACK', 'S client_encoding LATIN9']);
    expect(await client.query(`SELECT '\xe4' AS "\xe4"`)).toEqual(['T \xe4', 'D \xe4', 'C SELECT 1']);
    expect(await client.query(`SET client_encoding = 'klingon'`)).toEqual([
      'E 22023 invalid value for parameter "client_encoding": "klingon" ',
    ]);
    expect(await client.query('RESET client_encoding')).toEqual(['C RESET', 'S client_encoding UTF8']);
    await client.end();
  });

  test('bytes that are no text are an error of their message', async () => {
    const client = await open({ client_encoding: 'WIN1252' });
    expect(await client.query(`SELECT '\x81'`)).toEqual([
      'E 22P05 character with byte sequence 0x81 in encoding "WIN1252" has no equivalent in encoding "UTF8" ',
    ]);
    await client.query('SET client_encoding = sql_ascii');
    expect(await client.query(`SELECT '\xe4'`)).toEqual([
      expect.stringMatching(/^E 22021 invalid byte sequence for encoding "UTF8": 0xe4/),
    ]);
    await client.end();
  });

  test.each([
    'LATIN1',
    'LATIN2',
    'LATIN5',
    'LATIN9',
    'WIN866',
    'WIN1250',
    'WIN1251',
    'WIN1252',
    'WIN1255',
    'KOI8R',
    'KOI8U',
    'ISO_8859_7',
  ])('every character of %s comes back as it went', async (name) => {
    const client = await open({ client_encoding: name });
    const missing: string[] = [];
    for (let byte = 0x80; byte < 0x100; byte++) {
      const [, row] = await client.query(`SELECT '${String.fromCharCode(byte)}'`);
      if (row !== `D ${String.fromCharCode(byte)}`) missing.push(byte.toString(16));
    }
    expect(missing.join(' ')).toBe(MISSING[name] ?? '');
    await client.end();
  });
});

/** Bytes that stand for nothing, as PostgreSQL 15 has it. */
const MISSING: Readonly<Record<string, string>> = {
  WIN1250: '81 83 88 90 98',
  WIN1251: '98',
  WIN1252: '81 8d 8f 90 9d',
  WIN1255: '81 8a 8c 8d 8e 8f 90 9a 9c 9d 9e 9f ca d9 da db dc dd de df fb fc ff',
  ISO_8859_7: 'ae d2 ff',
};
