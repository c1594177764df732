/**
 * The command line: arguments to settings, settings to a server, signals to its end.
 *
 * Exit codes: 0 after a clean stop; 2 for wrong arguments or settings; 1 for everything else.
 * Standard output has the ready line only; what goes wrong is one line on standard error.
 */
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Config, ConfigError, loadConfig, meant, type Overrides } from './config.ts';
import type { Treatment } from './doctor.ts';
import { SqlError } from './errors.ts';

const HELP = `Usage: arka serve [options]
       arka doctor [--reattach TABLE | --accept TABLE] [options]

  --host HOST        address to listen on (127.0.0.1)
  --port PORT        port of the PostgreSQL protocol (5433); 0 picks a free one
  --http-port PORT   port of the HTTP interface (8181)
  --data-dir DIR     log, disk tier, catalog and warehouse (./arka-data)
  --warehouse URL    where the Iceberg tables lie: a path, file:///… or s3://BUCKET/PREFIX (DATA_DIR/warehouse)
  --reattach TABLE   doctor: point the catalog to the metadata file that was committed last
  --accept TABLE     doctor: take a read-only table as the catalog shows it
  --config FILE      settings (./arka.toml, if there is one)
  --set KEY=VALUE    any setting, such as memory.limit=4GB; may be repeated
  --version          print the version
  --help             print this

A setting may also be in the environment: ARKA_MEMORY_LIMIT=4GB. A flag comes before the environment, that before
the file. README.md lists all settings.
`;

/** Flags that are settings by another name. */
const SETTING_OF_FLAG = {
  host: 'server.host',
  port: 'server.port',
  'http-port': 'server.http_port',
  'data-dir': 'server.data_dir',
  warehouse: 'catalog.warehouse',
} as const;

const OPTIONS = {
  host: { type: 'string' },
  port: { type: 'string' },
  'http-port': { type: 'string' },
  'data-dir': { type: 'string' },
  warehouse: { type: 'string' },
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
  reattach: { type: 'string' },
  accept: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const;

/** What the arguments ask for. */
export type Command =
  | { readonly command: 'help' | 'version' }
  | { readonly command: 'serve'; readonly overrides: Overrides }
  | { readonly command: 'doctor'; readonly overrides: Overrides; readonly treatment: Treatment | null };

/** @throws {ConfigError} an unknown command or flag, or a flag without its value */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parseFlags(argv);
  if (values.help === true) return { command: 'help' };
  if (values.version === true) return { command: 'version' };
  const [command, extra] = positionals;
  if (command === undefined) throw new ConfigError('no command given; arka --help shows the usage');
  if (command !== 'serve' && command !== 'doctor')
    throw new ConfigError(`unknown command ${command}; arka --help shows the usage`);
  if (extra !== undefined) throw new ConfigError(`unexpected argument ${extra}`);

  const flags = new Map<string, { value: string; flag: string }>();
  for (const pair of values.set ?? []) {
    const at = pair.indexOf('=');
    if (at < 1) throw new ConfigError(`--set takes section.key=value, not ${pair}`);
    flags.set(pair.slice(0, at).trim(), { value: pair.slice(at + 1).trim(), flag: '--set' });
  }
  for (const [flag, key] of Object.entries(SETTING_OF_FLAG)) {
    const value = values[flag as keyof typeof SETTING_OF_FLAG];
    if (value !== undefined) flags.set(key, { value, flag: `--${flag}` });
  }
  const overrides = { flags, file: values.config ?? null };
  const treatment = treatmentOf(values.reattach, values.accept);
  if (command === 'doctor') return { command, overrides, treatment };
  if (treatment !== null) throw new ConfigError('--reattach and --accept are for arka doctor');
  return { command: 'serve', overrides };
}

function treatmentOf(reattach: string | undefined, accept: string | undefined): Treatment | null {
  if (reattach !== undefined && accept !== undefined) throw new ConfigError('either --reattach or --accept, not both');
  if (reattach !== undefined) return { table: reattach, how: 'repoint' };
  return accept === undefined ? null : { table: accept, how: 'accept' };
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    const text = (error as Error).message;
    const unknown = /^Unknown option '(--?[^']+)'/.exec(text)?.[1];
    const names = Object.keys(OPTIONS).map((name) => `--${name}`);
    if (unknown !== undefined)
      throw new ConfigError(`unknown option ${unknown}${meant(unknown, names)}`, { cause: error });
    throw new ConfigError(text.split(/\n|\. /)[0]!, { cause: error });
  }
}

/** memory.limit of the server that the arguments start; null: they start none, or are wrong, which `main` will say. */
export function memoryLimitOf(argv: readonly string[]): number | null {
  try {
    const parsed = parseCommand(argv);
    return parsed.command === 'serve' ? loadConfig(parsed.overrides, process.env, process.cwd()).memory.limit : null;
  } catch {
    return null;
  }
}

/** Runs the command to its end. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const parsed = parseCommand(argv);
    if (parsed.command === 'serve') return await runServer(loadConfig(parsed.overrides, process.env, process.cwd()));
    if (parsed.command === 'doctor') {
      const { doctor } = await import('./doctor.ts');
      const lines = await doctor(loadConfig(parsed.overrides, process.env, process.cwd()), parsed.treatment);
      process.stdout.write(`${lines.join('\n')}\n`);
      return 0;
    }
    process.stdout.write(parsed.command === 'help' ? HELP : `arka ${version()}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`arka: ${explain(error)}\n`);
    return error instanceof ConfigError ? 2 : 1;
  }
}

async function runServer(config: Config): Promise<number> {
  prepareDataDir(config.server.dataDir);
  const stopped = firstSignal();
  const { serve } = await import('./server.ts');
  const starting = new AbortController();
  void stopped.then(() => starting.abort());
  const server = await serve(config, starting.signal).catch((error: unknown) => {
    if (starting.signal.aborted) return null; // it waited for its store, and was told to stop
    throw error;
  });
  if (server === null) return 0;
  process.stdout.write(`arka ready: ${server.url}\n`);
  await stopped;
  await server.close();
  return 0;
}

/** Resolves at the first SIGTERM or SIGINT, also one that comes during the start; the second ends the process. */
function firstSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = false;
  const onSignal = (): void => {
    if (seen) process.exit(1);
    seen = true;
    resolve();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return promise;
}

/** Early, so that the message names the directory and not a file deep within. */
function prepareDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Error(`cannot write to the data directory ${dataDir}: ${reason(error)}`, { cause: error });
  }
}

/** One line for the user; our own bugs bring their stack. */
function explain(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof SqlError)
    return [error.message, error.fields.detail, error.fields.hint].filter(Boolean).join('; ');
  if (!(error instanceof Error)) return `internal error: ${String(error)}`;
  const { code, address, port } = error as Error & { code?: string; address?: string; port?: number };
  if (code === 'EADDRINUSE') return `port ${port} of ${address} is already in use`;
  if (code === 'EACCES' && port !== undefined) return `port ${port} of ${address} is not allowed to this user`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `cannot listen on ${address ?? 'the host'}: no such address here`;
  if (error.cause instanceof Error || code !== undefined) return error.message;
  return `internal error: ${error.stack ?? error.message}`;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space left',
  ENOTDIR: 'a part of the path is a file',
  EEXIST: 'it is a file',
};

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ''] ?? message;
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
