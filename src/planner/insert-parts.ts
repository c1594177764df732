/**
 * `INSERT INTO t (a[1], a[2]) …`: values for elements of an array, of which one value for the column is made before anything else
 * looks at the statement. There was no array before, so a place that is not given is NULL, and place 1 must be (P1 of array-parts.ts).
 */
import type { A_Indices, InsertStmt, Node, ResTarget, SelectStmt } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { elementOf } from '../types/pg-type.ts';
import { atNode, stringNode } from './ast.ts';
import { stepsOf } from './array-parts.ts';
import { undefinedColumn } from './column-default.ts';
import { checkWidth, itemsOf } from './insert-values.ts';

/** Where the value of a column comes from: one place of the source, or one for each element. */
interface Target {
  readonly target: ResTarget;
  readonly column: ColumnDef | null;
  readonly place: number;
  readonly elements: Map<number, number> | null;
}

const ELEMENTS_MAX = 10_000;

/**
 * The statement with whole columns.
 * @param cast an element as the type of its column
 * @throws {SqlError} 42601, 42701, 42703, 42804, 0A000
 */
export function withWholeColumns(
  statement: InsertStmt,
  def: TableDef,
  cast: (item: Node, column: ColumnDef) => Node,
): InsertStmt {
  const given = statement.cols ?? [];
  const hasParts = (node: Node): boolean => 'ResTarget' in node && (node.ResTarget.indirection ?? []).length > 0;
  if (!given.some(hasParts)) return statement;
  const targets = targetsOf(given, def);
  const source = statement.selectStmt as { SelectStmt: SelectStmt } | undefined;
  const one = (items: readonly Node[]): Node[] =>
    targets.map(({ place, elements, column }) =>
      elements === null ? items[place]! : arrayOf(elements, column!, items, cast),
    );
  const cols = targets.map(({ target }) => ({ ResTarget: target }));
  if (source === undefined) throw notSupported('DEFAULT for an element of an array', atNode(given.find(hasParts)));
  const select = source.SelectStmt;
  if (select.valuesLists === undefined) return { ...statement, cols, selectStmt: selected(source, given.length, one) };
  const valuesLists = select.valuesLists.map((list) => {
    const items = itemsOf(list);
    checkWidth(
      items.length,
      given.length,
      true,
      () => atNode(items[given.length]),
      () => atNode(given[items.length]),
    );
    return { List: { items: one(items) } } as Node;
  });
  return { ...statement, cols, selectStmt: { SelectStmt: { ...select, valuesLists } } };
}

function targetsOf(given: readonly Node[], def: TableDef): readonly Target[] {
  const targets = new Map<string, Target>();
  given.forEach((node, place) => {
    if (!('ResTarget' in node)) return;
    const { indirection = [], ...target } = node.ResTarget;
    const name = target.name ?? '';
    const column = def.columns.find((each) => each.name === name);
    if (column === undefined) throw undefinedColumn(name, def.name, atNode(node));
    const before = targets.get(name);
    if (before !== undefined && (before.elements === null || indirection.length === 0))
      throw new SqlError(SqlState.duplicateColumn, `column "${name}" specified more than once`, atNode(node));
    if (indirection.length === 0) {
      targets.set(name, { target, column: null, place, elements: null });
      return;
    }
    const elements = before?.elements ?? new Map<number, number>();
    if (elementOf(column.type) === undefined)
      throw notSupported('a part of jsonb as the target of INSERT', {
        hint: 'Give the whole document.',
        ...atNode(node),
      });
    elements.set(indexOf(stepsOf(column, node, indirection), node), place);
    targets.set(name, { target, column, place: before?.place ?? place, elements });
  });
  for (const { target, elements } of targets.values())
    if (elements !== null && !elements.has(1))
      throw notSupported('an array in a column whose first index is not 1', atNode({ ResTarget: target }));
  return [...targets.values()];
}

function indexOf(steps: readonly A_Indices[], node: Node): number {
  const [step] = steps;
  if (steps.length > 1) throw notSupported('an array of more than one dimension in a column', atNode(node));
  if (step!.is_slice === true)
    throw notSupported('a slice of an array as the target of INSERT', {
      hint: 'Give the whole array.',
      ...atNode(node),
    });
  const { uidx } = step!;
  const index = uidx !== undefined && 'A_Const' in uidx ? uidx.A_Const.ival?.ival : undefined;
  if (index === undefined || index > ELEMENTS_MAX)
    throw notSupported('this subscript of a target of INSERT', { hint: 'Give the whole array.', ...atNode(node) });
  if (index < 1) throw notSupported('an array in a column whose first index is not 1', atNode(node));
  return index;
}

const NULL = { A_Const: { isnull: true } } as Node;

function arrayOf(
  places: ReadonlyMap<number, number>,
  column: ColumnDef,
  items: readonly Node[],
  cast: (item: Node, column: ColumnDef) => Node,
): Node {
  const element = { ...column, type: elementOf(column.type)! };
  const elements = Array.from({ length: Math.max(...places.keys()) }, (_, i) => {
    const place = places.get(i + 1);
    const item = place === undefined ? NULL : items[place]!;
    if ('SetToDefault' in item) throw notSupported('DEFAULT for an element of an array', atNode(item));
    return cast(item, element);
  });
  return { A_ArrayExpr: { elements } } as Node;
}

/** A query over the rows of the source. */
function selected(source: { SelectStmt: SelectStmt }, width: number, one: (items: readonly Node[]) => Node[]): Node {
  const names = Array.from({ length: width }, (_, i) => stringNode(`c${i}`));
  const items = names.map((name) => ({ ColumnRef: { fields: [stringNode('given'), name] } }) as Node);
  return {
    SelectStmt: {
      targetList: one(items).map((val) => ({ ResTarget: { val } })),
      fromClause: [{ RangeSubselect: { subquery: source, alias: { aliasname: 'given', colnames: names } } }],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  } as unknown as Node;
}
