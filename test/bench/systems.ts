/**
 * The two systems under test behind one interface: a fresh, empty table, connections, CPU time, and the check that what was
 * acknowledged is there. Arka is the built server with its defaults on a new data directory; PostgreSQL is given by its URL.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { startServer } from '../process/server-process.ts';
import { RawConnection } from './raw-client.ts';
import { COLUMNS, FIRST_ID, TABLE, valueOf } from './row-bytes.ts';

export type SystemName = 'Arka' | 'PostgreSQL';

export interface System extends AsyncDisposable {
  readonly name: SystemName;
  readonly url: string;
  /** Of its one process; null when it has several. */
  readonly pid: number | null;
  connect(): Promise<RawConnection>;
  /** For everything around a measurement. */
  readonly control: RawConnection;
  /** CPU seconds that the system has used since it was started; null when it runs on another machine. */
  cpuSeconds(): number | null;
}

const TICKS_PER_SECOND = 100;

/** utime + stime of a process with its threads; 0 when it has ended. */
function cpuTicks(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

/** CPU seconds of a process with its threads. */
export const cpuSecondsOf = (pid: number): number => cpuTicks(pid) / TICKS_PER_SECOND;

export async function openArka(
  options: Pick<NonNullable<Parameters<typeof startServer>[0]>, 'env' | 'settings'> = {},
): Promise<System> {
  const server = await startServer({ built: true, ...options });
  try {
    const control = await RawConnection.open(server.url);
    await control.query(`CREATE TABLE ${TABLE} (${COLUMNS})`);
    return {
      name: 'Arka',
      url: server.url,
      pid: server.pid,
      control,
      connect: () => RawConnection.open(server.url),
      cpuSeconds: () => cpuSecondsOf(server.pid),
      async [Symbol.asyncDispose]() {
        control.end();
        await server.stop();
        await server[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** A fresh table, and a CHECKPOINT, so that what came before costs this round nothing. */
export async function openPostgres(url: string): Promise<System> {
  const control = await RawConnection.open(url);
  await control.query(`DROP TABLE IF EXISTS ${TABLE}`);
  await control.query(`CREATE TABLE ${TABLE} (${COLUMNS})`);
  await control.query('CHECKPOINT');
  const backends = new Set([control.backend]);
  const postmaster = await postmasterOf(control);
  const helpers = postmaster === null ? [] : helpersOf(postmaster);
  return {
    name: 'PostgreSQL',
    url,
    pid: null,
    control,
    async connect() {
      const connection = await RawConnection.open(url);
      backends.add(connection.backend);
      return connection;
    },
    cpuSeconds() {
      if (postmaster === null) return null;
      let ticks = 0;
      for (const pid of [...backends, ...helpers]) ticks += cpuTicks(pid);
      return ticks / TICKS_PER_SECOND;
    },
    async [Symbol.asyncDispose]() {
      await control.query(`DROP TABLE ${TABLE}`);
      control.end();
    },
  };
}

/** The process that our backend is a child of, when PostgreSQL runs here. */
async function postmasterOf(control: RawConnection): Promise<number | null> {
  try {
    if (!readFileSync(`/proc/${control.backend}/cmdline`, 'latin1').startsWith('postgres')) return null;
    return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${control.backend}/status`, 'latin1'))![1]);
  } catch {
    return null;
  }
}

/** Checkpointer, writers and the like: not the backends of others. */
function helpersOf(postmaster: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const parent = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
        const title = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        return parent === postmaster && /checkpointer|background writer|walwriter/.test(title);
      } catch {
        return false;
      }
    });
}

/** What a system must be like for the comparison to be one. @throws with what is wrong */
export async function describePostgres(url: string): Promise<string> {
  const control = await RawConnection.open(url);
  try {
    const show = async (name: string): Promise<string> => (await control.query(`SHOW ${name}`))[0]![0]!;
    for (const name of ['fsync', 'synchronous_commit', 'full_page_writes'])
      if ((await show(name)) !== 'on') throw new Error(`PostgreSQL runs with ${name} = ${await show(name)}, not on`);
    return `PostgreSQL ${await show('server_version')}, shared_buffers ${await show('shared_buffers')}`;
  } finally {
    control.end();
  }
}

/** Rows with the ids FIRST_ID, FIRST_ID + 1, … must be there, all, once, and no other. @throws when they are not */
export async function checkRows(system: System, rows: number): Promise<void> {
  const expected = [rows, FIRST_ID, FIRST_ID + rows - 1, sumOfValues(rows)].join('|');
  const found = await system.control.query(
    `SELECT count(*), min(id), max(id), sum(v) FROM ${TABLE} WHERE ok AND payload IS NOT NULL AND price > 0`,
  );
  if (found[0]!.join('|') !== expected)
    throw new Error(`${system.name}: count, min, max, sum are ${found[0]!.join('|')}, not ${expected}`);
}

function sumOfValues(rows: number): number {
  let sum = 0;
  for (let id = FIRST_ID; id < FIRST_ID + rows; id++) sum += valueOf(id);
  return sum;
}
