/**
 * Question: what does a MERGE of many rows take, of rows in Iceberg, on disk and in memory, while memory is short?
 * Unit: ms of the statement, µs of the server's CPU a row, MB of its RSS at most.
 * Run: node test/bench/merge.ts [rows] [memory.limit]
 */
import { readFileSync } from 'node:fs';
import { connect } from '../process/client.ts';
import { startServer } from '../process/server-process.ts';

const ROWS = Number(process.argv[2] ?? 6_000_000);
const LIMIT = process.argv[3] ?? '768MB';
const TICK_MS = 10;

const residentMb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
};

for (const key of ['bigint PRIMARY KEY', 'bigint']) {
  await using server = await startServer({ settings: { 'memory.limit': LIMIT } });
  const client = await connect(server.url);
  await client.query(`CREATE TABLE t (id ${key}, v int, name text)`);
  for (let from = 1; from <= ROWS; from += 1_000_000)
    await client.query(
      `INSERT INTO t SELECT g, 0, 'name ' || g FROM generate_series(${from}, ${Math.min(from + 999_999, ROWS)}) g`,
    );
  let peak = residentMb(server.pid);
  const watch = setInterval(() => (peak = Math.max(peak, residentMb(server.pid))), 20);
  const [started, cpu] = [performance.now(), cpuMs(server.pid)];
  const outcome = await client
    .query(
      `MERGE INTO t USING (SELECT g AS id, g % 10 AS v FROM generate_series(${ROWS / 10}, ${Math.round(ROWS * 1.1)}) g) s ON t.id = s.id
       WHEN MATCHED AND s.v = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v, 'new')`,
    )
    .then(
      ({ rowCount }) => `MERGE ${rowCount}`,
      (error: Error & { code?: string; detail?: string }) => `${error.code} ${error.message}: ${error.detail}`,
    );
  clearInterval(watch);
  const [ms, used] = [performance.now() - started, cpuMs(server.pid) - cpu];
  const { rows } = await client.query({ text: 'SELECT count(*)::int, sum(v)::int FROM t', rowMode: 'array' });
  console.log(
    `${ROWS} rows, ${key}: ${outcome}; ${ms.toFixed(0)} ms, ${((used * 1000) / ROWS).toFixed(2)} µs of CPU a row; RSS at most ${peak.toFixed(0)} MB of ${LIMIT}; count and sum ${String(rows[0])}`,
  );
  await client.end();
}
