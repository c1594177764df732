// Question: what does CREATE INDEX, of one column and of two, cost a COPY, what does equality gain on 1M rows in memory, and what does it weigh?
// Unit: rows/s, ms over the wire (one connection), bytes a row. Run: node test/bench/hash-index.ts
import { once } from 'node:events';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { startServer } from '../process/server-process.ts';

const ROWS = 1_000_000;
const VALUES = 100_000;
const TENANTS = 20;
const ROUNDS = 2;
const SECONDS = 4;

const quiet = { 'flush.max_age': '1h', 'flush.max_wal_lag': 1e9, 'iceberg.commit_interval': '1h' };
await using server = await startServer({
  settings: { ...quiet, 'memory.limit': '3GB', 'flush.partition_size': '2GB' },
});
const client = new Client({ connectionString: server.url });
await client.connect();
const report = (what: string, value: string): void => console.log(`${what.padEnd(58)} ${value}`);
const number = (value: number): string => Math.round(value).toLocaleString('en');

const chunks: string[] = [];
for (let from = 0; from < ROWS; from += 5000) {
  let text = '';
  for (let id = from; id < from + 5000; id++)
    text += `${id}\t${(id * 7919) % VALUES}\t${((id * 7919) % VALUES) % TENANTS}\t${id / 4}\n`;
  chunks.push(text);
}

async function copy(table: string): Promise<number> {
  const begun = performance.now();
  const stream = client.query(copyFrom(`COPY ${table} FROM STDIN`));
  for (const chunk of chunks) if (!stream.write(chunk)) await once(stream, 'drain');
  stream.end();
  await once(stream, 'finish');
  return ROWS / ((performance.now() - begun) / 1000);
}

const indexBytes = async (): Promise<number> =>
  Number((await client.query('SELECT index_bytes FROM arka.memory')).rows[0].index_bytes);

const TABLES = ['plain', 'indexed', 'composed'] as const;
const INDEXES = { plain: '', indexed: 'USING hash (who)', composed: '(tenant, who)' };
const rates = { plain: [] as number[], indexed: [] as number[], composed: [] as number[] };
for (let round = 0; round <= ROUNDS; round++) {
  for (const table of TABLES) {
    await client.query(`DROP TABLE IF EXISTS ${table}`);
    await client.query(`CREATE TABLE ${table} (id bigint, who integer, tenant integer, price float8)`);
    if (table !== 'plain') await client.query(`CREATE INDEX ON ${table} ${INDEXES[table]}`);
    const rate = await copy(table);
    if (round > 0) rates[table].push(rate);
  }
}
const best = (all: readonly number[]): number => Math.max(...all);
report('COPY text, 4 columns, no index', `${number(best(rates.plain))} rows/s`);
report('COPY text, 4 columns, one hash index', `${number(best(rates.indexed))} rows/s`);
report('COPY text, 4 columns, a B-tree of two columns', `${number(best(rates.composed))} rows/s`);

async function read(table: string, text: string): Promise<string> {
  const latencies: number[] = [];
  const begun = performance.now();
  while (performance.now() - begun < SECONDS * 1000) {
    const at = performance.now();
    const who = Math.floor(Math.random() * VALUES);
    const { rows } = await client.query({
      name: `${table} ${text.length}`,
      text,
      values: [who, who % TENANTS].slice(0, text.includes('$2') ? 2 : 1),
    });
    if (rows.length !== ROWS / VALUES && rows.length !== 1) throw new Error(`${rows.length} rows`);
    latencies.push(performance.now() - at);
  }
  latencies.sort((a, b) => a - b);
  const at = (part: number): string => latencies[Math.floor(latencies.length * part)]!.toFixed(3);
  return `p50 ${at(0.5)} p99 ${at(0.99)} ms (${number(latencies.length / SECONDS)}/s)`;
}

report('10 rows of 1M by an equality, indexed', await read('indexed', 'SELECT * FROM indexed WHERE who = $1'));
report('the same without an index', await read('plain', 'SELECT * FROM plain WHERE who = $1'));
report(
  'sum of them through the engine, indexed',
  await read('indexed', 'SELECT sum(price) FROM indexed WHERE who = $1'),
);
report('the same without an index', await read('plain', 'SELECT sum(price) FROM plain WHERE who = $1'));

report(
  '10 rows by two columns, the first of them with 20 values, B-tree',
  await read('composed', 'SELECT * FROM composed WHERE who = $1 AND tenant = $2'),
);
const before = await indexBytes();
const begun = performance.now();
await client.query('CREATE INDEX ON plain USING hash (who)');
report('CREATE INDEX on 1M rows in memory, answer', `${(performance.now() - begun).toFixed(0)} ms`);
let after = await indexBytes();
for (;;) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  const now = await indexBytes();
  if (now === after && now > before) break;
  after = now;
}
report('  until it has all rows', `< ${(performance.now() - begun).toFixed(0)} ms`);
report('  index memory', `${((after - before) / ROWS).toFixed(1)} bytes a row`);
await client.end();
