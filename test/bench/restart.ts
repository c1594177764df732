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
import { cpuSecondsOf } from './systems.ts';
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

/** Of full segments, for the newest is preallocated, and of the rows of large transactions beside them. */
function walBytes(dataDir: string): number {
  const wal = join(dataDir, 'wal');
  const bytesOf = (pattern: RegExp): number[] =>
    readdirSync(wal)
      .filter((name) => pattern.test(name))
      .map((name) => statSync(join(wal, name)).size);
  const segments = bytesOf(/\.wal$/);
  const sum = [...segments, ...bytesOf(/^stream-/)].reduce((total, size) => total + size, 0);
  return sum - Math.max(0, ...segments);
}

/** Milliseconds from the start of the process to the first INSERT that it acknowledged, and its CPU seconds until then. */
async function startAndWrite(
  dataDir: string,
  id: number,
): Promise<{ readonly server: ServerProcess; readonly ms: number; readonly cpu: number }> {
  const begun = performance.now();
  const server = await startServer({ built: true, dataDir, settings: SETTINGS, readyTimeoutMs: 600_000 });
  const client = await RawConnection.open(server.url);
  await client.prepare('i', INSERT_PREPARED);
  const request = insertPrepared(1);
  request.fill(id);
  client.send(request.bytes);
  await client.ready();
  const ms = performance.now() - begun;
  const cpu = cpuSecondsOf(server.pid);
  client.end();
  return { server, ms, cpu };
}

/** A log filled once, restarted as often as it is measured; each measured start adds a row to it. */
export class FullLog {
  readonly #single: boolean;
  readonly #bytes: number;
  #dataDir: string | null = null;
  #rows = 0;

  /** @param single filled by transactions of one row each, pipelined; else by COPY */
  constructor(single: boolean, bytes = LOG_BYTES) {
    this.#single = single;
    this.#bytes = bytes;
  }

  async measure(): Promise<Measure> {
    this.#dataDir ??= await this.#fill();
    const { server, ms, cpu } = await startAndWrite(this.#dataDir, FIRST_ID + this.#rows);
    this.#rows++;
    try {
      const control = await RawConnection.open(server.url);
      const [found] = await control.query(`SELECT count(*), min(id), max(id) FROM ${TABLE}`);
      const expected = [this.#rows, FIRST_ID, FIRST_ID + this.#rows - 1].join('|');
      if (found!.join('|') !== expected)
        throw new Error(`after the restart count, min and max are ${found!.join('|')}, not ${expected}`);
      control.end();
    } finally {
      await server.kill9(); // the log stays as long as it is
    }
    const empty = await emptyStart();
    return {
      value: this.#rows / ((ms - empty.ms) / 1000),
      serverCores: cpu / (ms / 1000),
      clientCores: null,
      more: {
        rows: this.#rows,
        firstWriteMs: ms,
        emptyStartMs: empty.ms,
        rowsPerCpuSecond: this.#rows / (cpu - empty.cpu),
      },
    };
  }

  drop(): void {
    if (this.#dataDir !== null) rmSync(this.#dataDir, { recursive: true, force: true, maxRetries: 5 });
    this.#dataDir = null;
  }

  async #fill(): Promise<string> {
    const dataDir = mkdtempSync(join(tmpdir(), 'arka-bench-restart-'));
    const server = await startServer({ built: true, dataDir, settings: SETTINGS });
    const client = await RawConnection.open(server.url);
    await client.query(`CREATE TABLE ${TABLE} (${COLUMNS})`);
    this.#rows = await (this.#single ? fillByRow : fillByCopy)(client, dataDir, this.#bytes);
    client.end();
    await server.kill9();
    return dataDir;
  }
}

/** The same without a log: what starting costs besides replay. */
async function emptyStart(): Promise<{ readonly ms: number; readonly cpu: number }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'arka-bench-empty-'));
  try {
    const first = await startServer({ built: true, dataDir, settings: SETTINGS });
    const client = await RawConnection.open(first.url);
    await client.query(`CREATE TABLE ${TABLE} (${COLUMNS})`);
    client.end();
    await first.kill9();
    const started = await startAndWrite(dataDir, FIRST_ID);
    await started.server.stop();
    return started;
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
