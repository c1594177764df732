// Question: what do rows by their keys cost out of files that lie in S3 alone: bytes fetched, and how long? Against whole files.
// And what does the index over keys cost that a fresh machine makes?
// Each row with a cold disk cache and a warm key index; the keys are spread over all files. S3 is versitygw on this machine.
// Unit: MB fetched, requests, ms. Run: COMPAT_VERSITYGW=… node test/bench/remote-keys.ts [files 100] [rows a file 500000]
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { KEYS, s3Servers } from '../compat/s3-servers.ts';
import { connect } from '../process/client.ts';
import { startServer } from '../process/server-process.ts';

const FILES = Number(process.argv[2] ?? 100);
const ROWS = Number(process.argv[3] ?? 500_000);
const kind = s3Servers.find(({ name }) => name === 'versitygw');
if (kind === undefined) throw new Error('COMPAT_VERSITYGW is the path of versitygw');
await using s3 = await kind.start();
const origin = new URL(s3.endpoint);

/** Counts what goes by. */
let fetched = 0;
let requests = 0;
const proxy = createServer((asked, answer) => {
  const { method, url: path, headers } = asked;
  if (method === 'GET') requests++;
  const passed = request({ host: origin.hostname, port: origin.port, method, path, headers }, (got) => {
    answer.writeHead(got.statusCode!, got.rawHeaders);
    got.on('data', (bytes: Buffer) => (fetched += bytes.length));
    got.pipe(answer);
  });
  passed.on('error', () => answer.destroy());
  asked.pipe(passed);
});
await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;

const dataDir = mkdtempSync(join(tmpdir(), 'arka-bench-'));
const start = () =>
  startServer({
    dataDir,
    built: true,
    args: ['--warehouse', 's3://arka/house'],
    settings: {
      's3.endpoint': endpoint,
      's3.path_style': 'true',
      'iceberg.commit_interval': '1h',
      'iceberg.max_small_files': 10_000,
      'disk.limit': '20GB',
    },
    env: KEYS,
  });
/** Nothing has changed among the runs for some seconds. */
async function indexed(): Promise<void> {
  const state = (): string => JSON.stringify(readdirSync(join(dataDir, 'index'), { recursive: true }));
  for (let before = '', quiet = 0; quiet < 2; quiet = state() === before ? quiet + 1 : 0) {
    before = state();
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

const report = (what: string, value: string): void => console.log(`${what.padEnd(52)} ${value}`);
console.log(
  `${FILES} files × ${ROWS.toLocaleString('en')} rows; ${availableParallelism()} × ${cpus()[0]!.model}, load ${loadavg()[0]!.toFixed(1)}, Node ${process.version}`,
);
/** A key of each file in turn, from all of its range. */
const keys = (count: number): string =>
  Array.from({ length: count }, (_, i) => ((i * 104_729) % ROWS) * FILES + (i % FILES)).join(', ');

try {
  {
    await using server = await start();
    const client = await connect(server.url);
    await client.query(
      'CREATE TABLE t (id bigint PRIMARY KEY, ts timestamptz, v int, name text, price float8, ok bool)',
    );
    for (let file = 0; file < FILES; file++) {
      await client.query(`INSERT INTO t SELECT g * ${FILES} + ${file}, timestamptz '2026-01-01' + g * interval '1 second',
        (g % 1000)::int, md5(g::text), g / 4.0, true FROM generate_series(0, ${ROWS - 1}) g`);
      await client.query('CHECKPOINT');
    }
    const { rows } = await client.query<{ n: string; mb: string }>(
      `SELECT count(*) AS n, (sum(bytes) / 1e6)::int AS mb FROM arka.units WHERE table_name = 't'`,
    );
    report('files in S3', `${rows[0]!.n}, ${rows[0]!.mb} MB`);
    await indexed();
    await client.end();
    await server.stop();
  }
  {
    // As on a fresh machine: the log and the catalog are there, the index and all copies are not.
    for (const part of ['cache', 'index']) rmSync(join(dataDir, part), { recursive: true, force: true });
    [fetched, requests] = [0, 0];
    const begun = performance.now();
    await using server = await start();
    await indexed();
    const client = await connect(server.url);
    const { rows } = await client.query<{ mb: string }>('SELECT (index_bytes / 1e6)::int AS mb FROM arka.disk');
    report(
      'index of a fresh machine, from key columns',
      `${(fetched / 1e6).toFixed(2)} MB, ${requests} requests, at most ${((performance.now() - begun) / 1000).toFixed(0)} s; ${rows[0]!.mb} MB of runs`,
    );
    await client.end();
    await server.stop();
  }
  const select = (where: string): string => `SELECT id, v, name FROM t WHERE ${where}`;
  for (const [what, statement] of [
    ['one key: id = k', select(`id = ${keys(1)}`)],
    ['one key: id IN (k, k2), of which one is not there', select(`id IN (${keys(1)}, ${FILES * ROWS + 1})`)],
    ['a key of each file: id IN (…)', select(`id IN (${keys(FILES)})`)],
    ['four keys of each file: id IN (…)', select(`id IN (${keys(4 * FILES)})`)],
    ['ten keys of each file, too many for ranges: id IN (…)', select(`id IN (${keys(10 * FILES)})`)],
    ['a key of each file by whole files: id + 0 IN (…)', select(`id + 0 IN (${keys(FILES)})`)],
    ['UPDATE of a key of each file: id IN (…)', `UPDATE t SET v = v + 1 WHERE id IN (${keys(FILES)})`],
    ['DELETE of a key of each file: id IN (…)', `DELETE FROM t WHERE id IN (${keys(FILES)})`],
  ] as const) {
    rmSync(join(dataDir, 'cache'), { recursive: true, force: true });
    await using server = await start();
    const client = await connect(server.url);
    await client.query('SELECT count(*) FROM pg_class');
    const ask = async (): Promise<string> => {
      [fetched, requests] = [0, 0];
      const begun = performance.now();
      const { rowCount } = await client.query(statement);
      return `${rowCount} rows, ${(fetched / 1e6).toFixed(2)} MB, ${requests} requests, ${(performance.now() - begun).toFixed(0)} ms`;
    };
    report(what, await ask());
    report('  again', await ask());
    await client.end();
    await server.stop();
  }
} finally {
  proxy.close();
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(0);
