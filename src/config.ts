/**
 * Settings: one schema is the file, the environment, the flags, the defaults and the README's table.
 *
 * - K1 Order: flag, `ARKA_SECTION_KEY`, `arka.toml` (working directory, or --config), default.
 * - K2 An unknown key is an error wherever it stands, and names the nearest known one.
 * - K3 What is accepted works: a value whose part is not built is refused here, before anything starts.
 * - K4 A `Config` has sizes in bytes, times in milliseconds, absolute paths, and the warehouse as a `file://` or `s3://` URL.
 * Read once, by cli.ts; everyone else is given a part of `Config`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';

/** Wrong settings or arguments: one line for the user, exit code 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Raw = string | number | boolean;
type Refuse = (why: string) => never;
type Read<T> = (value: Raw, refuse: Refuse) => T;

/** A setting: how it is read, its default as a user would write it, and its line in the README. */
function setting<T>(read: Read<T>, fallback: Raw, description: string) {
  const schema = z.union([z.string(), z.number(), z.boolean()]).transform((value, context): T => {
    return read(value, (message) => {
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    });
  });
  return schema.prefault(fallback).meta({ description, default: fallback });
}

const SIZE_UNITS: Readonly<Record<string, number>> = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30, tb: 2 ** 40 };
const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const LONG_UNITS: Readonly<Record<string, string>> = { second: 's', minute: 'min', hour: 'h', day: 'd' };

/** A number with a unit, in the smallest unit; null when it is none. */
function withUnit(value: Raw, units: Readonly<Record<string, number>>): number | null {
  const text = String(value).trim();
  if (text === '0') return 0;
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(text);
  if (match === null) return null;
  const name = match[2]!.toLowerCase();
  const unit = units[name] ?? units[name.replace('ib', 'b')] ?? units[LONG_UNITS[name.replace(/s$/, '')] ?? ''];
  return unit === undefined ? null : Math.round(Number(match[1]) * unit);
}

const size =
  (min: number, shown: string): Read<number> =>
  (value, refuse) => {
    const bytes = typeof value === 'number' ? value : withUnit(value, SIZE_UNITS);
    if (bytes === null || !Number.isSafeInteger(bytes)) return refuse('is not a size such as 64MB or 2GB');
    return bytes < min ? refuse(`is below the least size, ${shown}`) : bytes;
  };

const time: Read<number> = (value, refuse) => {
  const milliseconds = withUnit(value, TIME_UNITS);
  return milliseconds === null || milliseconds < 1
    ? refuse('is not a time such as 500ms, 10s, 5min, 24h or 5d')
    : milliseconds;
};

const integer =
  (min: number, max: number): Read<number> =>
  (value, refuse) => {
    const number = /^\d+$/.test(String(value)) ? Number(value) : Number.NaN;
    return number >= min && number <= max ? number : refuse(`is not a whole number from ${min} to ${max}`);
  };

const fraction: Read<number> = (value, refuse) => {
  const number = /^\d*\.?\d+$/.test(String(value)) ? Number(value) : Number.NaN;
  return number > 0 && number <= 1 ? number : refuse('is not a fraction above 0 and at most 1');
};

const onOff: Read<boolean> = (value, refuse) => {
  const text = String(value).toLowerCase();
  if (['on', 'true', 'yes', '1'].includes(text)) return true;
  return ['off', 'false', 'no', '0'].includes(text) ? false : refuse('is neither on nor off');
};

const autoOnOff: Read<boolean | 'auto'> = (value, refuse) =>
  value === 'auto' ? 'auto' : onOff(value, () => refuse('is none of on, off and auto'));

/** `http://…` or `https://…`, or nothing. */
const address: Read<string> = (value, refuse) => {
  const given = String(value).replace(/\/+$/, '');
  if (given === '') return '';
  return /^https?:$/.test(URL.parse(given)?.protocol ?? '')
    ? given
    : refuse('is not an address such as http://127.0.0.1:9000');
};

const text: Read<string> = (value) => String(value);
const name: Read<string> = (value, refuse) => (value === '' ? refuse('may not be empty') : String(value));

/** One of `built`; a value of `planned` is known and not there yet. */
const choice =
  <T extends string>(built: readonly T[], planned: readonly string[] = []): Read<T> =>
  (value, refuse) => {
    const found = built.find((one) => one === String(value));
    if (found !== undefined) return found;
    if (planned.includes(String(value))) return refuse('is not supported yet');
    return refuse(`is none of ${[...built, ...planned].join(', ')}`);
  };

