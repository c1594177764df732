/**
 * A server as a process of its own, run from the sources: tests of the whole way, of signals and of kill -9.
 *
 * Each has a data directory under the system's temporary folder, removed by `dispose` (also by `await using`),
 * unless the caller gave one. Settings of the outer environment do not reach it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const READY = /^arka ready: (postgresql:\/\/\S+)$/m;

export interface ServerOptions {
  /** Kept by the caller, for a second server on the same data; default: a new one, removed at the end. */
  readonly dataDir?: string;
  /** `section.key` → value, given as --set. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** More arguments after `serve`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Default 60 s: the first start builds what later ones find. */
  readonly readyTimeoutMs?: number;
  /** `dist/main.js` instead of the sources. */
  readonly built?: boolean;
  /** Gets the process before it is ready. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  readonly dataDir: string;
  readonly pid: number;
  /** All it has said so far, for messages of failing tests. */
  stdout(): string;
  stderr(): string;
  /** SIGTERM, then the end of the process. */
  stop(): Promise<Exit>;
  kill9(): Promise<Exit>;
  /** Resolves when the process has ended, whoever ended it. */
  readonly exited: Promise<Exit>;
}

/** Starts a server on a free port. @throws when it ends, or is not ready in time; with all it said */
export async function startServer(options: ServerOptions = {}): Promise<ServerProcess> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'arka-test-'));
  const run = spawnArka(['serve', ...serverArgs(dataDir, options)], options);
  options.onSpawn?.(run.child);
  const server = { ...run, dataDir, pid: run.child.pid! };
  const close = async (): Promise<void> => {
    await end(run, 'SIGKILL');
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const url = await ready(run, options.readyTimeoutMs ?? 60_000);
    return {
      ...server,
      url,
      stop: () => end(run, 'SIGTERM'),
      kill9: () => end(run, 'SIGKILL'),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs `arka` with any arguments to its end, which must come by itself within 20 s; else it is killed. */
export async function runArka(
  args: readonly string[],
  options: Pick<ServerOptions, 'env' | 'built'> & { readonly cwd?: string } = {},
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const run = spawnArka(args, options);
  const timer = setTimeout(() => run.child.kill('SIGKILL'), 20_000);
  const exit = await run.exited;
  clearTimeout(timer);
  return { ...exit, stdout: run.stdout(), stderr: run.stderr() };
}

interface Run {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  stdout(): string;
  stderr(): string;
}

function serverArgs(dataDir: string, options: ServerOptions): string[] {
  const settings = Object.entries(options.settings ?? {}).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  return ['--port', '0', '--http-port', '0', '--data-dir', dataDir, ...settings, ...(options.args ?? [])];
}

function spawnArka(args: readonly string[], options: Pick<ServerOptions, 'env' | 'built'> & { cwd?: string }): Run {
  const entry = join(projectRoot, options.built === true ? 'dist/main.js' : 'src/main.ts');
  const outer = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(ARKA_|VITEST|NODE_OPTIONS$)/.test(name)),
  );
  const child = spawn(process.execPath, [entry, ...args], {
    // a folder without arka.toml
    cwd: options.cwd ?? tmpdir(),
    env: { ...outer, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // a test that ran out of time leaves no server behind
  const reap = (): void => void child.kill('SIGKILL');
  process.once('exit', reap);
  child.once('close', () => process.off('exit', reap));
  return watch(child);
}

/** Keeps what a child says and how it ends. */
export function watch(child: ChildProcess): Run {
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const exited = once(child, 'close').then(([code, signal]) => ({ code, signal }) as Exit);
  return { child, exited, stdout: () => said.stdout, stderr: () => said.stderr };
}

/** The URL of the ready line. */
export async function ready(run: Run, timeoutMs: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const fail = (why: string): void => reject(new Error(`${why}\nstdout: ${run.stdout()}\nstderr: ${run.stderr()}`));
  const look = (): void => {
    const url = READY.exec(run.stdout())?.[1];
    if (url !== undefined) resolve(url);
  };
  const timer = setTimeout(() => fail(`the server is not ready after ${timeoutMs} ms`), timeoutMs);
  run.child.stdout?.on('data', look);
  void run.exited.then(({ code, signal }) => fail(`the server ended (${signal ?? code}) before it was ready`));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    run.child.stdout?.off('data', look);
  }
}

async function end(run: Run, signal: NodeJS.Signals): Promise<Exit> {
  if (run.child.exitCode === null && run.child.signalCode === null) run.child.kill(signal);
  return run.exited;
}
