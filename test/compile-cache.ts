/**
 * Servers and threads that tests start are compiled once a version, not once a start: a start is half of the CPU of most such tests.
 * What is compiled is written by a process that ends by itself, and most servers of tests are killed: in a new clone one is started for that.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from './process/server-process.ts';

export default async function setup(): Promise<void> {
  const folder = (process.env['NODE_COMPILE_CACHE'] ??= join(
    import.meta.dirname,
    '..',
    'node_modules',
    '.cache',
    'node',
  ));
  if (existsSync(folder)) return;
  await using server = await startServer();
  await server.stop();
}
