/**
 * `npm run allow-list`: docs/allow-list.md, the functions, operators and casts that run in DuckDB over tables with PostgreSQL's meaning.
 *
 * Signatures are PostgreSQL's own (pg_proc, pg_operator, pg_cast of the PGlite that Arka has inside); which of them are let through the
 * planner itself is asked, by a statement over a table with a column of each type. A test asks it again for all that the document lists.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { SqlError } from '../src/errors.ts';
import { functionNames } from '../src/planner/duckdb/functions.ts';
import { loadParser, parseSql } from '../src/planner/parse.ts';
import type { CatalogView } from '../src/planner/plan.ts';
import { planStatement } from '../src/planner/plan-statement.ts';
import type { TableDef } from '../src/table-def.ts';

export const ALLOW_LIST = join(import.meta.dirname, '..', 'docs', 'allow-list.md');

/** PostgreSQL's names of the types that statements over tables may have, and what stands for each where it is to be a constant. */
const TYPES = {
  boolean: 'true',
  smallint: "'1'::smallint",
  integer: '1',
  bigint: "'1'::bigint",
  real: "'1'::real",
  'double precision': "'1'::float8",
  numeric: '1.0',
  text: "'day'",
  'character varying': "'day'::varchar",
  character: "'day'::char(3)",
  bytea: "'\\x00'::bytea",
  date: "'2020-01-01'::date",
  'time without time zone': "'00:00'::time",
  'timestamp without time zone': "'2020-01-01'::timestamp",
  'timestamp with time zone': "'2020-01-01 00:00+00'::timestamptz",
  interval: "'1 day'::interval",
  uuid: "'00000000-0000-0000-0000-000000000000'::uuid",
  json: "'{}'::json",
  jsonb: "'{}'::jsonb",
  'text[]': "'{a}'::text[]",
  'integer[]': "'{1}'::int[]",
} as const;
type TypeName = keyof typeof TYPES;
const NAMES = Object.keys(TYPES) as TypeName[];
const OIDS: Readonly<Record<TypeName, number>> = {
  boolean: 16,
  smallint: 21,
  integer: 23,
  bigint: 20,
  real: 700,
  'double precision': 701,
  numeric: 1700,
  text: 25,
  'character varying': 1043,
  character: 1042,
  bytea: 17,
  date: 1082,
  'time without time zone': 1083,
  'timestamp without time zone': 1114,
  'timestamp with time zone': 1184,
  interval: 1186,
  uuid: 2950,
  json: 114,
  jsonb: 3802,
  'text[]': 1009,
  'integer[]': 1007,
};

export interface Signature {
  readonly kind: 'aggregate' | 'window' | 'function' | 'operator' | 'cast';
  readonly name: string;
  readonly args: readonly string[];
}

type Verdict = 'yes' | 'constants' | 'no';
const column = (type: string): string => `c${NAMES.indexOf(type as TypeName)}`;
const constant = (type: string): string => TYPES[type as TypeName];

const POLYMORPHIC: Readonly<Record<string, TypeName>> = {
  any: 'integer',
  anyelement: 'integer',
  anycompatible: 'integer',
  anyarray: 'integer[]',
  anycompatiblearray: 'integer[]',
};
const WITHIN_GROUP: ReadonlySet<string> = new Set(['percentile_cont', 'percentile_disc', 'mode']);

let table: TableDef | null = null;

async function open(): Promise<void> {
  await loadParser();
  const [parsed] = parseSql('CREATE TABLE t (c int)');
  const draft = planStatement(parsed!, view, environment);
  if (draft.kind !== 'createTable') throw new Error('a table');
  const [first] = draft.draft.columns;
  const columns = NAMES.map((name, i) => ({
    ...first!,
    name: column(name),
    fieldId: i + 1,
    attnum: i + 1,
    type: { oid: OIDS[name], typmod: name === 'numeric' ? ((12 << 16) | 2) + 4 : -1 },
  }));
  table = { ...draft.draft, uuid: 'allow-list', oid: 20_000, columns };
}

const view: CatalogView = {
  table: (_, name) => (name === 't' && table !== null ? table : undefined),
  hasSchema: (name) => name === 'public',
  searchPath: ['public'],
};
const environment = { parameterOids: [], placeholder: () => 'scan', constants: () => undefined, timeZone: 'UTC' };

function isWritten(expression: string): boolean {
  try {
    const statement = planStatement(parseSql(`SELECT ${expression} FROM t`)[0]!, view, environment);
    if (statement.kind !== 'query') return false;
    void statement.plan.render([]).sql;
    return statement.plan.route === 'engine';
  } catch (error) {
    if (error instanceof SqlError) return false;
    throw error;
  }
}

function expressionOf({ kind, name, args }: Signature, fixed: number): string {
  const values = args.map((type, i) => (i >= args.length - fixed ? constant(type) : column(type)));
  if (kind === 'cast') return `CAST(${values[0]} AS ${args[1]})`;
  if (kind === 'operator') return values.length === 1 ? `${name} ${values[0]}` : `${values[0]} ${name} ${values[1]}`;
  if (WITHIN_GROUP.has(name))
    return `${name}(${values.slice(0, -1).join(', ')}) WITHIN GROUP (ORDER BY ${column(args.at(-1)!)})`;
  const call =
    kind !== 'function' && args.length === 0 && name === 'count' ? 'count(*)' : `"${name}"(${values.join(', ')})`;
  return kind === 'window' ? `${call} OVER (ORDER BY c2)` : call;
}

