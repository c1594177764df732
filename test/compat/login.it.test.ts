/**
 * Clients as they log in: TLS that is required or verified, passwords with and without channel binding, what is refused, what psql shows
 * of roles. One server takes connections with and without TLS, the other wants TLS.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { makeCertificate } from '../wire/certificate.ts';
import { folder } from './clients/registry.ts';
import { parseResult } from './clients/result.ts';
import { psql, run } from './outside.ts';

const scratch = mkdtempSync(join(tmpdir(), 'arka-login-'));
const certificate = join(scratch, 'server.pem');
const foreign = join(scratch, 'foreign.pem');
const key = join(scratch, 'server.key');
let server: ServerProcess;
let strict: ServerProcess;
beforeAll(async () => {
  const made = makeCertificate();
  writeFileSync(certificate, made.cert);
  writeFileSync(key, made.key, { mode: 0o600 });
  writeFileSync(foreign, makeCertificate().cert);
  const start = (required: string): Promise<ServerProcess> =>
    startServer({
      settings: {
        'auth.method': 'scram-sha-256',
        'server.tls_cert': certificate,
        'server.tls_key': key,
        'server.tls_required': required,
      },
      env: { ARKA_AUTH_PASSWORD: 'top secret' },
    });
  [server, strict] = await Promise.all([start('off'), start('on')]);
});
afterAll(async () => {
  await Promise.all([server, strict].map((each) => each[Symbol.asyncDispose]()));
  rmSync(scratch, { recursive: true });
});

const address = (of: ServerProcess): string => new URL(of.url).host;
function url(user: string, password: string, parameters: string, of = server): string {
  return `postgresql://${user}:${encodeURIComponent(password)}@${address(of)}/arka?${parameters}`;
}

test('psql logs in by password, over verified TLS with channel binding and without TLS, and not with a wrong one', async () => {
  const verified = `sslmode=verify-full&sslrootcert=${certificate}&channel_binding=require`;
  const setup = `CREATE USER bob PASSWORD 'b''s' CONNECTION LIMIT 3; CREATE ROLE readers; GRANT readers TO bob;
CREATE TABLE t (a int PRIMARY KEY); GRANT SELECT ON t TO readers;
\\du bob
\\dp t
`;
  const first = await psql(url('arka', 'top secret', verified), setup, ['-Atq']);
  expect(first).toEqual({
    code: 0,
    stdout: 'bob|3 connections|{readers}\npublic|t|table|arka=arwdDxt/arka\nreaders=r/arka||\n',
    stderr: '',
  });
  const bob = await psql(url('bob', "b's", 'sslmode=disable'), 'SELECT current_user, count(*) FROM t; DELETE FROM t;');
  expect(bob.stdout).toBe('bob|0\n');
  expect(bob.stderr).toContain('ERROR:  permission denied for table t');
  for (const [user, password] of [
    ['bob', 'wrong'],
    ['nobody', "b's"],
    ['arka', 'top secre'],
  ] as const) {
    const { stderr } = await psql(url(user, password, verified), 'SELECT 1');
    expect(stderr).toContain(`FATAL:  password authentication failed for user "${user}"`);
  }
  expect(server.stderr()).toBe('');
});

test('a server that wants TLS refuses psql without, and says how to connect', async () => {
  const refused = await psql(url('arka', 'top secret', 'sslmode=disable', strict), 'SELECT 1');
  expect(refused.stderr).toContain('HINT:  Connect with sslmode=require: server.tls_required is on.');
  const preferred = await psql(url('arka', 'top secret', 'sslmode=prefer', strict), 'SELECT 1');
  expect(preferred.stdout).toBe('1\n');
});

describe('drivers log in over TLS that is required or verified, by SCRAM with and without binding, and are refused', () => {
  const python = process.env['COMPAT_CLIENTS_PYTHON'];
  const node = process.env['COMPAT_NODE'];
  const jars = process.env['COMPAT_JARS'];
  const script = (name: string): string => join(import.meta.dirname, 'login', name);
  beforeAll(async () => {
    for (const each of [server, strict]) {
      const made = await psql(
        url('arka', 'top secret', 'sslmode=require', each),
        "DROP ROLE IF EXISTS driver; CREATE USER driver PASSWORD 'b''s'",
        ['-q'],
      );
      expect(made.code).toBe(0);
    }
  });
  test.concurrent.for([
    ['psycopg 3, psycopg 3, TLS at once, psycopg 2, asyncpg', python, [script('drivers.py')]],
    ['node-postgres, postgres.js', node === undefined ? undefined : process.execPath, [script('drivers.mjs')]],
    ['pgjdbc', jars === undefined ? undefined : 'java', ['-Xmx256m', '-cp', jars ?? '', script('Drivers.java')]],
    ['pgx', process.env['COMPAT_PGX'], ['login']],
    ['psqlODBC', process.env['COMPAT_ODBC_PYTHON'], [script('odbc.py')]],
  ] as const)('%s', async ([names, program, first], { expect, skip }) => {
    if (program === undefined) return skip('setup.sh could not make it ready; some need COMPAT=all');
    const args = [...first, address(server), address(strict), certificate, foreign];
    const environment = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' };
    const shared = { COMPAT_URL: server.url, COMPAT_SCHEMA: 'public' };
    const { stdout, stderr } = await run(program, args, { ...environment, ...shared });
    const { passed, failed } = parseResult(stdout);
    expect(failed, stderr).toEqual({});
    expect(passed.join(', ')).toBe(names);
  });
});
