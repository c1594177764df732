/** Runs what is not ours: psql and the readers. Made ready by setup.sh. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { watch } from '../process/server-process.ts';
import type { TableSum } from './checksum.ts';

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** psql with one input, as a script (-f -) without the user's own settings; unaligned and tuples only unless told. */
export async function psql(url: string, input: string, args: readonly string[] = ['-At']): Promise<Answer> {
  const environment = { ...process.env, PGTZ: 'UTC', PGCLIENTENCODING: 'UTF8', LC_ALL: 'C.UTF-8', PAGER: 'cat' };
  return run('psql', ['-X', '-d', url, ...args, '-f', '-'], environment, input);
}

/** A program of PostgreSQL's, such as pg_dump. */
export function program(name: string, args: readonly string[], input = ''): Promise<Answer> {
  return run(name, args, { ...process.env, PGTZ: 'UTC', PGCLIENTENCODING: 'UTF8' }, input);
}

/** Through the SQLite catalog. @param name `namespace.table` */
export async function readWithPyIceberg(dataDir: string, name: string): Promise<TableSum> {
  return read('read_pyiceberg.py', [join(dataDir, 'catalog.db'), name]);
}

export async function readWithDuckDb(metadataLocation: string): Promise<TableSum> {
  return read('read_duckdb.py', [metadataLocation]);
}

export async function python(script: string, args: readonly string[], input = ''): Promise<string> {
  const command = process.env['COMPAT_PYTHON'];
  if (command === undefined) throw new Error('COMPAT_PYTHON is not set: run npm run test:compat');
  const { code, stdout, stderr } = await run(
    command,
    [join(import.meta.dirname, 'readers', script), ...args],
    process.env,
    input,
  );
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${stderr}`);
  return stdout;
}

async function read(script: string, args: readonly string[]): Promise<TableSum> {
  return JSON.parse(await python(script, args)) as TableSum;
}

/** Any program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  input = '',
  cwd = process.cwd(),
): Promise<Answer> {
  const child = spawn(command, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  // a program that does not read its input to the end is no error here
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const { exited, stdout, stderr } = watch(child);
  const { code } = await exited;
  return { code, stdout: stdout(), stderr: stderr() };
}
