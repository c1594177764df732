import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { parseCommand } from '../../src/cli.ts';
import { type Config, ConfigError, configTable, envName, loadConfig } from '../../src/config.ts';

let cwd = '';
const made: string[] = [];
beforeEach(() => made.push((cwd = mkdtempSync(join(tmpdir(), 'arka-config-')))));
afterAll(() => made.forEach((path) => rmSync(path, { recursive: true })));

/** Settings as a user gives them: arguments after `serve`, environment, arka.toml. */
function load(given: { args?: readonly string[]; env?: Record<string, string>; toml?: string } = {}): Config {
  if (given.toml !== undefined) writeFileSync(join(cwd, 'arka.toml'), given.toml);
  const parsed = parseCommand(['serve', ...(given.args ?? [])]);
  if (parsed.command !== 'serve') throw new Error('not serve');
  return loadConfig(parsed.overrides, given.env ?? {}, cwd);
}
const refusal = (given: Parameters<typeof load>[0]): string => {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'taken';
};

test('without any setting the defaults hold, as numbers, under the working directory', () => {
  const config = load();
  expect(config.server).toMatchObject({
    host: '127.0.0.1',
    port: 5433,
    httpPort: 8181,
    dataDir: join(cwd, 'arka-data'),
  });
  expect(config.memory).toEqual({ limit: 2 ** 31, yellow: 0.6, red: 0.8 });
  expect(config.wal).toEqual({
    keepSize: 2 ** 30,
    segmentSize: 64 * 2 ** 20,
    synchronousCommit: true,
    maxSize: 20 * 2 ** 30,
  });
  expect(config.flush).toMatchObject({ maxAge: 300_000, maxWalLag: 100_000, minInterval: 10_000 });
  expect(config.iceberg).toMatchObject({ maxSnapshotAge: 432_000_000, fileGrace: 86_400_000, formatVersion: 2 });
  expect(config.catalog).toMatchObject({
    type: 'sqlite',
    name: 'arka',
    warehouse: `file://${cwd}/arka-data/warehouse`,
  });
});

test('a flag comes before the environment, that before arka.toml, that before the default', () => {
  const toml = '[server]\nport = 1\nhost = "127.0.0.2"\nhttp_port = 11\n[memory]\nlimit = "1GB"\n';
  const env = { ARKA_SERVER_PORT: '2', ARKA_SERVER_HOST: '127.0.0.3' };
  const { server, memory, disk } = load({ toml, env, args: ['--port', '3'] });
  expect(server).toMatchObject({ port: 3, host: '127.0.0.3', httpPort: 11 });
  expect([memory.limit, disk.limit]).toEqual([2 ** 30, 100 * 2 ** 30]);
});

test('--config names the file; the arka.toml of the working directory is then not read', () => {
  writeFileSync(join(cwd, 'other.toml'), '[server]\nport = 7\n');
  expect(load({ toml: 'nonsense', args: ['--config', 'other.toml'] }).server.port).toBe(7);
});

test('a file takes numbers, text and true or false as TOML has them', () => {
  const toml = '[wal]\nsynchronous_commit = false\nsegment_size = 1048576\n[memory]\nyellow = 0.5\n';
  const { wal, memory } = load({ toml });
  expect(wal).toMatchObject({ synchronousCommit: false, segmentSize: 2 ** 20 });
  expect(memory.yellow).toBe(0.5);
});

test.each([
  ['64MB', 64 * 2 ** 20],
  ['64 MB', 64 * 2 ** 20],
  ['1.5gb', 1.5 * 2 ** 30],
  ['1GiB', 2 ** 30],
  ['131072B', 2 ** 17],
  ['128kB', 2 ** 17],
])('the size %s is %d bytes', (text, bytes) => {
  expect(load({ args: ['--set', `wal.segment_size=${text}`] }).wal.segmentSize).toBe(bytes);
});

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['5min', 300_000],
  ['24h', 86_400_000],
  ['5 days', 432_000_000],
  ['1 minute', 60_000],
])('the time %s is %d ms', (text, milliseconds) => {
  expect(load({ args: ['--set', `flush.max_age=${text}`] }).flush.maxAge).toBe(milliseconds);
});

