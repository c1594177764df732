/**
 * A session's settings: what SET changes and SHOW answers, with the ones that ParameterStatus reports.
 * Settings that Arka acts on are checked; others that PostgreSQL clients set are kept and shown.
 *
 * - G1 What a transaction changes is undone with it, or with a rollback to a savepoint; SET LOCAL wears off at its end.
 */
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { SessionDefault } from '../rights/role-defaults.ts';
import type { Role } from '../rights/roles.ts';
import { withStyles, type Styles } from '../types/output-styles.ts';
import { SETTINGS } from './setting-list.ts';
import { defaultOf, rawValue, settingValue, timeOf } from './setting-values.ts';

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
  const key = name.toLowerCase();
  return REPORTED.get(key) ?? SETTINGS.get(key)?.name ?? key;
}

/** The same for all sessions: PostgreSQL's, and Arka's own. */
const DEFAULTS: ReadonlyMap<string, string> = new Map([
  ...[...SETTINGS].map(([key, def]): [string, string] => [key, defaultOf(def)]),
  ['arka.serializable', 'refuse'],
  ['arka.cold_reader', 'native'],
]);
/**
 * pg_dump refuses a server that is newer than itself, and asks an older one in that one's words, which PostgreSQL inside
 * understands from this version on (test/compat/dump.it.test.ts).
 */
const DUMPED_AS = '15.0';
const DUMPS: ReadonlySet<string> = new Set(['pg_dump', 'pg_dumpall']);
/** What a transaction is, where nothing was said of it. */
const OF_TRANSACTION: ReadonlyMap<string, string> = new Map(
  ['transaction_isolation', 'transaction_read_only', 'transaction_deferrable'].map((key) => [key, `default_${key}`]),
);
/** What a plan depends on. */
const STYLES = ['datestyle', 'intervalstyle', 'bytea_output', 'extra_float_digits'] as const;
const PLANNED_WITH = new Set(['search_path', 'timezone', ...STYLES, 'session_authorization', 'role']);
/** Who the session is: RESET ALL leaves it, and a start-up parameter does not say it. */
const IDENTITY = new Set(['role', 'session_authorization']);

/** @throws {SqlError} 55P02, 42704 */
function refuseChange(key: string, name: string, atStart: boolean): void {
  const refuse = (why: string): SqlError => new SqlError(SqlState.cantChangeRuntimeParam, `parameter "${name}" ${why}`);
  const context = SETTINGS.get(key)?.context;
  if (key === 'is_superuser' || context === 'fixed') throw refuse('cannot be changed');
  if (context === 'restart') throw refuse('cannot be changed without restarting the server');
  if (context === 'reload') throw refuse('cannot be changed now');
  if (context === 'start' && !atStart) throw refuse('cannot be set after connection start');
  if (context === undefined && !OF_TRANSACTION.has(key) && !DEFAULTS.has(key) && !IDENTITY.has(key))
    refuseName(key, name);
}

/** A value as sessions are to begin with it. @throws {SqlError} 42704, 55P02, 22023 */
export function storedSetting(name: string, value: string): { readonly name: string; readonly value: string } {
  const key = name.toLowerCase();
  refuseChange(key, name, true);
  settingValue(key, name, value, DEFAULTS.get(key) ?? '');
  return { name: displayName(key), value };
}

interface Change {
  readonly key: string;
  readonly value: string | undefined;
  readonly local: string | undefined;
}

/** What statements ask for all the time, worked out once a change. */
interface Derived {
  readonly currentUser: string;
  readonly searchPath: readonly string[];
  readonly beforeTemporary: readonly string[] | null;
  readonly synchronous: boolean;
  readonly timeZone: string;
  readonly readOnly: boolean;
  readonly repeatable: boolean;
  readonly statementTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly idleInTransactionTimeoutMs: number;
}

export class SessionSettings {
  readonly #defaults = new Map<string, string>();
  /** Of defaults that are stored for roles. */
  readonly #sources = new Map<string, SessionDefault['source']>();
  readonly #values = new Map<string, string>();
  /** Until the end of the transaction. */
  readonly #locals = new Map<string, string>();
  /** Of the transaction under way, what they were before each SET. */
  #changes: Change[] = [];
  readonly #changed: (name: string) => void;
  #derived: Derived | null = null;
  /** Rises when a setting changes that plans are made with. */
  generation = 0;

