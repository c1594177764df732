/**
 * What changes rows that are there already: by key in memory, by upserts over all tiers, by predicate on disk, by key in cold
 * files; and what changes that wait for their commit cost a scan. After each, a sum over the table says whether all of it took place.
 */
import { int16, int32, message, SYNC } from '../process/wire-connection.ts';
import type { RawConnection } from './raw-client.ts';
import { copyBytes, FIRST_ID, TABLE, valueOf } from './row-bytes.ts';
import type { System } from './systems.ts';
import { copyIn, CpuWatch, fillForReads, READ_ROWS, type Measure } from './workloads.ts';

/** Rows stay where a benchmark puts them. */
export const SETTLED = {
  'flush.max_wal_lag': 1_000_000_000,
  'flush.max_cdc_ops': 1_000_000_000,
  'flush.partition_size': '100GB',
  'flush.max_age': '24h',
  'iceberg.commit_interval': '24h',
  'iceberg.max_small_files': 1_000_000,
  'iceberg.max_pending_deletes': 1_000_000_000,
  'iceberg.max_staged': '100GB',
};

const scattered = (n: number, rows: number): number => FIRST_ID + ((n * 7919) % rows);

async function load(system: System, first: number, rows: number): Promise<void> {
  const client = await system.connect();
  const step = 500_000;
  for (let at = 0; at < rows; at += step)
    await copyIn(client, 'binary', copyBytes('binary', first + at, Math.min(step, rows - at)));
  client.end();
}

async function move(system: System, procedure: 'flush' | 'commit'): Promise<void> {
  if (system.name === 'Arka') await system.control.query(`CALL arka.${procedure}('public.${TABLE}')`);
}

async function sumOf(client: RawConnection): Promise<number> {
  return Number((await client.query(`SELECT sum(v) FROM ${TABLE}`))[0]![0]);
}

