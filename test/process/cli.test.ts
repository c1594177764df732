import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { projectRoot, runArka } from './server-process.ts';

const scratch = mkdtempSync(join(tmpdir(), 'arka-cli-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('arka --version prints the version of package.json and ends with 0', async () => {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  expect(await runArka(['--version'])).toMatchObject({ code: 0, stdout: `arka ${version}\n`, stderr: '' });
});

test('arka --help names every flag', async () => {
  const { code, stdout } = await runArka(['--help']);
  expect(code).toBe(0);
  for (const flag of ['--host', '--port', '--http-port', '--data-dir', '--warehouse', '--config', '--set']) {
    expect(stdout).toContain(flag);
  }
});

const file = join(scratch, 'a-file');
writeFileSync(file, '');
test.each<[string, string[], number, RegExp]>([
  ['no command', [], 2, /no command given/],
  ['an unknown command', ['sreve'], 2, /unknown command sreve/],
  ['an unknown flag', ['serve', '--prot', '1'], 2, /unknown option --prot, did you mean --port\?/],
  ['a flag without its value', ['serve', '--port'], 2, /--port/],
  ['a port out of range', ['serve', '--port', '65536'], 2, /server\.port \(--port\): '65536' is not a whole number/],
  [
    'an unknown setting',
    ['serve', '--set', 'memory.limits=1GB'],
    2,
    /unknown setting memory\.limits \(--set\), did you mean memory\.limit\?/,
  ],
  ['a host that is not loopback', ['serve', '--host', '0.0.0.0'], 2, /0\.0\.0\.0 is not loopback/],
  [
    'a warehouse that is not built',
    ['serve', '--warehouse', 'gs://bucket/x'],
    2,
    /a warehouse in gs: is not supported yet/,
  ],
  [
    'a data directory that is a file',
    ['serve', '--data-dir', file],
    1,
    /cannot write to the data directory .*a-file: it is a file/,
  ],
  ['a data directory below a file', ['serve', '--data-dir', join(file, 'x')], 1, /a part of the path is a file/],
])('%s is one clear line and an exit code that is not 0', async (_, args, exitCode, line) => {
  const { code, stdout, stderr } = await runArka(args, { cwd: scratch });
  expect(stderr).toMatch(line);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
});

test('a port that is taken is one clear line that names the port', async () => {
  const other = createServer();
  const port = await new Promise<number>((resolve) => {
    other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port));
  });
  try {
    const dataDir = mkdtempSync(join(scratch, 'data-'));
    const { code, stderr } = await runArka([
      'serve',
      '--port',
      String(port),
      '--http-port',
      '0',
      '--data-dir',
      dataDir,
    ]);
    expect(stderr.trim().split('\n')).toEqual([`arka: port ${port} of 127.0.0.1 is already in use`]);
    expect(code).toBe(1);
  } finally {
    other.close();
  }
});
