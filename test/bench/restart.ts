/**
 * A restart over a full log: 1 GB of frames that no other tier holds, killed without warning, started again. The memory is set
 * so that all of it is replayed into memory; what a smaller memory flushes meanwhile comes on top.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { RawConnection } from './raw-client.ts';
import { COLUMNS, copyBytes, FIRST_ID, INSERT_PREPARED, insertPrepared, TABLE } from './row-bytes.ts';
import { copyIn, type Measure } from './workloads.ts';

const LOG_BYTES = 2 ** 30;
const COPY_ROWS = 100_000;
/** Nothing leaves memory by itself. */
const SETTINGS = {
  'memory.limit': '6GB',
  'flush.max_wal_lag': 1_000_000_000,
  'flush.partition_size': '100GB',
  'flush.max_age': '24h',
  'iceberg.commit_interval': '24h',
};

/** Of full segments: the newest is preallocated. */
function walBytes(dataDir: string): number {
  const names = readdirSync(join(dataDir, 'wal')).filter((name) => name.endsWith('.wal'));
  const sizes = names.map((name) => statSync(join(dataDir, 'wal', name)).size);
  return sizes.reduce((sum, size) => sum + size, 0) - Math.max(0, ...sizes);
}

/** Milliseconds from the start of the process to the first INSERT that it acknowledged. */
async function startAndWrite(dataDir: string, id: number): Promise<{ server: ServerProcess; ms: number }> {
  const begun = performance.now();
  const server = await startServer({ built: true, dataDir, settings: SETTINGS, readyTimeoutMs: 600_000 });
  const client = await RawConnection.open(server.url);
  await client.prepare('i', INSERT_PREPARED);
  const request = insertPrepared(1);
  request.fill(id);
  client.send(request.bytes);
  await client.ready();
  const ms = performance.now() - begun;
  client.end();
  return { server, ms };
}

/** @param single the log is filled by transactions of one row each, pipelined; else by COPY */
export async function restart(single: boolean, logBytes = LOG_BYTES): Promise<Measure> {
  const dataDir = mkdtempSync(join(tmpdir(), 'arka-bench-restart-'));
  try {
    let server = await startServer({ built: true, dataDir, settings: SETTINGS });
    const client = await RawConnection.open(server.url);
    await client.query(`CREATE TABLE ${TABLE} (${COLUMNS})`);
    const rows = await (single ? fillByRow : fillByCopy)(client, dataDir, logBytes);
    client.end();
    await server.kill9();
    const full = await startAndWrite(dataDir, FIRST_ID + rows);
    ({ server } = full);
    const control = await RawConnection.open(server.url);
    const [found] = await control.query(`SELECT count(*), min(id), max(id) FROM ${TABLE}`);
    if (found!.join('|') !== [rows + 1, FIRST_ID, FIRST_ID + rows].join('|'))
      throw new Error(`after the restart count, min and max are ${found!.join('|')}; ${rows + 1} rows belong there`);
    control.end();
    await server.stop();
    const empty = await emptyStart();
    return {
      value: rows / ((full.ms - empty) / 1000),
      serverCores: null,
      clientCores: null,
      more: { rows, firstWriteMs: full.ms, emptyStartMs: empty },
    };
  } finally {
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The same without a log: what starting costs besides replay. */
async function emptyStart(): Promise<number> {
  const dataDir = mkdtempSync(join(tmpdir(), 'arka-bench-empty-'));
  try {
    const first = await startServer({ built: true, dataDir, settings: SETTINGS });
    const client = await RawConnection.open(first.url);
    await client.query(`CREATE TABLE ${TABLE} (${COLUMNS})`);
    client.end();
    await first.kill9();
    const { server, ms } = await startAndWrite(dataDir, FIRST_ID);
    await server.stop();
    return ms;
  } finally {
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function fillByCopy(client: RawConnection, dataDir: string, logBytes: number): Promise<number> {
  let rows = 0;
  for (; walBytes(dataDir) < logBytes; rows += COPY_ROWS)
    await copyIn(client, 'text', copyBytes('text', FIRST_ID + rows, COPY_ROWS));
  return rows;
}

/** Autocommit INSERTs, 200 on their way at a time, not waited for by the log. */
async function fillByRow(client: RawConnection, dataDir: string, logBytes: number): Promise<number> {
  await client.query('SET synchronous_commit = off');
  await client.prepare('i', INSERT_PREPARED);
  const requests = Array.from({ length: 200 }, () => insertPrepared(1));
  let rows = 0;
  let size = 0;
  while (size < logBytes) {
    const until = client.completed + requests.length;
    for (const request of requests) {
      request.fill(FIRST_ID + rows++);
      client.send(request.bytes);
    }
    while (client.completed < until) await client.ready();
    if (rows % 20_000 < requests.length) size = walBytes(dataDir);
  }
  await client.query('SET synchronous_commit = on');
  const last = insertPrepared(1);
  last.fill(FIRST_ID + rows++);
  client.send(last.bytes); // durable, and with it all before it
  await client.ready();
  return rows;
}
