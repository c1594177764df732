/** Start and end of a server, from the outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { projectRoot, ready, runArka, startServer, watch } from './server-process.ts';

const scratch = mkdtempSync(join(tmpdir(), 'arka-lifecycle-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Whether something listens where a URL points. */
function listens(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s stops a server cleanly: exit 0, nothing on standard error',
  async (signal) => {
    await using server = await startServer();
    expect(await listens(server.url)).toBe(true);
    process.kill(server.pid, signal);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(server.stdout()).toBe(`arka ready: ${server.url}\n`);
    expect(server.stderr()).toBe('');
    expect(await listens(server.url)).toBe(false);
  },
);

test('the ready line names user, database and the port that was picked', async () => {
  await using server = await startServer();
  expect(server.url).toMatch(/^postgresql:\/\/arka@127\.0\.0\.1:[1-9]\d+\/arka$/);
});

test('a second server on the same data directory is refused in one line, and the first goes on', async () => {
  await using server = await startServer();
  const args = ['serve', '--port', '0', '--http-port', '0', '--data-dir', server.dataDir];
  const { code, stdout, stderr } = await runArka(args);
  expect(stderr.trim().split('\n')).toEqual([expect.stringMatching(/^arka: .*in use/)]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(await listens(server.url)).toBe(true);
});

test.each(['stop', 'kill9'] as const)('a server starts again on its data directory after %s', async (how) => {
  const dataDir = join(scratch, how);
  await using first = await startServer({ dataDir });
  await first[how]();
  await using second = await startServer({ dataDir });
  expect(await second.stop()).toEqual({ code: 0, signal: null });
});

test('SIGTERM to `npm start` reaches the server: npm ends with 0 and leaves no orphan', async () => {
  const args = ['start', '--', '--port', '0', '--http-port', '0', '--data-dir', join(scratch, 'npm')];
  const outer = Object.entries(process.env).filter(([name]) => !/^(ARKA_|VITEST|npm_|NODE_OPTIONS$)/i.test(name));
  const child: ChildProcess = spawn('npm', args, {
    cwd: projectRoot,
    env: Object.fromEntries(outer),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run = watch(child);
  const url = await ready(run, 60_000);
  child.kill('SIGTERM');
  expect(await run.exited).toEqual({ code: 0, signal: null });
  expect(await listens(url)).toBe(false);
}, 90_000);
