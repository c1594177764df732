/**
 * UPDATE and DELETE: a query for the engine that gives each row's unit and position, then the new row, then what names the old
 * one: its key (the new row has the same) or, in a table without one, its columns.
 * The expressions are those of a SELECT over the table; ingest checks lengths, NOT NULL and keys.
 */
import { quoteIdentifier } from '../sql-text.ts';
import type { DeleteStmt, Node, RangeVar, UpdateStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { nameFields, type ColumnDef, type TableDef } from '../table-def.ts';
import { Oid, duckdbType } from '../types/pg-type.ts';
import { atNode } from './ast.ts';
import { defaultValue } from './column-default.ts';
import { constantFor } from './constants.ts';
import { allTyped, simpleCondition, simpleScope, typeParameter, type SimpleScope } from './describe.ts';
import { writeCondition, writeExpression } from './duckdb/expression.ts';
import { scalarLiteral } from './duckdb/literals.ts';
import type { WrittenQuery } from './duckdb/query.ts';
import { rootScope, tableItem, type Scope, type WriterContext } from './duckdb/scope.ts';
import { assignmentCast, checkAssignable, targetColumns } from './insert.ts';
import type { CatalogView, PlannedTable, QueryPlan, Statement } from './plan.ts';
import { Renderer, type PlannerEnvironment } from './query-plan.ts';
import { findRelations, planTables } from './relations.ts';
import { planReturning } from './returning.ts';
import { targetTable } from './schema-names.ts';

/** The parts of a statement that a row-finding query is made of. */
interface Target {
  readonly relation: RangeVar;
  readonly def: TableDef;
  readonly where: Node | undefined;
  readonly text: string;
  readonly parameterCount: number;
}

/** @throws {SqlError} 42P01, 42703, 42804, 0A000 */
export function planUpdate(
  statement: UpdateStmt,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if (statement.withClause !== undefined) throw notSupported('WITH … UPDATE');
  if ((statement.fromClause ?? []).length > 0)
    throw notSupported('UPDATE … FROM', { hint: 'Use a subquery in SET or WHERE.' });
  const relation = statement.relation ?? {};
  const def = targetTable(relation, view, 'update');
  const assignments = assignmentsOf(statement.targetList ?? [], def);
  const target: Target = { relation, def, where: statement.whereClause, text, parameterCount };
  const simple = simpleScope(def, relation, environment.parameterOids);
  const plain = [...assignments].every(([column, value]) => simpleAssignment(value, column, simple));
  const plan = rowPlan(
    target,
    [statement.whereClause, ...assignments.values()],
    plain ? simple : null,
    view,
    environment,
    (scope) => [
      ...def.columns.map((column) => {
        const value = assignments.get(column);
        return value === undefined ? columnOf(relation, column) : writeAssignment(value, column, scope);
      }),
      ...(def.key.length > 0 ? [] : nameOf(relation, def)),
    ],
  );
  const returning = planReturning(statement, relation, def, parameterCount, view, environment);
  return { kind: 'update', def, plan, assigned: [...assignments.keys()].map((column) => column.fieldId), returning };
}

/** @throws {SqlError} 42P01, 42703, 0A000 */
export function planDelete(
  statement: DeleteStmt,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if (statement.withClause !== undefined) throw notSupported('WITH … DELETE');
  if ((statement.usingClause ?? []).length > 0)
    throw notSupported('DELETE … USING', { hint: 'Use a subquery in WHERE.' });
  const relation = statement.relation ?? {};
  const def = targetTable(relation, view, 'delete from');
  const target: Target = { relation, def, where: statement.whereClause, text, parameterCount };
  const simple = simpleScope(def, relation, environment.parameterOids);
  const returning = planReturning(statement, relation, def, parameterCount, view, environment);
  const old = returning === null || def.key.length === 0 ? [] : def.columns;
  const plan = rowPlan(target, [statement.whereClause], simple, view, environment, () => [
    ...nameOf(relation, def),
    ...old.map((column) => columnOf(relation, column)),
  ]);
  return { kind: 'delete', def, plan, returning };
}

function columnOf(relation: RangeVar, column: ColumnDef): string {
  return `${quoteIdentifier(aliasOf(relation))}.${quoteIdentifier(column.name)}`;
}

/** The columns that name a row. */
function nameOf(relation: RangeVar, def: TableDef): readonly string[] {
  return nameFields(def).map((fieldId) =>
    columnOf(
      relation,
      def.columns.find((column) => column.fieldId === fieldId)!,
    ),
  );
}

function aliasOf(relation: RangeVar): string {
  return relation.alias?.aliasname ?? relation.relname ?? '';
}

function assignmentsOf(targets: readonly Node[], def: TableDef): ReadonlyMap<ColumnDef, Node> {
  const columns = targetColumns(targets, def);
  const assignments = new Map<ColumnDef, Node>();
  targets.forEach((target, i) => {
    const value = 'ResTarget' in target ? target.ResTarget.val : undefined;
    if (value === undefined) throw notSupported('this SET', atNode(target));
    assignments.set(columns![i]!, rowElement(value));
  });
  return assignments;
}

/** `SET (a, b) = (1, 2)`: each column names its place in the row. */
function rowElement(value: Node): Node {
  if (!('MultiAssignRef' in value)) return value;
  const { source, colno = 1, ncolumns } = value.MultiAssignRef;
  if (source === undefined || !('RowExpr' in source)) throw notSupported('SET (…) = (SELECT …)', atNode(source));
  const args = source.RowExpr.args ?? [];
  if (args.length !== ncolumns)
    throw new SqlError(SqlState.syntaxError, 'number of columns does not match number of values', atNode(source));
  return args[colno - 1]!;
}

function simpleAssignment(value: Node, column: ColumnDef, scope: SimpleScope): boolean {
  if ('SetToDefault' in value) return true;
  if ('ParamRef' in value) return typeParameter(scope, value.ParamRef.number ?? 0, column.type.oid);
  return constantFor(value, column) !== undefined;
}

function writeAssignment(value: Node, column: ColumnDef, scope: Scope): string {
  const type = duckdbType(column.type);
  if ('SetToDefault' in value) {
    const given = defaultValue(column);
    if (given.kind === 'now') return `CAST(now() AS ${type})`;
    return given.kind === 'null' ? `CAST(NULL AS ${type})` : constantLiteral(given.text, column);
  }
  const constant = constantFor(value, column);
  if (constant !== undefined)
    return constant.text === null ? `CAST(NULL AS ${type})` : constantLiteral(constant.text, column);
  const written = writeExpression(value, scope);
  if ('ParamRef' in value) return `CAST(${written.sql} AS ${type})`;
  if (written.constant === undefined || written.oid !== Oid.unknown) checkAssignable(written.oid, column);
  return assignmentCast(written.sql, written.oid, column);
}

function constantLiteral(text: string, column: ColumnDef): string {
  return `CAST(${scalarLiteral(text, column.type.oid)} AS ${duckdbType(column.type)})`;
}

/** `simple` null: the statement is PostgreSQL's to describe. */
function rowPlan(
  target: Target,
  parts: readonly (Node | undefined)[],
  simple: SimpleScope | null,
  view: CatalogView,
  environment: PlannerEnvironment,
  columns: (scope: Scope) => readonly string[],
): QueryPlan {
  const { relation, def, where } = target;
  const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const inner = planTables(findRelations(parts, view), environment.placeholder, false);
  const tables = new Map<object, PlannedTable>([[relation, own], ...inner]);
  const plain =
    simple !== null &&
    inner.size === 0 &&
    (where === undefined || simpleCondition(where, simple)) &&
    allTyped(simple, target.parameterCount);
  const parameterOids = plain ? simple.parameterOids : environment.parameterOids;
  const utc = environment.timeZone !== undefined && /^utc$/i.test(environment.timeZone);
  const renderer = new Renderer(
    tables,
    parameterOids,
    utc,
    (context) => writeRows(target, own, context, columns),
    null,
  );
  return {
    route: 'engine',
    tables: [...tables.values()],
    text: target.text,
    views: [],
    described: plain ? [] : null,
    parameterOids,
    render: (parameters) => renderer.render(parameters),
  };
}

function writeRows(
  { relation, where }: Target,
  own: PlannedTable,
  context: WriterContext,
  columns: (scope: Scope) => readonly string[],
): WrittenQuery {
  const alias = aliasOf(relation);
  const item = tableItem(own, alias, relation.alias === undefined ? own.def.schema : null, []);
  const scope: Scope = { ...rootScope(context), items: [item] };
  const quoted = quoteIdentifier(alias);
  const list = [`${quoted}."__unit"`, `${quoted}."__position"`, ...columns(scope)];
  let sql = `SELECT ${list.map((column, i) => `${column} AS "c${i}"`).join(', ')} FROM ${quoteIdentifier(own.placeholder)} AS ${quoted}`;
  if (where !== undefined) {
    sql += ` WHERE ${writeCondition(where, scope, 'WHERE')}`;
    context.onWhere(where, scope);
  }
  return { sql, outputs: null };
}
