/**
 * INSERT … ON CONFLICT: which key or UNIQUE constraint it is about, and what becomes of a row that is there.
 */
import { quoteIdentifier } from '../sql-text.ts';
import type { ColumnRef, InferClause, InsertStmt, Node, OnConflictClause, RangeVar } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { uniqueConstraint, type ColumnDef, type TableDef } from '../table-def.ts';
import type { Arbiters } from './arbiters.ts';
import { assignmentsOf, writeAssignment } from './assignments.ts';
import { at, atNode, stringsOf, walk } from './ast.ts';
import { allTyped, simpleScope } from './describe.ts';
import { writeCondition, writeExpression } from './duckdb/expression.ts';
import { rootScope, tableItem, type Scope } from './duckdb/scope.ts';
import { neededColumns } from './new-row.ts';
import type { CatalogView, Conflict, PlannedTable, SetValue } from './plan.ts';
import { Renderer, type PlannerEnvironment } from './query-plan.ts';
import { findRelations, planTables } from './relations.ts';
import { setValue } from './set-value.ts';

export interface PlannedConflict {
  readonly conflict: Conflict;
  /** Types of parameters, where Arka knows those of the clause; null: PostgreSQL says them. */
  readonly parameterOids: readonly number[] | null;
}

/** @param parameterOids what is known of them @throws {SqlError} 42P10, 42704, 42703, 42601, 0A000 */
export function planConflict(
  statement: InsertStmt,
  clause: OnConflictClause,
  def: TableDef,
  parameterOids: readonly number[],
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): PlannedConflict {
  const arbiters = arbitersOf(clause, def);
  if (clause.action !== 'ONCONFLICT_UPDATE') return { conflict: { action: 'nothing', arbiters }, parameterOids };
  const relation = statement.relation ?? {};
  const alias = relation.alias?.aliasname ?? relation.relname ?? '';
  const assignments = assignmentsOf(clause.targetList ?? [], def, alias);
  if (alias === 'excluded') refuseAmbiguous([clause.whereClause, ...assignments.values()]);
  const parts = [clause.whereClause, ...assignments.values()];
  const inner = planTables(findRelations(parts, view), environment.placeholder, false);
  for (const planned of inner.values())
    if (planned.def.uuid === def.uuid) throw notSupported('a subquery over the table itself in ON CONFLICT');
  const scope = { ...simpleScope(def, relation, parameterOids) };
  const find = (reference: ColumnRef): ReturnType<Parameters<typeof setValue>[3]> => columnOf(reference, alias, def);
  const values =
    clause.whereClause === undefined
      ? def.columns.map((column, index): SetValue | null => {
          const node = assignments.get(column);
          return node === undefined ? { kind: 'column', row: 'old', index } : setValue(node, column, scope, find);
        })
      : [];
  const complete = values.length === def.columns.length && values.every((value) => value !== null);
  const isKey = (column: ColumnDef): boolean => def.key.includes(column.fieldId);
  const old: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const excluded: PlannedTable = { def, placeholder: environment.placeholder(), positions: false };
  const tables = new Map<object, PlannedTable>([[old, old], [excluded, excluded], ...inner]);
  const known = complete && inner.size === 0 && allTyped(scope, parameterCount) ? scope.parameterOids : null;
  const renderer = new Renderer(
    tables,
    known ?? environment.parameterOids,
    false,
    (context) => {
      const items = [
        tableItem(old, alias, relation.alias === undefined ? def.schema : null, []),
        tableItem(excluded, 'excluded', null, []),
      ];
      return { sql: conflictSql(clause, { ...rootScope(context), items }, assignments, def, relation), outputs: null };
    },
    null,
  );
  return {
    conflict: {
      action: 'update',
      arbiters,
      replaces: complete && values.every((value, i) => isKey(def.columns[i]!) || isExcluded(value!, i)),
      needed: neededColumns(parts, assignments, def).map((column) => column.fieldId),
      values: complete ? (values as SetValue[]) : null,
      renames: [...assignments.keys()].some(isKey),
      plan: renderer.plan(),
      old: old.placeholder,
      excluded: excluded.placeholder,
    },
    parameterOids: known,
  };
}

/** The table has the name of the row that was proposed. @throws {SqlError} 42P09 */
function refuseAmbiguous(parts: readonly (Node | undefined)[]): void {
  walk({ parts }, (tag, { fields, location }) => {
    if (tag === 'ColumnRef' && stringsOf(fields as Node[]).at(-2) === 'excluded')
      throw new SqlError(
        SqlState.ambiguousAlias,
        'table reference "excluded" is ambiguous',
        at(location as number | undefined),
      );
  });
}

function isExcluded(value: SetValue, index: number): boolean {
  return value.kind === 'column' && value.row === 'excluded' && value.index === index;
}

