/**
 * UPDATE and DELETE … WHERE CURRENT OF: how the cursor's row is called is known when the statement runs. It is planned then as
 * a statement about the row of that name, like any other.
 *
 * - O1 A row is called by its key; in a table without one by all its values: of equal rows one is taken, they are interchangeable.
 * - O2 A cursor can be meant whose query reads one table and gives its rows as they are: no join, no grouping, no set operation.
 *   Unlike PostgreSQL, whose answer depends on the plan that it chose, ORDER BY is no hindrance.
 */
import type { DeleteStmt, Node, RangeVar, SelectStmt, UpdateStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { invariant } from '../errors.ts';
import { nameFields, type ColumnDef, type TableDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { castTo, plainName, stringNode, walk } from './ast.ts';
import { functionRule } from './duckdb/functions.ts';
import type { CatalogView, ParsedStatement, Statement } from './plan.ts';
import { onlyTable } from './relations.ts';
import { findTable } from './schema-names.ts';

/** What names a row: values of the columns that `nameFields` has, as texts. */
export type RowName = readonly (string | null)[];

/** The cursor that a statement means, and the statement about a row; without the latter it is not to be carried out. */
export interface CurrentOf {
  readonly cursor: string;
  readonly at: (name: RowName) => Statement;
}

/** No row: what is said of the statement before its row is known needs none. */
const NO_ROW = { A_Const: { boolval: {}, location: -1 } } as Node;

/** @param plan plans the statement; `isOne`: of the rows found one is meant */
export function planCurrentOf<S extends UpdateStmt | DeleteStmt>(
  statement: S,
  plan: (statement: S, isOne: boolean) => Statement,
): Statement {
  const { relation = {}, whereClause } = statement;
  if (whereClause === undefined || !('CurrentOfExpr' in whereClause)) return plan(statement, false);
  const planned = plan({ ...statement, whereClause: NO_ROW }, false);
  invariant(planned.kind === 'update' || planned.kind === 'delete', 'a cursor’s row is changed or deleted');
  const { def } = planned;
  const at = (name: RowName): Statement =>
    plan({ ...statement, whereClause: conditionOf(relation, def, name) }, def.key.length === 0);
  return { ...planned, point: null, currentOf: { cursor: whereClause.CurrentOfExpr.cursor_name ?? '', at } };
}

/** O1 */
function conditionOf(relation: RangeVar, def: TableDef, name: RowName): Node {
  const alias = relation.alias?.aliasname ?? relation.relname ?? '';
  const args = columnsOfName(def).map((column, i): Node => {
    const reference = { ColumnRef: { fields: [stringNode(alias), stringNode(column.name)], location: -1 } } as Node;
    const value = name[i]!;
    if (value === null)
      return { NullTest: { arg: reference, nulltesttype: 'IS_NULL', argisrow: false, location: -1 } } as Node;
    return {
      A_Expr: {
        kind: 'AEXPR_OP',
        name: [stringNode('=')],
        lexpr: column.type.oid === Oid.json ? castTo(reference, 'text') : reference,
        rexpr: { A_Const: { sval: { sval: value }, location: -1 } },
        location: -1,
      },
    } as Node;
  });
  return args.length === 1 ? args[0]! : ({ BoolExpr: { boolop: 'AND_EXPR', args, location: -1 } } as Node);
}

export function columnsOfName(def: TableDef): readonly ColumnDef[] {
  return nameFields(def).map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!);
}

/** The table whose rows a query gives one by one (O2); null: there is none such. */
export function tableOfRows(node: unknown, view: CatalogView): TableDef | null {
  const select = (node as { SelectStmt?: SelectStmt } | null)?.SelectStmt;
  if (select === undefined || !isPlain(select)) return null;
  const relation = onlyTable(select);
  if (relation === undefined || (relation.alias?.colnames ?? []).length > 0) return null;
  return findTable(relation, view) ?? null;
}

function isPlain(select: SelectStmt): boolean {
  const { distinctClause, groupClause, havingClause, op, targetList, valuesLists, windowClause, withClause } = select;
  const shapes = [distinctClause, groupClause, havingClause, valuesLists, windowClause, withClause];
  if (shapes.some((shape) => shape !== undefined) || (op ?? 'SETOP_NONE') !== 'SETOP_NONE') return false;
  let found = true;
  walk(targetList, (tag, body) => {
    if (tag === 'SubLink') return false;
    if (tag !== 'FuncCall') return undefined;
    const name = plainName(body['funcname'] as Node[] | undefined);
    if (body['over'] !== undefined || functionRule(name)?.kind !== undefined || SETS.has(name)) found = false;
    return undefined;
  });
  return found;
}

/** Functions that give several rows for one. */
const SETS: ReadonlySet<string> = new Set([
  'unnest',
  'generate_series',
  'jsonb_array_elements',
  'jsonb_array_elements_text',
  'json_array_elements',
  'json_array_elements_text',
  'jsonb_object_keys',
  'json_object_keys',
  'jsonb_each',
  'json_each',
  'jsonb_each_text',
  'json_each_text',
  'regexp_split_to_table',
  'regexp_matches',
  'string_to_table',
]);

/** A query with more columns of its table behind its own. */
export function withColumns(query: ParsedStatement, columns: readonly ColumnDef[]): ParsedStatement {
  const { SelectStmt: select } = query.node as { SelectStmt: SelectStmt };
  const relation = onlyTable(select)!;
  const alias = relation.alias?.aliasname ?? relation.relname ?? '';
  const targets = columns.map((column, i): Node => {
    const val = { ColumnRef: { fields: [stringNode(alias), stringNode(column.name)], location: -1 } };
    return { ResTarget: { name: `__arka_name_${i}`, val, location: -1 } } as Node;
  });
  const node: Node = { SelectStmt: { ...select, targetList: [...(select.targetList ?? []), ...targets] } };
  return { ...query, node, text: Deparser.deparse(node) };
}
