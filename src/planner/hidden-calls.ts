/**
 * Calls of sequences inside the expressions of a statement that reads no table, each carried out once: they become parameters
 * behind the statement's own, whose values the gateway puts in when it runs.
 */
import type { Node, SelectStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { generatorFor } from './generators.ts';
import { isSequenceFunction } from './insert-values.ts';
import type { CatalogView, Generated, QueryPlan } from './plan.ts';
import { named } from './column-calls.ts';
import { planQuery, type PlannerEnvironment } from './query-plan.ts';
import { Oid } from '../types/pg-type.ts';
import type { ColumnDef } from '../table-def.ts';

/** Where an expression may not be reached, or be reached more than once. */
const UNSURE: ReadonlySet<string> = new Set([
  'CaseExpr',
  'CoalesceExpr',
  'SubLink',
  'RangeSubselect',
  'CommonTableExpr',
]);

/** What takes any number. */
const NUMBER = { type: { oid: Oid.int8, typmod: -1 } } as ColumnDef;

/** Null: there is none, or one that cannot be told to run once. */
export function planHiddenCalls(
  node: Node,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): QueryPlan | null {
  const select = (node as { SelectStmt: SelectStmt }).SelectStmt;
  const isPlain =
    (select.op ?? 'SETOP_NONE') === 'SETOP_NONE' &&
    (select.fromClause ?? []).length === 0 &&
    select.limitCount === undefined;
  if (!isPlain || !hasNested(select)) return null;
  const calls: Generated[] = [];
  const targetList = (select.targetList ?? []).map(named);
  const own = targetList.length === 0 ? node : { SelectStmt: { ...select, targetList } };
  const replaced = replace(own, parameterCount, view, calls);
  if (replaced === null || calls.length === 0) return null;
  const sql = Deparser.deparse(replaced as Node);
  const plan = planQuery(replaced as Node, sql, parameterCount + calls.length, view, environment);
  if (plan.route !== 'catalog') return null;
  const { parameterOids } = environment;
  return { ...plan, text, described: null, parameterOids, hidden: { sql: plan.text, from: parameterCount, calls } };
}

/** Whether a call stands anywhere but as a whole column. */
function hasNested(select: SelectStmt): boolean {
  const targets = (select.targetList ?? []).map((target) => ('ResTarget' in target ? target.ResTarget.val : target));
  const inside = targets.map((value) =>
    value !== undefined && 'FuncCall' in value && isSequenceFunction(value.FuncCall.funcname) ? null : value,
  );
  return holdsCall([inside, select.valuesLists, select.whereClause]);
}

function holdsCall(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { FuncCall: call } = value as { FuncCall?: { funcname?: Node[] } };
  if (call !== undefined && isSequenceFunction(call.funcname)) return true;
  return Object.values(value).some(holdsCall);
}

/** The tree with parameters in the place of calls; null when one of them cannot be replaced. */
function replace(value: unknown, count: number, view: CatalogView, calls: Generated[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => replace(item, count, view, calls));
    return items.includes(null) ? null : items;
  }
  const node = value as Node;
  if ('FuncCall' in node && isSequenceFunction(node.FuncCall.funcname)) {
    const call = generatorFor(node, NUMBER, view);
    if (call === null) return null;
    calls.push(call);
    return { ParamRef: { number: count + calls.length } };
  }
  const copy: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (UNSURE.has(key) && holdsCall(inner)) return null;
    const made = replace(inner, count, view, calls);
    if (made === null && inner !== null) return null;
    copy[key] = made;
  }
  return copy;
}
