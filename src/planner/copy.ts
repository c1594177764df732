/** COPY … FROM STDIN: target, columns and format. COPY … TO STDOUT: what is read, and the format. */
import type { CopyStmt, Node, RangeVar } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { moved, SqlError, SqlState, notSupported } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { atNode, stringsOf, walk } from './ast.ts';
import { targetColumns } from './assignments.ts';
import { copyInOptions, copyOutOptions } from './copy-options.ts';
import { writeCondition } from './duckdb/expression.ts';
import type { WrittenQuery } from './duckdb/query.ts';
import { rootScope, tableItem, type WriterContext } from './duckdb/scope.ts';
import { hasModifyingWith } from './modifying-with.ts';
import { replaceOwnFunctions } from './own-functions.ts';
import { parseSql } from './parse.ts';
import type { CatalogView, CopyFilter, ParsedStatement, PlannedTable, QueryPlan, Statement } from './plan.ts';
import { planQuery, Renderer, type PlannerEnvironment } from './query-plan.ts';
import { checkDatabase, findTable, findView, targetTable, viewAsTarget } from './schema-names.ts';

/** @throws {SqlError} 42P01, 42703, 0A000, 22023, 42601 */
export function planCopy(
  parsed: ParsedStatement,
  statement: CopyStmt,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if (statement.is_from !== true) return planCopyOut(parsed, statement, view, environment);
  if (statement.is_program === true) throw notSupported('COPY … FROM PROGRAM');
  if ((statement.filename ?? '') !== '')
    throw notSupported('COPY from a file of the server', { hint: 'Use COPY … FROM STDIN, or \\copy in psql.' });
  const def = targetTable(withoutPlace(statement), view, 'copy to');
  const columns = copiedColumns(statement.attlist ?? [], def);
  const options = copyInOptions(statement.options ?? [], def, columns);
  const filter = copyFilter(statement.whereClause, statement.relation ?? {}, def, environment);
  // Fields of a binary row come one by one: a row may be half written when others are looked at.
  if (filter !== null && options.format === 'binary') throw notSupported('WHERE of COPY in binary format');
  return { kind: 'copyFrom', def, fieldIds: columns.map((column) => column.fieldId), filter, options };
}

/** Without a list all that rows are made of: generated columns are made of these. @throws {SqlError} 42703, 42P10 */
function copiedColumns(names: readonly Node[], def: TableDef): readonly ColumnDef[] {
  const named = targetColumns(names, def);
  const generated = named?.find((column) => column.generated !== undefined);
  if (generated !== undefined)
    throw new SqlError(SqlState.invalidColumnReference, `column "${generated.name}" is a generated column`, {
      detail: 'Generated columns cannot be used in COPY.',
    });
  return named ?? def.columns.filter((column) => column.generated === undefined);
}

function planCopyOut(
  parsed: ParsedStatement,
  statement: CopyStmt,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if (statement.is_program === true) throw notSupported('COPY … TO PROGRAM');
  if ((statement.filename ?? '') !== '')
    throw notSupported('COPY to a file of the server', { hint: 'Use COPY … TO STDOUT, or \\copy in psql.' });
  if (parsed.parameterCount > 0) throw new SqlError(SqlState.undefinedParameter, 'there is no parameter $1');
  const query = statement.query ?? tableQuery(withoutPlace(statement), statement.attlist ?? [], view);
  if (!('SelectStmt' in query) || hasModifyingWith(query))
    throw notSupported('COPY of a statement that changes rows', { hint: 'Use a SELECT.' });
  const own = replaceOwnFunctions({ ...parsed, node: query, text: Deparser.deparse(query) }, environment.constants);
  return {
    kind: 'copyTo',
    plan: planned(() => planQuery(own.node, own.text, 0, view, environment), statement.query !== undefined),
    options: copyOutOptions(statement.options ?? []),
  };
}

function planned(plan: () => QueryPlan, isSent: boolean): QueryPlan {
  try {
    return plan();
  } catch (error) {
    throw isSent ? error : moved(error, null);
  }
}

/** PostgreSQL does not say where COPY names a relation. */
const withoutPlace = ({ relation }: CopyStmt): RangeVar => ({ ...relation, location: -1 });

/** COPY of a relation reads its columns, or those that are named. */
function tableQuery(relation: RangeVar, names: readonly Node[], view: CatalogView): Node {
  checkDatabase(relation);
  const def = findTable(relation, view);
  const other = findView(relation, view);
  if (other !== undefined) throw viewAsTarget(other, 'copy from', relation);
  const given = def === undefined ? stringsOf(names) : copiedColumns(names, def).map((column) => column.name);
  const columns = given.length === 0 ? '*' : given.map(quoteIdentifier).join(', ');
  const schema = def?.schema ?? relation.schemaname ?? '';
  const from = `${schema === '' ? '' : `${quoteIdentifier(schema)}.`}${quoteIdentifier(relation.relname ?? '')}`;
  return parseSql(`SELECT ${columns} FROM ${from}`)[0]!.node as Node;
}

/** WHERE of COPY FROM: a query over rows that were read, which gives the positions of those to keep. */
function copyFilter(
  where: Node | undefined,
  relation: RangeVar,
  def: TableDef,
  environment: PlannerEnvironment,
): CopyFilter | null {
  if (where === undefined) return null;
  walk(where, (tag, body) => {
    if (tag === 'SubLink') throw notSupported('a subquery in WHERE of COPY FROM');
    if (tag !== 'ColumnRef') return;
    const name = stringsOf(body['fields'] as Node[]).at(-1);
    if (def.columns.some((column) => column.name === name && column.generated !== undefined))
      throw new SqlError(
        SqlState.invalidColumnReference,
        'generated columns are not supported in COPY FROM WHERE conditions',
        { detail: `Column "${name}" is a generated column.`, ...atNode({ ColumnRef: body } as unknown as Node) },
      );
  });
  const rows: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const alias = relation.relname ?? '';
  const write = (context: WriterContext): WrittenQuery => {
    const scope = { ...rootScope(context), items: [tableItem(rows, alias, def.schema, [])] };
    const quoted = quoteIdentifier(alias);
    const from = `${quoteIdentifier(rows.placeholder)} AS ${quoted}`;
    const condition = writeCondition(where, scope, 'WHERE');
    return { sql: `SELECT ${quoted}."__position" FROM ${from} WHERE ${condition}`, outputs: null };
  };
  const renderer = new Renderer(new Map([[rows, rows]]), [], false, write, null);
  renderer.render([]); // its errors come before the client sends rows
  return {
    rows: rows.placeholder,
    plan: renderer.plan(),
  };
}
