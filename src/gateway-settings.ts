/**
 * A session's settings: what SET changes and SHOW answers, with the ones that ParameterStatus reports.
 * Settings that Arka acts on are checked; others that PostgreSQL clients set are kept and shown.
 */
import { SqlError, SqlState } from './errors.ts';
import { timeZone } from './types/time-zone.ts';

/** PostgreSQL's spelling of reported settings; ParameterStatus uses it. */
const REPORTED = new Map(
  [
    'client_encoding',
    'DateStyle',
    'IntervalStyle',
    'TimeZone',
    'application_name',
    'is_superuser',
    'session_authorization',
    'standard_conforming_strings',
    'integer_datetimes',
    'server_encoding',
    'server_version',
    'in_hot_standby',
    'default_transaction_read_only',
    'search_path',
  ].map((name) => [name.toLowerCase(), name]),
);

/** A setting's name as PostgreSQL writes it: SHOW timezone heads its column TimeZone. */
export function displayName(name: string): string {
  return REPORTED.get(name.toLowerCase()) ?? name.toLowerCase();
}

const DEFAULTS: readonly (readonly [string, string])[] = [
  ['server_version', '18.0'],
  ['server_encoding', 'UTF8'],
  ['client_encoding', 'UTF8'],
  ['application_name', ''],
  ['is_superuser', 'on'],
  ['session_authorization', 'arka'],
  ['DateStyle', 'ISO, MDY'],
  ['IntervalStyle', 'postgres'],
  ['TimeZone', 'UTC'],
  ['integer_datetimes', 'on'],
  ['standard_conforming_strings', 'on'],
  ['in_hot_standby', 'off'],
  ['default_transaction_read_only', 'off'],
  ['search_path', 'public'],
  ['synchronous_commit', 'on'],
  ['extra_float_digits', '1'],
  ['statement_timeout', '0'],
  ['lock_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
  ['client_min_messages', 'notice'],
  ['bytea_output', 'hex'],
  ['transaction_isolation', 'read committed'],
  ['default_transaction_isolation', 'read committed'],
  ['transaction_read_only', 'off'],
  ['arka.cold_reader', 'native'],
];
const READ_ONLY = new Set([
  'server_version',
  'server_encoding',
  'integer_datetimes',
  'is_superuser',
  'in_hot_standby',
  'server_version_num',
]);

export class SessionSettings {
  readonly #defaults = new Map<string, string>();
  readonly #values = new Map<string, string>();
  readonly #changed: (name: string, value: string) => void;
  /** Values before SET LOCAL, put back at the end of the transaction. */
  readonly #local = new Map<string, string | undefined>();
  /** What every statement asks for, worked out once a change. */
  #searchPath: readonly string[] | null = null;
  #synchronous: boolean | null = null;
  #timeZone: string | null = null;

  constructor(
    startup: ReadonlyMap<string, string>,
    defaults: ReadonlyMap<string, string>,
    changed: (name: string, value: string) => void,
  ) {
    for (const [name, value] of DEFAULTS) this.#defaults.set(name.toLowerCase(), value);
    for (const [name, value] of defaults) this.#defaults.set(name.toLowerCase(), value);
    this.#changed = () => {};
    for (const [name, value] of startup) {
      if (name === 'user' || name === 'database' || name === 'replication' || name.startsWith('_pq_.')) continue;
      if (name === 'options') this.#options(value);
      else this.#default(name, value);
    }
    this.#changed = changed;
  }

  /** `-c name=value` and `--name=value` of the start-up parameter `options`. */
  #options(text: string): void {
    for (const match of text.matchAll(/(?:-c\s*|--)([\w.]+)=((?:\\.|\S)*)/g))
      this.#default(match[1]!, match[2]!.replaceAll(/\\(.)/g, '$1'));
  }

  #default(name: string, value: string): void {
    this.set(name, value, false);
    const kept = this.#values.get(name.toLowerCase());
    if (kept !== undefined) this.#defaults.set(name.toLowerCase(), kept);
    this.#values.delete(name.toLowerCase());
  }

  /** What ParameterStatus says at start-up. */
  reported(): Map<string, string> {
    const out = new Map<string, string>();
    for (const [key, name] of REPORTED) out.set(name, this.get(key)!);
    return out;
  }

  get(name: string): string | undefined {
    const key = name.toLowerCase();
    return this.#values.get(key) ?? this.#defaults.get(key);
  }

  /** @throws {SqlError} 22023 for a value that the setting cannot have, 55P02-like refusal for read-only ones */
  set(name: string, value: string | null, local: boolean): void {
    const key = name.toLowerCase();
    if (READ_ONLY.has(key))
      throw new SqlError(SqlState.objectNotInPrerequisiteState, `parameter "${name}" cannot be changed`);
    const before = this.get(key);
    this.#searchPath = null;
    this.#synchronous = null;
    this.#timeZone = null;
    if (local && !this.#local.has(key)) this.#local.set(key, this.#values.get(key));
    if (value === null) this.#values.delete(key);
    else this.#values.set(key, checked(key, name, value));
    const after = this.get(key);
    const reported = REPORTED.get(key);
    if (reported !== undefined && after !== before && after !== undefined) this.#changed(reported, after);
  }

  /** The end of a transaction: SET LOCAL wears off. */
  endTransaction(): void {
    if (this.#local.size === 0) return;
    for (const [key, value] of this.#local) this.set(key, value ?? null, false);
    this.#local.clear();
  }

  resetAll(): void {
    for (const key of this.#values.keys()) this.set(key, null, false);
  }

  get searchPath(): readonly string[] {
    this.#searchPath ??= (this.get('search_path') ?? 'public')
      .split(',')
      .map((part) => part.trim().replaceAll(/^"|"$/g, ''))
      .filter((part) => part !== '' && part !== '$user');
    return this.#searchPath;
  }

  get timeZone(): string {
    this.#timeZone ??= this.get('timezone')!;
    return this.#timeZone;
  }

  get synchronous(): boolean {
    this.#synchronous ??= !['off', 'false', '0', 'no'].includes(this.get('synchronous_commit')!.toLowerCase());
    return this.#synchronous;
  }
}

function checked(key: string, name: string, value: string): string {
  const invalid = (): SqlError =>
    new SqlError(SqlState.invalidParameterValue, `invalid value for parameter "${name}": "${value}"`);
  switch (key) {
    case 'client_encoding':
      if (!/^'?(utf-?8|unicode|sql_ascii)'?$/i.test(value))
        throw new SqlError(SqlState.featureNotSupported, `client_encoding ${value} is not supported`, {
          hint: 'Use UTF8.',
        });
      return 'UTF8';
    case 'timezone':
      return timeZone(value).name;
    case 'datestyle':
      if (!/^\s*iso/i.test(value))
        throw new SqlError(SqlState.featureNotSupported, `DateStyle ${value} is not supported`, { hint: 'Use ISO.' });
      return /dmy/i.test(value) ? 'ISO, DMY' : /ymd/i.test(value) ? 'ISO, YMD' : 'ISO, MDY';
    case 'synchronous_commit':
      if (!/^(on|off|true|false|yes|no|1|0|local|remote_write|remote_apply)$/i.test(value)) throw invalid();
      return value.toLowerCase();
    case 'standard_conforming_strings':
      if (!/^(on|true|yes|1)$/i.test(value))
        throw new SqlError(SqlState.featureNotSupported, 'standard_conforming_strings = off is not supported');
      return 'on';
    case 'arka.cold_reader':
      if (value !== 'native')
        throw new SqlError(SqlState.featureNotSupported, `arka.cold_reader = ${value} is not supported`, {
          hint: 'Use native.',
        });
      return value;
    default:
      return value;
  }
}
