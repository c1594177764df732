/**
 * What main answers at once, in the turn in which it was asked: a statement of constants that was asked before, a row by its key
 * from memory. Half of what such a statement costs are the waits of the general way, each for nothing.
 */
import type { Statement } from '../planner/plan.ts';
import { stylesIn } from '../types/output-styles.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { BoundParameters, MaybePromise, Output } from '../wire/gateway-api.ts';
import { writeHotPoint } from './hot-point.ts';
import { readHotPoint, type PointAnswer, type PointEnvironment } from './point.ts';
import { parameterValues } from './write-environment.ts';

type Query = Extract<Statement, { kind: 'query' }>;

/** Written by main at once; a client that does not read is waited for from here on. */
const WRITTEN_BYTES_MAX = 64 * 1024;
const NOTHING = new Uint8Array(0);

/** False: a look at what it asks for is of no use. */
export function mayBeInstant({ plan, lock, locks }: Query): boolean {
  if (plan.calls !== undefined || plan.waits !== undefined || lock !== undefined || locks !== undefined) return false;
  return plan.point !== undefined || (plan.isConstant === true && plan.hidden === undefined);
}

/** Of a statement that may be so. Null: it goes the general way. */
export function instantAnswer(
  environment: PointEnvironment,
  { plan }: Query,
  parameters: BoundParameters,
  oids: readonly number[],
  columns: readonly ResultColumn[],
  formats: readonly Format[],
): PointAnswer | null {
  if (stylesIn(environment.timeZone) !== null) return null;
  if (plan.point === undefined) return environment.context.constants.find(plan.text, formats) ?? null;
  const point = plan.point.read(parameterValues(parameters, oids));
  return point?.fieldIds.length === columns.length ? readHotPoint(environment, point, formats) : null;
}

/** The tag; a promise: the client has not read what was sent before. */
export function sendAnswer({ rows, messages }: PointAnswer, out: Output): MaybePromise<string> {
  const tag = `SELECT ${rows}`;
  const full = rows === 0 ? undefined : out.dataRows(messages);
  return full === undefined ? tag : full.then(() => tag);
}

/** Both, for a portal: its columns are described. Null: it goes the general way. */
export function answerInstantly(
  environment: PointEnvironment,
  statement: Query,
  parameters: BoundParameters,
  oids: readonly number[],
  columns: readonly ResultColumn[],
  formats: readonly Format[],
  out: Output,
): MaybePromise<string> | null {
  const { point } = statement.plan;
  if (point?.fieldIds.length === columns.length && stylesIn(environment.timeZone) === null) {
    const rows = writeHotPoint(environment, point, parameters, oids, formats, out.writer);
    if (rows === -1) return null;
    if (rows !== undefined) return sentTag(rows, out);
  }
  const answer = instantAnswer(environment, statement, parameters, oids, columns, formats);
  return answer === null ? null : sendAnswer(answer, out);
}

function sentTag(rows: 0 | 1, out: Output): MaybePromise<string> {
  const tag = rows === 0 ? 'SELECT 0' : 'SELECT 1';
  const full = out.writer.length < WRITTEN_BYTES_MAX ? undefined : out.dataRows(NOTHING);
  return full === undefined ? tag : full.then(() => tag);
}
