/**
 * What the client does while the clock runs: closed loops (each connection sends when its answer has come), one COPY, and an
 * open loop (a request has a time at which it is due, whatever became of those before it: no coordinated omission).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { message, queryMessage, SYNC } from '../process/wire-connection.ts';
import type { RawConnection } from './raw-client.ts';
import {
  copyBytes,
  copyStatement,
  FIRST_ID,
  INSERT_PREPARED,
  insertPrepared,
  insertStatement,
  TABLE,
  type CopyFormat,
  type Request,
} from './row-bytes.ts';
import { checkRows, type System } from './systems.ts';

/** One round of one row on one system. */
export interface Measure {
  /** In the row's unit; what its goal speaks of. */
  readonly value: number;
  /** CPU of the system and of the client, in cores. */
  readonly serverCores: number | null;
  readonly clientCores: number | null;
  /** Anything more, by name. */
  readonly more: Readonly<Record<string, number>>;
}

const WARM_UP_SECONDS = 3;

/** CPU of both sides between two moments. */
export class CpuWatch {
  readonly #system: System;
  readonly #server: number | null;
  readonly #client = process.cpuUsage();
  readonly #at = performance.now();

  constructor(system: System) {
    this.#system = system;
    this.#server = system.cpuSeconds();
  }

  stop(): { seconds: number; serverCores: number | null; clientCores: number } {
    const seconds = (performance.now() - this.#at) / 1000;
    const client = process.cpuUsage(this.#client);
    const server = this.#system.cpuSeconds();
    return {
      seconds,
      serverCores: this.#server === null || server === null ? null : (server - this.#server) / seconds,
      clientCores: (client.user + client.system) / 1e6 / seconds,
    };
  }
}

/** Sends `make()`'s request on each of `connections` again and again; rows/s that were acknowledged. */
export async function closedLoop(
  system: System,
  connections: number,
  seconds: number,
  prepared: boolean,
  make: () => Request,
): Promise<Measure> {
  const clients = await openClients(system, connections, prepared);
  const requests = clients.map(make);
  const perRequest = requests[0]!.rows;
  let next = FIRST_ID;
  const drive = async (forSeconds: number): Promise<number> => {
    const until = performance.now() + forSeconds * 1000;
    const before = next;
    await Promise.all(
      clients.map((client, i) => {
        const request = requests[i]!;
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const send = (): void => {
          if (performance.now() >= until) {
            client.onReady = () => {};
            resolve();
            return;
          }
          request.fill(next);
          next += perRequest;
          client.send(request.bytes);
        };
        client.onReady = send;
        client.onError = reject;
        send();
        return promise;
      }),
    );
    return next - before;
  };
  await drive(WARM_UP_SECONDS);
  const watch = new CpuWatch(system);
  const rows = await drive(seconds);
  const { seconds: took, serverCores, clientCores } = watch.stop();
  for (const client of clients) client.end();
  await checkRows(system, next - FIRST_ID);
  return { value: rows / took, serverCores, clientCores, more: {} };
}

async function openClients(system: System, connections: number, prepared: boolean): Promise<RawConnection[]> {
  const clients: RawConnection[] = [];
  for (let i = 0; i < connections; i++) {
    const client = await system.connect();
    if (prepared) await client.prepare('i', INSERT_PREPARED);
    clients.push(client);
  }
  return clients;
}

export const singleRow = (system: System, connections: number, seconds: number, prepared: boolean): Promise<Measure> =>
  closedLoop(system, connections, seconds, prepared, () => (prepared ? insertPrepared(1) : insertStatement(1)));

const WRITE_BYTES = 256 * 1024;
const WARM_UP_ROWS = 500_000;
const copies = new Map<string, Buffer>();

export async function copyIn(client: RawConnection, format: CopyFormat, bytes: Buffer): Promise<void> {
  client.send(queryMessage(copyStatement(format)));
  await client.ready(); // CopyInResponse
  const done = client.ready();
  for (let at = 0; at < bytes.length && client.error === null; at += WRITE_BYTES)
    if (!client.send(bytes.subarray(at, at + WRITE_BYTES))) await Promise.race([client.drained(), done]);
  await done;
}

/** One COPY of `rows` rows after a small one, from the statement to its ReadyForQuery. */
export async function copy(system: System, format: CopyFormat, rows: number): Promise<Measure> {
  const cached = (first: number, count: number): Buffer => {
    const name = `${format} ${first} ${count}`;
    if (!copies.has(name)) copies.set(name, copyBytes(format, first, count));
    return copies.get(name)!;
  };
  const bytes = cached(FIRST_ID + WARM_UP_ROWS, rows);
  const client = await system.connect();
  await copyIn(client, format, cached(FIRST_ID, WARM_UP_ROWS));
  const watch = new CpuWatch(system);
  await copyIn(client, format, bytes);
  const { seconds, serverCores, clientCores } = watch.stop();
  client.end();
  await checkRows(system, WARM_UP_ROWS + rows);
  return { value: rows / seconds, serverCores, clientCores, more: { MBps: bytes.length / 1e6 / seconds } };
}

/** The bytes of a COPY are made once for all its rounds, and dropped after them. */
export const forgetCopies = (): void => copies.clear();

export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export function quantiles(times: Float64Array): Latencies {
  const sorted = times.slice().sort();
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

const PACED_PER_SECOND = 2000;
const PACED_CONNECTIONS = 16;

/**
 * 2,000 INSERTs a second, due every 0.5 ms, over 16 connections: milliseconds from the due time to the acknowledgement. A request
 * whose turn finds all connections busy waits, and its wait counts; so does the client's own lateness (`sentLate`).
 */
export async function paced(system: System, seconds: number): Promise<Measure> {
  const clients = await openClients(system, PACED_CONNECTIONS, true);
  const requests = clients.map(() => insertPrepared(1));
  const total = PACED_PER_SECOND * (seconds + WARM_UP_SECONDS);
  const times = new Float64Array(total);
  const late = new Float64Array(total);
  const idle = clients.map((_, i) => i);
  const due = new Float64Array(clients.length);
  const orderOf = new Int32Array(clients.length);
  let sent = 0;
  let acknowledged = 0;
  const finished = Promise.withResolvers<void>();
  const start = performance.now() + 5;
  const dueAt = (n: number): number => start + (n * 1000) / PACED_PER_SECOND;
  const sendDue = (): void => {
    for (const now = performance.now(); idle.length > 0 && sent < total && dueAt(sent) <= now; sent++) {
      const i = idle.pop()!;
      due[i] = dueAt(sent);
      orderOf[i] = sent;
      late[sent] = now - due[i]!;
      requests[i]!.fill(FIRST_ID + sent);
      clients[i]!.send(requests[i]!.bytes);
    }
  };
  clients.forEach((client, i) => {
    client.onReady = () => {
      times[orderOf[i]!] = performance.now() - due[i]!;
      idle.push(i);
      acknowledged++;
      if (acknowledged === total) finished.resolve();
      else sendDue();
    };
    client.onError = finished.reject;
  });
  const watch = new CpuWatch(system);
  while (sent < total) {
    if (clients.some((client) => client.error !== null)) break;
    sendDue();
    await sleep(1);
  }
  await finished.promise;
  const { serverCores, clientCores } = watch.stop();
  for (const client of clients) client.end();
  await checkRows(system, total);
  const skip = PACED_PER_SECOND * WARM_UP_SECONDS;
  const { p50, p99, p999 } = quantiles(times.subarray(skip));
  const sentLate = quantiles(late.subarray(skip)).p99;
  return { value: p99, serverCores, clientCores, more: { p50, p99, p999, sentLate } };
}

export const READ_ROWS = 100_000;
const READ_GAP_MS = 1;
/** Until V8 has compiled all that a read takes: before it each compilation takes the core from one, for as long as 4 ms. */
export const WARM_UP_READS = 20_000;

/** A table of hot rows to read from. */
export async function fillForReads(system: System): Promise<void> {
  const client = await system.connect();
  await copyIn(client, 'text', copyBytes('text', FIRST_ID, READ_ROWS));
  client.end();
  await checkRows(system, READ_ROWS);
}

/** One point read a millisecond by key on one connection, nothing else running: milliseconds over the wire. */
export const pointReads = (system: System, seconds: number): Promise<Measure> =>
  readPoints(system, seconds, READ_GAP_MS);

/** @param gapMs between an answer and the next read; 0: none */
export async function readPoints(system: System, seconds: number, gapMs: number): Promise<Measure> {
  await fillForReads(system);
  const client = await system.connect();
  await client.prepare('p', `SELECT id, ts, v, name, price, payload, ok FROM ${TABLE} WHERE id = $1`);
  const key = '0000000000';
  const keyLength = Buffer.alloc(4);
  keyLength.writeInt32BE(key.length);
  const bind = message('B', '\0p\0', Buffer.from([0, 0, 0, 1]), keyLength, key, Buffer.from([0, 0]));
  const request = Buffer.concat([bind, message('E', '\0', Buffer.alloc(4)), SYNC]);
  const keyAt = request.indexOf(key);
  const times: number[] = [];
  const read = async (id: number): Promise<void> => {
    request.write(String(id), keyAt, 'latin1');
    const begun = performance.now();
    client.send(request);
    await client.ready();
    times.push(performance.now() - begun);
  };
  const scattered = (n: number): number => FIRST_ID + ((n * 7919) % READ_ROWS);
  for (let i = 0; i < WARM_UP_READS; i++) await read(scattered(i));
  times.length = 0;
  const before = client.completed;
  const until = performance.now() + seconds * 1000;
  const watch = new CpuWatch(system);
  for (let i = 0; performance.now() < until; i++) {
    await read(scattered(i));
    if (gapMs > 0) await sleep(gapMs);
  }
  const { serverCores, clientCores } = watch.stop();
  if (client.completed - before !== times.length) throw new Error(`${system.name}: a read had no answer`);
  client.end();
  const { p50, p99, p999 } = quantiles(Float64Array.from(times));
  return { value: p99, serverCores, clientCores, more: { p50, p99, p999 } };
}
