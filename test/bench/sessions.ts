/** What sessions cost: memory of idle ones, and questions to the catalog beside the reads of others. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RawConnection } from './raw-client.ts';
import { FIRST_ID, TABLE } from './row-bytes.ts';
import type { System } from './systems.ts';
import { fillForReads, quantiles, READ_ROWS, type Measure } from './workloads.ts';

const IDLE = 200;

/** Bytes of a process that are resident and its own. */
function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

/** 200 connections, each with one statement behind it and then idle: KB of the server's memory for each. */
export async function idleConnections(system: System): Promise<Measure | null> {
  const { pid } = system;
  if (pid === null) return null;
  const open = async (count: number): Promise<RawConnection[]> => {
    const clients: RawConnection[] = [];
    for (let i = 0; i < count; i++) {
      const client = await system.connect();
      await client.query(`SELECT count(*) FROM ${TABLE}`);
      clients.push(client);
    }
    return clients;
  };
  for (const client of await open(IDLE)) client.end(); // code and caches of the first ones belong to no session
  await sleep(2000);
  const before = residentBytes(pid);
  const clients = await open(IDLE);
  await sleep(2000);
  const bytes = (residentBytes(pid) - before) / IDLE;
  for (const client of clients) client.end();
  return { value: bytes / 1024, serverCores: null, clientCores: null, more: {} };
}

/** psql's `\d`, its first question. */
const CATALOG_QUERY = `SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname OPERATOR(pg_catalog.~) '^(${TABLE})$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid)
  ORDER BY 2, 3`;
const WARM = 300;

/**
 * Milliseconds of a question to the catalog: p50 when warm; the first after a start; and the longest that a point read of
 * another session took meanwhile.
 */
export async function catalogQueries(system: System): Promise<Measure | null> {
  const asker = await system.connect();
  const begun = performance.now();
  const reader = await system.connect();
  let asked = true;
  let longest = 0;
  const firstDone = asker.query(CATALOG_QUERY).then(() => {
    asked = false;
    return performance.now() - begun;
  });
  for (let i = 0; asked || i === 0; i++) {
    const at = performance.now();
    await reader.query(`SELECT v FROM ${TABLE} WHERE id = ${FIRST_ID + i}`);
    longest = Math.max(longest, performance.now() - at);
  }
  const first = await firstDone;
  await fillForReads(system);
  const times = new Float64Array(WARM);
  for (let i = 0; i < WARM; i++) {
    const at = performance.now();
    const rows = await asker.query(CATALOG_QUERY);
    times[i] = performance.now() - at;
    if (rows.length !== 1) throw new Error(`${system.name}: the catalog has ${rows.length} tables of that name`);
    await reader.query(`SELECT v FROM ${TABLE} WHERE id = ${FIRST_ID + (i % READ_ROWS)}`);
  }
  asker.end();
  reader.end();
  const { p50, p99 } = quantiles(times);
  return { value: p50, serverCores: null, clientCores: null, more: { p99, first, readBeside: longest } };
}
