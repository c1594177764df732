// Question: does a server under mixed load stay within memory.limit and its budgets, without errors? Unit: MB by second, rows/s.
// Run: npm run bench:soak   (node test/bench/soak.ts [minutes, 10] [memory.limit, 768MB] [section.key=value …]; the server must be built;
// SOAK_ROWS=2000000 holds the table at so many rows, SOAK_TRACE=1 prints each sample)
// Fails when at any sample RSS passes the limit or live slabs pass their budget, at any error a client sees, or when RSS
// is not flat: its floor (the least RSS of each 15 s) rises by more than 2 MB a minute in the second half.
//
// Measured before DuckDB's databases were replaced (D8 of src/federation/connections.ts), on two quiet cores, 139,000 rows/s by COPY, 10 minutes: 716 MB
// at most, the floor +5.7 MB a minute while the table grew by 8M rows a minute, no error. Not measured so since.
//
// SOAK_ROWS=1500000, 12 minutes, a load of 30 from elsewhere: before, 7,500 rows/s, the floor +3.3 MB a minute, so that it was not the table's size alone;
// with D8, 11,200 rows/s, +1.9. By samples of live malloc blocks with their stacks, 60 s and 612 s after the start, before D8, of 232 and 263 MB: dead
// entries of DuckDB's queues 0.9 and 13.5 (D8); footers 0.6 and 7.6 (kept ones end at 8, footer-cache.ts); buffers of JavaScript 187 and 198 (slabs
// 80, the ring of the log 16, pages of the key index up to their budget); V8, DuckDB's functions and the rest 43 and 43. Slabs of the pool
// are counted whole, and their pages become resident as rows reach them: 15 MB over those ten minutes. Dead rows are counted in index_bytes: 1/128 byte
// a row of files with one, it was 1/8 to 1/4.
//
// A table that grows, later and on quiet cores: 136,000 rows/s, the floor +10.2 MB a minute from 41M to 82M rows, in malloc's heaps. Rows take 2.4 bytes
// in a file here, so files were merged to tens of millions of rows; a footer is 0.3 bytes a row, in small blocks, decoded whole for each scan, rewrite and
// read by key, several at one time. Seen with row groups a tenth as large, which 10M to 12M rows give the footers of 100M to 120M; both servers side by side under a load
// of 30 from elsewhere, 210 s after 10M rows were loaded: footers 18.4 MB and malloc's heaps 115 MB resident, 59 after the load; with files merged up
// to a footer of 1 MB (src/storage/file-footers.ts) 6.9 MB and 72, 52 after the load; the floor 539 and 524 MB. Not measured on quiet cores since. What else
// grows ends: pages of the key index at their budget (25 s), slabs once rows have reached them.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { connect } from '../process/client.ts';
import { startServer } from '../process/server-process.ts';

const minutes = Number(process.argv[2] ?? 10);
const limitText = process.argv[3] ?? '768MB';
const MB = 2 ** 20;
const COPY_ROWS = 20_000;
/** Rows of the table that upserts go round in. */
const UPSERT_KEYS = 100_000;
const INSERT_SESSIONS = 4;
/** From so many rows on the oldest go as new ones come: what still grows then follows time, not the table. */
const ROWS_HELD = Number(process.env['SOAK_ROWS'] ?? Infinity);
/** What is held for a moment only (garbage, a sort, a rewrite) comes and goes within. */
const FLOOR_SECONDS = 15;
const FLAT_MB_A_MINUTE = 2;
/** In less time start-up and chance weigh more than any leak. */
const FLAT_MINUTES_MIN = 10;

interface Sample {
  readonly second: number;
  readonly rss: number;
  readonly slabs: number;
  readonly budget: number;
  readonly index: number;
  readonly zone: string;
  readonly delay: number;
}

