/**
 * RETURNING: a SELECT without WHERE over the rows that a statement wrote. Plain columns are told apart: they come straight
 * from the rows' vectors, expressions by a query of the engine over those rows, which stand for the target table.
 */
import type { ColumnRef, Node, RangeVar, SelectStmt, WithClause } from 'libpg-query';
import { notSupported } from '../errors.ts';
import { unknownDef, type TableDef } from '../table-def.ts';
import { at, atNode, stringOf, walk } from './ast.ts';
import { describeSelect, simpleColumn, simpleScope } from './describe.ts';
import { beside, writeFrom } from './duckdb/from.ts';
import { writeQuery, writeWith } from './duckdb/query.ts';
import { rootScope, type ScopeItem } from './duckdb/scope.ts';
import type { CatalogView, PlannedTable, Returning } from './plan.ts';
import { keptColumns, planKept, refusal } from './kept-columns.ts';
import { withoutMerged } from './merged-columns.ts';
import { Renderer, type PlannerEnvironment } from './query-plan.ts';
import { findRelations, planTables } from './relations.ts';

/** The clause of a statement's tree: `OLD` and `NEW` under other names are newer than PostgreSQL 15. */
function expressionsOf(statement: object): readonly Node[] {
  const { returningClause } = statement as { returningClause?: { exprs?: Node[]; options?: Node[] } };
  if ((returningClause?.options ?? []).length > 0)
    throw notSupported('RETURNING WITH', atNode(returningClause?.exprs?.[0]));
  return returningClause?.exprs ?? [];
}

/** What a statement's rows are joined with: FROM or USING, and the WITH that it may read. */
interface Joined {
  readonly from: readonly Node[];
  readonly with: WithClause | undefined;
}

/** Null: the statement has no RETURNING. @throws {SqlError} 42P01, 42703, 0A000 */
export function planReturning(
  statement: object,
  relation: RangeVar,
  def: TableDef,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
  source: Joined = { from: [], with: undefined },
): Returning | null {
  const listed = expressionsOf(statement);
  if (listed.length === 0) return null;
  const other = source.from.length === 0 ? undefined : foreignColumn(listed, def, relation);
  const { joined, targetList } =
    other === undefined
      ? { joined: [], targetList: [...listed] }
      : joinedItems(source, listed, { relation, def }, view, environment, other);
  const relations = [relation, ...joined.map((each) => each.relation)];
  const select = { targetList, fromClause: [beside(relations)] } as unknown as SelectStmt;
  const inner = planTables(findRelations(targetList, view), environment.placeholder, false);
  for (const planned of inner.values())
    if (planned.def.uuid === def.uuid) throw notSupported('a subquery over the table itself in RETURNING');
  const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: false };
  const tables = new Map<object, PlannedTable>([
    [relation, own],
    ...joined.map(({ relation: key, planned }) => [key, planned] as const),
    ...inner,
  ]);
  const scope = simpleScope(def, relation, environment.parameterOids);
  const columns = joined.length > 0 ? null : plainColumns(targetList, def, scope);
  // An aggregate would be described, but it is an error: PostgreSQL's to say.
  const described = columns === null ? null : describeSelect(select, scope, parameterCount);
  const renderer = new Renderer(
    tables,
    environment.parameterOids,
    false,
    (context) => writeQuery(select, context),
    null,
  );
  return {
    described: described?.columns ?? null,
    columns,
    rows: own.placeholder,
    joined: joined.map(({ relation: { alias, relname }, planned }) => ({
      def: planned.def,
      alias: alias?.aliasname ?? relname ?? '',
      rows: planned.placeholder,
    })),
    plan: renderer.plan(),
    kept: () => planKept(select, tables, environment.parameterOids),
  };
}

/** The first column that is not the target's: its place. */
function foreignColumn(targets: readonly Node[], def: TableDef, relation: RangeVar): Place | undefined {
  const alias = relation.alias?.aliasname ?? relation.relname;
  let found: Place | undefined;
  walk(targets, (tag, body) => {
    if (tag === 'SubLink') return false;
    if (tag !== 'ColumnRef') return true;
    const { fields, location } = body as ColumnRef;
    const names = (fields ?? []).map(stringOf);
    const own = names.length > 1 ? names.at(-2) === alias : def.columns.some((column) => column.name === names[0]);
    if (!own) found ??= at(location);
    return true;
  });
  return found;
}

type Place = ReturnType<typeof at>;

interface JoinedItems {
  readonly joined: readonly { readonly relation: RangeVar; readonly planned: PlannedTable }[];
  /** The list over them. */
  readonly targetList: Node[];
}

/**
 * What the target is joined with, each item of FROM or USING with its columns: they are kept beside the rows written.
 * @throws {SqlError} 0A000 where the type of a column is not known
 */
function joinedItems(
  { from, with: withClause }: Joined,
  listed: readonly Node[],
  { relation: target, def }: { readonly relation: RangeVar; readonly def: TableDef },
  view: CatalogView,
  { parameterOids, placeholder }: PlannerEnvironment,
  place: Place,
): JoinedItems {
  // Only for its columns: the query that finds the rows is written elsewhere.
  const tables = planTables(findRelations({ withClause, from }, view), () => '', false);
  const context = { tables, parameterOids, onWhere: () => undefined };
  const { scope } = writeFrom(from, writeWith(withClause, rootScope(context)).scope);
  const joined = scope.items.map((item) => {
    const relation: RangeVar = { relname: item.alias, alias: { aliasname: item.alias } };
    return { relation, planned: { def: defOf(item, place), placeholder: placeholder(), positions: false } };
  });
  if (scope.merged.size === 0) return { joined, targetList: [...listed] };
  const own = { alias: target.alias?.aliasname ?? def.name, names: def.columns.map(({ name }) => name) };
  return { joined, targetList: withoutMerged(listed, from, scope.items, own) };
}

function defOf({ alias, columns, table }: ScopeItem, place: Place): TableDef {
  if (table !== null) {
    const { def } = table.planned;
    return { ...def, columns: def.columns.map((column, i) => ({ ...column, name: columns![i]!.name })) };
  }
  const refused = refusal(columns);
  if (refused !== null) throw notSupported(`RETURNING of columns of "${alias}", which has ${refused},`, place);
  return { ...unknownDef('', '', alias), columns: keptColumns(columns!) };
}

/** Indexes in the def of what the list names; null when it holds anything else. */
function plainColumns(
  targets: readonly Node[],
  def: TableDef,
  scope: ReturnType<typeof simpleScope>,
): readonly number[] | null {
  const columns: number[] = [];
  for (const target of targets) {
    const value = 'ResTarget' in target ? target.ResTarget.val : undefined;
    if (value === undefined) return null;
    if (isStar(value, scope.alias)) {
      columns.push(...def.columns.keys());
      continue;
    }
    const column = simpleColumn(value, scope);
    if (column === null) return null;
    columns.push(def.columns.indexOf(column));
  }
  return columns;
}

function isStar(node: Node, alias: string): boolean {
  if (!('ColumnRef' in node)) return false;
  const fields = node.ColumnRef.fields ?? [];
  if (!fields.some((field) => 'A_Star' in field)) return false;
  return fields.length === 1 || (fields.length === 2 && 'String' in fields[0]! && fields[0].String.sval === alias);
}