const formatVersion: Read<number> = (value, refuse) => Number(choice(['2'], ['1', '3'])(value, refuse));

/** A setting whose part is not built: only its default, empty, is taken. */
const notYet: Read<string> = (value, refuse) => (value === '' ? '' : refuse('is not supported yet'));

const COUNT_MAX = Number.MAX_SAFE_INTEGER;
const count = integer(1, COUNT_MAX);

const sections = {
  server: {
    host: setting(name, '127.0.0.1', 'Address to listen on.'),
    port: setting(integer(0, 65_535), 5433, 'Port of the PostgreSQL protocol; 0 picks a free one.'),
    http_port: setting(integer(0, 65_535), 8181, 'Port of the HTTP interface.'),
    data_dir: setting(name, 'arka-data', 'Where log, disk tier, catalog and warehouse live.'),
    max_connections: setting(integer(1, 100_000), 100, 'Sessions at one time.'),
    log_level: setting(
      choice(['fatal', 'error', 'warn', 'info', 'debug']),
      'warn',
      'What goes to standard error, as lines of JSON.',
    ),
    tls_cert: setting(text, '', 'Certificate file for TLS, PEM, with its chain; empty: no TLS.'),
    tls_key: setting(text, '', 'Key file of that certificate, PEM.'),
    tls_required: setting(onOff, 'off', 'Refuse connections without TLS.'),
  },
  auth: {
    method: setting(
      choice<'trust' | 'scram-sha-256'>(['trust', 'scram-sha-256']),
      'trust',
      '`trust` (only while `host` is loopback) or `scram-sha-256`.',
    ),
    user: setting(name, 'arka', 'The first superuser.'),
    password: setting(text, '', 'Password of the first superuser, or its SCRAM-SHA-256 verifier; holds at each start.'),
  },
  memory: {
    limit: setting(size(768 * 2 ** 20, '768MB'), '2GB', 'Hard limit of the whole process; at least 768MB.'),
    yellow: setting(fraction, 0.6, 'Share of the memory for rows from which writes slow down and flushes start early.'),
    red: setting(fraction, 0.8, 'Share of the memory for rows from which writes wait.'),
  },
  wal: {
    segment_size: setting(size(2 ** 16, '64kB'), '64MB', 'Size of one log file.'),
    synchronous_commit: setting(
      onOff,
      'on',
      'Acknowledge a write after it is on the disk; off: it is there within 10 ms, and a crash may take it.',
    ),
    max_size: setting(size(2 ** 17, '128kB'), '20GB', 'Size of the whole log beyond which it is trimmed early.'),
    keep_size: setting(
      size(0, '0B'),
      '1GB',
      'Newest part of the log that stays for `arka.changes`; at most half of max_size, an eighth of disk.limit.',
    ),
  },
  flush: {
    memory_fraction: setting(fraction, 0.8, 'Share of the memory for rows that starts a flush to disk.'),
    partition_size: setting(size(1, '1B'), '128MB', 'Bytes of one partition that start a flush.'),
    max_age: setting(time, '5min', 'Longest time a row stays in memory only.'),
    max_wal_lag: setting(count, 100_000, 'Log sequence numbers not yet flushed that start a flush.'),
    max_cdc_ops: setting(count, 10_000, 'Changes and deletes not yet flushed that start a flush.'),
    min_interval: setting(time, '10s', 'Shortest time between two flushes, but for memory, disk, CHECKPOINT and CALL.'),
  },
  disk: {
    limit: setting(
      size(2 ** 20, '1MB'),
      '100GB',
      'Hard limit of log, staged files, index and cache; at least four times `wal.segment_size`.',
    ),
  },
  planner: {
    fallback_rows: setting(integer(0, COUNT_MAX), 200_000, 'Most rows of a query that runs in the PostgreSQL engine.'),
  },
  iceberg: {
    target_file_size: setting(size(2 ** 20, '1MB'), '128MB', 'Size of data files after compaction.'),
    commit_interval: setting(time, '60s', 'Longest time between two Iceberg commits of a changed table.'),
    max_small_files: setting(count, 10, 'Small files of one partition that start a compaction.'),
    max_pending_deletes: setting(count, 10_000, 'Deletes of committed rows that start a commit.'),
    max_staged: setting(size(2 ** 20, '1MB'), '1GB', 'Bytes on disk not yet committed that start a commit.'),
    min_interval: setting(time, '10s', 'Shortest time between two commits, but for CHECKPOINT and CALL.'),
    keep_snapshots: setting(count, 20, 'Snapshots that stay readable.'),
    max_snapshot_age: setting(time, '5 days', 'Age beyond which snapshots expire.'),
    file_grace: setting(time, '24h', 'Time from expiry of a file to its removal.'),
    refresh_interval: setting(time, '5s', 'How often commits of other writers are looked for.'),
    format_version: setting(formatVersion, 2, 'Format version of new tables.'),
  },
  catalog: {
    type: setting(choice(['sqlite'], ['rest']), 'sqlite', '`sqlite`: `DATA_DIR/catalog.db`.'),
    name: setting(name, 'arka', 'Name of the catalog.'),
    uri: setting(notYet, '', 'Address of a REST catalog (not supported yet).'),
    warehouse: setting(
      text,
      '',
      'Where the tables lie: a path, `file:///…` or `s3://BUCKET/PREFIX`; empty: `DATA_DIR/warehouse`.',
    ),
    token: setting(notYet, '', 'Token for a REST catalog (not supported yet).'),
    credential: setting(notYet, '', 'Credential for a REST catalog (not supported yet).'),
  },
  s3: {
    endpoint: setting(address, '', 'Address of an S3 server, such as `http://127.0.0.1:9000`; empty: AWS.'),
    region: setting(text, '', 'Region of the bucket; empty: as the AWS SDK finds it.'),
    path_style: setting(
      autoOnOff,
      'auto',
      'Bucket in the path, not in the host name; `auto`: if `s3.endpoint` is set.',
    ),
  },
} as const;

