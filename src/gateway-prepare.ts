/**
 * What a Parse message makes: a plan with the types of its parameters and columns. Arka says them where it knows them, else
 * PostgreSQL does.
 */
import { describedColumns, mergeOids, textColumn } from './gateway-columns.ts';
import { atStatement } from './gateway-query.ts';
import type { ParsedStatement, QueryPlan, Statement } from './planner/plan.ts';
import type { ResultColumn } from './types/result-column.ts';
import type { MaybePromise, Prepared } from './wire/gateway-api.ts';

export interface SessionPrepared extends Prepared {
  readonly parsed: ParsedStatement | null;
  readonly statement: Statement;
  /** The database's generation it was planned in. */
  readonly generation: number;
  readonly declaredOids: readonly number[];
}

/** What preparing asks of the session. */
export interface Preparation {
  readonly generation: number;
  readonly plan: (parsed: ParsedStatement, parameterOids: readonly number[]) => Statement;
  readonly describe: (
    sql: string,
    parameterOids: readonly number[],
  ) => Promise<{ readonly parameterOids: readonly number[]; readonly columns: readonly ResultColumn[] | null }>;
}

/** `parsed` null: an empty text. `declared` are the types that the client gave, 0 for none. */
export function prepare(
  preparation: Preparation,
  parsed: ParsedStatement | null,
  statement: Statement,
  declared: readonly number[],
): MaybePromise<SessionPrepared> {
  const known = (parameterOids: readonly number[], columns: readonly ResultColumn[] | null): SessionPrepared => ({
    parsed,
    statement,
    declaredOids: declared,
    parameterOids,
    columns,
    generation: preparation.generation,
  });
  if (parsed === null) return known([], null);
  const own = (plan: QueryPlan): readonly number[] => mergeOids(declared, plan.parameterOids, parsed.parameterCount);
  switch (statement.kind) {
    case 'query': {
      const { plan } = statement;
      if (plan.described !== null) return known(own(plan), describedColumns(plan));
      return describedByPostgres(preparation, parsed, plan.text, declared, true);
    }
    case 'insert':
      if (statement.source.kind === 'values')
        return known(mergeOids(declared, statement.parameterOids, parsed.parameterCount), null);
      return describedByPostgres(preparation, parsed, parsed.text, declared, false);
    case 'update':
    case 'delete':
      if (statement.plan.described !== null) return known(own(statement.plan), null);
      return describedByPostgres(preparation, parsed, statement.plan.text, declared, false);
    case 'show':
      return known([], [textColumn(statement.name)]);
    case 'explain':
      return known([], [textColumn('QUERY PLAN')]);
    default:
      return known([], null);
  }
}

/** Types by PostgreSQL itself; with them the plan's own literals get theirs. */
export async function describedByPostgres(
  preparation: Preparation,
  parsed: ParsedStatement,
  sql: string,
  declared: readonly number[],
  rows: boolean,
): Promise<SessionPrepared> {
  const { parameterOids, columns } = await atStatement(parsed.position, preparation.describe(sql, declared));
  return {
    parsed,
    statement: preparation.plan(parsed, parameterOids),
    declaredOids: parameterOids,
    parameterOids,
    columns: rows ? columns : null,
    generation: preparation.generation,
  };
}
