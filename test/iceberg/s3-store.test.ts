/** What becomes of requests that fail (S1, S2). The laws of a store run against real servers in test/compat. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ObjectStore, ObjectVersion } from '../../src/storage/iceberg/object-store.ts';
import { connectS3, type S3Timing } from '../../src/storage/iceberg/s3-client.ts';
import { s3Store } from '../../src/storage/iceberg/s3-store.ts';
import { temporary } from './harness.ts';
import { startS3Server, type Fault, type S3Server } from './s3-server.ts';

const FAST: S3Timing = { connectMs: 1000, idleMs: 150, backoffMs: 1, backoffMaxMs: 2, retryForMs: 5000 };
const SECRET = 'very-secret-key';
const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i * 7);

let server: S3Server;
let store: ObjectStore;
const connect = (endpoint: string): ObjectStore =>
  s3Store(connectS3({ endpoint, region: '', pathStyle: true }, systemClock, Math.random, FAST));

beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key-id');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', SECRET);
  server = await startS3Server();
  store = connect(server.endpoint);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
});
beforeEach(() => {
  server.faults.length = 0;
  server.requests.length = 0;
  server.objects.clear();
});

const slowDown: Fault = { status: 503, code: 'SlowDown' };
const internal: Fault = { status: 500, code: 'InternalError' };

describe('a failure that passes is not seen', () => {
  test.each<[string, Fault[]]>([
    ['two errors of the server', [internal, slowDown]],
    ['a connection that breaks', ['reset', 'reset']],
    ['a server that does not answer once', ['silent']],
  ])('%s before a put, a get, and a delete', async (_, faults) => {
    server.faults.push(...faults);
    await store.put('s3://b/x', bytes);
    expect(server.objects.get('/b/x')).toEqual(Buffer.from(bytes));
    server.faults.push(...faults);
    expect(await store.get('s3://b/x')).toEqual(bytes);
    server.faults.push(...faults);
    await store.delete(['s3://b/x']); // this server has no request for many
    expect(server.objects.size).toBe(0);
  });

  test.each<[string, Fault[]]>([
    ['breaks off', ['truncated']],
    ['breaks off again and again', ['truncated', 'truncated', 'reset', 'truncated', internal]],
    ['stops coming', ['stalled', 'ok']],
  ])('a body that %s goes on where it ended', async (_, faults) => {
    server.objects.set('/b/x', Buffer.from(bytes));
    server.faults.push(...faults);
    expect(await store.get('s3://b/x')).toEqual(bytes);
    server.faults.push(...faults);
    expect(await store.get('s3://b/x', 10, 99_000)).toEqual(bytes.subarray(10, 99_000));
    expect(server.requests.filter((line) => line.startsWith('GET')).length).toBeGreaterThan(2);
  });

  test('a put whose answer was lost has won all the same, and another’s put has not', async () => {
    server.faults.push('lost');
    expect(await store.putIfAbsent('s3://b/x', bytes)).toBe(true);
    server.objects.set('/b/y', Buffer.from('other'));
    server.faults.push('reset');
    expect(await store.putIfAbsent('s3://b/y', bytes)).toBe(false);
    expect(server.objects.get('/b/y')).toEqual(Buffer.from('other'));
  });

  test('a put that meets another one under way (409) is tried again', async () => {
    server.faults.push({ status: 409, code: 'ConditionalRequestConflict' });
    expect(await store.putIfAbsent('s3://b/x', bytes)).toBe(true);
  });
});

describe('a failure that stays is 58030', () => {
  test('it names the object, the bucket, the server and S3’s code, and no secret', async () => {
    for (let i = 0; i < 20; i++) server.faults.push(slowDown);
    const failure = await store.put('s3://b/some/key', bytes).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: '58030' });
    const { message, fields } = failure as { message: string; fields: { detail?: string } };
    expect(message).toBe(
      `could not write object "some/key" of bucket "b" at ${server.endpoint}: SlowDown: told to (HTTP 503)`,
    );
    expect(fields.detail).toBe('Tried 6 times.');
    expect(JSON.stringify(failure) + String((failure as Error).cause)).not.toMatch(/very-secret|Signature=|key-id/);
  });

  test.each<[string, Fault, RegExp]>([
    ['what is not allowed', { status: 403, code: 'AccessDenied' }, /AccessDenied: told to \(HTTP 403\)$/],
    ['a bucket that is not there', { status: 404, code: 'NoSuchBucket' }, /NoSuchBucket/],
  ])('%s is not tried again', async (_, fault, message) => {
    server.faults.push(fault);
    await expect(store.put('s3://b/x', bytes)).rejects.toThrow(message);
    expect(server.requests).toHaveLength(1);
  });

  test('an object that another has been put in the place of between two ranges of it', async () => {
    server.objects.set('/b/x', Buffer.from(bytes));
    const version: ObjectVersion = { tag: null };
    expect(await store.get('s3://b/x', 0, 10, version)).toEqual(bytes.subarray(0, 10));
    expect(await store.get('s3://b/x', 10, 20, version)).toEqual(bytes.subarray(10, 20));
    server.objects.set('/b/x', Buffer.from(bytes.toReversed()));
    await expect(store.get('s3://b/x', 20, 30, version)).rejects.toMatchObject({
      code: '58030',
      message: expect.stringMatching(/^"s3:\/\/b\/x" at .* was replaced by another object while it was read$/),
      fields: { detail: expect.stringContaining('byte 20') },
    });
  });

  test('a body that never comes whole', async () => {
    server.objects.set('/b/x', Buffer.from([1]));
    for (let i = 0; i < 20; i++) server.faults.push('truncated');
    await expect(store.get('s3://b/x')).rejects.toMatchObject({ code: '58030' });
  });

  test('a server that is not there', async () => {
    const away = await startS3Server();
    await away[Symbol.asyncDispose]();
    await expect(connect(away.endpoint).put('s3://b/x', bytes)).rejects.toThrow(/ECONNREFUSED/);
  });

  test('a connection that always breaks while a file is sent names the server, not the file', async () => {
    const path = join(temporary(), 'file');
    writeFileSync(path, bytes);
    for (let i = 0; i < 20; i++) server.faults.push('reset');
    await expect(store.putFile('s3://b/x', path)).rejects.toThrow(`of bucket "b" at ${server.endpoint}: ECONNRESET`);
  });

  test('a file to be sent that is not there names its path', async () => {
    await expect(store.putFile('s3://b/x', '/none/such')).rejects.toThrow(/"\/none\/such": no such file/);
  });
});

test('the lake does not load the S3 client before its first use', () => {
  const lake = new URL('../../src/storage/iceberg/lake.ts', import.meta.url).href;
  const script = `
    import { registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => (url.includes('@aws-sdk') && console.log(url), next(url, context)) });
    await import('${lake}');
    console.log('loaded');`;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(said).toBe('loaded\n');
});
