/** `arka.wait_for_lsn(lsn [, milliseconds])` in a query: what it waits for before it begins. */
import type { FuncCall, Node } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import { parsePosition } from '../types/pg-lsn.ts';
import { at, constantText, plainName, walk } from './ast.ts';
import type { LsnWait } from './plan.ts';

/** @throws {SqlError} 22P02, 22023 */
export function lsnWaits(node: Node): readonly LsnWait[] {
  const waits: LsnWait[] = [];
  walk(node, (tag, body) => {
    const call = body as unknown as FuncCall;
    if (tag !== 'FuncCall' || plainName(call.funcname) !== 'arka.wait_for_lsn') return;
    const [lsn, timeout, ...more] = (call.args ?? []).map((arg) =>
      constantText('TypeCast' in arg && arg.TypeCast.arg !== undefined ? arg.TypeCast.arg : arg),
    );
    if (typeof lsn !== 'string' || timeout === null || more.length > 0)
      throw new SqlError(SqlState.undefinedFunction, 'no function arka.wait_for_lsn takes these arguments', {
        hint: "Write arka.wait_for_lsn('0/16B3748') or arka.wait_for_lsn('0/16B3748', milliseconds), with constants.",
        ...at(call.location),
      });
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : Number(timeout);
    if (!(timeoutMs >= 0))
      throw new SqlError(SqlState.invalidParameterValue, `invalid timeout: "${timeout}"`, at(call.location));
    waits.push({ lsn: parsePosition(lsn), timeoutMs });
  });
  return waits;
}
