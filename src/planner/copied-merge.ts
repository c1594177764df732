/**
 * MERGE that the engine has no way for: PostgreSQL itself, over copies of rows, joins the source with the target's rows, and says which WHEN
 * applies to each pair and what is written; a query of the engine then finds the matched rows where they lie now.
 *
 * - M1 As in `copied-change.ts` (C1): a matched row that is another by now is missed, and all is asked again.
 * - M2 Which WHEN applies is asked once a pair, and only its values are worked out.
 */
import type { MergeStmt, MergeWhenClause, Node, SelectStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { quoteIdentifier } from '../sql-text.ts';
import { nameFields, type ColumnDef, type TableDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { partsIn } from './array-parts.ts';
import { columnNode } from './ast.ts';
import { aliasOf, assigned, engineRows, givenRows, keysOf, queryOfCopies, sameRow } from './copied-change.ts';
import { castNode } from './insert.ts';
import type { CatalogView, CopiedChange, MergeAction, PlannedTable } from './plan.ts';
import type { PlannerEnvironment } from './query-plan.ts';

/** A WHEN of the statement. */
export interface When {
  readonly action: MergeAction;
  readonly isMatched: boolean;
  readonly condition: MergeWhenClause['condition'];
  /** UPDATE: columns that change. INSERT: columns that are given. */
  readonly values: ReadonlyMap<ColumnDef, Node>;
  /** Columns that get a number of a sequence and the like, when the row is written. */
  readonly generated: ReadonlySet<ColumnDef>;
}

const CHOSEN = '__when';

/** @returns null: there is no such way */
export function copiedMerge(
  statement: MergeStmt,
  def: TableDef,
  clauses: readonly When[],
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): (() => CopiedChange) | null {
  const isOdd = clauses.some(({ values }) => [...values.values()].some((value) => partsIn(value) !== null));
  if (def.key.length === 0 || isOdd) return null;
  return () => {
    const { relation = {}, sourceRelation: larg, joinCondition: quals, withClause } = statement;
    const alias = aliasOf(relation);
    const join = { jointype: joinOf(clauses), larg, rarg: { RangeVar: relation }, quals };
    const chosen = columnNode(CHOSEN, 'w');
    const values = [
      chosen,
      ...def.columns.map((column) => valueOf(column, clauses, alias)),
      ...def.columns.map(({ name }) => columnNode(alias, name)),
    ];
    const rows = selectOf({
      ...(withClause === undefined ? {} : { withClause }),
      targetList: values.map((val) => ({ ResTarget: { val } })),
      fromClause: [{ JoinExpr: join }, choice(clauses, columnNode(alias, keysOf(def)[0]!.name))],
      whereClause: nullTest(chosen, 'IS_NOT_NULL'),
    });
    const whole = Deparser.deparse({ MergeStmt: statement } as unknown as Node);
    const types = def.columns.map(({ type }) => type);
    const given = givenRows(def, [{ oid: Oid.int4, typmod: -1 }, ...types, ...types], environment);
    return {
      query: queryOfCopies(rows, rows, whole, parameterCount, view, environment),
      ...found(alias, def, given, environment),
    };
  };
}

/** Source rows come without a match where one of the WHENs is about them. */
export function joinOf(clauses: readonly When[]): 'JOIN_LEFT' | 'JOIN_INNER' {
  return clauses.some((when) => !when.isMatched) ? 'JOIN_LEFT' : 'JOIN_INNER';
}

function selectOf(body: object): SelectStmt {
  return { limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE', ...body } as unknown as SelectStmt;
}

function nullTest(arg: Node, nulltesttype: 'IS_NULL' | 'IS_NOT_NULL'): Node {
  return { NullTest: { arg, nulltesttype } };
}

const NULL = { A_Const: { isnull: true } } as unknown as Node;
const numberNode = (ival: number): Node => ({ A_Const: { ival: { ival } } }) as Node;
const DEFAULT = { SetToDefault: {} } as unknown as Node;

/** The number of the WHEN that applies; NULL: none, or nothing is to be done (M2). */
function choice(clauses: readonly When[], key: Node): Node {
  const args = clauses.map((when, i) => {
    const isThere = nullTest(key, when.isMatched ? 'IS_NOT_NULL' : 'IS_NULL');
    const tests = when.condition === undefined ? [isThere] : [isThere, when.condition];
    const expr = { BoolExpr: { boolop: 'AND_EXPR', args: tests } };
    return { CaseWhen: { expr, result: when.action === 'nothing' ? NULL : numberNode(i) } };
  });
  const subquery = {
    SelectStmt: selectOf({ targetList: [{ ResTarget: { name: 'w', val: { CaseExpr: { args } } } }] }),
  };
  return { RangeSubselect: { lateral: true, subquery, alias: { aliasname: CHOSEN } } } as Node;
}

function valueOf(column: ColumnDef, clauses: readonly When[], alias: string): Node {
  const args = clauses.flatMap((when, i) => {
    const isWritten = when.action === 'update' || when.action === 'insert';
    if (!isWritten || when.generated.has(column)) return [];
    const given = when.values.get(column);
    const other = when.action === 'insert' ? DEFAULT : columnNode(alias, column.name);
    return [{ CaseWhen: { expr: numberNode(i), result: assigned(given ?? other, column) } }];
  });
  if (args.length === 0) return castNode(NULL, column);
  return { CaseExpr: { arg: columnNode(CHOSEN, 'w'), args } } as unknown as Node;
}

/** As the statement's own plan has its rows. */
function found(
  alias: string,
  def: TableDef,
  given: ReturnType<typeof givenRows>,
  environment: PlannerEnvironment,
): Omit<CopiedChange, 'query'> {
  const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const target = quoteIdentifier(alias);
  const first = 1 + def.columns.length;
  const values = Array.from({ length: first }, (_, i) => given.value(i));
  const names = nameFields(def).map((fieldId) => {
    const { name } = def.columns.find((each) => each.fieldId === fieldId)!;
    return `${target}.${quoteIdentifier(name)}`;
  });
  const place = ['__unit', '__position'].map((name) => `coalesce(${target}."${name}", -1)`);
  const list = [...place, ...values, ...names].map((each, i) => `${each} AS "c${i}"`);
  const key = given.value(first + def.columns.indexOf(keysOf(def)[0]!));
  const [source, beside] = [own, given.table].map(({ placeholder }) => quoteIdentifier(placeholder));
  const sql = `SELECT ${list.join(', ')} FROM ${beside} AS "__given" LEFT JOIN ${source} AS ${target} ON ${sameRow(target, def, given, first)} WHERE ${target}."__unit" IS NOT NULL OR ${key} IS NULL`;
  return engineRows(own, given, sql);
}
