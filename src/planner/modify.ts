/**
 * UPDATE and DELETE: a query for the engine that gives each row's unit and position, then the new row, then what names the old
 * one: its key, where the new row has another, or, in a table without one, its columns.
 * The expressions are those of a SELECT over the table; ingest checks lengths, NOT NULL and keys.
 */
import { quoteIdentifier } from '../sql-text.ts';
import type { DeleteStmt, Node, RangeVar, TruncateStmt, UpdateStmt, WithClause } from 'libpg-query';
import { duckdbType, engineType } from '../types/pg-type.ts';
import { nameFields, type ColumnDef, type TableDef } from '../table-def.ts';
import { assignmentsOf, generatedColumns, simpleAssignment, writeAssignment } from './assignments.ts';
import { allTyped, simpleCondition, simpleScope, type SimpleScope } from './describe.ts';
import { writeCondition, writeSort } from './duckdb/expression.ts';
import { writeFrom } from './duckdb/from.ts';
import { writeWith, type WrittenQuery } from './duckdb/query.ts';
import { rootScope, type Scope, type WriterContext } from './duckdb/scope.ts';
import { copiedChange } from './copied-change.ts';
import { newValues, planNewRow } from './new-row.ts';
import type { CatalogView, KeyCondition, PlannedTable, QueryPlan, Returning, Statement } from './plan.ts';
import { isUtc, keyCondition, pointCandidate, Renderer, type PlannerEnvironment } from './query-plan.ts';
import { findRelations, planTables } from './relations.ts';
import { planReturning } from './returning.ts';
import { targetTable } from './schema-names.ts';

/** The parts of a statement that a row-finding query is made of. */
interface Target {
  readonly relation: RangeVar;
  readonly def: TableDef;
  readonly where: Node | undefined;
  readonly with: WithClause | undefined;
  /** FROM of UPDATE, USING of DELETE: of several matches of a row one is used. */
  readonly from: readonly Node[];
  readonly sort?: readonly Node[];
  /** Of the rows found one is taken, whichever. */
  readonly isOne?: boolean;
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
  isOne = false,
): Statement {
  const relation = statement.relation ?? {};
  const def = targetTable(relation, view, 'update');
  const assignments = assignmentsOf(statement.targetList ?? [], def, aliasOf(relation));
  const { whereClause: where, withClause } = statement;
  const from = statement.fromClause ?? [];
  const target: Target = { relation, def, where, with: withClause, from, text, parameterCount, isOne };
  const simple = simpleScope(def, relation, environment.parameterOids);
  const values = newValues(assignments, def, simple);
  const plain = values !== null || [...assignments].every(([column, value]) => simpleAssignment(value, column, simple));
  const renames = [...assignments.keys()].some((column) => def.key.includes(column.fieldId));
  const generated = generatedColumns(assignments);
  const returning = planReturning(statement, relation, def, parameterCount, view, environment, target);
  const plan = rowPlan(target, [...assignments.values()], plain ? simple : null, view, environment, (scope) => [
    ...def.columns.map((column) => {
      const value = assignments.get(column);
      if (generated.has(column)) return `CAST(NULL AS ${engineType(column.type)})`;
      return value === undefined ? columnOf(relation, column) : writeAssignment(value, column, scope);
    }),
    ...(def.key.length > 0 && !renames ? [] : nameOf(relation, def)),
    ...joinedColumns(returning),
  ]);
  const point = values === null && generated.size > 0 ? null : pointOf(target);
  const byKey =
    point === null ? null : planNewRow(relation, def, assignments, values, plan.parameterOids, view, environment);
  const kept = def.columns.flatMap((column, i) => (assignments.has(column) ? [] : [i]));
  const copied = hasJoined(returning)
    ? null
    : copiedChange({ ...target, statement: { UpdateStmt: statement } }, assignments, view, environment, (assigned) => [
        ...def.columns.map((column) => (assignments.has(column) ? assigned(column) : columnOf(relation, column))),
        ...(def.key.length > 0 && !renames ? [] : nameOf(relation, def)),
      ]);
  return {
    kind: 'update',
    def,
    plan,
    copied,
    point,
    byKey,
    renames,
    kept: new Set(kept),
    generated: [...generated].map(({ fieldId }) => fieldId),
    returning,
  };
}

/** @throws {SqlError} 42P01, 42703, 0A000 */
export function planDelete(
  statement: DeleteStmt,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
  isOne = false,
): Statement {
  const relation = statement.relation ?? {};
  const def = targetTable(relation, view, 'delete from');
  const { whereClause: where, withClause } = statement;
  const from = statement.usingClause ?? [];
  const target: Target = { relation, def, where, with: withClause, from, text, parameterCount, isOne };
  const simple = simpleScope(def, relation, environment.parameterOids);
  const returning = planReturning(statement, relation, def, parameterCount, view, environment, target);
  const old = returning === null || def.key.length === 0 ? [] : def.columns;
  const plan = rowPlan(target, [], simple, view, environment, () => [
    ...nameOf(relation, def),
    ...old.map((column) => columnOf(relation, column)),
    ...joinedColumns(returning),
  ]);
  const copied = hasJoined(returning)
    ? null
    : copiedChange({ ...target, statement: { DeleteStmt: statement } }, new Map(), view, environment, () => [
        ...nameOf(relation, def),
        ...old.map((column) => columnOf(relation, column)),
      ]);
  return { kind: 'delete', def, plan, copied, point: pointOf(target), returning };
}