test.each<[string, Parameters<typeof load>[0], RegExp]>([
  [
    'a size without a unit',
    { env: { ARKA_DISK_LIMIT: '5' } },
    /^setting disk\.limit \(ARKA_DISK_LIMIT\): '5' is not a size such as/,
  ],
  [
    'a time without a unit',
    { args: ['--set', 'flush.max_age=5'] },
    /^setting flush\.max_age \(--set\): '5' is not a time such as/,
  ],
  ['a time of 0', { args: ['--set', 'flush.max_age=0'] }, /is not a time/],
  ['memory below 768MB', { args: ['--set', 'memory.limit=767MB'] }, /is below the least size, 768MB/],
  [
    'a disk that the log fills alone',
    { args: ['--set', 'disk.limit=200MB'] },
    /disk\.limit must be at least four times/,
  ],
  ['a fraction above 1', { args: ['--set', 'memory.red=1.5'] }, /is not a fraction/],
  ['yellow above red', { args: ['--set', 'memory.yellow=0.9'] }, /memory\.yellow must be below memory\.red/],
  ['an empty port', { env: { ARKA_SERVER_PORT: '' } }, /'' is not a whole number/],
  ['a list for a number', { toml: '[server]\nport = [1]' }, /arka\.toml\): \[1\] is neither text, nor a number/],
  ['neither on nor off', { args: ['--set', 'wal.synchronous_commit=maybe'] }, /is neither on nor off/],
  [
    'an unknown key in the file',
    { toml: '[server]\nprot = 1' },
    /unknown setting server\.prot \(.*arka\.toml\), did you mean server\.port\?/,
  ],
  [
    'an unknown section in the file',
    { toml: '[sever]\nport = 1' },
    /unknown setting sever \(.*arka\.toml\), did you mean server\?/,
  ],
  ['a setting outside any section', { toml: 'server = 1' }, /server is a section/],
  [
    'an unknown variable',
    { env: { ARKA_SERVER_PROT: '1' } },
    /unknown setting ARKA_SERVER_PROT in the environment, did you mean ARKA_SERVER_PORT\?/,
  ],
  ['a key near no other', { args: ['--set', 'zzzzzz.qqqqqq=1'] }, /^unknown setting zzzzzz\.qqqqqq \(--set\)$/],
  ['--set without a value', { args: ['--set', 'server.port'] }, /--set takes section\.key=value/],
  ['a file that is not TOML', { toml: '[server' }, /^configuration file .*arka\.toml: /],
  ['a file that is not there', { args: ['--config', 'none.toml'] }, /none\.toml: there is no such file/],
  ['trust for a host that is not loopback', { args: ['--host', '0.0.0.0'] }, /0\.0\.0\.0 is not loopback/],
  [
    'a certificate without its key',
    { args: ['--set', 'server.tls_cert=x.pem'] },
    /tls_cert and server\.tls_key go together/,
  ],
  [
    'TLS required without a certificate',
    { args: ['--set', 'server.tls_required=on'] },
    /tls_required needs server\.tls_cert/,
  ],
  ['a REST catalog', { args: ['--set', 'catalog.type=rest'] }, /catalog\.type \(--set\): 'rest' is not supported yet/],
  ['a warehouse in GCS', { args: ['--warehouse', 'gs://b/p'] }, /a warehouse in gs: is not supported yet/],
  ['a warehouse without a bucket', { args: ['--warehouse', 's3:///p'] }, /'s3:\/\/\/p' is not s3:\/\/BUCKET/],
  [
    'an address that is none',
    { args: ['--set', 's3.endpoint=localhost'] },
    /s3\.endpoint \(--set\): 'localhost' is not an address/,
  ],
  ['a third way', { args: ['--set', 's3.path_style=perhaps'] }, /'perhaps' is none of on, off and auto/],
  [
    'format version 3',
    { toml: '[iceberg]\nformat_version = 3' },
    /iceberg\.format_version \(.*\): 3 is not supported yet/,
  ],
  ['format version 4', { toml: '[iceberg]\nformat_version = 4' }, /4 is none of 2, 1, 3/],
])('%s is refused in one line that says where it was given', (_, given, line) => {
  const message = refusal(given);
  expect(message).toMatch(line);
  expect(message).not.toContain('\n');
});

test.each([
  ['/data/lake', 'file:///data/lake'],
  ['file:///data/lake', 'file:///data/lake'],
  ['file:///data/lake/', 'file:///data/lake'],
  ['/data/with space', 'file:///data/with space'],
  ['s3://bucket', 's3://bucket'],
  ['s3://bucket/a/b/', 's3://bucket/a/b'],
])('the warehouse %s is %s', (given, url) => {
  expect(load({ args: ['--warehouse', given] }).catalog.warehouse).toBe(url);
});

test('a relative warehouse lies in the working directory', () => {
  expect(load({ args: ['--warehouse', './lake'] }).catalog.warehouse).toBe(`file://${cwd}/lake`);
});

test('no text given for any setting is more than a refusal', () => {
  const keys = [...configTable().matchAll(/^\| `([a-z0-9]+\.[a-z0-9_]+)`/gm)].map((match) => match[1]!);
  const given = fc.record({
    key: fc.constantFrom(...keys),
    value: fc.oneof(fc.string(), fc.constantFrom('-1', 'NaN', '1e9', '0x10', '  ', '9'.repeat(40))),
  });
  fc.assert(
    fc.property(given, ({ key, value }) => {
      const overrides = { flags: new Map([[key, { value, flag: '--set' }]]), file: null };
      try {
        const config = loadConfig(overrides, {}, cwd);
        expect(Number.isNaN(config.server.port)).toBe(false);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
      }
    }),
  );
});

test('README.md has a row for every setting', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  for (const row of configTable().split('\n')) expect(readme).toContain(row);
  expect(envName('memory.limit')).toBe('ARKA_MEMORY_LIMIT');
});
