/**
 * GENERATED ALWAYS AS (…) STORED: what each row's column is, worked out of the row's other columns when it is written. Whatever was
 * given for it is not looked at, so every way of writing rows has the same values.
 */
import type { GenerationDef } from '../check-def.ts';
import type { ColumnDef, PgType, TableDef } from '../table-def.ts';
import type { ColumnSink } from '../types/column-vector.ts';
import { isRounded, putRounded } from '../types/datetime-input.ts';
import { putText } from '../types/parse-text-value.ts';
import { Oid, physicalOf } from '../types/pg-type.ts';
import { textInput, type TimeContext } from '../types/text-input.ts';
import { operandReader, type Row, type Value } from './check-operands.ts';
import { conditionTester } from './row-checks.ts';
import { floatOf, integerOf, numericOf, shownText } from './row-functions.ts';
import { INTEGERS } from '../types/type-kinds.ts';

export interface GeneratedColumn {
  readonly index: number;
  readonly notNull: boolean;
  /** Gives a row its value; false: that is NULL. @throws {SqlError} what the expression says of the row */
  readonly put: (row: Row, at: number, sink: ColumnSink) => boolean;
}

export const isGenerated = (column: ColumnDef): column is ColumnDef & { readonly generated: GenerationDef } =>
  column.generated !== undefined;

const NONE: readonly GeneratedColumn[] = [];

/** Those of a table, in its order. */
export function generatedColumns(def: TableDef, context: TimeContext): readonly GeneratedColumn[] {
  if (!def.columns.some(isGenerated)) return NONE; // each statement that writes asks
  return def.columns.flatMap((column, index) => {
    if (!isGenerated(column)) return [];
    const { of } = column.generated;
    const read = operandReader(of, def, context, (condition) => conditionTester(condition, def, context));
    const write = assignment(of.type, column.type, context);
    const put = (row: Row, at: number, sink: ColumnSink): boolean => {
      const value = read(row, at);
      if (value === null) sink.null();
      else write(value, sink);
      return value !== null;
    };
    return [{ index, notNull: column.notNull, put }];
  });
}

type Write = (value: Exclude<Value, null>, sink: ColumnSink) => void;

/** A value as PostgreSQL assigns it to a column of another type, or of a length of its own. */
function assignment(from: PgType, type: PgType, context: TimeContext): Write {
  if (INTEGERS.has(type.oid)) {
    const whole = integerOf(type, from);
    return (value, sink) => putWhole(whole(value), type, sink);
  }
  if (type.oid === Oid.float4 || type.oid === Oid.float8) {
    const float = floatOf(type, from);
    return (value, sink) => (type.oid === Oid.float4 ? sink.float32(float(value)) : sink.float64(float(value)));
  }
  if (type.oid === Oid.bool) return (value, sink) => sink.bool(value as boolean);
  const physical = physicalOf(type);
  if ((physical === 'int32' || physical === 'int64') && from.oid === type.oid && !isRounded(type))
    return (value, sink) => putWhole(value as number | bigint, type, sink);
  if (isRounded(type) && from.oid === type.oid) return (value, sink) => putRounded(type, wordsOf(value), 0, sink);
  const input = textInput(type, context);
  const text = type.oid === Oid.numeric ? numericOf(from) : shownText(from);
  return (value, sink) => putText(input, text(value), sink);
}

function putWhole(value: number | bigint, type: PgType, sink: ColumnSink): void {
  if (physicalOf(type) === 'int32') return sink.int32(Number(value));
  const [low, high] = wordsOf(value);
  sink.int64(low!, high!);
}

/** The low and the high half of 64 bits. */
function wordsOf(value: Exclude<Value, null>): Int32Array {
  const whole = BigInt(value);
  return Int32Array.of(Number(BigInt.asIntN(32, whole)), Number(BigInt.asIntN(32, whole >> 32n)));
}
