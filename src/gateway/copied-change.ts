/** Finds the rows of a statement that changes or locks them by PostgreSQL itself, where the engine has no way (`planner/copied-change.ts`). */
import { SqlError, SqlState } from '../errors.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import type { CopiedChange } from '../planner/plan.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { physicalOf } from '../types/pg-type.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import { bufferUnit } from './buffer.ts';
import { mayResort } from './last-resort.ts';
import { drain, type WriteEnvironment } from './write-environment.ts';

/** Others change the same rows all the time. */
const ATTEMPTS_MAX = 20;

/** Null: the error is the answer. */
export function resortOf(
  environment: WriteEnvironment,
  copied: (() => CopiedChange) | null,
  error: unknown,
): { readonly change: CopiedChange; readonly reason: SqlError } | null {
  if (copied === null || environment.buffers !== undefined) return null;
  if (!(error instanceof SqlError) || error.code !== SqlState.featureNotSupported) return null;
  try {
    const change = copied();
    return mayResort(change.query, error) ? { change, reason: error } : null;
  } catch (other) {
    if (other instanceof SqlError) return null;
    throw other;
  }
}

/**
 * @param take rows as the statement's own plan gives them
 * @param begin forgets what was taken
 * @throws {SqlError} `reason`, where rows are too many; 40001 where they never stay as they are
 */
export async function findCopied(
  environment: WriteEnvironment,
  { change, reason }: { readonly change: CopiedChange; readonly reason: SqlError },
  take: (vectors: readonly ColumnVector[], rows: number) => MaybePromise<void>,
  begin: () => void,
): Promise<void> {
  const { memory } = environment.database;
  const { columns } = change.def;
  const fieldIds = columns.map(({ fieldId }) => fieldId);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const given = new RowBuffer(
      memory,
      columns.map(({ type }) => physicalOf(type)),
    );
    try {
      const writer = new RowWriter(change.def, fieldIds, given, environment.time);
      for (const row of await environment.catalogRows(environment, change.query, reason)) {
        row.forEach((value, i) => (value === null ? writer.nullField(i) : writer.textField(i, value, 0, value.length)));
        writer.endRow();
      }
      if (given.rows === 0) return;
      const { unit, release } = bufferUnit(memory, given, fieldIds);
      let found = 0;
      const counted = (vectors: readonly ColumnVector[], rows: number): MaybePromise<void> => {
        found += rows;
        return take(vectors, rows);
      };
      try {
        await drain(environment, change.plan, counted, new Map([[change.rows, unit]]));
      } finally {
        release();
      }
      if (found === given.rows) return;
      begin();
    } finally {
      given.retire();
    }
  }
  throw new SqlError(SqlState.serializationFailure, 'could not serialize access due to concurrent update', {
    hint: 'Try the statement again.',
    cause: reason,
  });
}