/** Such as smaller files and more commits, for the history of an hour in minutes. */
const settings = Object.fromEntries(process.argv.slice(4).map((pair) => pair.split('=', 2) as [string, string]));
const server = await startServer({
  built: true,
  // compaction begins in the first minutes, so that either half has all kinds of work
  settings: { 'memory.limit': limitText, 'iceberg.max_small_files': 3, ...settings },
});
const begun = performance.now();
const end = begun + minutes * 60_000;
const running = (): boolean => performance.now() < end;
const counts = new Map<string, number>();
const errors = new Map<string, number>();
const samples: Sample[] = [];
let nextId = 0;
let oldestId = 0;
/** arka.memory as it was seen last, in MB. */
let lastParts = '';

const count = (what: string, by = 1): void => void counts.set(what, (counts.get(what) ?? 0) + by);

/** Runs `work` until the end; an error is counted, and the session goes on. */
function session(
  what: string,
  pauseMs: number,
  work: (client: Client, round: number) => Promise<number>,
): Promise<void> {
  const run = async (): Promise<void> => {
    const client = await connect(server.url);
    for (let round = 0; running(); round++) {
      try {
        count(what, await work(client, round));
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        const text = `${what}: ${code ?? ''} ${message}`;
        errors.set(text, (errors.get(text) ?? 0) + 1);
        await sleep(200);
      }
      if (pauseMs > 0) await sleep(Math.min(pauseMs, Math.max(0, end - performance.now())));
    }
    await client.end();
  };
  return run();
}

const time = (id: number): string => `2026-01-0${1 + (id % 3)} 00:${String(id % 60).padStart(2, '0')}:00+00`;
const line = (id: number): string =>
  `${id}\t${time(id)}\t${id % 1000}\taction ${id % 50}\t${id / 4}\t{"user":${id % 1000},"page":"a page of some length","n":${id % 10}}\n`;

async function copy(client: Client): Promise<number> {
  const first = nextId;
  nextId += COPY_ROWS;
  const stream = client.query(copyFrom('COPY events FROM STDIN'));
  const finished = once(stream, 'finish');
  finished.catch(() => undefined);
  for (let id = first; id < first + COPY_ROWS; id += 2000) {
    let text = '';
    for (let i = id; i < id + 2000; i++) text += line(i);
    if (!stream.write(text)) await Promise.race([once(stream, 'drain'), finished]);
  }
  stream.end();
  await finished;
  return COPY_ROWS;
}

const insertText = 'INSERT INTO events VALUES ($1, $2, $3, $4, $5, $6)';
async function insert(client: Client): Promise<number> {
  const id = nextId++;
  await client.query({ name: 'i', text: insertText, values: [id, time(id), 1, 'one', 1.5, '{"a":1}'] });
  return 1;
}

async function upsert(client: Client, round: number): Promise<number> {
  const rows = Array.from({ length: 200 }, (_, i) => {
    const id = (round * 7919 + i * 31) % UPSERT_KEYS;
    return `(${id}, ${round}, 'name of ${id} in round ${round}')`;
  });
  await client.query(`INSERT INTO latest VALUES ${rows.join(', ')}`);
  return rows.length;
}

/** Each COPY pays for itself, so that deletes are never far behind. */
async function copyAndHold(client: Client): Promise<number> {
  const rows = await copy(client);
  for (; nextId - oldestId > ROWS_HELD + COPY_ROWS; oldestId += COPY_ROWS)
    await client.query(`DELETE FROM events WHERE id >= ${oldestId} AND id < ${oldestId + COPY_ROWS}`);
  return rows;
}

const someId = (): number => oldestId + Math.floor(Math.random() * Math.max(1, nextId - 1 - oldestId));
async function update(client: Client): Promise<number> {
  const id = someId();
  const { rowCount } = await client.query(
    `UPDATE events SET amount = amount + 1 WHERE id >= ${id} AND id < ${id + 20}`,
  );
  return rowCount ?? 0;
}
async function remove(client: Client): Promise<number> {
  const id = someId();
  const { rowCount } = await client.query(`DELETE FROM events WHERE id >= ${id} AND id < ${id + 50}`);
  return rowCount ?? 0;
}
async function point(client: Client, round: number): Promise<number> {
  const id = round % 2 === 0 ? someId() : Math.max(0, nextId - 1 - (round % 1000));
  const text = 'SELECT id, ts, action, amount FROM events WHERE id = $1';
  await client.query({ name: 'p', text, values: [id] });
  return 1;
}

