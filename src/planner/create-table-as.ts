/** CREATE TABLE … AS and SELECT … INTO: a query, and the table that its rows are to be. The columns are known once it is described. */
import type { CreateStmt, CreateTableAsStmt, IntoClause, Node, SelectStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { moved, notSupported, SqlError, SqlState } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import { formatType } from '../types/format-type.ts';
import { Oid } from '../types/pg-type.ts';
import type { ResultColumn } from '../types/result-column.ts';
import { parseSql } from './parse.ts';
import { planExecute } from './prepared.ts';
import type { Execute } from './session-statements.ts';
import type { CatalogView, Statement } from './plan.ts';
import { planCreateTable } from './create-table.ts';
import { creationSchema } from './schema-names.ts';

/** CREATE TABLE … AS, SELECT … INTO. */
export interface CreateTableAs {
  readonly kind: 'createTableAs';
  readonly schema: string;
  readonly name: string;
  /** Names that were given; those of the query for the rest. */
  readonly columns: readonly string[];
  /** As libpg-query has it. */
  readonly onCommit: CreateStmt['oncommit'];
  readonly isUnlogged: boolean;
  /** libpg-query's nodes of WITH (…). */
  readonly options: readonly unknown[];
  readonly ifNotExists: boolean;
  readonly withData: boolean;
  /** The tag where it takes no rows. */
  readonly tagWithoutData: 'CREATE TABLE AS' | 'SELECT 0';
  /** Empty while it is that of a prepared statement. */
  readonly query: string;
  /** AS EXECUTE: whose query it is, and the values for it. */
  readonly executed: Execute | null;
  /** Where the query begins in the statement's text; null: it was written in other words. */
  readonly offset: number | null;
}

type CreateTable = Extract<Statement, { kind: 'createTable' }>;

/** @throws {SqlError} 0A000, 3F000, 42501 */
export function planCreateTableAs(
  statement: CreateTableAsStmt,
  text: string,
  parameterCount: number,
  view: CatalogView,
): Statement {
  if (statement.objtype === 'OBJECT_MATVIEW') throw notSupported('CREATE MATERIALIZED VIEW');
  const { query, into } = statement;
  if (into === undefined || query === undefined) throw notSupported('CREATE TABLE … AS');
  return planned(into, query, statement.if_not_exists === true, text, parameterCount, view);
}

/** @throws {SqlError} 0A000, 3F000, 42501 */
export function planSelectInto(select: SelectStmt, text: string, parameterCount: number, view: CatalogView): Statement {
  const { intoClause, ...query } = select;
  return planned(intoClause!, { SelectStmt: query }, false, text, parameterCount, view);
}

function planned(
  into: IntoClause,
  query: Node,
  ifNotExists: boolean,
  text: string,
  parameterCount: number,
  view: CatalogView,
): CreateTableAs {
  if (parameterCount > 0) throw notSupported('a parameter in CREATE TABLE … AS');
  const relation = into.rel ?? {};
  const executed = 'ExecuteStmt' in query ? planExecute(query.ExecuteStmt) : null;
  const { query: written, offset } =
    executed === null ? (queryText(text) ?? { query: Deparser.deparse(query), offset: null }) : NOT_YET;
  return {
    kind: 'createTableAs',
    schema: creationSchema(relation, view),
    name: relation.relname ?? '',
    columns: (into.colNames ?? []).map((node) => ('String' in node ? (node.String.sval ?? '') : '')),
    options: into.options ?? [],
    onCommit: into.onCommit,
    isUnlogged: relation.relpersistence === 'u',
    ifNotExists,
    withData: into.skipData !== true,
    tagWithoutData: executed === null ? 'CREATE TABLE AS' : 'SELECT 0',
    query: written,
    executed,
    offset,
  };
}

const NOT_YET = { query: '', offset: null } as const;
const BEFORE_QUERY = /\bas\s+(?=select\b|with\b|values\b|table\b|\()/i;
const AFTER_QUERY = /\s+with\s+(?:no\s+)?data\s*;?\s*$/i;

/** The query as the client wrote it, so that PostgreSQL's errors say where in it. */
function queryText(text: string): { readonly query: string; readonly offset: number } | null {
  const before = BEFORE_QUERY.exec(text);
  if (before === null) return null;
  const offset = before.index + before[0].length;
  const query = text.slice(offset).replace(AFTER_QUERY, '');
  try {
    const [parsed, ...rest] = parseSql(query);
    return rest.length === 0 && 'SelectStmt' in (parsed!.node as Node) ? { query, offset } : null;
  } catch {
    return null; // the word stood elsewhere
  }
}

/** The table for the columns of the query. @throws {SqlError} 42601, 42701, 0A000 for types that tables do not take */
export function tableForQuery(
  statement: CreateTableAs,
  columns: readonly ResultColumn[],
  view: CatalogView,
): CreateTable {
  const { schema, name, columns: names, onCommit, isUnlogged, options } = statement;
  const ending = onCommit === undefined ? {} : { oncommit: onCommit };
  if (names.length > columns.length) throw new SqlError(SqlState.syntaxError, 'too many column names were specified');
  const list = columns.map((column, i) => {
    const oid = column.typeOid === Oid.unknown ? Oid.text : column.typeOid;
    return `${quoteIdentifier(names[i] ?? column.name)} ${formatType({ oid, typmod: column.typmod })}`;
  });
  const [parsed] = parseSql(
    `CREATE ${isUnlogged ? 'UNLOGGED ' : ''}TABLE ${quoteIdentifier(schema)}.${quoteIdentifier(name)} (${list.join(', ')})`,
  );
  const node = parsed!.node as { CreateStmt: Parameters<typeof planCreateTable>[0] };
  try {
    return planCreateTable({ ...node.CreateStmt, options: options as Node[], ...ending }, view) as CreateTable;
  } catch (error) {
    throw moved(error, null);
  }
}
