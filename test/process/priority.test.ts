/** What the kernel is told of the threads. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startServer } from './server-process.ts';

/** Of each thread of the process: its name and how nice it is. */
function threads(pid: number): (readonly [string, number])[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    return [name, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])] as const;
  });
}

test.runIf(existsSync('/proc/self/task'))(
  'engine, lake and the pool of queries stand behind main and the log',
  async () => {
    await using server = await startServer();
    const nice = new Map(threads(server.pid));
    const main = nice.get('MainThread') ?? nice.get('node')!;
    expect(nice.get('arka-log')).toBe(main);
    for (const name of ['engine', 'lake', 'libuv-worker'])
      expect([name, nice.get(name)]).toEqual([name, Math.min(19, main + 5)]);
  },
);