const hasJoined = (returning: Returning | null): boolean => (returning?.joined ?? []).length > 0;

export function columnOf(relation: RangeVar, column: ColumnDef): string {
  return `${quoteIdentifier(aliasOf(relation))}.${quoteIdentifier(column.name)}`;
}

/** The columns that name a row. */
export function nameOf(relation: RangeVar, def: TableDef): readonly string[] {
  return nameFields(def).map((fieldId) =>
    columnOf(
      relation,
      def.columns.find((column) => column.fieldId === fieldId)!,
    ),
  );
}

function joinedColumns(returning: Returning | null): readonly string[] {
  return (returning?.joined ?? []).flatMap(({ def, alias }) =>
    def.columns.map(({ name, type }) => {
      const column = `${quoteIdentifier(alias)}.${quoteIdentifier(name)}`;
      // what a subquery computes may have another type in the engine
      return def.uuid === '' ? `CAST(${column} AS ${duckdbType(type)})` : column;
    }),
  );
}

function aliasOf(relation: RangeVar): string {
  return relation.alias?.aliasname ?? relation.relname ?? '';
}

/** `simple` null: the statement is PostgreSQL's to describe. */
export function rowPlan(
  target: Target,
  parts: readonly (Node | undefined)[],
  simple: SimpleScope | null,
  view: CatalogView,
  environment: PlannerEnvironment,
  columns: (scope: Scope) => readonly string[],
): QueryPlan {
  const { relation, def, where, from, with: withClause } = target;
  const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const relations = findRelations({ withClause, from, where, parts }, view);
  const inner = planTables(relations, environment.placeholder, false);
  const tables = new Map<object, PlannedTable>([[relation, own], ...inner]);
  const plain =
    simple !== null &&
    inner.size === 0 &&
    from.length === 0 &&
    withClause === undefined &&
    (where === undefined || simpleCondition(where, simple)) &&
    allTyped(simple, target.parameterCount);
  const parameterOids = plain ? simple.parameterOids : environment.parameterOids;
  const renderer = new Renderer(
    tables,
    parameterOids,
    isUtc(environment),
    (context) => writeRows(target, context, columns),
    null,
  );
  return renderer.plan(target.text, plain ? [] : null);
}

function pointOf({ from, with: withClause, where, def, relation }: Target): KeyCondition | null {
  if (from.length > 0 || withClause !== undefined) return null;
  const candidate = pointCandidate(where, def, aliasOf(relation), [], false);
  if (candidate === null || candidate.comparisons.length !== def.key.length || def.key.length === 0) return null;
  return keyCondition(candidate);
}

function writeRows(
  { relation, where, from, with: withClause, sort = [], isOne = false }: Target,
  context: WriterContext,
  columns: (scope: Scope) => readonly string[],
): WrittenQuery {
  const { prefix, scope: outer } = writeWith(withClause, rootScope(context));
  const { sql: source, scope } = writeFrom([{ RangeVar: relation }, ...from], outer);
  const quoted = quoteIdentifier(aliasOf(relation));
  const list = [`${quoted}."__unit"`, `${quoted}."__position"`, ...columns(scope)];
  const once = from.length > 0 ? `DISTINCT ON (${quoted}."__unit", ${quoted}."__position") ` : '';
  let sql = `${prefix}SELECT ${once}${list.map((column, i) => `${column} AS "c${i}"`).join(', ')} FROM ${source}`;
  if (where !== undefined) {
    sql += ` WHERE ${writeCondition(where, scope, 'WHERE')}`;
    context.onWhere(where, scope);
  }
  if (sort.length > 0) sql += ` ORDER BY ${sort.map((item) => writeSort(item, scope, () => undefined)).join(', ')}`;
  if (isOne) sql += ' LIMIT 1';
  return { sql, outputs: null };
}

/**
 * TRUNCATE of one or more tables.
 * @throws {SqlError} 42P01, 42809
 */
export function planTruncate(statement: TruncateStmt, view: CatalogView): Statement {
  const defs = new Map<string, TableDef>();
  for (const node of statement.relations ?? []) {
    // PostgreSQL says no position here.
    const relation: RangeVar = { ...('RangeVar' in node ? node.RangeVar : {}), location: -1 };
    const def = targetTable(relation, view, 'truncate');
    defs.set(def.uuid, def);
  }
  return { kind: 'truncate', defs: [...defs.values()], restarts: statement.restart_seqs === true };
}
