/**
 * Clients as people use them: drivers, ORMs and tools, each with a scenario of its own (test/compat/clients/), side by side on one
 * server. With COMPAT=all those that need more than Python, Node and psql, too; with COMPAT_URL on that server, such as a PostgreSQL.
 */
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { CLIENTS, folder, KNOWN } from './clients/registry.ts';
import { keepResult, parseResult } from './clients/result.ts';
import { run } from './outside.ts';

const given = process.env['COMPAT_URL'] ?? '';
let server: ServerProcess | null = null;
let url = given;
beforeAll(async () => {
  if (given !== '') return;
  server = await startServer();
  url = server.url;
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const tried = CLIENTS.filter(({ when }) => when === 'quick' || process.env['COMPAT'] === 'all');
test.concurrent.for(tried.map((client) => [client.name, client] as const))(
  '%s works as on PostgreSQL, but for what the list of known misses names',
  { timeout: 1_200_000 },
  async ([name, client], { expect, skip }) => {
    const command = client.start();
    if (typeof command === 'string') return skip(command);
    const [program, ...args] = command;
    const environment = {
      ...process.env,
      COMPAT_URL: url,
      COMPAT_SCHEMA: `client_${name.replaceAll('-', '_')}`,
      PYTHONPATH: folder,
      PYTHONDONTWRITEBYTECODE: '1',
    };
    const { code, stdout, stderr } = await run(
      program,
      args,
      environment,
      '',
      dirname(args.at(-1) ?? join(folder, 'x')),
    );
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const result = parseResult(stdout);
    if (given === '') keepResult(name, result);
    const known = given === '' ? Object.keys(KNOWN[name] ?? {}) : [];
    const failed = Object.entries(result.failed).filter(([check]) => !known.includes(check));
    expect(failed, stderr).toEqual([]);
    expect(known.filter((check) => result.failed[check] === undefined)).toEqual([]);
  },
);
