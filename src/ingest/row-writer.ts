/**
 * Values of one statement into a transaction's own rows: input functions per column, defaults for columns not given,
 * NOT NULL and CHECK. Used by INSERT, COPY and by queries that write.
 *
 * - W1 NOT NULL and CHECK are looked at when the row is whole, as in PostgreSQL: an error of a later value comes first, and the error
 *   shows the row.
 */
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, PgType, TableDef } from '../table-def.ts';
import { DISCARD, isValid, type ColumnSink, type ColumnVector } from '../types/column-vector.ts';
import type { FieldBlock } from '../types/field-block.ts';
import { binaryInput } from '../types/binary-input.ts';
import { isRounded, putNow, putRounded } from '../types/datetime-input.ts';
import { putText } from '../types/parse-text-value.ts';
import { storedArrayInput } from '../types/array-column.ts';
import { elementOf, Oid } from '../types/pg-type.ts';
import { textInput, type TextInput } from '../types/text-input.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import { BlockWriter, type Missing } from './block-writer.ts';
import type { CopyRowSink } from './copy-row-sink.ts';
import { generatedColumns, isGenerated, type GeneratedColumn } from './generated-columns.ts';
import { generatedInput, type Generator, type RowContext } from './generated-values.ts';
import { checkViolation, rowChecks, type RowChecks } from './row-checks.ts';
import { notNullViolation, type RefusedRow } from './row-errors.ts';

const hasNoDefault = ({ default: value }: ColumnDef): boolean =>
  value === null || (value.kind === 'constant' && value.text === null);

const NONE: ReadonlySet<number> = new Set();

/** Writes rows whose values come in the order of `fieldIds`. */
export class RowWriter implements CopyRowSink {
  readonly def: TableDef;
  #rows: RowBuffer;
  readonly #context: RowContext;
  readonly #generators = new Map<Generator, (sink: ColumnSink) => void>();
  /** For each value its column, in def order index. */
  readonly #targets: readonly number[];
  readonly #text: readonly TextInput[];
  readonly #binary: readonly TextInput[];
  readonly #arrays: TextInput[] = [];
  readonly #missing: readonly Missing[];
  readonly #computed: readonly GeneratedColumn[];
  #sinks: readonly ColumnSink[] = [];
  #open = false;
  /** The row under way has a NULL where none may be. */
  #isRefused = false;
  readonly #checks: RowChecks | null;
  /** The columns that are not given have such a NULL in every row. */
  readonly #refusesAll: boolean;
  #raw: readonly TextInput[];
  #blocks: BlockWriter | null = null;

