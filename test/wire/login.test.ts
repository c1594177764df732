import { createHash, X509Certificate } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import pg from 'pg';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { saslprep } from '../../src/saslprep.ts';
import { hmac, makeVerifier, parseVerifier, standInVerifier, type Verifier, verifierText } from '../../src/scram.ts';
import type { Listener } from '../../src/wire/listener.ts';
import { ScramExchange } from '../../src/wire/scram-exchange.ts';
import { tlsServer } from '../../src/wire/tls.ts';
import { makeCertificate } from './certificate.ts';
import { FakeGateway, message, RawClient, start, STARTUP } from './fake-gateway.ts';
import { ScramClient } from './scram-client.ts';

const SSL_REQUEST = message('', '\x04\xd2\x16\x2f');
const PASSWORD = 'pencil';
const certificate = makeCertificate();
const endPoint = createHash('sha256').update(new X509Certificate(certificate.cert).raw).digest();

let verifier: Verifier;
let gateway: FakeGateway;
let listener: Listener;
let strict: Listener;
const logged: unknown[] = [];
beforeAll(async () => {
  verifier = await makeVerifier(PASSWORD);
  gateway = new FakeGateway();
  const log = (error: unknown): void => void logged.push(error);
  const tls = tlsServer(certificate.cert, certificate.key, false);
  listener = await start(gateway, log, { tls, maxConnections: 50 });
  strict = await start(gateway, log, { tls: { ...tls, required: true } });
});
afterAll(async () => {
  await listener.close();
  await strict.close();
  expect(logged).toEqual([]);
});
beforeEach(() => {
  gateway.credentials = null;
});
/** Everyone must know the password; `nobody` does not exist. */
function askForPassword(): void {
  gateway.credentials = (user) =>
    user === 'nobody'
      ? { verifier: standInVerifier(user, Buffer.from('secret')), doomed: true }
      : { verifier, doomed: false };
}

const secured = (socket: TLSSocket): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once('secureConnect', () => resolve());
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
/** What a socket says until it ends or `done`. */
async function heard(socket: Socket | TLSSocket, done: (bytes: Buffer) => boolean = () => false): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (done(bytes)) resolve(bytes);
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(bytes));
  });
}
async function answered(port = listener.port): Promise<{ plain: Socket; secure: () => Promise<TLSSocket> }> {
  const plain = connectTcp(port, '127.0.0.1');
  plain.on('error', () => {});
  plain.write(SSL_REQUEST);
  const answer = await new Promise<Buffer>((resolve) => plain.once('data', resolve));
  expect(answer.toString()).toBe('S');
  const secure = async (): Promise<TLSSocket> => {
    const socket = connectTls({ socket: plain, ca: certificate.cert, host: '127.0.0.1' });
    await secured(socket);
    return socket;
  };
  return { plain, secure };
}
const client = (more: object): pg.Client =>
  new pg.Client({ host: '127.0.0.1', port: listener.port, user: 'u', ...more });
const ssl = { ca: certificate.cert };

