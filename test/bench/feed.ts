// Question: how fast is the change feed: reading a log of single-row commits and of one large transaction, and from the
// acknowledgement of a commit to its change at a client that follows? Units: rows/s, ms. Run: node test/bench/feed.ts [rows]
import { Client } from 'pg';
import { to } from 'pg-copy-streams';
import { startServer } from '../process/server-process.ts';

const rows = Number(process.argv[2] ?? 200_000);
const COMMITS = 300;
await using server = await startServer();
const connected = async (): Promise<Client> => {
  const client = new Client({ connectionString: server.url });
  await client.connect();
  return client;
};
const client = await connected();
const quantile = (values: readonly number[], part: number): string =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)]!.toFixed(2);

async function read(table: string, sql: string): Promise<void> {
  const started = performance.now();
  let bytes = 0;
  for await (const chunk of client.query(to(`COPY (${sql}) TO STDOUT`))) bytes += (chunk as Buffer).length;
  const seconds = (performance.now() - started) / 1000;
  console.log(`${table}: ${Math.round(rows / seconds)} rows/s, ${(bytes / seconds / 2 ** 20).toFixed(1)} MB/s`);
}

for (const table of ['large', 'single', 'followed'])
  await client.query(`CREATE TABLE ${table} (id bigint PRIMARY KEY, ts timestamptz, v int, name text, price float8)`);
await client.query(
  `INSERT INTO large SELECT i, now(), i % 100, 'name of ' || i, i / 7.0 FROM generate_series(1, ${rows}) AS i`,
);
await client.query('SET synchronous_commit = off');
for (let id = 1; id <= rows; id += 1000)
  await Promise.all(
    Array.from({ length: Math.min(1000, rows - id + 1) }, (_, i) =>
      client.query('INSERT INTO single VALUES ($1, now(), $2, $3, $4)', [id + i, i, `name of ${id + i}`, i / 7]),
    ),
  );
await client.query('SET synchronous_commit = on');
for (let round = 0; round < 2; round++) {
  await read('rows of the table', 'SELECT * FROM large');
  for (const table of ['large', 'single']) await read(table, `SELECT * FROM arka.changes('${table}', 0)`);
  for (const table of ['large', 'single']) {
    const started = performance.now();
    await client.query(`SELECT count(*), max(name) FROM arka.changes('${table}', 0)`);
    console.log(`${table}, aggregated: ${Math.round(rows / ((performance.now() - started) / 1000))} rows/s`);
  }
}

const follower = await connected();
follower.on('error', () => {}); // it is left in the middle
const arrived = new Map<number, number>();
let told = (): void => {};
const stream = follower.query(
  to(`COPY (SELECT id FROM arka.changes('followed', pg_current_wal_lsn(), follow => true)) TO STDOUT`),
);
stream.on('data', (chunk: Buffer) => {
  for (const line of chunk.toString().trim().split('\n')) arrived.set(Number(line), performance.now());
  told();
});
const lags: number[] = [];
for (let id = 1; id <= COMMITS; id++) {
  await client.query('INSERT INTO followed VALUES ($1)', [id]);
  const acknowledged = performance.now();
  while (!arrived.has(id)) await new Promise<void>((resolve) => (told = resolve));
  lags.push(arrived.get(id)! - acknowledged);
}
console.log(`followed: p50 ${quantile(lags, 0.5)} ms, p99 ${quantile(lags, 0.99)} ms after the acknowledgement`);
await server.stop();
process.exit(0);