  /** @param generated other values than their defaults for columns not given */
  constructor(
    def: TableDef,
    fieldIds: readonly number[],
    rows: RowBuffer,
    context: RowContext,
    generated: readonly { readonly fieldId: number; readonly value: Generator }[] = [],
  ) {
    this.def = def;
    this.#rows = rows;
    this.#context = context;
    this.#targets = fieldIds.map((fieldId) => def.columns.findIndex((column) => column.fieldId === fieldId));
    const columns = this.#targets.map((index) => def.columns[index]!);
    this.#text = columns.map((column) => textInput(column.type, context));
    this.#binary = columns.map((column) => binaryInput(column.type));
    this.#raw = this.#text;
    const given = new Set(this.#targets);
    this.#computed = generatedColumns(def, context);
    this.#missing = def.columns.flatMap((column, index) =>
      given.has(index) || isGenerated(column) ? [] : [{ index, put: this.#missingOf(column, generated) }],
    );
    this.#checks = rowChecks(def, context);
    const isFilled = ({ fieldId }: ColumnDef): boolean => generated.some((each) => each.fieldId === fieldId);
    this.#refusesAll = def.columns.some(
      (column, i) =>
        !given.has(i) && column.notNull && hasNoDefault(column) && !isFilled(column) && !isGenerated(column),
    );
  }

  /** The rows that follow go elsewhere: a statement that is carried out again keeps its writer. */
  writeTo(rows: RowBuffer): void {
    this.#rows = rows;
    this.#open = false;
    this.#isRefused = false;
  }

  /** The type of a value's column. */
  typeOf(value: number): PgType {
    return this.def.columns[this.#targets[value]!]!.type;
  }

  /** From here `field` takes binary values (COPY … BINARY). */
  useBinary(): void {
    this.#raw = this.#binary;
    this.#blocks = null;
  }

  /** Rows of a block, all or none; false: write them one by one, the first bad value says why. */
  block(block: FieldBlock): boolean {
    if (this.#refusesAll) return false;
    this.#blocks ??= new BlockWriter(
      this.def,
      this.#targets,
      { missing: this.#missing, computed: this.#computed },
      this.#context,
      this.#raw === this.#binary,
    );
    if (this.#checks === null) return this.#blocks.append(block, this.#rows);
    const before = this.#rows.rows;
    const { sequences } = this.#context;
    sequences?.record();
    const taken = this.#blocks.append(block, this.#rows) && this.#passes(this.#checks, before);
    sequences?.giveBack(taken);
    if (!taken) this.#rows.truncate(before);
    return taken;
  }

  #begin(): void {
    if (this.#open) return;
    this.#sinks = this.#rows.sinks();
    this.#open = true;
  }

  #sink(value: number): ColumnSink {
    this.#begin();
    const index = this.#targets[value]!;
    return this.#computed.length > 0 && isGenerated(this.def.columns[index]!) ? DISCARD : this.#sinks[index]!;
  }

  field(value: number, src: Uint8Array, start: number, end: number): void {
    this.#raw[value]!(src, start, end, this.#sink(value));
  }

  nullField(value: number): void {
    const column = this.def.columns[this.#targets[value]!]!;
    if (column.notNull && !isGenerated(column)) this.#isRefused = true;
    this.#sink(value).null();
  }

  text(value: number, text: string): void {
    putText(this.#text[value]!, text, this.#sink(value));
  }

  binaryField(value: number, src: Uint8Array, start: number, end: number): void {
    this.#binary[value]!(src, start, end, this.#sink(value));
  }

  /** A value as it is in memory, which has been read before. */
  bytesField(value: number, src: Uint8Array, start: number, end: number): void {
    this.#sink(value).bytes(src, start, end);
  }

  textField(value: number, src: Uint8Array, start: number, end: number): void {
    this.#text[value]!(src, start, end, this.#sink(value));
  }

  now(value: number): void {
    const column = this.def.columns[this.#targets[value]!]!;
    putNow(column.type, this.#context.now(), this.#context.timeZone, this.#sink(value));
  }

  generated(value: number, generator: Generator): void {
    let put = this.#generators.get(generator);
    if (put === undefined) {
      put = generatedInput(this.def.columns[this.#targets[value]!]!, generator, this.#context);
      this.#generators.set(generator, put);
    }
    put(this.#sink(value));
  }

  default(value: number): void {
    const column = this.def.columns[this.#targets[value]!]!;
    const sink = this.#sink(value);
    if (!isGenerated(column)) this.#defaultOf(column)(sink);
  }

  endRow(): void {
    this.#begin();
    for (const { index, put } of this.#missing) put(this.#sinks[index]!);
    if (this.#computed.length > 0) this.#compute();
    if (this.#isRefused || this.#refusesAll) this.#refuse();
    if (this.#checks !== null) this.#check(this.#checks);
    this.#rows.endRow();
    this.#open = false;
  }

  /** The columns that are worked out of the others. */
  #compute(): void {
    const batch = this.#rows.batches.at(-1)!;
    const row = batch.vectors();
    try {
      for (const { index, notNull, put } of this.#computed)
        if (!put(row, batch.rows, this.#sinks[index]!) && notNull) this.#isRefused = true;
    } catch (error) {
      this.#drop();
      throw error;
    }
  }

  /** Drops the values of the row under way: they were to be looked at only. */
  abandonRow(): void {
    this.#isRefused = false;
    if (this.#open) this.#drop();
  }

  #missingOf(
    column: ColumnDef,
    generated: readonly { readonly fieldId: number; readonly value: Generator }[],
  ): (sink: ColumnSink) => void {
    const other = generated.find((each) => each.fieldId === column.fieldId);
    return other === undefined ? this.#defaultOf(column) : generatedInput(column, other.value, this.#context);
  }

  #refuse(): void {
    this.#isRefused = false;
    const violation = notNullViolation(this.def, this.#rowUnderWay());
    invariant(violation !== null, 'a row is refused for a NULL');
    this.#drop();
    throw violation;
  }

  #check(checks: RowChecks): void {
    const batch = this.#rows.batches.at(-1)!;
    const failed = checks(batch.vectors(), batch.rows);
    if (failed === null) return;
    const violation = checkViolation(this.def, failed, this.#rowUnderWay());
    this.#drop();
    throw violation;
  }

  /** Whether the rows of a block, from `from` on, pass. */
  #passes(checks: RowChecks, from: number): boolean {
    const { batches } = this.#rows;
    for (let index = this.#rows.batchOf(from); index < batches.length; index++) {
      const vectors = batches[index]!.vectors();
      const start = Math.max(0, from - this.#rows.batchStart(index));
      try {
        for (let row = start; row < batches[index]!.rows; row++) if (checks(vectors, row) !== null) return false;
      } catch (error) {
        if (error instanceof SqlError) return false; // a check that cannot be worked out, such as a division by zero
        throw error;
      }
    }
    return true;
  }

  #rowUnderWay(): RefusedRow {
    const batch = this.#rows.batches.at(-1)!;
    return { vectors: batch.vectors(), row: batch.rows, timeZone: this.#context.timeZone };
  }

  #drop(): void {
    this.#rows.dropRow();
    this.#open = false;
  }

  #defaultOf(column: ColumnDef): (sink: ColumnSink) => void {
    const value = column.default;
    if (value === null || (value.kind === 'constant' && value.text === null)) {
      return (sink) => {
        if (column.notNull) this.#isRefused = true;
        sink.null();
      };
    }
    if (value.kind !== 'constant') return generatedInput(column, value, this.#context);
    const input = textInput(column.type, this.#context);
    return (sink) => putText(input, value.text, sink);
  }

  get rows(): number {
    return this.#rows.rows;
  }

  /**
   * Rows [start, end) of vectors that hold the values in column types already: checks, then copies.
   * @param kept values that were in the table before: nothing is wrong with them
   */
  appendVectors(vectors: readonly ColumnVector[], end: number, start = 0, kept: ReadonlySet<number> = NONE): void {
    if (this.#copies(vectors, start, end, kept)) {
      this.#rows.append(vectors, start, end);
      return;
    }
    for (let row = start; row < end; row++) {
      for (let value = 0; value < vectors.length; value++) {
        if (kept.has(value)) this.sameField(value, vectors[value]!, row);
        else this.vectorField(value, vectors[value]!, row);
      }
      this.endRow();
    }
  }

  /** Whether the rows are whole ones that need only be copied, column by column. */
  #copies(vectors: readonly ColumnVector[], start: number, end: number, kept: ReadonlySet<number>): boolean {
    if (this.#checks !== null || this.#missing.length > 0 || this.#computed.length > 0 || this.#open) return false;
    const { physicals } = this.#rows;
    for (let value = 0; value < vectors.length; value++) {
      const vector = vectors[value]!;
      if (this.#targets[value] !== value || vector.physical !== physicals[value]) return false;
      if (kept.has(value)) continue;
      const { notNull, type } = this.def.columns[value]!;
      if (type.oid === Oid.int2 || type.oid === Oid.oid || isRounded(type)) return false;
      if (vector.physical === 'bytes' && type.oid !== Oid.text && type.oid !== Oid.bytea) return false;
      if (notNull && vector.validity !== null)
        for (let row = start; row < end; row++) if (!isValid(vector, row)) return false;
    }
    return true;
  }

  /** The rules of a value's type for what the engine made. */
  #again(value: number): TextInput {
    const { type } = this.def.columns[this.#targets[value]!]!;
    if (elementOf(type) === undefined) return this.#text[value]!;
    return (this.#arrays[value] ??= storedArrayInput(type, this.#context));
  }

  /** Numbers that were computed; of the column's physical type. */
  int32Field(value: number, number: number): void {
    this.#sink(value).int32(number);
  }

  int64Field(value: number, low: number, high: number): void {
    this.#sink(value).int64(low, high);
  }

  float64Field(value: number, number: number): void {
    this.#sink(value).float64(number);
  }

  /** A value of the same column, or of one of the same type: what was checked once is only copied. */
  sameField(value: number, vector: ColumnVector, row: number): void {
    if (vector.physical === 'bytes' && isValid(vector, row))
      this.#sink(value).bytes(vector.heap, vector.starts[row]!, vector.ends[row]!);
    else this.vectorField(value, vector, row);
  }

  /** A value out of a vector of the column's physical type. */
  vectorField(value: number, vector: ColumnVector, row: number): void {
    if (!isValid(vector, row)) {
      this.nullField(value);
      return;
    }
    const { type } = this.def.columns[this.#targets[value]!]!;
    const { oid } = type;
    const sink = this.#sink(value);
    switch (vector.physical) {
      case 'bool':
        sink.bool((vector.bits[row >> 3]! & (1 << (row & 7))) !== 0);
        return;
      case 'int32': {
        const number = vector.words[row]!;
        if (oid === Oid.int2 && (number < -32_768 || number > 32_767))
          throw new SqlError(SqlState.numericValueOutOfRange, 'smallint out of range');
        sink.int32(number);
        return;
      }
      case 'int64':
        if (oid === Oid.oid && vector.words[row * 2 + 1]! !== 0)
          throw new SqlError(SqlState.numericValueOutOfRange, 'OID out of range');
        if (isRounded(type)) putRounded(type, vector.words, row, sink);
        else sink.int64(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
        return;
      case 'float32':
        sink.float32(vector.float32[row]!);
        return;
      case 'float64':
        sink.float64(vector.float64[row]!);
        return;
      case 'bytes':
        // varchar(n), json and jsonb have rules that the engine's text does not know.
        if (oid === Oid.text || oid === Oid.bytea) sink.bytes(vector.heap, vector.starts[row]!, vector.ends[row]!);
        else this.#again(value)(vector.heap, vector.starts[row]!, vector.ends[row]!, sink);
        return;
      default: {
        const at = row * 4;
        sink.words4(vector.words[at]!, vector.words[at + 1]!, vector.words[at + 2]!, vector.words[at + 3]!);
      }
    }
  }
}
