/**
 * `arka.changes('table', since [, follow => true])` in FROM: the log's operations on a table as a relation.
 *
 * Its columns are those of the change, then the table's own; one of a change whose name the table has, too, gets a `_` in
 * front. For PostgreSQL, which describes the statement, it is a subquery of typed NULLs beside the table's columns.
 */
import type { Alias, FuncCall, Node, RangeFunction, RangeVar } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import type { ColumnDef, Lsn, TableDef } from '../table-def.ts';
import { parsePosition } from '../types/pg-lsn.ts';
import { Oid } from '../types/pg-type.ts';
import { at, atNode, constantText, plainName, walk } from './ast.ts';
import { parseSql } from './parse.ts';
import type { CatalogView, ChangeFeed, ParameterValue } from './plan.ts';
import { DATABASE } from './schema-names.ts';
import { identifierParts } from './utility.ts';
import { functionRule } from './duckdb/functions.ts';

const FUNCTION = 'arka.changes';

/** Columns of a change, and their field ids: no table has negative ones. */
export const CHANGE_COLUMNS = [
  { name: 'op', fieldId: -1, oid: Oid.text, sql: 'text' },
  { name: 'lsn', fieldId: -2, oid: Oid.pgLsn, sql: 'pg_lsn' },
  { name: 'commit_lsn', fieldId: -3, oid: Oid.pgLsn, sql: 'pg_lsn' },
  { name: 'committed_at', fieldId: -4, oid: Oid.timestamptz, sql: 'timestamptz' },
  { name: 'old_key', fieldId: -5, oid: Oid.jsonb, sql: 'jsonb' },
] as const;

export interface FoundFeeds {
  /** The statement with a RangeVar for each feed; the same node where there is none. */
  readonly node: Node;
  /** What PostgreSQL is to describe. */
  readonly text: string;
  readonly feeds: ReadonlyMap<object, { readonly def: TableDef; readonly feed: ChangeFeed }>;
}

/** @throws {SqlError} 42P01, 42883, 0A000, 22P02 */
export function findFeeds(node: Node, text: string, view: CatalogView): FoundFeeds {
  let found = false;
  walk(node, (tag, body) => {
    if (tag === 'RangeFunction') found ||= callOf(body as unknown as RangeFunction) !== null;
    else if (tag === 'FuncCall' && isFeed(body as unknown as FuncCall)) found = true;
  });
  if (!found) return { node, text, feeds: new Map() };
  const feeds = new Map<object, { readonly def: TableDef; readonly feed: ChangeFeed }>();
  const planned = replaced(structuredClone(node), (call, alias) => {
    const feed = feedOf(call, view);
    const relation = { schemaname: 'arka', relname: 'changes', inh: true, relpersistence: 'p', alias } as RangeVar;
    feeds.set(relation, { def: feedDef(feed.table), feed });
    return { RangeVar: relation } as Node;
  });
  const described = replaced(structuredClone(node), (call, alias) => describedAs(feedOf(call, view), alias));
  walk(planned, (tag, body) => {
    if (tag === 'FuncCall' && isFeed(body as unknown as FuncCall))
      throw notSupported('arka.changes outside FROM', at((body as unknown as FuncCall).location));
  });
  return { node: planned, text: Deparser.deparse(described), feeds };
}

const isFeed = (call: FuncCall): boolean => plainName(call.funcname) === FUNCTION;

function callOf(node: RangeFunction): FuncCall | null {
  const list = node.functions?.[0];
  const call = list !== undefined && 'List' in list ? list.List.items?.[0] : undefined;
  return call !== undefined && 'FuncCall' in call && isFeed(call.FuncCall) ? call.FuncCall : null;
}

function replaced(node: Node, by: (call: FuncCall, alias: Alias | undefined) => Node): Node {
  const visit = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map(visit);
    const record = value as Record<string, unknown>;
    const scan = record['RangeFunction'] as RangeFunction | undefined;
    const call = scan === undefined ? null : callOf(scan);
    if (call !== null) {
      if (scan!.ordinality === true || scan!.is_rowsfrom === true || scan!.coldeflist !== undefined)
        throw notSupported('this form of arka.changes in FROM', at(call.location));
      return by(call, scan!.alias);
    }
    for (const key in record) record[key] = visit(record[key]);
    return record;
  };
  return visit(node) as Node;
}

function feedOf(call: FuncCall, view: CatalogView): ChangeFeed {
  const named = new Map<string, Node>();
  const args: Node[] = [];
  for (const arg of call.args ?? []) {
    if ('NamedArgExpr' in arg) named.set(arg.NamedArgExpr.name ?? '', arg.NamedArgExpr.arg!);
    else args.push(arg);
  }
  const [name, since, flag] = args;
  const follow = named.get('follow') ?? flag;
  if (name === undefined || since === undefined || args.length > 3 || [...named.keys()].some((key) => key !== 'follow'))
    throw new SqlError(SqlState.undefinedFunction, 'no function arka.changes takes these arguments', {
      hint: "Write arka.changes('schema.table', since_lsn) or arka.changes('schema.table', since_lsn, follow => true).",
      ...at(call.location),
    });
  const text = constantText(inner(name));
  if (text === null) throw notSupported('arka.changes of a table that is not named by a constant', atNode(name));
  const wanted = follow === undefined ? 'false' : constantText(inner(follow));
  if (wanted !== 'true' && wanted !== 'false' && wanted !== 't' && wanted !== 'f')
    throw notSupported('follow of arka.changes that is no constant boolean', atNode(follow));
  return { table: tableOf(text, name, view), since: sinceOf(since), follow: wanted.startsWith('t') };
}

