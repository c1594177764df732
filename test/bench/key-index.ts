/** Bytes a row of the key index at 10M rows, as test/bench/index.ts measures them in a process of its own. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Measure } from './workloads.ts';

const SCRIPT = fileURLToPath(new URL('index.ts', import.meta.url));

/** Null: there is no such benchmark in this version. */
export function keyIndexBytes(): Promise<Measure | null> {
  if (!existsSync(SCRIPT)) return Promise.resolve(null);
  const { stdout, stderr, status } = spawnSync(process.execPath, [SCRIPT], { encoding: 'utf8' });
  const found = /^int64: 10,000,000 rows entered.*?([\d.]+) bytes a row \(at most ([\d.]+)/m.exec(stdout);
  if (status !== 0 || found === null) throw new Error(`test/bench/index.ts ended with ${status}: ${stderr}${stdout}`);
  return Promise.resolve({
    value: Number(found[1]),
    serverCores: null,
    clientCores: null,
    more: { atMostOnTheWay: Number(found[2]) },
  });
}