describe('TLS', () => {
  test('SSLRequest is answered S, and the session goes on over TLS; plain ones beside it', async () => {
    const over = client({ ssl });
    const plain = client({});
    await over.connect();
    await plain.connect();
    expect((await over.query('over TLS')).rows).toEqual([{ x: 'over TLS' }]);
    expect((await plain.query('plain')).rows).toEqual([{ x: 'plain' }]);
    // more than a TLS record, and more than the buffers hold
    const long = 'y'.repeat(3_000_000);
    expect((await over.query(long)).rows).toEqual([{ x: long }]);
    const { rows } = await over.query('flood');
    expect([rows.length, rows[99]!.x.length]).toEqual([100, 200_000]);
    await over.end();
    await plain.end();
  });

  test('a GSSENCRequest is answered N, then an SSLRequest S', async () => {
    const socket = connectTcp(listener.port, '127.0.0.1');
    socket.write(message('', '\x04\xd2\x16\x30'));
    expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toBe('N');
    socket.write(SSL_REQUEST);
    expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toBe('S');
    socket.destroy();
  });

  test('TLS from the first byte on is taken with ALPN postgresql, and refused with 08P01 without', async () => {
    const direct = (ALPNProtocols: string[]): TLSSocket =>
      connectTls({ host: '127.0.0.1', port: listener.port, ca: certificate.cert, ALPNProtocols });
    const good = direct(['postgresql']);
    await secured(good);
    good.write(STARTUP);
    const said = await heard(good, (bytes) => bytes.includes('Z\0\0\0\x05I'));
    expect(said.includes('Z\0\0\0\x05I')).toBe(true);
    good.destroy();
    const bad = direct([]);
    await secured(bad);
    expect((await heard(bad)).toString('latin1')).toContain(
      'C08P01\0Mreceived direct SSL connection request without ALPN',
    );
  });

  test('what came in clear text behind an SSLRequest is 08P01, and is never taken for what came over TLS', async () => {
    const raw = new RawClient(listener.port);
    raw.socket.write(Buffer.concat([SSL_REQUEST, STARTUP]));
    await raw.closed;
    expect(raw.messages()[0]).toContain('C08P01\0Mreceived unencrypted data after SSL request');
  });

  test.each([
    ['in place of a handshake', false],
    ['after it', true],
  ])('bytes that are not TLS, %s, end the connection', async (_, after) => {
    const { plain, secure } = await answered();
    if (after) await secure().then((socket) => socket.on('error', () => {}));
    const ended = new Promise<void>((resolve) => plain.on('close', () => resolve()));
    plain.write(Buffer.alloc(200, 'x'));
    await ended;
    expect(listener.sessions()).toBe(0);
  });

  test('with server.tls_required a plain connection is 28000, one over TLS is not', async () => {
    const raw = new RawClient(strict.port);
    raw.socket.write(STARTUP);
    await raw.closed;
    expect(raw.messages()[0]).toContain('C28000\0M');
    expect(raw.messages()[0]).toContain('no encryption');
    const over = client({ port: strict.port, ssl });
    await over.connect();
    await over.end();
  });

  test('a message that arrives over TLS byte by byte is a message; close says 57P01 there, too', async () => {
    const own = await start(gateway, () => {}, { tls: tlsServer(certificate.cert, certificate.key, false) });
    const { secure } = await answered(own.port);
    const socket = await secure();
    const all = heard(socket);
    const ready = heard(
      socket,
      (bytes) => bytes.toString('latin1').endsWith('Z\0\0\0\x05I') && bytes.includes('SELECT 1'),
    );
    for (const byte of Buffer.concat([STARTUP, message('Q', 'a\0')])) socket.write(Buffer.from([byte]));
    await ready;
    await own.close();
    expect((await all).toString('latin1')).toContain('C57P01');
  });
});

