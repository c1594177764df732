/**
 * UPDATE and DELETE: a query for the engine that gives each row's unit and position, then the new row, then what names the old
 * one: its key (the new row has the same) or, in a table without one, its columns.
 * The expressions are those of a SELECT over the table; ingest checks lengths, NOT NULL and keys.
 */
import { quoteIdentifier } from '../sql-text.ts';
import type { DeleteStmt, Node, RangeVar, UpdateStmt } from 'libpg-query';
import { notSupported } from '../errors.ts';
import { nameFields, type ColumnDef, type TableDef } from '../table-def.ts';
import { assignmentsOf, simpleAssignment, writeAssignment } from './assignments.ts';
import { allTyped, simpleCondition, simpleScope, type SimpleScope } from './describe.ts';
import { writeCondition } from './duckdb/expression.ts';
import type { WrittenQuery } from './duckdb/query.ts';
import { rootScope, tableItem, type Scope, type WriterContext } from './duckdb/scope.ts';
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
