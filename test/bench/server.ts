// Question: what does a client see? COPY rows/s, single-row INSERT/s at 1 and 8 connections, hot point read, start-up, RSS.
// Unit: rows/s, ms. Run: node test/bench/server.ts [postgresql://…]   (a URL: the same against that server, such as PostgreSQL)
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { from as copyFrom } from 'pg-copy-streams';
import { connect } from '../process/client.ts';
import { startServer } from '../process/server-process.ts';

const SECONDS = 3;
const COPY_ROWS = 500_000;
const given = process.argv[2];
const started = performance.now();
const server = given === undefined ? await startServer({ built: true }) : null;
const startMs = performance.now() - started;
const url = given ?? server!.url;

const report = (what: string, value: string): void => console.log(`${what.padEnd(44)} ${value}`);
const client = await connect(url);
await client.query('DROP TABLE IF EXISTS bench');
await client.query(
  'CREATE TABLE bench (id bigint PRIMARY KEY, ts timestamptz, v int, name text, price float8, payload json, ok bool)',
);
if (server !== null) report('start-up', `${startMs.toFixed(0)} ms`);

const row = (id: number): string =>
  `${id}\t2026-01-01 00:00:${String(id % 60).padStart(2, '0')}+00\t${id % 1000}\tname ${id % 5000}\t${id / 4}\t{"user":${id % 1000},"page":"a page of some length","n":${id % 10}}\tt\n`;
const chunks: string[] = [];
for (let id = 0; id < COPY_ROWS; id += 5000) {
  let text = '';
  for (let i = id; i < id + 5000; i++) text += row(i);
  chunks.push(text);
}
let begun = performance.now();
const stream = client.query(copyFrom('COPY bench FROM STDIN'));
for (const chunk of chunks) if (!stream.write(chunk)) await once(stream, 'drain');
stream.end();
await once(stream, 'finish');
report(
  'COPY text, 7 columns, primary key',
  `${Math.round(COPY_ROWS / ((performance.now() - begun) / 1000)).toLocaleString('en')} rows/s`,
);

let next = COPY_ROWS;
for (const connections of [1, 8]) {
  const clients = await Promise.all(Array.from({ length: connections }, connect));
  let rows = 0;
  const latencies: number[] = [];
  begun = performance.now();
  await Promise.all(
    clients.map(async (each) => {
      while (performance.now() - begun < SECONDS * 1000) {
        const at = performance.now();
        await each.query({
          name: 'i',
          text: 'INSERT INTO bench VALUES ($1, now(), $2, $3, $4, $5, $6)',
          values: [next++, 1, 'n', 1.5, '{"a":1}', true],
        });
        latencies.push(performance.now() - at);
        rows++;
      }
    }),
  );
  latencies.sort((a, b) => a - b);
  report(
    `single-row INSERT, ${connections} connection(s)`,
    `${Math.round(rows / SECONDS).toLocaleString('en')} rows/s, p50 ${latencies[rows >> 1]!.toFixed(2)} p99 ${latencies[Math.floor(rows * 0.99)]!.toFixed(2)} ms`,
  );
  await Promise.all(clients.map((each) => each.end()));
}

const reads: number[] = [];
begun = performance.now();
while (performance.now() - begun < SECONDS * 1000) {
  const at = performance.now();
  await client.query({
    name: 'p',
    text: 'SELECT id, v, name FROM bench WHERE id = $1',
    values: [Math.floor(Math.random() * COPY_ROWS)],
  });
  reads.push(performance.now() - at);
}
reads.sort((a, b) => a - b);
report(
  'point SELECT by key, hot, 1 connection',
  `p50 ${reads[reads.length >> 1]!.toFixed(2)} p99 ${reads[Math.floor(reads.length * 0.99)]!.toFixed(2)} ms`,
);
await client.query('DROP TABLE bench');
await client.end();
if (server !== null) {
  report(
    'RSS at the end',
    `${(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]) / 1024).toFixed(0)} MB`,
  );
  await server.stop();
  await server[Symbol.asyncDispose]();
}
