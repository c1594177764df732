/** SIGKILL at any moment, again and again over one data directory. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestDatabase } from '../ingest/harness.ts';

const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));
const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 2);
/** A round is worth its check from so many transactions on, however slow the machine. */
const ENOUGH = 11;
let dataDir: string;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'arka-crash-'));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

interface Acknowledged {
  readonly gone: number;
}

/** Runs the writer for some time, after it has acknowledged enough, and kills it; what it has acknowledged. */
async function runAndKill(first: number, ms: number, duringStart = false): Promise<Map<number, Acknowledged>> {
  const child = spawn(process.execPath, [CHILD, dataDir, String(first)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const acknowledged = new Map<number, Acknowledged>();
  let errors = '';
  child.stderr.on('data', (bytes: Buffer) => {
    errors += bytes.toString();
  });
  const ended = new Promise<NodeJS.Signals | number | null>((resolve) =>
    child.on('close', (code, signal) => resolve(signal ?? code)),
  );
  const enough = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [n, gone] = line.split(' ').map(Number);
    acknowledged.set(n!, { gone: gone! });
    if (acknowledged.size === ENOUGH) enough.resolve();
  });
  if (!duringStart) await Promise.race([enough.promise, ended]);
  await sleep(ms);
  child.kill('SIGKILL');
  expect(await ended, errors).toBe('SIGKILL');
  return acknowledged;
}

test('after a kill at any moment acknowledged transactions are there, and every other one whole or not at all', async () => {
  const acknowledged = new Map<number, Acknowledged>();
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) await runAndKill(round * 20_000 + 19_000, 250 + ((round * 131) % 300), true);
    for (const [n, each] of await runAndKill(round * 20_000, 300 + ((round * 377) % 900))) acknowledged.set(n, each);
    const db = await TestDatabase.create(2 ** 30, dataDir);
    try {
      const byTransaction = new Map<number, { readonly ids: number[]; readonly count: number }>();
      for (const row of await db.rows(db.table('crash'), null, 'id, v, NULL::VARCHAR AS name')) {
        const [id, v] = row.split('|').map(Number);
        const n = Math.floor(id! / 1000);
        const each = byTransaction.get(n) ?? { ids: [], count: v! };
        expect(each.count).toBe(v);
        each.ids.push(id! % 1000);
        byTransaction.set(n, each);
      }
      for (const n of acknowledged.keys()) expect(byTransaction.has(n), `transaction ${n} was acknowledged`).toBe(true);
      for (const [n, { ids, count }] of byTransaction) {
        // its first row may have been taken away by its successor, if that is there
        const successor = (n + 1) % 4 === 3 && (n + 1) % 25 !== 7 && byTransaction.has(n + 1);
        const first = successor ? 1 : 0;
        expect(ids, `rows of transaction ${n}`).toEqual(Array.from({ length: count - first }, (_, i) => i + first));
      }
      const accounts = (await db.rows(db.table('accounts'))).map((row) => row.split('|').map(Number));
      expect(accounts.map(([id]) => id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(accounts.reduce((sum, [, v]) => sum + v!, 0)).toBe(800);
    } finally {
      await db.close();
    }
  }
  expect(acknowledged.size).toBeGreaterThanOrEqual(ROUNDS * ENOUGH);
}, 600_000);