function expectSum(system: System, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${system.name}: sum(v) is ${found}, not ${expected}`);
}

const UPDATE_CONNECTIONS = 8;

/** Prepared `UPDATE … SET v = v + 1 WHERE id = $1` of rows in memory. */
export async function updateByKey(system: System, seconds: number): Promise<Measure> {
  await fillForReads(system);
  const before = await sumOf(system.control);
  const clients: RawConnection[] = [];
  for (let i = 0; i < UPDATE_CONNECTIONS; i++) {
    const client = await system.connect();
    await client.prepare('u', `UPDATE ${TABLE} SET v = v + 1 WHERE id = $1`);
    clients.push(client);
  }
  const key = '0000000000';
  const bind = message('B', '\0u\0', int16(0), int16(1), int32(key.length), key, int16(0));
  const requests = clients.map(() => Buffer.concat([bind, message('E', '\0', int32(0)), SYNC]));
  const at = requests[0]!.indexOf(key);
  let done = 0;
  const drive = async (forSeconds: number): Promise<number> => {
    const until = performance.now() + forSeconds * 1000;
    const first = done;
    await Promise.all(
      clients.map(async (client, i) => {
        while (performance.now() < until) {
          requests[i]!.write(String(scattered(done++, READ_ROWS)), at, 'latin1');
          client.send(requests[i]!);
          await client.ready();
        }
      }),
    );
    return done - first;
  };
  await drive(3);
  const watch = new CpuWatch(system);
  const rows = await drive(seconds);
  const { seconds: took, serverCores, clientCores } = watch.stop();
  for (const client of clients) client.end();
  expectSum(system, await sumOf(system.control), before + done);
  return { value: rows / took, serverCores, clientCores, more: {} };
}

const UPSERT_KEYS = 1_000_000;
const UPSERT_BATCH = 1000;

function upsertText(batch: number, sets: string): string {
  const rows: string[] = [];
  for (let i = 0; i < UPSERT_BATCH; i++) {
    const id = scattered(batch * UPSERT_BATCH + i, UPSERT_KEYS);
    rows.push(`(${id},'2026-02-01 00:00:00+00',7,'customer 0000',1.25,'{"page":"/changed"}',true)`);
  }
  return `INSERT INTO ${TABLE} VALUES ${rows.join(',')} ON CONFLICT (id) DO UPDATE SET ${sets}`;
}

const FULL_ROW = ['ts', 'v', 'name', 'price', 'payload', 'ok'].map((name) => `${name} = excluded.${name}`).join(', ');

/** Batches of 1,000 upserts of a million keys, a third of them in memory, a third on disk, a third in Iceberg. */
export async function upserts(system: System, seconds: number): Promise<Measure> {
  const third = Math.floor(UPSERT_KEYS / 3);
  await load(system, FIRST_ID, third);
  await move(system, 'commit');
  await load(system, FIRST_ID + third, third);
  await move(system, 'flush');
  await load(system, FIRST_ID + 2 * third, UPSERT_KEYS - 2 * third);
  const client = await system.connect();
  let batch = 0;
  const drive = async (forSeconds: number): Promise<number> => {
    const until = performance.now() + forSeconds * 1000;
    const first = batch;
    for (; performance.now() < until; batch++) await client.query(upsertText(batch, FULL_ROW));
    return (batch - first) * UPSERT_BATCH;
  };
  await drive(1);
  const watch = new CpuWatch(system);
  const rows = await drive(seconds);
  const { seconds: took, serverCores, clientCores } = watch.stop();
  client.end();
  const changed = new Set<number>();
  for (let n = 0; n < batch * UPSERT_BATCH && changed.size < UPSERT_KEYS; n++) changed.add(scattered(n, UPSERT_KEYS));
  const [found] = await system.control.query(`SELECT count(*), count(*) FILTER (WHERE v = 7) FROM ${TABLE}`);
  if (Number(found![0]) !== UPSERT_KEYS || Number(found![1]) !== changed.size)
    throw new Error(`${system.name}: ${found!.join(' rows, changed ')}, not ${UPSERT_KEYS}, ${changed.size}`);
  return { value: rows / took, serverCores, clientCores, more: {} };
}

const PREDICATE_ROWS = 10_000_000;
const PREDICATE_LIMIT = 190;

/** One UPDATE of a tenth of ten million rows on disk, by a predicate on another column than the key. */
export async function updateByPredicate(system: System): Promise<Measure> {
  await load(system, FIRST_ID, PREDICATE_ROWS);
  await move(system, 'commit');
  await system.control.query('CHECKPOINT');
  const before = await sumOf(system.control);
  let expected = 0;
  for (let id = FIRST_ID; id < FIRST_ID + PREDICATE_ROWS; id++) if (valueOf(id) < PREDICATE_LIMIT) expected++;
  const watch = new CpuWatch(system);
  await system.control.query(`UPDATE ${TABLE} SET v = v + 1 WHERE v < ${PREDICATE_LIMIT}`);
  const { seconds, serverCores, clientCores } = watch.stop();
  expectSum(system, await sumOf(system.control), before + expected);
  return { value: expected / seconds, serverCores, clientCores, more: { seconds } };
}

const COLD_FILES = 100;
const COLD_ROWS_A_FILE = 10_000;

/** A thousand random keys over a hundred files of a table at a time: whole rows by upsert, or each row computed from what it was. */
export async function coldKeys(system: System, seconds: number, fullRow: boolean): Promise<Measure> {
  const rows = COLD_FILES * COLD_ROWS_A_FILE;
  for (let file = 0; file < COLD_FILES; file++) {
    await load(system, FIRST_ID + file * COLD_ROWS_A_FILE, COLD_ROWS_A_FILE);
    await move(system, 'commit');
  }
  const before = await sumOf(system.control);
  const client = await system.connect();
  let batch = 0;
  const statement = (): string => {
    if (fullRow) return upsertText(batch, FULL_ROW);
    const keys = Array.from({ length: UPSERT_BATCH }, (_, i) => scattered(batch * UPSERT_BATCH + i, rows));
    return `UPDATE ${TABLE} SET v = v + 1 WHERE id IN (${keys.join(',')})`;
  };
  const drive = async (forSeconds: number): Promise<number> => {
    const until = performance.now() + forSeconds * 1000;
    const first = batch;
    // Each key once: those that were changed are in memory from then on.
    for (; performance.now() < until && (batch + 1) * UPSERT_BATCH <= rows; batch++) await client.query(statement());
    return (batch - first) * UPSERT_BATCH;
  };
  await drive(0.5);
  const watch = new CpuWatch(system);
  const changed = await drive(seconds);
  const { seconds: took, serverCores, clientCores } = watch.stop();
  client.end();
  let sum = before;
  for (let n = 0; n < batch * UPSERT_BATCH; n++) sum += fullRow ? 7 - valueOf(scattered(n, rows)) : 1;
  expectSum(system, await sumOf(system.control), sum);
  return { value: changed / took, serverCores, clientCores, more: {} };
}

const SCAN_ROWS = 10_000_000;
const SCAN_FILES = 100;
const CHANGED_ROWS = 100_000;
const QUERIES = [
  `SELECT count(*) FROM ${TABLE}`,
  `SELECT sum(v), avg(price) FROM ${TABLE}`,
  `SELECT name, count(*), sum(price) FROM ${TABLE} GROUP BY name ORDER BY 2 DESC, 1 LIMIT 10`,
  `SELECT count(*) FROM ${TABLE} WHERE v < 200`,
  `SELECT v, max(ts) FROM ${TABLE} WHERE price > 5000 GROUP BY v ORDER BY v LIMIT 20`,
  `SELECT count(DISTINCT name) FROM ${TABLE}`,
  `SELECT id, price FROM ${TABLE} ORDER BY price DESC, id LIMIT 10`,
  `SELECT v / 100 AS h, count(*), min(price), max(price) FROM ${TABLE} WHERE name LIKE 'customer 1%' GROUP BY h ORDER BY h`,
];

/** How much longer eight queries over ten million rows in a hundred files take while a hundred thousand changed rows of ten files wait for their commit: geometric mean. */
export async function pendingChanges(system: System): Promise<Measure> {
  for (let file = 0; file < SCAN_FILES; file++) {
    await load(system, FIRST_ID + (file * SCAN_ROWS) / SCAN_FILES, SCAN_ROWS / SCAN_FILES);
    await move(system, 'commit');
  }
  const timed = async (): Promise<number[]> => {
    const best: number[] = [];
    for (const query of QUERIES) {
      await system.control.query(query);
      const times: number[] = [];
      for (let i = 0; i < 5; i++) {
        const begun = performance.now();
        await system.control.query(query);
        times.push(performance.now() - begun);
      }
      best.push(times.toSorted((a, b) => a - b)[2]!);
    }
    return best;
  };
  const watch = new CpuWatch(system);
  const clean = await timed();
  const rowsAFile = SCAN_ROWS / SCAN_FILES;
  const perFile = CHANGED_ROWS / 10;
  for (let i = 0; i < 10; i++) {
    const first = FIRST_ID + i * 10 * rowsAFile;
    await system.control.query(
      `UPDATE ${TABLE} SET v = v + 1 WHERE id >= ${first} AND id < ${first + rowsAFile} AND id % 10 = 3`,
    );
  }
  const [pending] = await system.control.query(
    `SELECT sum(pending_deletes) FROM arka.units WHERE table_name = '${TABLE}'`,
  );
  if (Number(pending![0]) !== 10 * perFile) throw new Error(`${pending![0]} deletes are pending, not ${10 * perFile}`);
  const dirty = await timed();
  const { serverCores, clientCores } = watch.stop();
  const ratios = dirty.map((ms, i) => ms / clean[i]!);
  const value = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  const more = Object.fromEntries(QUERIES.map((_, i) => [`q${i + 1}`, ratios[i]!]));
  return { value, serverCores, clientCores, more };
}