const SCANS = [
  'SELECT action, count(*), sum(amount) FROM events GROUP BY action ORDER BY action',
  'SELECT count(*), min(ts), max(ts) FROM events',
  'SELECT user_id, max(amount) FROM events WHERE amount > 1000 GROUP BY user_id ORDER BY 2 DESC LIMIT 10',
  'SELECT id, ts, payload FROM events ORDER BY amount DESC LIMIT 100',
  'SELECT count(*), sum(v) FROM latest',
];
async function scan(client: Client, round: number): Promise<number> {
  await client.query(SCANS[round % SCANS.length]!);
  return 1;
}

/** As psql's \d and a driver's introspection ask. */
const CATALOG = [
  `SELECT n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c
   LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','S','f','')
   AND n.nspname <> 'pg_catalog' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1, 2`,
  `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = 'public.events'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
  `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'`,
  'SELECT * FROM arka.tiers',
];
async function catalog(client: Client, round: number): Promise<number> {
  await client.query(CATALOG[round % CATALOG.length]!);
  return 1;
}

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}

async function sample(client: Client): Promise<number> {
  const rss = rssOf(server.pid);
  const { rows } = await client.query<Record<string, string>>('SELECT * FROM arka.memory');
  const [row] = rows as [Record<string, string>];
  const taken: Sample = {
    second: (performance.now() - begun) / 1000,
    rss: Math.max(rss, rssOf(server.pid)),
    slabs: Number(row['slab_bytes']),
    budget: Number(row['slab_budget_bytes'] ?? Number.NaN),
    index: Number(row['index_bytes']),
    zone: row['zone']!,
    delay: Number(row['delay_ms']),
  };
  samples.push(taken);
  const bytes = ([name, value]: [string, string]): string => `${name.replace('_bytes', '')} ${mb(Number(value))}`;
  lastParts = Object.entries(row)
    .filter(([name]) => name.endsWith('_bytes'))
    .map(bytes)
    .join(', ');
  if (process.env['SOAK_TRACE'] !== undefined)
    console.log(`${taken.second.toFixed(0)} s  rss ${mb(taken.rss)}  ${lastParts}`);
  return 1;
}

const mb = (bytes: number): string => (bytes / MB).toFixed(0);

const first = await connect(server.url);
await first.query(
  `CREATE TABLE events (id bigint PRIMARY KEY, ts timestamptz NOT NULL, user_id int, action text, amount double precision, payload json)
   WITH (time_column = 'ts', partition_by = 'day(ts)')`,
);
await first.query("CREATE TABLE latest (id bigint PRIMARY KEY, v int, name text) WITH (on_conflict = 'upsert')");
await first.end();
await Promise.all([
  session('sample', 1000, sample),
  session('COPY rows', 0, copyAndHold),
  ...Array.from({ length: INSERT_SESSIONS }, () => session('INSERT rows', 0, insert)),
  session('upserted rows', 5, upsert),
  session('updated rows', 100, update),
  session('deleted rows', 100, remove),
  session('point reads', 2, point),
  session('scans', 500, scan),
  session('catalog queries', 3000, catalog),
  session('CHECKPOINT', 45_000, async (client, round) => {
    if (round > 0) await client.query('CHECKPOINT');
    return round > 0 ? 1 : 0;
  }),
]);

const last = await connect(server.url);
const { rows: commits } = await last.query<Record<string, string>>(
  `SELECT trigger, count(*) AS n, min(committed_at)::time(0) AS first, max(committed_at)::time(0) AS last
   FROM arka.commits GROUP BY trigger ORDER BY 3`,
);
await last.end();