type Sections = typeof sections;
type Setting = ReturnType<typeof setting<unknown>>;
type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
/** `config.flush.maxAge` is `flush.max_age` of the file and `ARKA_FLUSH_MAX_AGE` of the environment. */
export type Config = {
  readonly [S in keyof Sections]: {
    readonly [K in keyof Sections[S] & string as Camel<K>]: Sections[S][K] extends z.ZodType
      ? z.output<Sections[S][K]>
      : never;
  };
};

/** What the command line says: settings by their full name, and the file to read. */
export interface Overrides {
  readonly flags: ReadonlyMap<string, { readonly value: string; readonly flag: string }>;
  readonly file: string | null;
}
interface Given {
  readonly value: unknown;
  readonly source: string;
}

const settings: ReadonlyMap<string, Setting> = new Map(
  Object.entries(sections).flatMap(([section, keys]) =>
    Object.entries(keys).map(([key, schema]): [string, Setting] => [`${section}.${key}`, schema as Setting]),
  ),
);

export const envName = (key: string): string => `ARKA_${key.replace('.', '_').toUpperCase()}`;
const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/**
 * All settings, checked.
 * @param cwd where `arka.toml` and relative paths are
 * @throws {ConfigError} in one line that names the setting and where it was given
 */
export function loadConfig(overrides: Overrides, env: NodeJS.ProcessEnv, cwd: string): Config {
  const given = new Map<string, Given>();
  readFile(overrides.file, cwd, given);
  readEnvironment(env, given);
  for (const [key, { value, flag }] of overrides.flags) {
    if (!settings.has(key)) throw unknownKey(key, flag);
    given.set(key, { value, source: flag });
  }
  const values: Record<string, Record<string, unknown>> = {};
  for (const [key, schema] of settings) {
    const [section, name] = key.split('.') as [string, string];
    (values[section] ??= {})[camel(name)] = readSetting(key, schema, given.get(key));
  }
  return settled(values as unknown as Config, cwd);
}

function readSetting(key: string, schema: Setting, given: Given | undefined): unknown {
  const { success, data, error } = schema.safeParse(given?.value as Raw | undefined);
  if (success) return data;
  const issue = error.issues[0]!;
  const secret = key === 'auth.password'; // said nowhere
  const shown = secret ? 'it' : typeof given?.value === 'string' ? `'${given.value}'` : JSON.stringify(given?.value);
  const why = issue.code === 'custom' ? issue.message : 'is neither text, nor a number, nor true or false';
  throw new ConfigError(`setting ${key} (${given?.source}): ${shown} ${why}`);
}

function readFile(file: string | null, cwd: string, given: Map<string, Given>): void {
  const path = resolve(cwd, file ?? 'arka.toml');
  if (file === null && !existsSync(path)) return;
  for (const [section, keys] of Object.entries(parseFile(path))) {
    if (!(section in sections)) throw unknownKey(section, path);
    if (typeof keys !== 'object' || keys === null)
      throw new ConfigError(`${path}: ${section} is a section, not a setting`);
    for (const [key, value] of Object.entries(keys)) {
      if (!settings.has(`${section}.${key}`)) throw unknownKey(`${section}.${key}`, path);
      given.set(`${section}.${key}`, { value, source: path });
    }
  }
}