function inner(node: Node): Node {
  return 'TypeCast' in node && node.TypeCast.arg !== undefined ? inner(node.TypeCast.arg) : node;
}

function tableOf(text: string, where: Node, view: CatalogView): TableDef {
  const parts = identifierParts(text);
  const [table = '', schema = null] = parts.toReversed();
  const foreign = parts.length > 3 || (parts.length === 3 && parts[0] !== DATABASE);
  const def = foreign ? undefined : view.table(schema, table);
  if (def === undefined)
    throw new SqlError(SqlState.undefinedTable, `relation "${text}" does not exist`, atNode(inner(where)));
  if (def.onCommit !== undefined) throw notSupported('arka.changes of a temporary table', atNode(inner(where)));
  return def;
}

function sinceOf(node: Node): ChangeFeed['since'] {
  const value = inner(node);
  if ('ParamRef' in value) return { kind: 'parameter', index: value.ParamRef.number ?? 0 };
  const text = constantText(value);
  if (text === null)
    throw notSupported('since_lsn of arka.changes that is neither a constant nor a parameter', atNode(value));
  try {
    return { kind: 'lsn', lsn: parsePosition(text) };
  } catch (error) {
    throw error instanceof SqlError ? error.with(atNode(value)) : error;
  }
}

/** The LSN after which changes are wanted. @throws {SqlError} 22004, 22P02, 42P02 */
export function positionOf(since: ChangeFeed['since'], parameters: readonly ParameterValue[]): Lsn {
  if (since.kind === 'lsn') return since.lsn;
  const value = parameters[since.index - 1];
  if (value === undefined) throw new SqlError(SqlState.undefinedParameter, `there is no parameter $${since.index}`);
  if (value.text === null)
    throw new SqlError(SqlState.nullValueNotAllowed, 'since_lsn of arka.changes must not be null');
  return parsePosition(value.text);
}

/** The name of a change's column beside the table's. */
function changeName(name: string, table: TableDef): string {
  return table.columns.some((column) => column.name === name) ? changeName(`_${name}`, table) : name;
}

/** The relation's columns: of the change, then of the table; none is known to be not null. */
export function feedDef(table: TableDef): TableDef {
  const own: ColumnDef[] = CHANGE_COLUMNS.map(({ name, fieldId, oid }) => ({
    name: changeName(name, table),
    fieldId,
    attnum: 0,
    type: { oid, typmod: -1 },
    notNull: false,
    default: null,
  }));
  const columns = [...own, ...table.columns.map((column) => ({ ...column, attnum: 0, notNull: false }))];
  return { ...table, oid: 0, columns, key: [], keyName: '', partition: [], sort: [], timeColumn: null };
}

function describedAs({ table, since }: ChangeFeed, alias: Alias | undefined): Node {
  const own = CHANGE_COLUMNS.map(({ name, sql }) => `NULL::${sql} AS ${quoteIdentifier(changeName(name, table))}`);
  const theirs = table.columns.map((column) => `t.${quoteIdentifier(column.name)}`);
  const from = `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
  const used = since.kind === 'parameter' ? ` WHERE $${since.index}::text IS NOT NULL` : '';
  const subquery = parseSql(`SELECT ${[...own, ...theirs].join(', ')} FROM ${from} AS t${used}`)[0]!.node as Node;
  const named = alias ?? ({ aliasname: 'changes' } as Alias);
  return { RangeSubselect: { subquery: structuredClone(subquery), alias: named } } as Node;
}

/** A statement that follows the log says each transaction's changes alone: nothing that needs all of them has an end. */
export function refuseFollowing(node: Node): void {
  const refuse = (what: string): never => {
    throw notSupported(`${what} over arka.changes with follow => true`, { hint: 'Take columns and a WHERE alone.' });
  };
  const select = 'SelectStmt' in node ? node.SelectStmt : undefined;
  const [from, ...more] = select?.fromClause ?? [];
  if (select === undefined || from === undefined || more.length > 0 || !('RangeVar' in from))
    refuse('a join or a subquery');
  const {
    distinctClause,
    groupClause,
    havingClause,
    windowClause,
    sortClause,
    limitCount,
    limitOffset,
    withClause,
    op,
  } = select!;
  if (op !== undefined && op !== 'SETOP_NONE') refuse('UNION, INTERSECT or EXCEPT');
  if (withClause !== undefined) refuse('WITH');
  if (distinctClause !== undefined) refuse('DISTINCT');
  if (groupClause !== undefined || havingClause !== undefined) refuse('GROUP BY');
  if (windowClause !== undefined) refuse('WINDOW');
  if (sortClause !== undefined) refuse('ORDER BY');
  if (limitCount !== undefined || limitOffset !== undefined) refuse('LIMIT');
  walk(node, (tag, body) => {
    if (tag === 'SubLink') refuse('a subquery');
    if (tag !== 'FuncCall') return;
    const call = body as unknown as FuncCall;
    if (call.over !== undefined) refuse('a window function');
    if (functionRule(plainName(call.funcname))?.kind !== undefined) refuse(`function ${plainName(call.funcname)}`);
  });
}
