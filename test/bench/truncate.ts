/**
 * Question: what does it take to empty a table, by TRUNCATE and by DELETE, of rows in Iceberg, on disk and in memory?
 * Unit: ms of the statement and of the CHECKPOINT after it, ms of the server's CPU in both, MB of its RSS at most since before the statement.
 * Run: node test/bench/truncate.ts [rows] [memory.limit]
 */
import { readFileSync } from 'node:fs';
import { connect } from '../process/client.ts';
import { startServer } from '../process/server-process.ts';

const ROWS = Number(process.argv[2] ?? 5_000_000);
const LIMIT = process.argv[3] ?? '2GB';
/** Shares of the rows that are in Iceberg; the rest goes to memory, and to disk where that is short. */
const COMMITTED = 0.8;
const TICK_MS = 10;

const field = (pid: number, file: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1] ?? 0);
const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
};

for (const [key, statement] of [
  ['bigint', 'TRUNCATE t'],
  ['text', 'TRUNCATE t'],
  ['bigint', 'DELETE FROM t'],
  ['text', 'DELETE FROM t'],
] as const) {
  await using server = await startServer({ settings: { 'memory.limit': LIMIT } });
  const client = await connect(server.url);
  await client.query(`CREATE TABLE t (id ${key} PRIMARY KEY, v int, name text)`);
  const load = (from: number, to: number): Promise<unknown> =>
    client.query(
      `INSERT INTO t SELECT ${key === 'text' ? `'key of row ' || g` : 'g'}, g % 1000, 'name ' || g FROM generate_series(${from}, ${to}) g`,
    );
  for (let from = 1; from <= ROWS * COMMITTED; from += 1_000_000)
    await load(from, Math.min(from + 999_999, ROWS * COMMITTED));
  await client.query('CHECKPOINT');
  await load(ROWS * COMMITTED + 1, ROWS);
  const [before, cpuBefore] = [field(server.pid, 'status', 'VmRSS'), cpuMs(server.pid)];
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, field(server.pid, 'status', 'VmRSS'))), 20);
  const measured = async (sql: string): Promise<string> => {
    const [started, cpu] = [performance.now(), cpuMs(server.pid)];
    const failed = await client.query(sql).then(
      () => '',
      (error: Error) => ` (${error.message})`,
    );
    return `${(performance.now() - started).toFixed(0)} ms, ${cpuMs(server.pid) - cpu} of CPU${failed}`;
  };
  const emptied = await measured(statement);
  const committed = await measured('CHECKPOINT');
  clearInterval(watch);
  const [{ count }] = (await client.query('SELECT count(*) FROM t')).rows as [{ count: string }];
  const mb = (kb: number): string => (kb / 1024).toFixed(0);
  console.log(
    `${ROWS} rows, key ${key}, ${statement}: ${emptied}; CHECKPOINT ${committed}; RSS ${mb(before)} → ${mb(peak)} MB; ${count} left; ${cpuMs(server.pid) - cpuBefore} ms of CPU in all`,
  );
  await client.end();
}
