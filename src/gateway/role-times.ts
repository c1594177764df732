/** VALID UNTIL: a timestamptz as it is written, read as PostgreSQL reads it. */
import { invariant } from '../errors.ts';
import type { ColumnSink } from '../types/column-vector.ts';
import type { TimeContext } from '../types/datetime-input.ts';
import { putText } from '../types/parse-text-value.ts';
import { Oid } from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';

const other = (): void => invariant(false, 'a timestamptz is 64 bits');

/** Milliseconds since 1970; null: for ever. @throws {SqlError} 22007, 22008 */
export function fixedTime(text: string, time: TimeContext): number | null {
  if (/^\s*infinity\s*$/i.test(text)) return null;
  let milliseconds = 0;
  const sink: ColumnSink = {
    null: other,
    bool: other,
    int32: other,
    int64: (low, high) => (milliseconds = (high * 2 ** 32 + (low >>> 0)) / 1000),
    words4: other,
    float32: other,
    float64: other,
    bytes: other,
  };
  putText(textInput({ oid: Oid.timestamptz, typmod: -1 }, time), text, sink);
  return milliseconds;
}
