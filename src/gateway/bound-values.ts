/**
 * The values of a Bind, each read by the input function of its parameter's type before there is a portal, as in PostgreSQL: what is
 * wrong with a value is the answer to Bind.
 *
 * - B1 What is dear to read is kept as it was read; all else is read again where it goes, which costs less than keeping it.
 * - B2 Types that no column has are PostgreSQL's own to read: such a Bind waits for it.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { binaryInput } from '../types/binary-input.ts';
import { DISCARD, type ColumnVector } from '../types/column-vector.ts';
import { columnTypeInfo, elementType, Oid, physicalOf } from '../types/pg-type.ts';
import { textInput, type TextInput, type TimeContext } from '../types/text-input.ts';
import type { Format } from '../types/result-column.ts';
import { checkUtf8 } from '../types/utf8.ts';
import { parameterError } from '../types/value-errors.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import type { BoundParameters } from '../wire/gateway-api.ts';
import { formatOf } from './write-environment.ts';

/** Shorter values are read twice (B1). */
const KEPT_FROM_BYTES = 512;

/** Far below what a numeric holds. */
const PLAIN_DIGITS_MAX = 40;
const NOTHING_KEPT: readonly undefined[] = [];

type Keep = 'never' | 'long' | 'always';

interface Reader {
  readonly input: TextInput;
  readonly keep: Keep;
  /** Of the type; -1: values have no length in common. */
  readonly length: number;
  /** Only where values are kept. */
  readonly builder: () => VectorBuilder;
}

/** Asks PostgreSQL to read one value. */
export type ReadByPostgres = (oid: number, format: Format, value: Uint8Array) => Promise<unknown>;

export class BoundValues {
  readonly #time: () => TimeContext;
  readonly #byPostgres: ReadByPostgres;
  #context: TimeContext | null = null;
  /** By type, for texts and for binary values; null: B2. */
  readonly #readers: readonly [Map<number, Reader | null>, Map<number, Reader | null>] = [new Map(), new Map()];

  constructor(time: () => TimeContext, byPostgres: ReadByPostgres) {
    this.#time = time;
    this.#byPostgres = byPostgres;
  }

  /** Null: all have been read. @throws {SqlError} 22P02, 22P03, 08P01, 22021 … of the first that is wrong */
  read(parameters: BoundParameters, oids: readonly number[], portal: string): Promise<void> | null {
    if (parameters.starts.length === 0) return null;
    const time = this.#time();
    if (this.#context !== time) {
      this.#context = time;
      for (const known of this.#readers) known.clear();
    }
    parameters.kept = NOTHING_KEPT;
    return this.#readFrom(0, parameters, oids, portal);
  }

  #readFrom(first: number, parameters: BoundParameters, oids: readonly number[], portal: string): Promise<void> | null {
    const { bytes, starts, ends } = parameters;
    for (let i = first; i < starts.length; i++) {
      const start = starts[i]!;
      if (start < 0) continue;
      const format = formatOf(parameters, i);
      const reader = this.#readerOf(oids[i] ?? 0, format);
      if (reader === null) return this.#ask(i, parameters, oids, portal);
      const end = ends[i]!;
      try {
        if (reader.keep === 'never' || (reader.keep === 'long' && end - start < KEPT_FROM_BYTES))
          reader.input(bytes, start, end, DISCARD);
        else keep(reader, parameters, i);
      } catch (error) {
        if (isOwnLimit(error)) continue;
        throw parameterError(misfit(error, reader, i, end - start), i + 1, format === 0, portal);
      }
    }
    return null;
  }

  /** B2 */
  async #ask(i: number, parameters: BoundParameters, oids: readonly number[], portal: string): Promise<void> {
    const format = formatOf(parameters, i);
    try {
      await this.#byPostgres(oids[i]!, format, parameters.values[i]!);
    } catch (error) {
      throw parameterError(asked(error, i), i + 1, format === 0, portal);
    }
    await this.#readFrom(i + 1, parameters, oids, portal);
  }

  #readerOf(oid: number, format: Format): Reader | null {
    const known = this.#readers[format];
    let reader = known.get(oid);
    if (reader === undefined) {
      reader = makeReader(oid, format, this.#context!);
      known.set(oid, reader);
    }
    return reader;
  }
}

/** Read as the text that it is. */
const TEXTS: ReadonlySet<number> = new Set([0, Oid.unknown, Oid.text, Oid.varchar, Oid.bpchar, Oid.name]);

function makeReader(oid: number, format: Format, time: TimeContext): Reader | null {
  const type = { oid, typmod: -1 };
  if (TEXTS.has(oid)) return { input: checkUtf8, keep: 'never', length: -1, builder: () => new VectorBuilder('bytes') };
  const info = columnTypeInfo(oid);
  if (info === undefined) return null;
  const physical = physicalOf(type);
  const isDear = oid === Oid.jsonb || elementType(oid) !== undefined;
  const isPlain = physical !== 'bytes' || oid === Oid.json || (oid === Oid.bytea && format === 1);
  return {
    input: format === 1 ? binaryInput(type) : oid === Oid.numeric ? numericText(type, time) : textInput(type, time),
    keep: isDear ? 'always' : isPlain ? 'never' : 'long',
    length: info.typlen,
    builder: () => new VectorBuilder(physical),
  };
}

/** Plain digits with at most one point need no more than a look. */
function numericText(type: PgType, time: TimeContext): TextInput {
  const slow = textInput(type, time);
  return (src, start, end, sink) => {
    let at = src[start] === 45 ? start + 1 : start;
    const first = at;
    let points = 0;
    for (; at < end; at++) {
      const byte = src[at]!;
      if (byte === 46) points++;
      else if (byte < 48 || byte > 57) break;
    }
    if (at < end || points > 1 || end - first > PLAIN_DIGITS_MAX || end - first <= points) slow(src, start, end, sink);
  };
}

function keep({ input, builder }: Reader, parameters: BoundParameters, i: number): void {
  const values = builder();
  input(parameters.bytes, parameters.starts[i]!, parameters.ends[i]!, values);
  const kept: (ColumnVector | undefined)[] = [...(parameters.kept ?? [])];
  kept[i] = values.vector();
  parameters.kept = kept;
}

/** What Arka has no place for, such as an array of two dimensions in a column: whether that matters is for the statement to say. */
function isOwnLimit(error: unknown): boolean {
  return error instanceof SqlError && error.code === SqlState.featureNotSupported;
}

const TOO_SHORT = 'insufficient data left in message';
const MISFIT = 'incorrect binary data format';

/** Bind says which value it is, and of one that ends too early what it says of a message that does. */
function misfit(error: unknown, { length }: Reader, i: number, bytes: number): unknown {
  if (!(error instanceof SqlError)) return error;
  if (error.message === MISFIT && bytes < length)
    return new SqlError(SqlState.protocolViolation, TOO_SHORT, error.fields);
  return error.message === MISFIT
    ? new SqlError(error.code, `${MISFIT} in bind parameter ${i + 1}`, error.fields)
    : error;
}

/** It was the only parameter there. */
function asked(error: unknown, i: number): unknown {
  if (!(error instanceof SqlError)) return error;
  const { where: _, position: __, ...fields } = error.fields;
  return new SqlError(
    error.code,
    error.message.replace(/ in bind parameter 1$/, ` in bind parameter ${i + 1}`),
    fields,
  );
}