function verdictOf(signature: Signature): Verdict {
  if (signature.kind === 'cast')
    return isWritten(`CAST(${column(signature.args[0]!)} AS ${signature.args[1]!})`) ? 'yes' : 'no';
  if (isWritten(expressionOf(signature, 0))) return 'yes';
  for (let fixed = 1; fixed < Math.max(2, signature.args.length); fixed++)
    if (isWritten(expressionOf(signature, fixed))) return 'constants';
  // a unit comes first: date_trunc('day', ts)
  const [first, ...rest] = signature.args;
  if (signature.kind === 'function' && first === 'text' && rest.length > 0)
    return ['day', 'hour'].some((unit) => isWritten(`"${signature.name}"('${unit}', ${rest.map(column).join(', ')})`))
      ? 'constants'
      : 'no';
  return 'no';
}

const SECTIONS: readonly (readonly [Signature['kind'], string])[] = [
  ['function', 'Functions'],
  ['aggregate', 'Aggregates'],
  ['window', 'Window functions'],
  ['operator', 'Operators'],
  ['cast', 'Casts'],
];
const MARKS: Readonly<Record<Verdict, string>> = {
  yes: 'in the engine',
  constants: 'with constants',
  no: 'by PostgreSQL itself',
};

/** @param signatures all that the document says something of */
export async function allowList(signatures: readonly Signature[]): Promise<string> {
  if (table === null) await open();
  const lines = [
    '# What runs over tables with PostgreSQL’s meaning',
    '',
    'Made by `npm run allow-list` from the planner; not to be changed by hand. *In the engine*: DuckDB runs it over any number of rows. *With constants*: if the last',
    'arguments (a unit, a pattern, a number of digits) are constants. *By PostgreSQL itself*: over a copy of the rows while they are at most',
    '`planner.fallback_rows`, beyond that 0A000; so does every function and operator of PostgreSQL that is not named here. Statements without tables are',
    'PostgreSQL’s own as a whole. `any` is shown as integer.',
  ];
  for (const [kind, title] of SECTIONS) {
    lines.push('', `## ${title}`, '', '| name | arguments | |', '|---|---|---|');
    const own = signatures.filter((signature) => signature.kind === kind);
    for (const name of [...new Set(own.map((signature) => signature.name))].toSorted()) {
      for (const verdict of ['yes', 'constants', 'no'] as const) {
        const args = own
          .filter((signature) => signature.name === name && verdictOf(signature) === verdict)
          .map((signature) => `(${signature.args.join(', ')})`)
          .toSorted();
        if (args.length > 0)
          lines.push(`| \`${name.replaceAll('|', '\\|')}\` | ${[...new Set(args)].join(' ')} | ${MARKS[verdict]} |`);
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

/** What a document lists. */
export function signaturesIn(text: string): readonly Signature[] {
  let kind: Signature['kind'] = 'function';
  return text.split('\n').flatMap((line) => {
    const section = SECTIONS.find(([, title]) => line === `## ${title}`);
    if (section !== undefined) [kind] = section;
    const row = /^\| `(.+?)` \| (\(.*\)) \| [^|]+ \|$/.exec(line);
    if (row === null) return [];
    const name = row[1]!.replaceAll('\\|', '|');
    return [...row[2]!.matchAll(/\(([^)]*)\)/g)].map(([, args]) => ({
      kind,
      name,
      args: args === '' ? [] : args!.split(', '),
    }));
  });
}

async function signaturesOfPostgres(): Promise<readonly Signature[]> {
  const pg = await PGlite.create();
  const typed = (args: readonly string[]): readonly string[] | null => {
    const names = args.map((arg) => POLYMORPHIC[arg.replaceAll('"', '')] ?? arg);
    return names.every((name) => NAMES.includes(name as TypeName)) ? names : null;
  };
  const read = async (sql: string): Promise<Signature[]> => {
    const { rows } = await pg.query<{ kind: Signature['kind']; name: string; args: string[] }>(sql);
    return rows.flatMap(({ kind, name, args }) => {
      const known = typed(args);
      return known === null ? [] : [{ kind, name, args: known }];
    });
  };
  const of = (list: string): string =>
    `ARRAY(SELECT format_type(a.oid, NULL) FROM unnest(${list}) WITH ORDINALITY AS a (oid, i) ORDER BY i)`;
  const list = functionNames()
    .map((name) => `'${name}'`)
    .join(', ');
  const found = [
    ...(await read(`SELECT CASE prokind WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window' ELSE 'function' END AS kind,
      proname AS name, ${of('CASE provariadic WHEN 0 THEN proargtypes::oid[] ELSE trim_array(proargtypes::oid[], 1) || provariadic END')} AS args FROM pg_proc
      WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN (${list}) ORDER BY 2`)),
    ...(await read(`SELECT DISTINCT 'operator' AS kind, oprname AS name,
      ${of("array_remove(ARRAY[oprleft, oprright], '0'::oid)")} AS args FROM pg_operator ORDER BY 2`)),
    ...(await read(`SELECT 'cast' AS kind, format_type(castsource, NULL) AS name, ${of('ARRAY[castsource, casttarget]')} AS args FROM pg_cast
      UNION SELECT 'cast', format_type(a, NULL), ${of("ARRAY[a, 'text'::regtype]")} FROM unnest('{${NAMES.join(',')}}'::regtype[]) a ORDER BY 2`)),
  ];
  await pg.close();
  return found;
}

if (import.meta.main) writeFileSync(ALLOW_LIST, await allowList(await signaturesOfPostgres()));
