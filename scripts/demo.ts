/**
 * `npm run demo`: three million real flights streamed in by COPY beside changes and deletes, and five questions asked
 * before flush, after flush and after commit: equal answers, and the time each tier takes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

const CHUNK_ROWS = 50_000;
const QUESTIONS: readonly (readonly [string, string])[] = [
  ['rows', 'SELECT count(*) FROM flights'],
  [
    'delay by origin',
    'SELECT origin, count(*), sum(delay) FROM flights GROUP BY origin ORDER BY count(*) DESC, origin LIMIT 5',
  ],
  ['one day', `SELECT count(*), max(distance) FROM flights WHERE date >= '2001-02-01' AND date < '2001-02-02'`],
  [
    'late and far',
    'SELECT destination, count(*) FROM flights WHERE delay > 120 AND distance > 1000 GROUP BY destination ORDER BY 2 DESC, 1 LIMIT 5',
  ],
  ['by key', 'SELECT origin, destination, delay FROM flights WHERE id = 1234567'],
];

const file = fileURLToPath(new URL('../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url));
const rowsMax = Number(process.env['DEMO_ROWS'] ?? 3_000_000);
const dataDir = await mkdtemp(join(tmpdir(), 'arka-demo-'));
const server = spawn(
  process.execPath,
  [
    fileURLToPath(new URL('../dist/main.js', import.meta.url)),
    'serve',
    '--port',
    '0',
    '--http-port',
    '0',
    '--data-dir',
    dataDir,
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
try {
  const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string];
  const url = /postgresql:\S+/.exec(line)?.[0];
  if (url === undefined) throw new Error(`the server did not start: ${line}`);
  console.log(`server ready: ${url}`);
  await demo(url);
} finally {
  server.kill('SIGTERM');
  await once(server, 'exit');
  await rm(dataDir, { recursive: true, force: true });
}

async function demo(url: string): Promise<void> {
  const client = new Client(url);
  const changer = new Client(url);
  await client.connect();
  await changer.connect();
  await client.query(
    `CREATE TABLE flights (id bigint PRIMARY KEY, date timestamp, delay int, distance int, origin text, destination text) WITH (time_column = 'date', sort_by = 'date')`,
  );
  const started = performance.now();
  const loaded = await load(client, changer);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `\n${loaded.rows.toLocaleString('en')} rows by COPY in ${seconds.toFixed(1)} s: ${Math.round(loaded.rows / seconds).toLocaleString('en')} rows/s, with ${loaded.changes} changes and deletes beside`,
  );
  const answers: string[][] = [];
  const times: number[][] = [];
  for (const stage of ['as it is', 'on disk', 'in Iceberg']) {
    if (stage === 'on disk') await client.query(`CALL arka.flush('public.flights')`);
    if (stage === 'in Iceberg') await client.query('CHECKPOINT');
    const tiers = await client.query(`SELECT tier, units, rows FROM arka.tiers WHERE table_name = 'flights'`);
    console.log(
      `${stage}: ${tiers.rows.map((row: { tier: string; units: string; rows: string }) => `${row.tier} ${row.rows} rows in ${row.units} units`).join(', ')}`,
    );
    const asked = await ask(client);
    answers.push(asked.answers);
    times.push(asked.millis);
  }
  console.log('\nquestion          as it is    on disk    Iceberg   answers');
  QUESTIONS.forEach(([name], i) => {
    const equal = answers.every((each) => each[i] === answers[0]![i]);
    console.log(
      `${name.padEnd(16)} ${times.map((each) => `${each[i]!.toFixed(1)} ms`.padStart(10)).join(' ')}   ${equal ? 'equal' : 'DIFFERENT'}`,
    );
    if (!equal) process.exitCode = 1;
  });
  if (existsSync(`/proc/${server.pid}/status`))
    console.log(
      `\nmemory of the server at its highest: ${Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024)} MB`,
    );
  await client.end();
  await changer.end();
}

/** The rows' numbers are their ids: flights repeat. */
async function load(client: Client, changer: Client): Promise<{ rows: number; changes: number }> {
  const db = await DuckDBInstance.create(':memory:');
  const reader = await db.connect();
  const result = await reader.stream(
    `SELECT concat_ws(chr(9), file_row_number, date::timestamp, coalesce(delay::int::text, '\\N'), coalesce(distance::int::text, '\\N'), origin, destination) FROM read_parquet('${file.replaceAll("'", "''")}', file_row_number = true) LIMIT ${rowsMax}`,
  );
  let rows = 0;
  let changes = 0;
  let lines: string[] = [];
  const send = async (): Promise<void> => {
    const stream = client.query(copyFrom('COPY flights FROM STDIN'));
    stream.end(`${lines.join('\n')}\n`);
    await once(stream, 'finish');
    rows += lines.length;
    lines = [];
    const low = rows - CHUNK_ROWS;
    await changer.query(`UPDATE flights SET delay = delay + 1 WHERE id >= ${low} AND id < ${low + 20}`);
    await changer.query(`DELETE FROM flights WHERE id >= ${low + 100} AND id < ${low + 110}`);
    changes += 30;
    const filled = Math.round((rows / rowsMax) * 40);
    process.stdout.write(`\r[${'#'.repeat(filled)}${'.'.repeat(40 - filled)}] ${rows.toLocaleString('en')} rows`);
  };
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    for (const value of chunk.getColumnValues(0)) lines.push(String(value));
    if (lines.length >= CHUNK_ROWS) await send();
  }
  if (lines.length > 0) await send();
  return { rows, changes };
}

async function ask(client: Client): Promise<{ answers: string[]; millis: number[] }> {
  const answers: string[] = [];
  const millis: number[] = [];
  for (const [, sql] of QUESTIONS) {
    await client.query(sql);
    const started = performance.now();
    const { rows } = await client.query(sql);
    millis.push(performance.now() - started);
    answers.push(JSON.stringify(rows));
  }
  return { answers, millis };
}
