/** COPY … TO STDOUT: the rows of a query or a table as CopyData, made where the rows are (types/copy-row.ts). */
import { moved } from '../errors.ts';
import type { CopyOutOptions, PlannedTable, QueryPlan, Statement } from '../planner/plan.ts';
import { copyHead, copyTail, withHead } from '../types/copy-row.ts';
import { parametersOf } from '../wire/bound-parameters.ts';
import type { MaybePromise, Output } from '../wire/gateway-api.ts';
import { describedColumns } from './columns.ts';
import { Follower, followed } from './follow.ts';
import { QueryRun, type QueryEnvironment, type RowOutput } from './query.ts';

type CopyTo = Extract<Statement, { kind: 'copyTo' }>;

const NO_PARAMETERS = parametersOf([], []);

export async function copyTo(environment: QueryEnvironment, statement: CopyTo, out: Output): Promise<string> {
  const { plan, options } = statement;
  const planned = followed(plan);
  if (planned !== null) return follow(environment, statement, planned, out);
  const run = await openRun(environment, plan, options);
  try {
    const rows = beginCopy(run, options, out);
    await run.send(rows, 0);
    return endCopy(run.sent, options, out, rows);
  } finally {
    await run.close();
  }
}

function openRun(environment: QueryEnvironment, plan: QueryPlan, options: CopyOutOptions): Promise<QueryRun> {
  const columns = plan.described === null ? null : describedColumns(plan);
  const formats = options.format === 'binary' ? ([1] as const) : [];
  return withoutPosition(QueryRun.open(environment, plan, NO_PARAMETERS, [], columns, formats, options));
}

/** Goes on until it is cancelled, the client leaves, or the log has gone on without it. */
async function follow(
  environment: QueryEnvironment,
  { plan, options }: CopyTo,
  planned: PlannedTable,
  out: Output,
): Promise<never> {
  const follower = await Follower.open(environment, plan, planned);
  try {
    let rows: RowOutput | null = null;
    for (;;) {
      const run = await openRun(environment, await follower.next(rows === null), options);
      try {
        rows ??= beginCopy(run, options, out);
        await run.send(rows, 0);
      } finally {
        await run.close();
      }
      follower.advance();
    }
  } finally {
    follower.close();
  }
}

function beginCopy(run: QueryRun, options: CopyOutOptions, out: Output): RowOutput {
  const names = run.columns.map((column) => column.name);
  out.copyOut(names.length, options.format === 'binary' ? 1 : 0, options.encoding);
  const head = copyHead({ ...options, forceQuote: [] }, options.header, names);
  if (options.format === 'binary') return new BinaryOutput(head!, out);
  if (head !== null) void out.dataRows(head);
  return out;
}

function endCopy(count: number, options: CopyOutOptions, out: Output, rows: RowOutput): string {
  const tail = copyTail({ ...options, forceQuote: [] });
  if (tail !== null) void rows.dataRows(tail);
  out.copyDone();
  return `COPY ${count}`;
}

/**
 * The signature is in one message with what comes first, a row or the trailer, as PostgreSQL sends it: clients that take
 * a message for a row (psycopg 3) count on it.
 */
class BinaryOutput implements RowOutput {
  #head: Uint8Array | null;
  readonly #out: Output;

  constructor(head: Uint8Array, out: Output) {
    this.#head = head;
    this.#out = out;
  }

  dataRows(messages: Uint8Array): MaybePromise<void> {
    const head = this.#head;
    if (head === null || messages.length === 0) return this.#out.dataRows(messages);
    this.#head = null;
    return this.#out.dataRows(withHead(head, messages));
  }
}

/** PostgreSQL has seen another text than the client's: where it found something wrong there says nothing here. */
function withoutPosition<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw moved(error, null);
  });
}
