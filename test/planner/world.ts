/** A small catalog and a DuckDB that holds its rows: what planned statements are tried on. */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import type { Connection } from '@duckdb/node-bindings';
import { registerEngineFunctions } from '../../src/federation/engine-functions.ts';
import type { SqlError } from '../../src/errors.ts';
import { withMoments } from '../../src/planner/duckdb/session-time.ts';
import { loadParser, parseSql } from '../../src/planner/parse.ts';
import type { CatalogView, ParameterValue, QueryPlan, Statement } from '../../src/planner/plan.ts';
import { planStatement } from '../../src/planner/plan-statement.ts';
import type { TableDef } from '../../src/table-def.ts';

await loadParser();

export function draftOf(sql: string, view: CatalogView = emptyView): TableDef {
  const statement = planWith(sql, view);
  if (statement.kind !== 'createTable') throw new Error(`not CREATE TABLE: ${sql}`);
  return statement.draft;
}

export const emptyView: CatalogView = {
  table: () => undefined,
  hasSchema: (name) => name === 'public' || name === 'other',
  searchPath: ['public'],
};

let placeholders = 0;
export function planWith(
  sql: string,
  view: CatalogView,
  parameterOids: readonly number[] = [],
  timeZone = 'UTC',
): Statement {
  const [parsed] = parseSql(sql);
  if (parsed === undefined) return { kind: 'empty' };
  freeze(parsed); // trees are kept: planning may not change them
  return planStatement(parsed, view, {
    parameterOids,
    placeholder: () => `scan_${placeholders++}`,
    constants: (name, args) => {
      if (name === 'pg_current_wal_lsn') return { text: '0/10', type: 'pg_lsn' };
      if (name === 'pg_backend_pid') return { text: '42', type: 'int4' };
      return name === 'arka.metadata_location' ? { text: `file:///${args[0]}.json`, type: 'text' } : undefined;
    },
    timeZone,
  });
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}

const EVENTS = `CREATE TABLE events (
  id bigint PRIMARY KEY, ts timestamptz NOT NULL, user_id int, action text, amount double precision, price numeric(10,2), payload jsonb,
  day date, at timestamp, ok boolean, tag varchar(5), small smallint
) WITH (partition_by = 'day(ts), bucket(16, id)', sort_by = 'ts')`;
const USERS = 'CREATE TABLE users (id int PRIMARY KEY, name text, "Group" text)';
const KEYED =
  'CREATE TABLE other.pairs (a int, b text, v int DEFAULT 7, w timestamptz DEFAULT now(), PRIMARY KEY (a, b))';

function numbered(def: TableDef, oid: number): TableDef {
  return { ...def, uuid: `uuid-${oid}`, oid };
}
export const events = numbered(draftOf(EVENTS), 20_000);
export const users = numbered(draftOf(USERS), 20_016);
export const pairs = numbered(draftOf(KEYED), 20_032);

const tables = new Map([
  ['public.events', events],
  ['public.users', users],
  ['other.pairs', pairs],
]);
export const view: CatalogView = {
  table: (schema, name) => tables.get(`${schema ?? 'public'}.${name}`),
  hasSchema: (name) => name === 'public' || name === 'other',
  searchPath: ['public'],
};

export const plan = (sql: string, parameterOids: readonly number[] = [], timeZone = 'UTC'): Statement =>
  planWith(sql, view, parameterOids, timeZone);

export function planOf(sql: string, parameterOids: readonly number[] = []): QueryPlan {
  const statement = plan(sql, parameterOids);
  if (statement.kind === 'query' || statement.kind === 'update' || statement.kind === 'delete') return statement.plan;
  if (statement.kind === 'insert' && statement.source.kind === 'query') return statement.source.plan;
  throw new Error(`no query: ${statement.kind}`);
}

/** `CODE message @position` of the error a statement meets, at planning or when its SQL is written. */
export function refusal(sql: string): string {
  try {
    const statement = plan(sql);
    if ('plan' in statement && statement.plan.route === 'engine') void statement.plan.render([]).sql;
    if (statement.kind === 'insert' && statement.source.kind === 'query' && statement.source.plan.route === 'engine')
      void statement.source.plan.render([]).sql;
    return 'accepted';
  } catch (error) {
    const { code, message, fields } = error as SqlError;
    return `${code} ${message}${fields?.position === undefined ? '' : ` @${fields.position}`}`;
  }
}

export async function openDuck(): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const duck = await instance.connect();
  registerEngineFunctions((duck as unknown as { readonly connection: Connection }).connection, { bulk: false });
  await duck.run(
    "SET TimeZone = 'UTC'; SET integer_division = true; SET default_null_order = 'nulls_last_on_asc_first_on_desc'",
  );
  await duck.run(
    `CREATE TABLE events (id BIGINT, ts TIMESTAMPTZ, user_id INTEGER, action VARCHAR, amount DOUBLE, price DECIMAL(10,2), payload VARCHAR, day DATE, "at" TIMESTAMP, ok BOOLEAN, tag VARCHAR, small INTEGER)`,
  );
  await duck.run(`INSERT INTO events VALUES
    (1, '2024-01-01 00:00:00+00', 10, 'click', 1.5, 10.25, '{"a": 1, "b": {"c": "x"}, "list": [1, 2, 3]}', '2024-01-01', '2024-01-01 10:00:01.5', true, 'ab', 7),
    (2, '2024-01-02 12:30:00+00', 10, 'a_b%c', 2.5, 20.00, '{"a": 2, "$k": "dollar"}', '2024-01-02', '2024-01-02 00:00:00', false, 'x', -7),
    (3, '2024-01-03 00:00:00+00', NULL, 'back\\slash', 0, 0.00, NULL, '2024-01-03', NULL, NULL, NULL, 0),
    (4, '2024-01-04 00:00:00+00', 20, 'CLICK', -2.5, -1.10, '{"a": "1"}', NULL, '2023-12-31 23:59:59', true, 'yz', 100)`);
  await duck.run(`CREATE TABLE users (id INTEGER, name VARCHAR, "Group" VARCHAR)`);
  await duck.run(`INSERT INTO users VALUES (10, 'Ann', 'g1'), (20, 'Bob', NULL), (30, 'Cid', 'g1')`);
  await duck.run(
    `CREATE TABLE pairs (a INTEGER, b VARCHAR, v INTEGER, w TIMESTAMPTZ); INSERT INTO pairs VALUES (1, 'x', 5, NULL), (2, 'y', NULL, NULL)`,
  );
  return duck;
}

/** The rows of a planned statement as text, as the engine would find them: placeholders replaced by tables. */
export async function rowsOf(
  duck: DuckDBConnection,
  query: QueryPlan,
  parameters: readonly ParameterValue[] = [],
): Promise<(string | null)[][]> {
  let { sql } = query.render(parameters);
  for (const table of query.tables) {
    const positions = table.positions ? `, 0 AS __unit, row_number() OVER () - 1 AS __position` : '';
    sql = sql.replaceAll(`"${table.placeholder}"`, `(SELECT *${positions} FROM ${table.def.name})`);
  }
  const result = await duck.runAndReadAll(withMoments(sql, { transaction: 1.7e15, statement: 1.7e15 }, 1));
  return result
    .getRowsJson()
    .map((row) =>
      row.map((value) => (value === null ? null : typeof value === 'string' ? value : JSON.stringify(value))),
    );
}