describe('SCRAM-SHA-256', () => {
  test('the example of RFC 7677 holds', async () => {
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    const server = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
    const exchange = new ScramExchange({ verifier: await makeVerifier('pencil', salt), doomed: false }, null, server);
    expect(exchange.first('SCRAM-SHA-256', 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO')).toEqual({
      say: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
      done: false,
    });
    const final =
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
    expect(exchange.final(final)).toEqual({ say: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=', done: true });
  });

  test.each([
    ['plain', {}],
    ['over TLS', { ssl }],
    ['over TLS with channel binding', { ssl, enableChannelBinding: true }],
  ])('node-postgres logs in with the password, %s; a wrong one is 28P01', async (_, more) => {
    askForPassword();
    const good = client({ password: PASSWORD, ...more });
    await good.connect();
    expect((await good.query('in')).rows).toEqual([{ x: 'in' }]);
    await good.end();
    const wrong = client({ password: 'no', ...more });
    const before = gateway.opens;
    await expect(wrong.connect()).rejects.toMatchObject({
      code: '28P01',
      message: 'password authentication failed for user "u"',
    });
    expect(gateway.opens).toBe(before);
  });

  test('a name that nobody has reads the same messages, with a salt that stays', async () => {
    askForPassword();
    const rounds = await Promise.all(
      ['nobody', 'nobody', 'u'].map(async (user) => {
        const raw = new RawClient(listener.port);
        const scram = new ScramClient(user, 'guess');
        raw.socket.write(message('', `\0\x03\0\0user\0${user}\0\0`));
        await raw.until((c) => c.types() === 'R');
        expect(raw.messages()[0]).toBe('R:\0\0\0\x0aSCRAM-SHA-256\0\0');
        raw.socket.write(scram.first());
        await raw.until((c) => c.types() === 'RR');
        raw.socket.write(scram.final(raw.messages()[1]!.slice(6)));
        await raw.closed;
        return { salt: scram.salt, error: raw.messages()[2]!.replace(`"${user}"`, '"?"'), types: raw.types() };
      }),
    );
    expect(rounds[0]!.salt).toBe(rounds[1]!.salt);
    expect(rounds[0]!.salt).toHaveLength(rounds[2]!.salt.length);
    expect(rounds.map(({ error, types }) => [error, types])).toEqual(Array(3).fill([rounds[0]!.error, 'RRE']));
    expect(rounds[0]!.error).toContain('C28P01');
  });

  const login = async (...bytes: Buffer[]): Promise<string> => {
    askForPassword();
    const raw = new RawClient(listener.port);
    raw.socket.write(STARTUP);
    await raw.until((c) => c.types() === 'R');
    for (const each of bytes) raw.socket.write(each);
    await raw.closed;
    return raw.messages().at(-1)!;
  };
  const initial = (mechanism: string, text: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(text.length);
    return message('p', Buffer.concat([Buffer.from(`${mechanism}\0`), length, Buffer.from(text)]));
  };
  test.each<[string, Buffer, string]>([
    ['a Query', message('Q', 'select 1\0'), 'C08P01\0Mexpected SASL response, got message type 81'],
    ['a message of 300 MB', Buffer.from([0x51, 0x12, 0, 0, 0]), 'C08P01\0Minvalid message length\0D'],
    ['another mechanism', initial('PLAIN', 'n,,n=,r=a'), 'C08P01\0Mclient selected an invalid SASL'],
    ['-PLUS without TLS', initial('SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=a'), 'C08P01'],
    ['no nonce', initial('SCRAM-SHA-256', 'n,,n='), 'C08P01\0Mmalformed SCRAM message'],
    ['an authorization identity', initial('SCRAM-SHA-256', 'n,a=x,n=,r=a'), 'C0A000'],
    ['an extension', initial('SCRAM-SHA-256', 'n,,m=x,n=,r=a'), 'C0A000'],
    ['a wrong length', message('p', 'SCRAM-SHA-256\0\0\0\0\x09n,,n=,r=a,'), 'C08P01'],
    ['no length', message('p', 'SCRAM-SHA-256'), 'C08P01'],
  ])('%s in place of a proof is FATAL', async (_, bytes, expected) => {
    expect(await login(bytes)).toContain(`SFATAL\0VFATAL\0${expected}`);
  });

  test('a client that was told of no binding where there is one, or binds to another certificate, is 28000', () => {
    const begin = (header: string, mechanism = 'SCRAM-SHA-256'): ScramExchange => {
      const exchange = new ScramExchange({ verifier, doomed: false }, endPoint);
      exchange.first(mechanism, `${header}n=,r=a`);
      return exchange;
    };
    expect(() => begin('y,,')).toThrow(expect.objectContaining({ code: '28000' }));
    const bound = new ScramExchange({ verifier, doomed: false }, endPoint, 'b');
    bound.first('SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=a');
    const binding = Buffer.from('p=tls-server-end-point,,another').toString('base64');
    const proof = Buffer.alloc(32).toString('base64');
    expect(() => bound.final(`c=${binding},r=ab,p=${proof}`)).toThrow(expect.objectContaining({ code: '28000' }));
  });

  test('no text of a client that has not proven anything throws but as a FATAL SqlError, or passes', () => {
    const part = fc.oneof(
      fc.constantFrom('n,,', 'y,,', 'p=x,,', 'n=', 'r=a', 'c=biws', 'p=', ',', '=', '\0'),
      fc.string(),
    );
    const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, text, (first, final) => {
        const exchange = new ScramExchange({ verifier, doomed: false }, null);
        try {
          exchange.first('SCRAM-SHA-256', first);
          expect(exchange.final(final)).toBe('refused');
        } catch (error) {
          expect(error).toMatchObject({ name: 'SqlError', severity: 'FATAL' });
        }
      }),
    );
  });

  test('who has not proven who he is takes no place, and of such the oldest gives way when no socket is left', async () => {
    askForPassword();
    const own = await start(gateway, () => {}, { maxConnections: 2 });
    const strangers = Array.from({ length: 102 }, () => new RawClient(own.port));
    for (const { socket } of strangers) socket.write(STARTUP);
    await strangers.at(-1)!.until((c) => c.types() === 'R');
    const inside = [1, 2].map(() => client({ port: own.port, password: PASSWORD }));
    for (const known of inside) {
      await known.connect();
      expect((await known.query('in')).rows).toEqual([{ x: 'in' }]);
    }
    await Promise.all([strangers[0]!.closed, strangers[1]!.closed]);
    expect(own.sessions()).toBe(2);
    await expect(client({ port: own.port, password: PASSWORD }).connect()).rejects.toMatchObject({ code: '53300' });
    await expect(client({ port: own.port, password: 'no' }).connect()).rejects.toMatchObject({ code: '28P01' });
    for (const { socket } of strangers) socket.destroy();
    for (const known of inside) await known.end();
    await own.close();
  });

  test('a verifier is read as it is written, and what is none is a password', async () => {
    expect(parseVerifier(verifierText(verifier))).toEqual(verifier);
    for (const text of ['', 'pencil', 'md5abc', verifierText(verifier).slice(1), 'SCRAM-SHA-256$0:YQ==$YQ==:YQ=='])
      expect(parseVerifier(text)).toBeNull();
    expect(hmac(verifier.serverKey, 'a')).toHaveLength(32);
  });

  test.each([
    ['a\u00adb\u0301', 'ab\u0301'.normalize('NFKC')],
    ['\u2168', 'IX'],
    ['a\u00a0b', 'a b'],
    ['\u0007 bell', '\u0007 bell'],
    ['\u00a0\u0007', '\u00a0\u0007'],
    ['\u0627\u0031', '\u0627\u0031'],
    ['\u0627\u0031\u0628', '\u0627\u0031\u0628'],
    ['\ud83d\ude00\u00ad', '\ud83d\ude00'],
  ])('SASLprep: %j means %j', (given, prepared) => {
    expect(saslprep(given)).toBe(prepared);
  });

  test.each(['sha256', 'sha384', 'ed25519'] as const)(
    'the binding of a certificate signed with %s is RFC 5929',
    (how) => {
      const { cert, key } = makeCertificate(how);
      const raw = new X509Certificate(cert).raw;
      const expected = how === 'ed25519' ? null : createHash(how).update(raw).digest();
      expect(tlsServer(cert, key, false).endPoint).toEqual(expected);
    },
  );
});

