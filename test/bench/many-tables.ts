// Question: what do CHECKPOINT and a start cost with many tables, and is it CPU or waiting? Unit: seconds of wall and of the server's CPU.
// Run: node test/bench/many-tables.ts [tables]   (default 201, 50 rows each; two CHECKPOINTs, a clean restart, one after kill -9)
//
// Measured in turn with the state before, which went table by table, on two cores with a load of 26: CHECKPOINT 34.3 and 34.5 s → 11.8 and
// 16.9 s, start 18.0 s → 15.1 s and, after kill -9, 14.6 s → 6.7 s; CPU the same within its noise (6 to 8 s, 2 to 3 s). The whole run
// makes 18,400 → 11,700 fsyncs, of which the lake's thread waits for 10,500 → 5,000 itself, in SQLite.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { RawConnection } from './raw-client.ts';
import { cpuSecondsOf } from './systems.ts';

const TABLES = Number(process.argv[2] ?? 201);
const ROWS = 50;
/** Nothing moves by itself. */
const SETTINGS = {
  'flush.max_age': '24h',
  'flush.max_wal_lag': 1_000_000_000,
  'iceberg.commit_interval': '24h',
  'iceberg.refresh_interval': '1h',
};

const dataDir = mkdtempSync(join(tmpdir(), 'arka-bench-tables-'));

/** CPU seconds of threads by name: which of them works. */
function threadsOf(pid: number): Map<string, number> {
  const sums = new Map<string, number>();
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'latin1');
    const name = /\((.*)\)/.exec(stat)![1]!;
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    sums.set(name, (sums.get(name) ?? 0) + (Number(fields[11]) + Number(fields[12])) / 100);
  }
  return sums;
}

const report = (what: string, wallMs: number, cpu: number, threads: string): void =>
  console.log(
    `${what.padEnd(34)} ${(wallMs / 1000).toFixed(2).padStart(7)} s wall ${cpu.toFixed(2).padStart(7)} s CPU   ${threads}`,
  );

async function timed(server: ServerProcess, what: string, work: () => Promise<unknown>): Promise<void> {
  const before = threadsOf(server.pid);
  const cpu = cpuSecondsOf(server.pid);
  const begun = performance.now();
  await work();
  const wall = performance.now() - begun;
  const threads = [...threadsOf(server.pid)]
    .map(([name, seconds]) => [name, seconds - (before.get(name) ?? 0)] as const)
    .filter(([, seconds]) => seconds >= 0.05)
    .map(([name, seconds]) => `${name} ${seconds.toFixed(2)}`);
  report(what, wall, cpuSecondsOf(server.pid) - cpu, threads.join(', '));
}

async function started(what: string): Promise<{ server: ServerProcess; client: RawConnection }> {
  const begun = performance.now();
  const server = await startServer({ built: true, dataDir, settings: SETTINGS, readyTimeoutMs: 600_000 });
  const wall = performance.now() - begun;
  const threads = [...threadsOf(server.pid)].filter(([, seconds]) => seconds >= 0.05);
  report(
    what,
    wall,
    cpuSecondsOf(server.pid),
    threads.map(([name, seconds]) => `${name} ${seconds.toFixed(2)}`).join(', '),
  );
  return { server, client: await RawConnection.open(server.url) };
}

let at = 0;
async function insert(client: RawConnection): Promise<void> {
  const from = at;
  at += ROWS;
  for (let t = 0; t < TABLES; t++)
    await client.query(`INSERT INTO t${t} SELECT g, 'row ' || g, g * 1.5 FROM generate_series(${from + 1}, ${at}) g`);
}

try {
  let { server, client } = await started('start, empty');
  await timed(server, `CREATE TABLE, ${TABLES} times`, async () => {
    for (let t = 0; t < TABLES; t++)
      await client.query(`CREATE TABLE t${t} (id bigint PRIMARY KEY, name text, price float8)`);
  });
  await insert(client);
  await timed(server, 'CHECKPOINT, first', () => client.query('CHECKPOINT'));
  await insert(client);
  await timed(server, 'CHECKPOINT, second', () => client.query('CHECKPOINT'));
  await timed(server, 'CHECKPOINT, nothing to do', () => client.query('CHECKPOINT'));
  client.end();
  await server.stop();
  ({ server, client } = await started('start, all in Iceberg'));
  await insert(client);
  client.end();
  await server.kill9();
  ({ server, client } = await started(`start, rows of all in the log`));
  const found = await client.query(`SELECT count(*) FROM t${TABLES - 1}`);
  if (found[0]![0] !== String(at)) throw new Error(`${found[0]![0]} rows, not ${at}`);
  client.end();
  await server.stop();
} finally {
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
}
