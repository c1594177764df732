/**
 * The clients that are tried against a server, and how each is started.
 *
 * A scenario is a program in its client's own language, in the folder of the client's name. It prints `client NAME VERSION`, then one line
 * a check: `ok WHAT` or `not ok WHAT: WHY`. It finds the server in COMPAT_URL, has the schema COMPAT_SCHEMA for itself, and leaves nothing.
 * - X1 A scenario passes on PostgreSQL 15: with COMPAT_URL set, it is that server that is tried.
 * - X2 A client that cannot be started here is skipped with its reason, never passed.
 * - X3 What fails is a fault, but for what `KNOWN` names; and what `KNOWN` names and passes is a fault, too.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface CompatClient {
  /** Of its folder, of its schema, and of its row in the matrix. */
  readonly name: string;
  /** `quick`: in every `npm run test:compat`; `all`: with COMPAT=all alone. */
  readonly when: 'quick' | 'all';
  /** The program and its arguments; a text says why it cannot be started here. */
  start(): readonly [string, ...string[]] | string;
}

export const folder = import.meta.dirname;

/** A program that setup.sh has made ready, and named in a variable of the environment. */
function from(variable: string, args: readonly string[]): readonly [string, ...string[]] | string {
  const path = process.env[variable];
  if (path === undefined || path === '') return `${variable} is not set: setup.sh could not make it ready`;
  return existsSync(path) ? [path, ...args] : `${path} is not there`;
}

const python = (
  name: string,
  when: CompatClient['when'] = 'quick',
  variable = 'COMPAT_CLIENTS_PYTHON',
): CompatClient => ({
  name,
  when,
  start: () => from(variable, [join(folder, name, 'scenario.py')]),
});
const node = (name: string): CompatClient => ({
  name,
  when: 'quick',
  start: () => {
    const packages = from('COMPAT_NODE', []);
    return typeof packages === 'string' ? packages : [process.execPath, join(folder, name, 'scenario.mjs')];
  },
});

export const CLIENTS: readonly CompatClient[] = [
  python('psql'),
  python('psycopg2'),
  python('psycopg3'),
  python('asyncpg'),
  python('sqlalchemy'),
  python('pgcli'),
  python('catalogs'),
  node('node-postgres'),
  node('postgresjs'),
  {
    name: 'pgjdbc',
    when: 'all',
    start: () => {
      const jar = from('COMPAT_JARS', []);
      return typeof jar === 'string'
        ? jar
        : ['java', '-Xmx256m', '-cp', jar[0], join(folder, 'pgjdbc', 'Scenario.java')];
    },
  },
  { name: 'pgx', when: 'all', start: () => from('COMPAT_PGX', []) },
  python('psqlodbc', 'all', 'COMPAT_ODBC_PYTHON'),
  python('npgsql', 'all', 'COMPAT_NPGSQL_PYTHON'),
  python('dbt', 'all', 'COMPAT_DBT_PYTHON'),
];

/** Client → check → what is missing. */
export const KNOWN: Readonly<Record<string, Readonly<Record<string, string>>>> = {};
