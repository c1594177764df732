/**
 * SELECT … FOR UPDATE and the like, of one table with a key: a query that finds the rows in the statement's order, whose keys are
 * locked one after another, and the statement itself without its locking clause, which then reads those rows in the table's place.
 */
import type { LockingClause, Node, SelectStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import type { TableDef } from '../table-def.ts';
import { at, constantKind, constantText, stringOf } from './ast.ts';
import { simpleScope } from './describe.ts';
import { columnOf, nameOf, rowPlan } from './modify.ts';
import { copiedLock } from './copied-lock.ts';
import type { CatalogView, CopiedChange, QueryPlan, Statement } from './plan.ts';
import { planQuery, type PlannerEnvironment } from './query-plan.ts';
import { onlyTable } from './relations.ts';
import { findTable } from './schema-names.ts';

/** A count of LIMIT or OFFSET. */
export type RowCount =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'parameter'; readonly index: number };

export interface RowLock {
  readonly def: TableDef;
  /** Rows: __unit, __position, the key, then every column in def order. */
  readonly finder: QueryPlan;
  /** Where the engine has no way: the same rows in the same order. */
  readonly copied: () => CopiedChange;
  /** What stands for the table in the statement's plan. */
  readonly placeholder: string;
  /** As in FOR UPDATE. */
  readonly strength: string;
  readonly wait: 'block' | 'skip' | 'error';
  readonly limit: RowCount | null;
  readonly offset: RowCount | null;
}

const STRENGTHS: Readonly<Record<string, string>> = {
  LCS_FORUPDATE: 'UPDATE',
  LCS_FORNOKEYUPDATE: 'NO KEY UPDATE',
  LCS_FORSHARE: 'SHARE',
  LCS_FORKEYSHARE: 'KEY SHARE',
};

/** @throws {SqlError} 0A000 for more than one table, and for tables without a key; 42P01 */
export function planLocking(
  select: SelectStmt,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  const { lockingClause: _, ...free } = select;
  const plan = planQuery({ SelectStmt: free } as Node, text, parameterCount, view, environment);
  if (plan.route === 'catalog') return { kind: 'query', plan };
  const lock = rowLock(select, text, parameterCount, view, environment);
  const scans = plan.tables.filter((each) => each.def.uuid === lock.def.uuid);
  if (scans.length !== 1)
    throw notSupported(`SELECT … FOR ${lock.strength} of a table that the query reads more than once`);
  const isPlain = (free.targetList ?? []).every(
    (target) => 'ResTarget' in target && target.ResTarget.val !== undefined && 'ColumnRef' in target.ResTarget.val,
  );
  return {
    kind: 'query',
    // PostgreSQL says what cannot be locked: GROUP BY, DISTINCT, aggregates
    plan: isPlain && isUnshaped(free) ? plan : { ...plan, described: null },
    lock: { ...lock, placeholder: scans[0]!.placeholder },
  };
}

/** The rows that a SELECT locks. @throws {SqlError} 0A000, 42P01 */
export function rowLock(
  { lockingClause, ...free }: SelectStmt,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): Omit<RowLock, 'placeholder'> {
  const clauses = (lockingClause ?? []).flatMap((node) => ('LockingClause' in node ? [node.LockingClause] : []));
  const strength = STRENGTHS[clauses[0]?.strength ?? ''] ?? 'UPDATE';
  const what = `SELECT … FOR ${strength}`;
  const relation = onlyTable(free);
  const def = relation === undefined ? undefined : findTable(relation, view);
  if (relation === undefined || def === undefined) throw notSupported(`${what} of more than one table`);
  if (def.key.length === 0) throw notSupported(`${what} of a table without a primary key`);
  if (free.withClause !== undefined) throw notSupported(`${what} with WITH`);
  checkNames(clauses, strength, relation.alias?.aliasname ?? relation.relname ?? '');
  const target = {
    relation,
    def,
    where: free.whereClause,
    with: undefined,
    from: [],
    text,
    parameterCount,
    sort: sortItems(free, def),
  };
  const simple = simpleScope(def, relation, environment.parameterOids);
  const columns = [...nameOf(relation, def), ...def.columns.map((column) => columnOf(relation, column))];
  return {
    def,
    finder: rowPlan(target, [], simple, view, environment, () => columns),
    copied: copiedLock(target, view, environment, columns),
    strength,
    wait: waitOf(clauses),
    limit: countOf(free.limitCount, what),
    offset: countOf(free.limitOffset, what),
  };
}

function isUnshaped({ groupClause, havingClause, distinctClause, windowClause, op }: SelectStmt): boolean {
  const shapes = [groupClause, havingClause, distinctClause, windowClause];
  return shapes.every((each) => each === undefined) && (op === undefined || op === 'SETOP_NONE');
}

function waitOf(clauses: readonly LockingClause[]): RowLock['wait'] {
  const has = (policy: string): boolean => clauses.some((each) => each.waitPolicy === policy);
  return has('LockWaitError') ? 'error' : has('LockWaitSkip') ? 'skip' : 'block';
}

function checkNames(clauses: readonly LockingClause[], strength: string, alias: string): void {
  for (const { lockedRels = [] } of clauses) {
    for (const node of lockedRels) {
      if (!('RangeVar' in node) || node.RangeVar.relname === alias) continue;
      throw new SqlError(
        SqlState.undefinedTable,
        `relation "${node.RangeVar.relname ?? ''}" in FOR ${strength} clause not found in FROM clause`,
        at(node.RangeVar.location),
      );
    }
  }
}

function countOf(node: Node | undefined, what: string): RowCount | null {
  if (node === undefined || constantKind(node) === 'null') return null;
  if ('ParamRef' in node) return { kind: 'parameter', index: node.ParamRef.number ?? 1 };
  if (constantKind(node) === 'integer') return { kind: 'constant', value: Number(constantText(node)) };
  throw notSupported(`${what} with an expression in LIMIT or OFFSET`);
}

/** ORDER BY over the table: a number or a name of a result column is what that column is. */
function sortItems({ sortClause = [], targetList = [] }: SelectStmt, def: TableDef): readonly Node[] {
  const targets = targetList.flatMap((target) => {
    const value = 'ResTarget' in target ? target.ResTarget.val : undefined;
    if (value === undefined) return [];
    const fields = 'ColumnRef' in value ? (value.ColumnRef.fields ?? []) : [];
    const name = 'ResTarget' in target ? target.ResTarget.name : undefined;
    if (!fields.some((field) => 'A_Star' in field)) return [{ name, value }];
    return def.columns.map((column) => ({
      name: undefined,
      value: { ColumnRef: { fields: [{ String: { sval: column.name } }] } } as Node,
    }));
  });
  return sortClause.map((item) => {
    if (!('SortBy' in item)) return item;
    const { node } = item.SortBy;
    if (node === undefined) return item;
    const isName = 'ColumnRef' in node && node.ColumnRef.fields?.length === 1;
    const name = isName ? stringOf(node.ColumnRef.fields![0]) : '';
    const found =
      constantKind(node) === 'integer'
        ? targets[Number(constantText(node)) - 1]
        : isName
          ? targets.find((target) => target.name === name)
          : undefined;
    return found === undefined ? item : ({ SortBy: { ...item.SortBy, node: found.value } } as Node);
  });
}
