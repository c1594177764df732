/** Constants, defaults and parameters of a statement as values of columns. */
import { SqlError, SqlState } from '../errors.ts';
import type { RowWriter } from '../ingest/row-writer.ts';
import { literalError } from '../types/value-errors.ts';
import type { InsertValue } from '../planner/plan.ts';
import { parameterText } from '../types/parameter-text.ts';
import { Oid } from '../types/pg-type.ts';
import { formatOf, type WriteEnvironment } from './write-environment.ts';

/** A constant, a default or a parameter as the value of a column. */
export function putValue(environment: WriteEnvironment, writer: RowWriter, index: number, value: InsertValue): void {
  switch (value.kind) {
    case 'null':
      writer.nullField(index);
      return;
    case 'default':
      writer.default(index);
      return;
    case 'now':
      writer.now(index);
      return;
    case 'generated':
      writer.generated(index, value.value);
      return;
    case 'parameter':
      putParameter(environment, writer, index, value.index);
      return;
    default:
      try {
        writer.text(index, value.text);
      } catch (error) {
        throw literalError(error, value.position);
      }
  }
}

/** `index` of a parameter counts from 1, as in $n. */
function putParameter(environment: WriteEnvironment, writer: RowWriter, target: number, index: number): void {
  const { parameters } = environment;
  const { bytes, kept } = parameters;
  const start = parameters.starts[index - 1];
  if (start === undefined) throw new SqlError(SqlState.undefinedParameter, `there is no parameter $${index}`);
  if (start < 0) {
    writer.nullField(target);
    return;
  }
  const end = parameters.ends[index - 1]!;
  const format = formatOf(parameters, index - 1);
  const type = writer.typeOf(target);
  const oid = environment.parameterOids[index - 1] ?? type.oid;
  try {
    if (kept !== null && oid === type.oid && type.typmod < 0) {
      const read = kept[index - 1];
      if (read !== undefined) return writer.sameField(target, read, 0);
      if (oid === Oid.text || oid === Oid.json) return writer.bytesField(target, bytes, start, end);
    }
    if (format === 0) writer.textField(target, bytes, start, end);
    else if (oid === type.oid) writer.binaryField(target, bytes, start, end);
    else writer.text(target, parameterText(oid, format, parameters.values[index - 1]!)!);
  } catch (error) {
    throw literalError(error, 0); // it is a value of its own type, and is being assigned to another
  }
}