type Point = Pick<Sample, 'second' | 'rss'>;

/** What start-up adds is behind it. */
const secondHalf = (): Sample[] => samples.filter((each) => each.second >= minutes * 30);

/** The sample with the least RSS of each FLOOR_SECONDS. */
function floorOf(values: readonly Point[]): Point[] {
  const floor = new Map<number, Point>();
  for (const each of values) {
    const window = Math.floor(each.second / FLOOR_SECONDS);
    const least = floor.get(window);
    if (least === undefined || each.rss < least.rss) floor.set(window, each);
  }
  return [...floor.values()];
}

/** MB a minute, by least squares. */
function slopeOf(values: readonly Point[]): number {
  const mean = (of: (each: Point) => number): number => values.reduce((sum, each) => sum + of(each), 0) / values.length;
  const x = mean((each) => each.second);
  const y = mean((each) => each.rss);
  let above = 0;
  let below = 0;
  for (const each of values) {
    above += (each.second - x) * (each.rss - y);
    below += (each.second - x) ** 2;
  }
  return ((above / below) * 60) / MB;
}

function figures(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!].map((each) => mb(each).padStart(7)).join(' ');
}

const limit = Number(limitText.replace(/MB$/, '')) * MB || Number(limitText.replace(/GB$/, '')) * 1024 * MB;
console.log(`\nperiod         ${'RSS MB: min median max'.padEnd(26)} ${'slabs MB: min median max'.padEnd(26)}`);
const parts = 10;
for (let part = 0; part < parts; part++) {
  const from = (minutes * 60 * part) / parts;
  const to = (minutes * 60 * (part + 1)) / parts;
  const own = samples.filter((each) => each.second >= from && each.second < to);
  if (own.length === 0) continue;
  const shown = `${from.toFixed(0)}–${to.toFixed(0)} s`.padEnd(12);
  console.log(`${shown} ${figures(own.map((each) => each.rss))}    ${figures(own.map((each) => each.slabs))}`);
}
const seconds = (performance.now() - begun) / 1000;
const zones = new Map<string, number>();
for (const each of samples) zones.set(each.zone, (zones.get(each.zone) ?? 0) + 1);
const slope = slopeOf(floorOf(secondHalf()));
const verdict = slope <= FLAT_MB_A_MINUTE ? 'flat' : minutes < FLAT_MINUTES_MIN ? 'too short a run to say' : 'NOT flat';
console.log(
  `\nRSS in the second half: ${slopeOf(secondHalf()).toFixed(2)} MB/min, its floor ${slope.toFixed(2)} MB/min: ${verdict}`,
);
console.log(`parts at the end, MB: ${lastParts}`);
console.log(`samples ${samples.length}, zones ${[...zones].map(([zone, each]) => `${zone} ${each}`).join(', ')}`);
for (const [what, done] of counts)
  console.log(`${what.padEnd(18)} ${done.toLocaleString('en').padStart(12)}   ${(done / seconds).toFixed(1)}/s`);
for (const { trigger, n, first: from, last: to } of commits)
  console.log(`commits by ${trigger}: ${n}, from ${from} to ${to}`);
const overRss = samples.filter((each) => each.rss > limit);
const overSlabs = samples.filter((each) => each.slabs > each.budget);
for (const [text, times] of errors) console.log(`ERROR ×${times}: ${text}`);
console.log(
  `samples with RSS above ${limitText}: ${overRss.length}; with slabs above their budget: ${overSlabs.length}`,
);
const { code } = await server.stop();
const said = server.stderr().trim();
if (said !== '') console.log(`the server said:\n${said.slice(0, 4000)}`);
await server[Symbol.asyncDispose]();
const failed = overRss.length + overSlabs.length + errors.size > 0 || verdict === 'NOT flat' || code !== 0;
console.log(failed ? 'FAILED' : 'passed');
process.exit(failed ? 1 : 0);
