/** The new row of an UPDATE by key, computed from the old one: by main where it can, else by a query over that row. */
import { quoteIdentifier } from '../sql-text.ts';
import type { ColumnRef, Node, RangeVar } from 'libpg-query';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { writeAssignment } from './assignments.ts';
import { stringsOf, walk } from './ast.ts';
import { simpleColumn, type SimpleScope } from './describe.ts';
import { rootScope, tableItem } from './duckdb/scope.ts';
import type { CatalogView, NewRow, PlannedTable, SetValue } from './plan.ts';
import { Renderer, type PlannerEnvironment } from './query-plan.ts';
import { findRelations, planTables } from './relations.ts';
import { setValue } from './set-value.ts';

/** Values of all columns that main computes; null: one is a query's. Types the parameters of `scope`. */
export function newValues(
  assignments: ReadonlyMap<ColumnDef, Node>,
  def: TableDef,
  scope: SimpleScope,
): readonly SetValue[] | null {
  const find = (reference: ColumnRef): { readonly row: 'old'; readonly column: ColumnDef } | null => {
    const column = simpleColumn({ ColumnRef: reference }, scope);
    return column === null ? null : { row: 'old', column };
  };
  const values: SetValue[] = [];
  for (const [index, column] of def.columns.entries()) {
    const node = assignments.get(column);
    const value: SetValue | null =
      node === undefined ? { kind: 'column', row: 'old', index } : setValue(node, column, scope, find);
    if (value === null) return null;
    values.push(value);
  }
  return values;
}

export function planNewRow(
  relation: RangeVar,
  def: TableDef,
  assignments: ReadonlyMap<ColumnDef, Node>,
  values: readonly SetValue[] | null,
  parameterOids: readonly number[],
  view: CatalogView,
  environment: PlannerEnvironment,
): NewRow {
  const alias = relation.alias?.aliasname ?? relation.relname ?? '';
  const old: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const inner = planTables(findRelations([...assignments.values()], view), environment.placeholder, false);
  const tables = new Map<object, PlannedTable>([[old, old], ...inner]);
  const renderer = new Renderer(
    tables,
    parameterOids,
    false,
    (context) => {
      const item = tableItem(old, alias, relation.alias === undefined ? def.schema : null, []);
      const scope = { ...rootScope(context), items: [item] };
      const quoted = quoteIdentifier(alias);
      const columns = def.columns.map((column) => {
        const value = assignments.get(column);
        return value === undefined
          ? `${quoted}.${quoteIdentifier(column.name)}`
          : writeAssignment(value, column, scope);
      });
      const list = [`${quoted}."__position"`, ...columns].map((column, i) => `${column} AS "c${i}"`);
      return { sql: `SELECT ${list.join(', ')} FROM ${quoteIdentifier(old.placeholder)} AS ${quoted}`, outputs: null };
    },
    null,
  );
  return {
    values,
    needed: neededColumns([...assignments.values()], assignments, def).map((column) => column.fieldId),
    plan: renderer.plan(),
    old: old.placeholder,
  };
}

/** Columns of the old row that stay, or that an expression may name. */
export function neededColumns(
  expressions: readonly (Node | undefined)[],
  assignments: ReadonlyMap<ColumnDef, Node>,
  def: TableDef,
): readonly ColumnDef[] {
  const names = new Set<string>();
  walk(expressions, (tag, body) => {
    if (tag !== 'ColumnRef') return;
    const fields = stringsOf((body as ColumnRef).fields);
    if (fields.at(-2) !== 'excluded') names.add(fields.at(-1) ?? '');
  });
  return def.columns.filter((column) => !assignments.has(column) || names.has(column.name));
}
