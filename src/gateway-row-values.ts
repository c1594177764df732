/**
 * New rows of a SET list that main computes by itself (`planner/set-value.ts`): constants and parameters are read once into
 * vectors of one row, then every value is a copy, or a sum of two numbers of one type with PostgreSQL's limits.
 */
import { invariant, SqlError, SqlState, unreachable } from './errors.ts';
import { RowWriter } from './ingest/row-writer.ts';
import type { InsertValue, SetValue } from './planner/plan.ts';
import type { RowBuffer } from './storage/memory/row-buffer.ts';
import type { Table } from './storage/table.ts';
import { binaryInput } from './types/binary-input.ts';
import { isValid, type ColumnVector } from './types/column-vector.ts';
import { wordsToNumber } from './types/decimal-digits.ts';
import { parameterText } from './types/parameter-text.ts';
import { putText } from './types/parse-text-value.ts';
import { Oid } from './types/pg-type.ts';
import { textInput } from './types/text-input.ts';
import { VectorBuilder } from './types/vector-builder.ts';
import { putValue } from './gateway-values.ts';
import { formatOf, type WriteEnvironment } from './gateway-write-environment.ts';

/** The rows that values are computed from, as vectors of the table's columns, and which row of them. */
export interface SourceRow {
  old: readonly ColumnVector[];
  oldRow: number;
  excluded: readonly ColumnVector[];
  excludedRow: number;
}

/** Makes rows of `values`, one value a column of the table, in `rows`. */
export class RowComputer {
  readonly #writer: RowWriter;
  readonly #columns: readonly ((from: SourceRow) => void)[];

  constructor(environment: WriteEnvironment, table: Table, values: readonly SetValue[], rows: RowBuffer) {
    this.#writer = new RowWriter(table.def, table.fieldIds, rows, environment.time);
    this.#columns = values.map((value, column) => this.#column(environment, table, value, column));
  }

  add(from: SourceRow): void {
    for (const column of this.#columns) column(from);
    this.#writer.endRow();
  }

  #column(environment: WriteEnvironment, table: Table, value: SetValue, column: number): (from: SourceRow) => void {
    const writer = this.#writer;
    switch (value.kind) {
      case 'column': {
        const { index, row } = value;
        if (row === 'old') return (from) => writer.vectorField(column, from.old[index]!, from.oldRow);
        return (from) => writer.vectorField(column, from.excluded[index]!, from.excludedRow);
      }
      case 'sum':
        return this.#sum(environment, table, value, column);
      default:
        return () => putValue(environment, writer, column, value);
    }
  }

  #sum(
    environment: WriteEnvironment,
    table: Table,
    { left, right, negative }: Extract<SetValue, { kind: 'sum' }>,
    column: number,
  ): (from: SourceRow) => void {
    const writer = this.#writer;
    const { oid } = table.def.columns[column]!.type;
    const [a, b] = [operand(environment, table, left, column), operand(environment, table, right, column)];
    return (from) => {
      const [x, y] = [a.vector(from), b.vector(from)];
      const [i, j] = [a.row(from), b.row(from)];
      if (!isValid(x, i) || !isValid(y, j)) {
        writer.nullField(column);
        return;
      }
      if (oid === Oid.float8) {
        const [p, q] = [x.float64[i]!, y.float64[j]!];
        const total = negative ? p - q : p + q;
        if (!Number.isFinite(total) && Number.isFinite(p) && Number.isFinite(q))
          throw new SqlError(SqlState.numericValueOutOfRange, 'value out of range: overflow');
        writer.float64Field(column, total);
      } else if (oid === Oid.int4) {
        const total = negative ? x.words[i]! - y.words[j]! : x.words[i]! + y.words[j]!;
        if (total !== (total | 0)) throw new SqlError(SqlState.numericValueOutOfRange, 'integer out of range');
        writer.int32Field(column, total);
      } else addWide(writer, column, x, i, y, j, negative);
    };
  }
}

/** int8: doubles hold it exactly while they are small enough. */
function addWide(
  writer: RowWriter,
  column: number,
  x: ColumnVector,
  i: number,
  y: ColumnVector,
  j: number,
  negative: boolean,
): void {
  const p = wordsToNumber(x.words[i * 2]!, x.words[i * 2 + 1]!);
  const q = wordsToNumber(y.words[j * 2]!, y.words[j * 2 + 1]!);
  const total = negative ? p - q : p + q;
  if (Number.isSafeInteger(p) && Number.isSafeInteger(q) && Number.isSafeInteger(total)) {
    writer.int64Field(column, total | 0, Math.floor(total / 2 ** 32) | 0);
    return;
  }
  const [wideP, wideQ] = [wide(x.words, i), wide(y.words, j)];
  const exact = negative ? wideP - wideQ : wideP + wideQ;
  if (exact !== BigInt.asIntN(64, exact)) throw new SqlError(SqlState.numericValueOutOfRange, 'bigint out of range');
  writer.int64Field(column, Number(BigInt.asIntN(32, exact)), Number(BigInt.asIntN(32, exact >> 32n)));
}

function wide(words: Int32Array, row: number): bigint {
  return (BigInt(words[row * 2 + 1]!) << 32n) | BigInt(words[row * 2]! >>> 0);
}

interface Operand {
  readonly vector: (from: SourceRow) => ColumnVector;
  readonly row: (from: SourceRow) => number;
}

/** A summand: a number of the type of the column that it is for. */
function operand(environment: WriteEnvironment, table: Table, value: SetValue, column: number): Operand {
  switch (value.kind) {
    case 'column': {
      const { index } = value;
      if (value.row === 'old') return { vector: (from) => from.old[index]!, row: (from) => from.oldRow };
      return { vector: (from) => from.excluded[index]!, row: (from) => from.excludedRow };
    }
    case 'sum':
      return unreachable(value as never);
    default: {
      const vector = constantVector(environment, table, value, column);
      return { vector: () => vector, row: () => 0 };
    }
  }
}

/** The one row of a constant or parameter, read as the column's type. */
function constantVector(
  { parameters, parameterOids, time }: WriteEnvironment,
  table: Table,
  value: InsertValue,
  column: number,
): ColumnVector {
  const { type } = table.def.columns[column]!;
  const builder = new VectorBuilder(table.physicals[column]!);
  const text = textInput(type, time);
  if (value.kind === 'text') putText(text, value.text, builder);
  else {
    invariant(value.kind === 'parameter', 'a summand is a column, a number or a parameter');
    const at = value.index - 1;
    const start = parameters.starts[at]!;
    const oid = parameterOids[at] ?? type.oid;
    if (start < 0) builder.null();
    else if (formatOf(parameters, at) === 0) text(parameters.bytes, start, parameters.ends[at]!, builder);
    else if (oid === type.oid) binaryInput(type)(parameters.bytes, start, parameters.ends[at]!, builder);
    else putText(text, parameterText(oid, 1, parameters.values[at]!), builder);
  }
  return builder.vector();
}
