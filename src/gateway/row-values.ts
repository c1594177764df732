/**
 * New rows of a SET list that main computes by itself (`planner/set-value.ts`): every value is a copy, a constant, or a sum of
 * two numbers of one type with PostgreSQL's limits. Made once a statement, it is used by each of its executions.
 */
import { invariant, SqlError, SqlState } from '../errors.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import type { InsertValue, SetValue } from '../planner/plan.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { PgType, TableDef } from '../table-def.ts';
import { binaryInput } from '../types/binary-input.ts';
import { isValid, type ColumnVector } from '../types/column-vector.ts';
import { wordsToNumber } from '../types/decimal-digits.ts';
import { parameterText } from '../types/parameter-text.ts';
import { putText } from '../types/parse-text-value.ts';
import { Oid, physicalOf } from '../types/pg-type.ts';
import { textInput, type TimeContext } from '../types/text-input.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { putValue } from './values.ts';
import { formatOf, type WriteEnvironment } from './write-environment.ts';

/** The rows that values are computed from, as vectors of the table's columns, and which row of them. */
export interface SourceRow {
  old: readonly ColumnVector[];
  oldRow: number;
  excluded: readonly ColumnVector[];
  excludedRow: number;
}

interface Computer {
  readonly computer: RowComputer;
  readonly def: TableDef;
  readonly time: TimeContext;
}
const computers = new WeakMap<readonly SetValue[], Computer>();

/** Makes rows of `values`, one value a column of the table, in `rows`, for one execution of a statement. */
export function rowComputer(
  environment: WriteEnvironment,
  def: TableDef,
  values: readonly SetValue[],
  rows: RowBuffer,
): RowComputer {
  const known = computers.get(values);
  let computer = known?.computer;
  if (computer === undefined || known!.def !== def || known!.time !== environment.time) {
    computer = new RowComputer(def, values, rows, environment);
    computers.set(values, { computer, def, time: environment.time });
  }
  computer.begin(environment, rows);
  return computer;
}

export class RowComputer {
  readonly #writer: RowWriter;
  readonly #columns: readonly ((from: SourceRow) => void)[];
  /** What to do when another execution begins. */
  readonly #anew: (() => void)[] = [];
  #environment: WriteEnvironment;

  constructor(def: TableDef, values: readonly SetValue[], rows: RowBuffer, environment: WriteEnvironment) {
    this.#environment = environment;
    const fieldIds = def.columns.map((column) => column.fieldId);
    this.#writer = new RowWriter(def, fieldIds, rows, environment.time);
    this.#columns = values.map((value, column) => this.#column(value, column));
  }

  begin(environment: WriteEnvironment, rows: RowBuffer): void {
    this.#environment = environment;
    this.#writer.writeTo(rows);
    for (const begin of this.#anew) begin();
  }

  add(from: SourceRow): void {
    for (const column of this.#columns) column(from);
    this.#writer.endRow();
  }

  #column(value: SetValue, column: number): (from: SourceRow) => void {
    const writer = this.#writer;
    switch (value.kind) {
      case 'column': {
        const { index, row } = value;
        if (row === 'old') return (from) => writer.sameField(column, from.old[index]!, from.oldRow);
        return (from) => writer.sameField(column, from.excluded[index]!, from.excludedRow);
      }
      case 'sum':
        return this.#sum(value, column);
      default:
        return () => putValue(this.#environment, writer, column, value);
    }
  }

  #sum({ left, right, negative }: Extract<SetValue, { kind: 'sum' }>, column: number): (from: SourceRow) => void {
    const writer = this.#writer;
    const { oid } = writer.typeOf(column);
    const [a, b] = [this.#operand(left, column), this.#operand(right, column)];
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

  /** A summand: a number of the type of the column that it is for. */
  #operand(value: SetValue, column: number): Operand {
    if (value.kind === 'column') {
      const { index } = value;
      if (value.row === 'old') return { vector: (from) => from.old[index]!, row: (from) => from.oldRow };
      return { vector: (from) => from.excluded[index]!, row: (from) => from.excludedRow };
    }
    invariant(value.kind !== 'sum', 'a summand is a column, a number or a parameter');
    let vector: ColumnVector | null = null;
    // a number that is written in the statement is the same each time
    if (value.kind === 'parameter') this.#anew.push(() => (vector = null));
    const type = this.#writer.typeOf(column);
    return { vector: () => (vector ??= constantVector(this.#environment, value, type)), row: () => 0 };
  }
}

interface Operand {
  readonly vector: (from: SourceRow) => ColumnVector;
  readonly row: (from: SourceRow) => number;
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

/** The one row of a constant or parameter, read as a column's type. */
function constantVector(
  { parameters, parameterOids, time }: WriteEnvironment,
  value: InsertValue,
  type: PgType,
): ColumnVector {
  const builder = new VectorBuilder(physicalOf(type));
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
