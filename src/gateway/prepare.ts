/**
 * What a Parse message makes: a plan with the types of its parameters and columns. Arka says them where it knows them, else
 * PostgreSQL does.
 */
import { SqlError, SqlState } from '../errors.ts';
import { shownColumns } from './show.ts';
import { describedColumns, describedReturning, mergeOids, planColumn } from './columns.ts';
import { atStatement } from './query.ts';
import { readsClock, withReadLiterals, type LiteralReading } from './read-literals.ts';
import { returningOf } from './returning.ts';
import type { ParsedStatement, QueryPlan, Statement } from '../planner/plan.ts';
import type { ResultColumn } from '../types/result-column.ts';
import { DescribedRow } from '../wire/described-row.ts';
import type { MaybePromise, Portal, Prepared } from '../wire/gateway-api.ts';

export interface SessionPrepared extends Prepared {
  readonly parsed: ParsedStatement | null;
  readonly statement: Statement;
  /** The database's generation it was planned in. */
  readonly generation: number;
  readonly declaredOids: readonly number[];
  readonly preparedAt: number;
  readonly described: DescribedRow;
  /** How its literals were read, or are to be. */
  readonly reading: LiteralReading;
  /** One of them may be a time that the clock says. */
  readonly readsClock: boolean;
  /** The text of PREPARE; undefined: a Parse message made it. */
  readonly sqlText?: string;
}

/** What preparing asks of the session. */
export interface Preparation {
  readonly generation: number;
  readonly now: number;
  readonly timeZone: string;
  /** When its transaction began, in microseconds; asked for where it matters: it begins by that. */
  readonly transactionAt: () => number;
  readonly plan: (parsed: ParsedStatement, parameterOids: readonly number[]) => Statement;
  readonly describe: (
    sql: string,
    parameterOids: readonly number[],
  ) => Promise<{ readonly parameterOids: readonly number[]; readonly columns: readonly ResultColumn[] | null }>;
  /** What the session knows by name. */
  readonly prepared: (name: string) => Prepared | undefined;
  readonly portal: (name: string) => Portal | undefined;
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
    preparedAt: preparation.now,
    ...readingOf(preparation, parsed),
    described: new DescribedRow(),
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
    case 'update':
    case 'delete':
    case 'merge': {
      const returned = statement.returning === null ? null : describedReturning(statement.returning);
      const oids = ownOids(statement);
      if (oids !== null && returned !== undefined)
        return known(mergeOids(declared, oids, parsed.parameterCount), returned);
      const text = statement.kind === 'insert' ? parsed.text : statement.plan.text;
      return describedByPostgres(preparation, parsed, text, declared, statement.returning !== null);
    }
    case 'with': {
      const { main, text } = statement;
      return describedByPostgres(preparation, parsed, text, declared, main.kind === 'query' || main.returning !== null);
    }
    case 'execute':
      return known([], preparation.prepared(statement.name)?.columns ?? null);
    case 'fetch':
      return known([], statement.isMove ? null : (preparation.portal(statement.name)?.columns ?? null));
    case 'declare': {
      const inner = prepare(preparation, statement.inner, preparation.plan(statement.inner, declared), declared);
      if (inner instanceof Promise) return inner.then(({ parameterOids }) => known(parameterOids, null));
      return known(inner.parameterOids, null);
    }
    case 'show':
      return known([], shownColumns(statement.name));
    case 'explain': {
      // its parameters are those of the statement that it explains
      const columns = [planColumn(statement.format)];
      const explained = ({ parameterOids, statement: planned }: SessionPrepared): SessionPrepared => ({
        ...known(parameterOids, columns),
        statement: planned.kind === 'explain' ? planned : statement,
      });
      const inner = prepare(preparation, parsed, statement.inner, declared);
      return inner instanceof Promise ? inner.then(explained) : explained(inner);
    }
    default:
      return known([], null);
  }
}

/** Types of the parameters where Arka knows them all; null: PostgreSQL says them. */
function ownOids(
  statement: Extract<Statement, { kind: 'insert' | 'update' | 'delete' | 'merge' }>,
): readonly number[] | null {
  if (statement.kind === 'insert') return statement.source.kind === 'values' ? statement.parameterOids : null;
  return statement.plan.described === null ? null : statement.plan.parameterOids;
}

/**
 * For a Query message: the statement that writes, and the columns that it returns, null for none. PostgreSQL describes what
 * Arka does not, so its errors are PostgreSQL's own.
 */
export async function prepareSimple(
  preparation: Preparation,
  parsed: ParsedStatement,
  statement: Statement,
): Promise<SessionPrepared | null> {
  if (statement.kind === 'with') return prepare(preparation, parsed, statement, []);
  if (!('returning' in statement)) return null;
  // Rows of a query are PostgreSQL's to describe only where something needs it.
  const known = statement.kind === 'insert' ? statement.parameterOids !== null : statement.plan.described !== null;
  if (known && returningOf(statement) === null) return null;
  return prepare(preparation, parsed, statement, []);
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
    preparedAt: preparation.now,
    ...readingOf(preparation, parsed),
    described: new DescribedRow(),
  };
}

/** Before it is executed: null, or its literals were read under other settings, and it is to have them as they were. @throws {SqlError} 0A000 */
export function asItWasRead(preparation: Preparation, prepared: SessionPrepared): Promise<void> | null {
  const { parsed, parameterOids, reading } = prepared;
  const { timeZone: zone } = preparation;
  const isSame = reading.zone === zone && (!prepared.readsClock || reading.now === preparation.transactionAt());
  if (parsed === null || isSame) return null;
  return withReadLiterals(preparation, parsed, parameterOids, reading).then((read) => {
    const anew = read === parsed ? {} : { parsed: read, statement: preparation.plan(read, parameterOids) };
    Object.assign(prepared, { ...anew, reading: { zone, now: 0 }, readsClock: false });
  });
}

function readingOf(
  { timeZone: zone, transactionAt }: Preparation,
  parsed: ParsedStatement | null,
): Pick<SessionPrepared, 'reading' | 'readsClock'> {
  const isClocks = parsed !== null && readsClock(parsed.text);
  return { reading: { zone, now: isClocks ? transactionAt() : 0 }, readsClock: isClocks };
}

/**
 * A statement that returns rows, as it is after definitions have changed; null: they have not.
 * @throws {SqlError} 0A000 when it would return other columns than it was described with
 */
export async function revalidate(preparation: Preparation, prepared: SessionPrepared): Promise<Statement | null> {
  const { parsed, columns, declaredOids, generation } = prepared;
  if (parsed === null || columns === null || generation === preparation.generation) return null;
  const fresh = await prepare(preparation, parsed, preparation.plan(parsed, declaredOids), declaredOids);
  const { columns: now } = fresh;
  if (now?.length !== columns.length || !columns.every((each, i) => isSame(each, now[i]!)))
    throw new SqlError(SqlState.featureNotSupported, 'cached plan must not change result type');
  Object.assign(prepared, fresh);
  return fresh.statement;
}

const isSame = (left: ResultColumn, right: ResultColumn): boolean =>
  left.name === right.name && left.typeOid === right.typeOid && left.typmod === right.typmod;
