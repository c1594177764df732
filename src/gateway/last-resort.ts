/**
 * The last resort of a query that the engine cannot run with PostgreSQL's meaning: PostgreSQL itself runs it, over a copy of the rows
 * of its tables (`planner/copied-query.ts`), while these are few.
 *
 * - A1 One query of the engine reads all tables, so their rows are of one moment, and of the transaction's own view.
 * - A2 At most `planner.fallback_rows` rows and COPIED_BYTES_MAX bytes, of one statement at a time; beyond, the engine's reason is
 *   the answer. PostgreSQL's own errors about the statement come before any row is read.
 */
import { canceled, SqlError, SqlState } from '../errors.ts';
import type { RowCopies } from '../catalog/catalog-api.ts';
import type { CopiedTable } from '../planner/copied-query.ts';
import type { QueryPlan, RenderedQuery } from '../planner/plan.ts';
import { quoteIdentifier } from '../sql-text.ts';
import { zoneName } from '../types/output-styles.ts';
import { Oid } from '../types/pg-type.ts';
import { EngineCursor } from './cursor.ts';
import type { QueryEnvironment, StandIn } from './query.ts';

const COPIED_BYTES_MAX = 32 * 1024 * 1024;

/** What the engine says of a statement that PostgreSQL may have an answer to. */
const REASONS: ReadonlySet<string> = new Set([
  SqlState.featureNotSupported,
  SqlState.undefinedFunction,
  SqlState.undefinedColumn,
  SqlState.undefinedTable,
  SqlState.ambiguousColumn,
  SqlState.undefinedObject,
  SqlState.syntaxError,
  SqlState.datatypeMismatch,
]);

export function mayResort(plan: QueryPlan, error: unknown): error is SqlError {
  return plan.copied !== undefined && error instanceof SqlError && REASONS.has(error.code);
}

const STYLE = { format: 'text', delimiter: '\t', null: '\\N', quote: '"', escape: '"', forceQuote: [] } as const;

/** @throws {SqlError} `reason`, where the rows are too many */
export async function copyOfRows(
  environment: QueryEnvironment,
  tables: readonly CopiedTable[],
  reason: SqlError,
  buffers: StandIn['buffers'],
): Promise<RowCopies> {
  const { database, engine, copies } = environment.context;
  const max = copies.rowsMax;
  const request = {
    rendered: together(tables),
    tables: tables.flatMap(({ plan }) => plan.tables),
    transaction: environment.transaction,
    columns: [
      { typeOid: Oid.int4, typmod: -1, format: 0 as const },
      ...tables.flatMap(({ def }) =>
        def.columns.map(({ type }) => ({ typeOid: type.oid, typmod: type.typmod, format: 0 as const })),
      ),
    ],
    formats: [],
    output: 'rows',
    copy: STYLE,
    timeZone: zoneName(environment.timeZone),
    times: environment.times,
    buffers,
  } as const;
  const cursor = await EngineCursor.open(database, engine, request, environment.running);
  environment.running(() => cursor.cancel());
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let rows = 0;
  let bytes = 0;
  try {
    for (let chunk = await cursor.next(); chunk !== null; chunk = await cursor.next()) {
      if (chunk.rows === 0) continue;
      rows += chunk.rows;
      bytes += chunk.messages!.length;
      if (rows > max || bytes > COPIED_BYTES_MAX) throw tooMany(reason, max);
      chunks.push(chunk.messages as Uint8Array<ArrayBuffer>);
    }
  } finally {
    await cursor.close();
  }
  return { tables: tables.map(({ def }) => def), chunks };
}

/** PostgreSQL has described the statement by then: what the engine does not know is no error of it. */
function tooMany({ message, fields }: SqlError, max: number): SqlError {
  return new SqlError(SqlState.featureNotSupported, message, {
    ...fields,
    detail: `PostgreSQL itself would run it over a copy of the tables' rows, but not of more than ${max} rows (planner.fallback_rows) or ${COPIED_BYTES_MAX >> 20} MB.`,
  });
}

/** Rows that stand for tables of a plan, as those of their copies. @throws {SqlError} `reason`: a table is read elsewhere, too */
export function standing(
  { tables }: QueryPlan,
  copied: readonly CopiedTable[],
  standIn: StandIn | null,
  reason: SqlError,
): StandIn['buffers'] {
  const entries = [...(standIn?.buffers ?? [])].map(([placeholder, unit]) => {
    const uuid = tables.find((planned) => planned.placeholder === placeholder)?.def.uuid;
    const [own] = copied.filter(({ def }) => def.uuid === uuid).flatMap(({ plan }) => plan.tables);
    if (own === undefined || tables.filter(({ def }) => def.uuid === uuid).length > 1) throw reason;
    return [own.placeholder, unit] as const;
  });
  return new Map(entries);
}

/** Each table's number, then the columns of all. */
function together(tables: readonly CopiedTable[]): RenderedQuery {
  const width = (i: number): number => tables[i]!.def.columns.length;
  const nulls = (from: number, to: number): string[] => {
    let count = 0;
    for (let i = from; i < to; i++) count += width(i);
    return Array.from({ length: count }, () => 'NULL');
  };
  const parts = tables.map(({ rendered }, i) => {
    const names = Array.from({ length: width(i) }, (_, c) => quoteIdentifier(`c${c}`));
    const list = [String(i), ...nulls(0, i), ...names, ...nulls(i + 1, tables.length)];
    return `SELECT ${list.join(', ')} FROM (${rendered.sql}) AS q(${names.join(', ')})`;
  });
  return {
    sql: parts.join(' UNION ALL '),
    timeRanges: tables.map(({ rendered }) => rendered.timeRanges[0] ?? null),
    filters: (place) => tables[place]!.rendered.filters?.(0) ?? [],
    indexed: null,
  };
}

/** One statement at a time, over all sessions. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** @param running told how to end the wait @throws {SqlError} 57014 */
  async take<T>(running: QueryEnvironment['running'], work: () => Promise<T>): Promise<T> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { promise: cancelled, reject: cancel } = Promise.withResolvers<never>();
    const before = this.#last;
    this.#last = before.then(() => ended);
    const over = running(() => cancel(canceled()));
    try {
      await Promise.race([before, cancelled]).finally(over);
      return await work();
    } finally {
      end();
    }
  }
}
