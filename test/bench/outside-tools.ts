/**
 * What PostgreSQL's own tools measure: transactions of pgbench, results that psql takes. They are looked for on the PATH and where
 * Debian puts them; without them a row is not measured.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyBytes, FIRST_ID, TABLE } from './row-bytes.ts';
import { checkRows, type System } from './systems.ts';
import { copyIn, CpuWatch, type Measure } from './workloads.ts';

const DEBIAN = '/usr/lib/postgresql';
const CONNECTIONS = 8;
const WARM_UP_SECONDS = 2;

/** Null: it is not installed. */
export function toolNamed(name: 'pgbench' | 'psql'): string | null {
  if (spawnSync(name, ['--version']).status === 0) return name;
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort().toReversed() : [];
  return versions.map((version) => join(DEBIAN, version, 'bin', name)).find((path) => existsSync(path)) ?? null;
}

/** @returns what it wrote. @throws with what it said when it failed */
function run(path: string, args: readonly string[], output: 'pipe' | 'ignore' = 'pipe'): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: ['ignore', output, 'pipe'] });
    let said = '';
    let complaints = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(said) : reject(new Error(`${path}: ${complaints.trim().split('\n').at(-1)}`)),
    );
  });
}

/** `script` by 8 connections of pgbench, one thread; transactions/s without the time to connect. */
export async function pgbench(
  system: System,
  seconds: number,
  mode: 'simple' | 'extended' | 'prepared',
  script: string,
): Promise<Measure | null> {
  const path = toolNamed('pgbench');
  if (path === null) return null;
  const folder = mkdtempSync(join(tmpdir(), 'arka-pgbench-'));
  try {
    const file = join(folder, 'script.sql');
    writeFileSync(file, script);
    const drive = (forSeconds: number): Promise<string> =>
      run(path, ['-n', '-M', mode, '-c', `${CONNECTIONS}`, '-j', '1', '-T', `${forSeconds}`, '-f', file, system.url]);
    await drive(WARM_UP_SECONDS);
    const before = system.cpuSeconds();
    const said = await drive(Math.ceil(seconds));
    const after = system.cpuSeconds();
    const rate = Number(/^tps = ([\d.]+)/m.exec(said)?.[1]);
    const count = Number(/transactions actually processed: (\d+)/.exec(said)?.[1]);
    if (!(rate > 0 && count > 0) || /failed transactions: [1-9]/.test(said)) throw new Error(`pgbench said: ${said}`);
    const cpu = before === null || after === null ? null : (after - before) * (rate / count);
    return { value: rate, serverCores: cpu, clientCores: null, more: {} };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const HOT_ROWS = 200_000;

/** Point reads by key, 200,000 rows in memory. */
export async function pgbenchReads(system: System, seconds: number): Promise<Measure | null> {
  const client = await system.connect();
  await copyIn(client, 'text', copyBytes('text', FIRST_ID, HOT_ROWS));
  client.end();
  await checkRows(system, HOT_ROWS);
  const script = `\\set id random(${FIRST_ID}, ${FIRST_ID + HOT_ROWS - 1})
SELECT id, ts, v, name, price, payload, ok FROM ${TABLE} WHERE id = :id;
`;
  return pgbench(system, seconds, 'prepared', script);
}

const RESULT_ROWS = 10_000_000;
const COPY_STEP_ROWS = 500_000;

/** All of 10M rows of 7 columns by COPY TO STDOUT to psql, text and binary: rows/s of text. */
export async function bigResult(system: System): Promise<Measure | null> {
  const path = toolNamed('psql');
  if (path === null) return null;
  const client = await system.connect();
  for (let at = 0; at < RESULT_ROWS; at += COPY_STEP_ROWS)
    await copyIn(client, 'binary', copyBytes('binary', FIRST_ID + at, COPY_STEP_ROWS));
  client.end();
  await checkRows(system, RESULT_ROWS);
  await system.control.query('CHECKPOINT'); // what still moves is not a part of the result's cost
  const read = async (format: 'text' | 'binary'): Promise<{ rate: number; cores: number | null }> => {
    const watch = new CpuWatch(system);
    await run(path, ['-X', '-c', `COPY ${TABLE} TO STDOUT (FORMAT ${format})`, system.url], 'ignore');
    const { seconds, serverCores } = watch.stop();
    return { rate: RESULT_ROWS / seconds, cores: serverCores };
  };
  const text = await read('text');
  const binary = await read('binary');
  return { value: text.rate, serverCores: text.cores, clientCores: null, more: { binary: binary.rate } };
}