describe('protocol 3.2', () => {
  test.each([
    ['3.0', '\0\x03\0\0', 'RSSKZ', 4],
    ['3.2', '\0\x03\0\x02', 'RSSKZ', 32],
    ['3.9999', '\0\x03\x27\x0f', 'vRSSKZ', 32],
  ])('a client of %s gets a key of its length, and cancels with it', async (_, version, types, length) => {
    const raw = new RawClient(listener.port);
    raw.socket.write(message('', `${version}user\0a\0\0`));
    await raw.until((c) => c.types().endsWith('Z'));
    expect(raw.types()).toBe(types);
    const key = raw
      .messages()
      .find((text) => text.startsWith('K:'))!
      .slice(2);
    expect(key).toBe(`\0\0\0\x07${'\x09'.repeat(length)}`);
    const cancel = new RawClient(listener.port);
    cancel.socket.write(message('', Buffer.concat([Buffer.from([4, 0xd2, 0x16, 0x2e]), Buffer.from(key, 'latin1')])));
    await cancel.closed;
    expect(gateway.calls.at(-1)).toBe(`cancel 7 ${'09'.repeat(length)}`);
    raw.socket.destroy();
  });

  test.each([
    ['a cancel key of 3 bytes', message('', '\x04\xd2\x16\x2e\0\0\0\x07abc')],
    ['a cancel key of 257 bytes', message('', `\x04\xd2\x16\x2e\0\0\0\x07${'a'.repeat(257)}`)],
    ['SSLRequest twice', Buffer.concat([message('', '\x04\xd2\x16\x30'), message('', '\x04\xd2\x16\x30')])],
  ])('%s is 08P01', async (_, bytes) => {
    const raw = new RawClient(listener.port);
    raw.socket.write(bytes);
    await raw.closed;
    expect(raw.received.toString('latin1')).toContain('C08P01');
  });

  test('a start-up packet that is too long is 08P01 with the limit', async () => {
    const raw = new RawClient(listener.port);
    raw.socket.write(Buffer.from([0, 0, 0x27, 0x11]));
    await raw.closed;
    expect(raw.messages()[0]).toContain('DThe packet says that it has 10001 bytes; the limit is 10000.');
  });
});
