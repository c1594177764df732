/**
 * The rows that a SELECT is to lock, where the engine has no way for its conditions or its order: PostgreSQL itself says over copies which
 * they are, and a query of the engine finds those that are still the same (C1 of `copied-change.ts`), in that order.
 */
import type { Node, RangeVar, SelectStmt } from 'libpg-query';
import { quoteIdentifier } from '../sql-text.ts';
import type { TableDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { columnNode, stringNode } from './ast.ts';
import { aliasOf, engineRows, givenRows, queryOfCopies, sameRow } from './copied-change.ts';
import type { CatalogView, CopiedChange, PlannedTable } from './plan.ts';
import type { PlannerEnvironment } from './query-plan.ts';

interface Searched {
  readonly relation: RangeVar;
  readonly def: TableDef;
  readonly where: Node | undefined;
  readonly sort: readonly Node[];
  /** The statement that locks, for PostgreSQL to look at. */
  readonly text: string;
  readonly parameterCount: number;
}

/** FRAMEOPTION_DEFAULTS of PostgreSQL. */
const FRAME_DEFAULT = 1058;

/** @param columns of the lock's own finder */
export function copiedLock(
  { relation, def, where, sort, text, parameterCount }: Searched,
  view: CatalogView,
  environment: PlannerEnvironment,
  columns: readonly string[],
): () => CopiedChange {
  return () => {
    const alias = aliasOf(relation);
    const over = { frameOptions: FRAME_DEFAULT, ...(sort.length === 0 ? {} : { orderClause: sort }) };
    const place = { FuncCall: { funcname: [stringNode('row_number')], over, funcformat: 'COERCE_EXPLICIT_CALL' } };
    const values = [place as unknown as Node, ...def.columns.map(({ name }) => columnNode(alias, name))];
    const select = {
      targetList: values.map((val) => ({ ResTarget: { val } })),
      fromClause: [{ RangeVar: relation }],
      ...(where === undefined ? {} : { whereClause: where }),
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    } as unknown as SelectStmt;
    const given = givenRows(def, [{ oid: Oid.int8, typmod: -1 }, ...def.columns.map(({ type }) => type)], environment);
    const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
    const target = quoteIdentifier(alias);
    const list = [`${target}."__unit"`, `${target}."__position"`, ...columns].map((each, i) => `${each} AS "c${i}"`);
    const [source, beside] = [own, given.table].map(({ placeholder }) => quoteIdentifier(placeholder));
    const sql = `SELECT ${list.join(', ')} FROM ${source} AS ${target} JOIN ${beside} AS "__given" ON ${sameRow(target, def, given, 1)} ORDER BY ${given.value(0)}`;
    return {
      query: queryOfCopies(select, select, text, parameterCount, view, environment),
      ...engineRows(own, given, sql),
    };
  };
}