function parseFile(path: string): Record<string, unknown> {
  try {
    return parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // a TOML error's later lines draw the place
    const why = code === 'ENOENT' ? 'there is no such file' : (error as Error).message.split('\n')[0];
    throw new ConfigError(`configuration file ${path}: ${why}`, { cause: error });
  }
}

function readEnvironment(env: NodeJS.ProcessEnv, given: Map<string, Given>): void {
  const byName = new Map([...settings.keys()].map((key) => [envName(key), key]));
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('ARKA_') || value === undefined) continue;
    const key = byName.get(variable);
    if (key !== undefined) given.set(key, { value, source: variable });
    else throw new ConfigError(`unknown setting ${variable} in the environment${meant(variable, [...byName.keys()])}`);
  }
}

function unknownKey(key: string, source: string): ConfigError {
  const known = key.includes('.') ? [...settings.keys()] : Object.keys(sections);
  return new ConfigError(`unknown setting ${key} (${source})${meant(key, known)}`);
}

/** “, did you mean X?”, or nothing when no known name is near. */
export function meant(given: string, known: readonly string[]): string {
  const ranked = known.map((name) => ({ name, distance: editDistance(given, name) }));
  const best = ranked.reduce((a, b) => (b.distance < a.distance ? b : a));
  return best.distance <= Math.max(2, given.length / 3) ? `, did you mean ${best.name}?` : '';
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Settings that depend on each other; paths become absolute. */
function settled(config: Config, cwd: string): Config {
  if (config.auth.method === 'trust' && !isLoopback(config.server.host)) {
    throw new ConfigError(
      `server.host ${config.server.host} is not loopback: auth.method trust lets everyone in; set auth.method to scram-sha-256, and auth.password`,
    );
  }
  const { tlsCert, tlsKey, tlsRequired } = config.server;
  if ((tlsCert === '') !== (tlsKey === '')) throw new ConfigError('server.tls_cert and server.tls_key go together');
  if (tlsRequired && tlsCert === '')
    throw new ConfigError('server.tls_required needs server.tls_cert and server.tls_key');
  if (config.memory.yellow >= config.memory.red) throw new ConfigError('memory.yellow must be below memory.red');
  if (config.wal.maxSize < 2 * config.wal.segmentSize) {
    throw new ConfigError('wal.max_size must be at least two times wal.segment_size');
  }
  if (config.disk.limit < 4 * config.wal.segmentSize) {
    throw new ConfigError('disk.limit must be at least four times wal.segment_size: the log counts, too');
  }
  const dataDir = resolve(cwd, config.server.dataDir);
  const warehouse = warehouseUrl(config.catalog.warehouse, dataDir, cwd);
  const path = (file: string): string => (file === '' ? '' : resolve(cwd, file));
  const server = { ...config.server, dataDir, tlsCert: path(tlsCert), tlsKey: path(tlsKey) };
  return { ...config, server, catalog: { ...config.catalog, warehouse } };
}

/** Not percent-encoded: readers of Iceberg metadata take what follows `file://` as the path. */
function warehouseUrl(given: string, dataDir: string, cwd: string): string {
  if (given === '') return `file://${resolve(dataDir, 'warehouse')}`;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(given)?.[1]?.toLowerCase();
  if (scheme === undefined) return `file://${resolve(cwd, given)}`;
  const path = given.slice('file://'.length);
  if (scheme === 'file' && given.startsWith('file:///')) return `file://${resolve(path)}`;
  if (scheme === 'file') throw new ConfigError(`setting catalog.warehouse: '${given}' must begin with file:///`);
  if (scheme === 's3') {
    if (/^s3:\/\/[^/]+/.test(given)) return given.replace(/\/+$/, '');
    throw new ConfigError(`setting catalog.warehouse: '${given}' is not s3://BUCKET or s3://BUCKET/PREFIX`);
  }
  throw new ConfigError(`setting catalog.warehouse: a warehouse in ${scheme}: is not supported yet`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The README's rows; a test fails while README.md lacks one. */
export function configTable(): string {
  const rows = [...settings].map(([key, schema]) => {
    const { description, default: fallback } = schema.meta() as { description: string; default: Raw };
    return `| \`${key}\` | \`${envName(key)}\` | ${fallback === '' ? '' : `\`${fallback}\``} | ${description} |`;
  });
  return ['| setting | environment | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
}
