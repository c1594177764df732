/** libpq as people use it: TLS that is verified, passwords with and without channel binding, what psql shows of roles. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { makeCertificate } from '../wire/certificate.ts';
import { psql } from './outside.ts';

const scratch = mkdtempSync(join(tmpdir(), 'arka-login-'));
const certificate = join(scratch, 'server.pem');
let server: ServerProcess;
beforeAll(async () => {
  const { cert, key } = makeCertificate();
  writeFileSync(certificate, cert);
  writeFileSync(join(scratch, 'server.key'), key, { mode: 0o600 });
  server = await startServer({
    settings: {
      'auth.method': 'scram-sha-256',
      'server.tls_cert': certificate,
      'server.tls_key': join(scratch, 'server.key'),
    },
    env: { ARKA_AUTH_PASSWORD: 'top secret' },
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

function url(user: string, password: string, parameters: string): string {
  const made = new URL(server.url);
  return `postgresql://${user}:${encodeURIComponent(password)}@${made.host}/arka?${parameters}`;
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
