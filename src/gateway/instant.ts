/**
 * What main answers at once, in the turn in which it was asked: a statement of constants that was asked before, a row by its key
 * from memory. Half of what such a statement costs are the waits of the general way, each for nothing.
 */
import type { Statement } from '../planner/plan.ts';
import { stylesIn } from '../types/output-styles.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { BoundParameters, MaybePromise, Output } from '../wire/gateway-api.ts';
import { readHotPoint, type PointAnswer } from './point.ts';
import type { QueryEnvironment } from './query.ts';
import { parameterValues } from './write-environment.ts';

/** Null: it goes the general way. */
export function instantAnswer(
  environment: QueryEnvironment,
  { plan, lock, locks }: Extract<Statement, { kind: 'query' }>,
  parameters: BoundParameters,
  oids: readonly number[],
  columns: readonly ResultColumn[],
  formats: readonly Format[],
): PointAnswer | null {
  if (plan.calls !== undefined || plan.waits !== undefined || lock !== undefined || locks !== undefined) return null;
  if (stylesIn(environment.timeZone) !== null) return null;
  if (plan.isConstant === true && plan.hidden === undefined)
    return environment.context.constants.find(plan.text, formats) ?? null;
  if (plan.point === undefined) return null;
  const point = plan.point(parameterValues(parameters, oids));
  return point?.fieldIds.length === columns.length ? readHotPoint(environment, point, formats) : null;
}

/** The tag; a promise: the client has not read what was sent before. */
export function sendAnswer({ rows, messages }: PointAnswer, out: Output): MaybePromise<string> {
  const tag = `SELECT ${rows}`;
  const full = rows === 0 ? undefined : out.dataRows(messages);
  return full === undefined ? tag : full.then(() => tag);
}
