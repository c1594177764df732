/** kill -9 of a whole server under load from real clients, again and again over one data directory. CRASH_ROUNDS: how often. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { Book, connectTo, createTables, disagreements, RealLoad } from './real-load.ts';
import { startServer } from './server-process.ts';

const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 2);
/** A round is worth its check from so many transactions on, however slow the machine. */
const ENOUGH = 21;
const dataDir = mkdtempSync(join(tmpdir(), 'arka-kill-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

/** Flushes, commits, rewrites, expiry and new log segments at every moment. */
const SETTINGS = {
  'wal.segment_size': '1MB',
  'flush.max_wal_lag': 2000,
  'flush.min_interval': '100ms',
  'iceberg.commit_interval': '1s',
  'iceberg.min_interval': '200ms',
  'iceberg.max_small_files': 2,
  'iceberg.keep_snapshots': 3,
  'iceberg.file_grace': '1s',
  'iceberg.refresh_interval': '500ms',
};

/** Kills a server while it starts. */
async function killInStart(afterMs: number): Promise<void> {
  const starting = startServer({
    dataDir,
    settings: SETTINGS,
    onSpawn: (child) => setTimeout(() => child.kill('SIGKILL'), afterMs),
  });
  const ended = await starting.then(
    async (server) => (await server.exited).signal,
    () => 'SIGKILL',
  );
  expect(ended).toBe('SIGKILL');
}

test(
  'after kill -9 under load every acknowledged row is there, nothing is there twice, and transactions are whole',
  async () => {
    const book = new Book();
    for (let round = 0; round < ROUNDS; round++) {
      {
        await using server = await startServer({ dataDir, settings: SETTINGS });
        if (round === 0) {
          const client = await connectTo(server.url);
          await createTables(client);
          await client.end();
        }
        const load = new RealLoad(server.url, book, (round + 1) * 1_000_000);
        await load.start(true);
        const before = book.acknowledged;
        while (book.acknowledged < before + ENOUGH && book.errors.length === 0) await sleep(20);
        await sleep(400 + ((round * 377) % 1500));
        load.ending();
        await server.kill9();
        await load.end();
        expect(book.errors).toEqual([]);
      }
      if (round % 3 === 1) await killInStart(150 + ((round * 131) % 700));
      await using server = await startServer({ dataDir, settings: SETTINGS });
      const client = await connectTo(server.url);
      expect(await disagreements(client, book), `round ${round}`).toEqual([]);
      if (round === ROUNDS - 1) {
        await client.query('CHECKPOINT');
        expect(await disagreements(client, book), 'after CHECKPOINT').toEqual([]);
      }
      await client.end();
      await server.kill9();
    }
    expect(book.acknowledged).toBeGreaterThanOrEqual(ROUNDS * ENOUGH);
    if (ROUNDS > 2) console.log(`${ROUNDS} kills, ${book.acknowledged} acknowledged transactions`);
  },
  Math.max(120_000, ROUNDS * 30_000),
);