/** A row in conflict with one of them; several only where there is no target. @throws {SqlError} 42P10, 42704, 42703, 42601, 0A000 */
function arbitersOf({ infer, action, location }: OnConflictClause, def: TableDef): Arbiters {
  const uniques = def.indexes.filter(({ unique }) => unique !== undefined);
  if (infer === undefined) {
    if (action !== 'ONCONFLICT_UPDATE') return { key: def.key.length > 0, slots: uniques.map(({ slot }) => slot) };
    throw new SqlError(
      SqlState.syntaxError,
      'ON CONFLICT DO UPDATE requires inference specification or constraint name',
      { hint: 'For example, ON CONFLICT (column_name).', ...at(location) },
    );
  }
  const { conname = '' } = infer;
  if (conname !== '') {
    if (def.key.length > 0 && conname === def.keyName) return THE_KEY;
    const constraint = uniqueConstraint(def, conname);
    if (constraint !== undefined) return { key: false, slots: [constraint.slot] };
    throw new SqlError(SqlState.undefinedObject, `constraint "${conname}" for table "${def.name}" does not exist`);
  }
  const named = inferredColumns(infer, def);
  const isNamed = (fieldIds: readonly number[]): boolean =>
    new Set(fieldIds).size === named.size && fieldIds.every((fieldId) => named.has(fieldId));
  if (def.key.length > 0 && isNamed(def.key)) return THE_KEY;
  const unique = uniques.find(({ columns }) => isNamed(columns.map(({ fieldId }) => fieldId)));
  if (unique !== undefined) return { key: false, slots: [unique.slot] };
  throw new SqlError(
    SqlState.invalidColumnReference,
    'there is no unique or exclusion constraint matching the ON CONFLICT specification',
  );
}

const THE_KEY: Arbiters = { key: true, slots: [] };

function inferredColumns(infer: InferClause, def: TableDef): ReadonlySet<number> {
  if (infer.whereClause !== undefined) checkPredicate(infer.whereClause, def);
  const named = new Set<number>();
  for (const node of infer.indexElems ?? []) {
    const element = 'IndexElem' in node ? node.IndexElem : {};
    if (element.expr !== undefined || element.collation !== undefined || element.opclass !== undefined)
      throw notSupported('an expression, collation or operator class as ON CONFLICT target', at(infer.location));
    const column = def.columns.find((one) => one.name === element.name);
    if (column === undefined)
      throw new SqlError(SqlState.undefinedColumn, `column "${element.name}" does not exist`, at(infer.location));
    named.add(column.fieldId);
  }
  return named;
}

/** It picks among unique indexes; all of them are of all rows, so that it always fits. @throws {SqlError} those of its names and types */
function checkPredicate(condition: Node, def: TableDef): void {
  walk([condition], (tag, body) => {
    if (tag === 'SubLink') {
      const where = at(body['location'] as number | undefined);
      throw new SqlError(SqlState.featureNotSupported, 'cannot use subquery in index predicate', where);
    }
    if (tag === 'ParamRef') throw notSupported('a parameter in WHERE of an ON CONFLICT target', atNode(condition));
  });
  const table: PlannedTable = { def, placeholder: '', positions: false };
  const root = rootScope({ tables: new Map(), parameterOids: [], onWhere: () => {} });
  writeExpression(condition, { ...root, items: [tableItem(table, def.name, def.schema, [])] });
}

/** A plain name is in both rows: ambiguous, an error that a query's writer raises. */
function columnOf(
  reference: ColumnRef,
  alias: string,
  def: TableDef,
): { readonly row: 'old' | 'excluded'; readonly column: ColumnDef } | null {
  const [table, name, ...rest] = stringsOf(reference.fields);
  if (rest.length > 0 || name === undefined || name === '' || (table !== alias && table !== 'excluded')) return null;
  const column = def.columns.find((one) => one.name === name);
  return column === undefined ? null : { row: table === 'excluded' ? 'excluded' : 'old', column };
}

function conflictSql(
  clause: OnConflictClause,
  scope: Scope,
  assignments: ReadonlyMap<ColumnDef, Node>,
  def: TableDef,
  relation: RangeVar,
): string {
  const [old, excluded] = scope.items.map((item) => quoteIdentifier(item.alias));
  const [oldScan, excludedScan] = scope.items.map((item) => quoteIdentifier(item.table!.planned.placeholder));
  if (old === excluded)
    throw new SqlError(
      SqlState.duplicateAlias,
      'table name "excluded" specified more than once',
      at(relation.location),
    );
  const columns = def.columns.map((column) => {
    const value = assignments.get(column);
    return value === undefined ? `${old}.${quoteIdentifier(column.name)}` : writeAssignment(value, column, scope);
  });
  const list = [`${old}."__position"`, ...columns].map((column, i) => `${column} AS "c${i}"`);
  const where = clause.whereClause === undefined ? '' : ` WHERE ${writeCondition(clause.whereClause, scope, 'WHERE')}`;
  return `SELECT ${list.join(', ')} FROM ${oldScan} AS ${old} POSITIONAL JOIN ${excludedScan} AS ${excluded}${where}`;
}