  constructor(
    startup: ReadonlyMap<string, string>,
    defaults: ReadonlyMap<string, string>,
    changed: (name: string) => void,
    { name: user, superuser }: Pick<Role, 'name' | 'superuser'>,
    ofRole: readonly SessionDefault[] = [],
  ) {
    this.#defaults.set('is_superuser', superuser ? 'on' : 'off');
    this.#defaults.set('session_authorization', user);
    for (const [name, value] of defaults) this.#defaults.set(name.toLowerCase(), value);
    this.#changed = () => {};
    for (const each of ofRole) this.#storedDefault(each);
    for (const [name, value] of startup) {
      refuseIdentity(name);
      if (name === 'user' || name === 'database' || name === 'replication' || name.startsWith('_pq_.')) continue;
      if (name === 'options') this.#options(value);
      else this.#setDefault(name, value);
    }
    if (DUMPS.has(this.get('application_name')!)) this.#defaults.set('server_version', DUMPED_AS);
    this.#changes = [];
    this.#changed = changed;
  }

  /** `-c name=value` and `--name=value` of the start-up parameter `options`. */
  #options(text: string): void {
    for (const match of text.matchAll(/(?:-c\s*|--)([\w.]+)=((?:\\.|\S)*)/g)) {
      refuseIdentity(match[1]!);
      this.#setDefault(match[1]!, match[2]!.replaceAll(/\\(.)/g, '$1'));
    }
  }

  /** One that the server does not take any more is none: nobody is kept out by it. */
  #storedDefault({ name, value, source }: SessionDefault): void {
    try {
      this.#setDefault(name, value);
      this.#sources.set(name.toLowerCase(), source);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
    }
  }

  #setDefault(name: string, value: string): void {
    this.set(name, value, false, true);
    const kept = this.#values.get(name.toLowerCase());
    if (kept !== undefined) this.#defaults.set(name.toLowerCase(), kept);
    this.#values.delete(name.toLowerCase());
    this.#sources.delete(name.toLowerCase());
  }

  /** Whether client_min_messages lets such a message through. */
  hears(severity: 'NOTICE' | 'WARNING' | 'INFO'): boolean {
    const least = this.get('client_min_messages')!;
    return severity === 'INFO' || (least !== 'error' && (severity === 'WARNING' || least !== 'warning'));
  }

  /** What ParameterStatus says at start-up. */
  reported(): Map<string, string> {
    const out = new Map<string, string>();
    for (const [key, name] of REPORTED) out.set(name, this.get(key)!);
    return out;
  }

  get(name: string): string | undefined {
    const key = name.toLowerCase();
    const value = this.#locals.get(key) ?? this.#values.get(key) ?? this.#default(key);
    if (value !== undefined) return value;
    const ofTransaction = OF_TRANSACTION.get(key);
    return ofTransaction === undefined ? undefined : this.get(ofTransaction);
  }

  #default(key: string): string | undefined {
    return this.#defaults.get(key) ?? DEFAULTS.get(key);
  }

  /** @throws {SqlError} 42704, 55P02; 22023 for a value that the setting cannot have; 0A000 */
  set(name: string, value: string | null, local: boolean, atStart = false): void {
    const key = name.toLowerCase();
    invariant(!IDENTITY.has(key), 'whether a session may be somebody else is asked before');
    refuseChange(key, name, atStart);
    this.#assign(key, name, value, local);
  }

  /** Who the session is from now on, of which somebody has asked whether it may be. */
  become(name: 'role' | 'session_authorization', value: string | null, local: boolean): void {
    this.#assign(name, name, value, local);
  }

  #assign(key: string, name: string, value: string | null, local: boolean): void {
    const checked = value === null ? undefined : settingValue(key, name, value, this.get(key) ?? '');
    const [session, temporary] = [this.#values.get(key), this.#locals.get(key)];
    this.#changes.push({ key, value: session, local: temporary });
    if (local) this.#put(key, session, checked ?? this.#default(key));
    else this.#put(key, checked, undefined);
  }

  #put(key: string, value: string | undefined, local: string | undefined): void {
    const before = this.get(key);
    put(this.#values, key, value);
    put(this.#locals, key, local);
    this.#derived = null;
    const after = this.get(key);
    if (after !== before && PLANNED_WITH.has(key)) this.generation++;
    const reported = REPORTED.get(key);
    if (reported !== undefined && after !== before && after !== undefined) this.#changed(reported);
  }

  /** BEGIN: what the transaction is does not follow its defaults any more. */
  beginBlock(): void {
    for (const key of OF_TRANSACTION.keys()) this.#locals.set(key, this.get(key)!);
    this.#derived = null;
  }

  /** Where a savepoint stands. */
  mark(): number {
    return this.#changes.length;
  }

  rollbackTo(mark: number): void {
    while (this.#changes.length > mark) {
      const { key, value, local } = this.#changes.pop()!;
      this.#put(key, value, local);
    }
  }

  rollback(): void {
    this.rollbackTo(0);
    this.commit();
  }

  /** The end of a transaction: SET stays, SET LOCAL wears off. */
  commit(): void {
    if (this.#changes.length > 0) this.#changes = [];
    if (this.#locals.size > 0)
      for (const key of [...this.#locals.keys()]) this.#put(key, this.#values.get(key), undefined);
  }

  resetAll(): void {
    for (const key of new Set([...this.#values.keys(), ...this.#locals.keys()]))
      if (!OF_TRANSACTION.has(key) && !IDENTITY.has(key)) this.set(key, null, false);
  }

  /** Where the session makes what is temporary. */
  temporarySchema = '';
  #looksInTemporary = false;

  /** Something temporary is made: its schema is looked into before all others. False: it is so already. */
  lookInTemporary(): boolean {
    if (this.#looksInTemporary) return false;
    this.#looksInTemporary = true;
    this.#derived = null;
    this.generation++;
    return true;
  }

  /** `pg_temp` is the session's, wherever the setting puts it. */
  #withTemporary(schemas: readonly string[]): readonly string[] {
    if (!this.#looksInTemporary) return schemas.filter((schema) => schema !== 'pg_temp');
    const path = schemas.includes('pg_temp') ? schemas : ['pg_temp', ...schemas];
    return path.map((schema) => (schema === 'pg_temp' ? this.temporarySchema : schema));
  }

  get searchPath(): readonly string[] {
    return this.#known().searchPath;
  }

  /** Schemas that the setting has before `pg_temp`; null: it does not name it. */
  get beforeTemporary(): readonly string[] | null {
    return this.#known().beforeTemporary;
  }

  /** current_user: by SET ROLE, else the session's. */
  get currentUser(): string {
    return this.#known().currentUser;
  }

  /** What `$user` stands for. No role's own is the server's. */
  #ownSchema(): string {
    const name = this.#currentUser();
    return name === 'arka' || name.startsWith('pg_') ? '' : name;
  }

  #currentUser(): string {
    const role = this.get('role')!;
    return role === 'none' ? this.get('session_authorization')! : role;
  }

  /** What follows from another setting, and is nobody's to set. */
  follows(name: 'is_superuser', value: string): void {
    if (this.get(name) === value) return;
    this.#defaults.set(name, value);
    this.#changed(name);
  }

  /** With its styles, as they travel. */
  get timeZone(): string {
    return this.#known().timeZone;
  }

  get synchronous(): boolean {
    return this.#known().synchronous;
  }

  /** transaction_read_only */
  get readOnly(): boolean {
    return this.#known().readOnly;
  }

  /** The transaction sees one Version. */
  get repeatable(): boolean {
    return this.#known().repeatable;
  }

  /** 0: none. */
  get statementTimeoutMs(): number {
    return this.#known().statementTimeoutMs;
  }

  get idleTimeoutMs(): number {
    return this.#known().idleTimeoutMs;
  }

  get idleInTransactionTimeoutMs(): number {
    return this.#known().idleInTransactionTimeoutMs;
  }

  /** For SHOW. @throws {SqlError} 42704 */
  shown(name: string): string {
    const value = this.get(name);
    if (value !== undefined) return value;
    throw unrecognized(name);
  }

  /** All of them, and those that the application has made. */
  list(): ShownSetting[] {
    const keys = new Set([
      ...DEFAULTS.keys(),
      ...this.#defaults.keys(),
      ...this.#values.keys(),
      ...this.#locals.keys(),
    ]);
    for (const key of OF_TRANSACTION.keys()) keys.add(key);
    return [...keys].sort().map((key) => {
      const def = SETTINGS.get(key);
      const shown = this.get(key)!;
      const reset = this.#default(key) ?? shown;
      const isSet = this.#values.has(key) || this.#locals.has(key);
      return {
        name: displayName(key),
        raw: def === undefined ? shown : rawValue(def, shown),
        shown,
        source: isSet ? 'session' : this.#defaults.has(key) ? (this.#sources.get(key) ?? 'client') : 'default',
        reset: def === undefined ? reset : rawValue(def, reset),
      };
    });
  }

  /** Milliseconds of a time setting; 0: none. */
  timeMs(name: string): number {
    return timeOf(this.get(name)!);
  }

  #styles(): Styles {
    const [date, order] = this.get('datestyle')!.split(', ');
    const [interval, bytea, floatDigits] = STYLES.slice(1).map((key) => this.get(key)!);
    return { date, order, interval, bytea, floatDigits: Number(floatDigits) } as Styles;
  }

  #known(): Derived {
    if (this.#derived !== null) return this.#derived;
    const schemas = this.get('search_path')!
      .split(',')
      .map((part) => part.trim().replaceAll(/^"|"$/g, ''))
      .map((part) => (part === '$user' ? this.#ownSchema() : part))
      .filter((part) => part !== '');
    const temporaryAt = schemas.indexOf('pg_temp');
    this.#derived = {
      currentUser: this.#currentUser(),
      searchPath: this.#withTemporary(schemas),
      beforeTemporary: temporaryAt < 0 ? null : schemas.slice(0, temporaryAt),
      timeZone: withStyles(this.get('timezone')!, this.#styles()),
      synchronous: !['off', 'false', '0', 'no'].includes(this.get('synchronous_commit')!.toLowerCase()),
      readOnly: this.get('transaction_read_only') === 'on',
      repeatable: /^(repeatable read|serializable)$/.test(this.get('transaction_isolation')!),
      statementTimeoutMs: this.timeMs('statement_timeout'),
      idleTimeoutMs: this.timeMs('idle_session_timeout'),
      idleInTransactionTimeoutMs: this.timeMs('idle_in_transaction_session_timeout'),
    };
    return this.#derived;
  }
}

/** @throws {SqlError} FATAL 42501 */
function refuseIdentity(name: string): void {
  if (!IDENTITY.has(name.toLowerCase())) return;
  throw new SqlError(SqlState.insufficientPrivilege, `parameter "${name}" cannot be set at the start of a connection`, {
    severity: 'FATAL',
    hint: 'Use SET ROLE or SET SESSION AUTHORIZATION.',
  });
}

/** What an application calls its own has two parts. @throws {SqlError} 42704, 42602 */
function refuseName(key: string, name: string): void {
  if (!key.includes('.') || key.startsWith('arka.')) throw unrecognized(name);
  if (!/^[a-z_\u0080-\uffff][\w$\u0080-\uffff]*(?:\.[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)+$/.test(key))
    throw new SqlError(SqlState.invalidName, `invalid configuration parameter name "${name}"`, {
      detail: 'Custom parameter names must be two or more simple identifiers separated by dots.',
    });
}

function unrecognized(name: string): SqlError {
  return new SqlError(SqlState.undefinedObject, `unrecognized configuration parameter "${name}"`);
}

/** One row of pg_settings and of SHOW ALL. */
export interface ShownSetting {
  readonly name: string;
  /** In the setting's unit. */
  readonly raw: string;
  readonly shown: string;
  readonly source: string;
  readonly reset: string;
}

function put(map: Map<string, string>, key: string, value: string | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
