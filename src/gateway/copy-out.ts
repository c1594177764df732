/** COPY … TO STDOUT: the rows of a query or a table as CopyData, made where the rows are (types/copy-row.ts). */
import { moved } from '../errors.ts';
import type { CopyOutOptions, PlannedTable, QueryPlan, Statement } from '../planner/plan.ts';
import { copyHead, copyTail } from '../types/copy-row.ts';
import { parametersOf } from '../wire/bound-parameters.ts';
import type { Output } from '../wire/gateway-api.ts';
import { describedColumns } from './columns.ts';
import { Follower, followed } from './follow.ts';
import { QueryRun, type QueryEnvironment } from './query.ts';

type CopyTo = Extract<Statement, { kind: 'copyTo' }>;

const NO_PARAMETERS = parametersOf([], []);

export async function copyTo(environment: QueryEnvironment, statement: CopyTo, out: Output): Promise<string> {
  const { plan, options } = statement;
  const planned = followed(plan);
  if (planned !== null) return follow(environment, statement, planned, out);
  const run = await openRun(environment, plan, options);
  try {
    beginCopy(run, options, out);
    await run.send(out, 0);
    return endCopy(run.sent, options, out);
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
    for (let first = true; ; first = false) {
      const run = await openRun(environment, await follower.next(first), options);
      try {
        if (first) beginCopy(run, options, out);
        await run.send(out, 0);
      } finally {
        await run.close();
      }
      follower.advance();
    }
  } finally {
    follower.close();
  }
}

function beginCopy(run: QueryRun, options: CopyOutOptions, out: Output): void {
  const names = run.columns.map((column) => column.name);
  out.copyOut(names.length, options.format === 'binary' ? 1 : 0);
  const head = copyHead({ ...options, forceQuote: [] }, options.header, names);
  if (head !== null) void out.dataRows(head);
}

function endCopy(rows: number, options: CopyOutOptions, out: Output): string {
  const tail = copyTail({ ...options, forceQuote: [] });
  if (tail !== null) void out.dataRows(tail);
  out.copyDone();
  return `COPY ${rows}`;
}

/** PostgreSQL has seen another text than the client's: where it found something wrong there says nothing here. */
function withoutPosition<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw moved(error, null);
  });
}
