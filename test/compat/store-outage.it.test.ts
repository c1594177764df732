/**
 * A real S3 server that ends while writers are at work, and comes back: they do not notice, and everything is committed then.
 * `STORE_AWAY_SECONDS=600 npm run test:compat -- store-outage` for a long one; what it measured is printed.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { connect } from '../process/client.ts';
import { startServer } from '../process/server-process.ts';
import { readWithPyIceberg } from './outside.ts';
import { KEYS, s3Servers, useForReaders } from './s3-servers.ts';

const AWAY_MS = Number(process.env['STORE_AWAY_SECONDS'] ?? 5) * 1000;
const WRITERS = 4;
const ROWS = 10;
/** Between two statements of a writer: others use the machine, too. */
const PAUSE_MS = 10;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const rowsOf = async (client: Client, sql: string): Promise<unknown[]> =>
  (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;

interface Written {
  /** Milliseconds of each statement. */
  readonly times: readonly number[];
  readonly inserted: number;
  readonly updated: number;
}

/** Until `done`. Every tenth statement changes a row, the others add some. */
async function write(url: string, writer: number, done: () => boolean): Promise<Written> {
  const client = await connect(url);
  const times: number[] = [];
  let [inserted, updated] = [0, 0];
  for (let i = 0; !done(); i++) {
    const first = (i * WRITERS + writer) * ROWS;
    const values = Array.from({ length: ROWS }, (_, row) => `(${first + row}, 'row ${first + row}', 0)`).join(', ');
    const sql = i % 10 === 9 ? `UPDATE t SET n = n + 1 WHERE id = ${writer * ROWS}` : `INSERT INTO t VALUES ${values}`;
    const began = performance.now();
    const { command, rowCount } = await client.query(sql);
    times.push(performance.now() - began);
    if (command === 'INSERT') inserted += rowCount!;
    else updated += rowCount!;
    await sleep(PAUSE_MS);
  }
  await client.end();
  return { times, inserted, updated };
}

const residentMb = (pid: number, field: 'VmRSS' | 'VmHWM'): number =>
  Math.round(Number(new RegExp(`${field}:\\s*(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);

test.runIf(s3Servers.length === 0)('no S3 server is installed: setup.sh has said why', ({ skip }) => skip());

describe.each(s3Servers)('on $name', ({ name, start }) => {
  test(
    'while the store is away writes are acknowledged as before, and when it is back Iceberg gets them all',
    async () => {
      await using s3 = await start();
      const dataDir = mkdtempSync(join(tmpdir(), 'arka-outage-'));
      try {
        await using server = await startServer({
          dataDir,
          built: true,
          args: ['--warehouse', 's3://arka/outage'],
          env: KEYS,
          settings: {
            's3.endpoint': s3.endpoint,
            'iceberg.commit_interval': '1s',
            'iceberg.min_interval': '1s',
            'flush.min_interval': '1s',
          },
        });
        const client = await connect(server.url);
        await client.query('CREATE TABLE t (id bigint PRIMARY KEY, v text, n int)');
        await client.query('INSERT INTO t VALUES (-1, NULL, 0)');
        await client.query('UPDATE t SET n = n + 0 WHERE id = -1'); // what is started when it is first needed is there
        await client.query('CHECKPOINT');
        const before = residentMb(server.pid, 'VmRSS');
        await s3.away();
        const began = performance.now();
        const isOver = (): boolean => performance.now() - began >= AWAY_MS;
        const writing = Array.from({ length: WRITERS }, (_, writer) => write(server.url, writer, isOver));
        const failing = `SELECT state, sqlstate, chore FROM arka.tables WHERE table_name = 't' AND chore = 'commit'`;
        const seen: unknown[] = [];
        while (!isOver()) {
          const [row] = await rowsOf(client, failing);
          if (row !== undefined && seen.length === 0) seen.push(row);
          await sleep(200);
        }
        const written = await Promise.all(writing);
        const times = written.flatMap((each) => each.times).sort((a, b) => a - b);
        const seconds = (performance.now() - began) / 1000;
        const during = residentMb(server.pid, 'VmRSS');
        const kept = await rowsOf(client, `SELECT tier, rows::int FROM arka.tiers WHERE table_name = 't' ORDER BY 1`);
        const inIceberg = `SELECT sum(rows)::int FROM arka.tiers WHERE table_name = 't' AND tier <> 'iceberg'`;

        await s3.back();
        const backAt = performance.now();
        await expect.poll(() => rowsOf(client, inIceberg), { timeout: 600_000, interval: 100 }).toEqual([[0]]);
        const followed = (performance.now() - backAt) / 1000;
        const sum = (of: 'inserted' | 'updated'): number => written.reduce((all, each) => all + each[of], 0);
        const rows = sum('inserted') + 1;
        expect(await rowsOf(client, 'SELECT count(*)::int, count(v)::int, sum(n)::int FROM t')).toEqual([
          [rows, rows - 1, sum('updated')],
        ]);
        useForReaders(s3.endpoint);
        expect((await readWithPyIceberg(dataDir, 'public.t')).rows).toBe(rows);
        if (AWAY_MS > 10_000) expect(seen).toEqual([['failing', '58030', 'commit']]);
        const at = (part: number): string => times[Math.floor(times.length * part)]!.toFixed(1);
        console.log(
          `${name}, away for ${seconds.toFixed(0)} s: ${times.length} writes acknowledged, ${(times.length / seconds).toFixed(0)} a second ` +
            `(${WRITERS} writers of ${ROWS} rows, ${PAUSE_MS} ms between two); p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${times.at(-1)!.toFixed(0)} ms. ` +
            `Waiting at the end: ${JSON.stringify(kept)}. All ${rows} rows in Iceberg ${followed.toFixed(1)} s after it was back. ` +
            `RSS ${before} MB before, ${during} MB at the end, at most ${residentMb(server.pid, 'VmHWM')} MB.`,
        );
        await client.end();
        await server.stop();
      } finally {
        rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
      }
    },
    AWAY_MS + 900_000,
  );
});
