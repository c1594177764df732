/**
 * Values that are worked out when a row is written: of sequences, chance and the clock. The log and everything behind it see
 * values only (M-5).
 */
import { randomInt, randomUUID } from 'node:crypto';
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, ColumnDefault, NowShift, PgType } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { civilFromDays, DAY_SECONDS, daysFromCivil, daysInMonth } from '../types/civil-date.ts';
import type { ColumnSink } from '../types/column-vector.ts';
import { putNow } from '../types/datetime-input.ts';
import { formatType } from '../types/format-type.ts';
import { putText } from '../types/parse-text-value.ts';
import { Oid, physicalOf } from '../types/pg-type.ts';
import { textInput, type TimeContext } from '../types/text-input.ts';
import { textOutput } from '../types/text-output.ts';
import { localToUtc, timeZone, type TimeZone } from '../types/time-zone.ts';
import { decodeText } from '../types/utf8.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import type { SequenceValue } from './sequence.ts';
import { TEXTS } from '../types/type-kinds.ts';

/** The sequences as a session sees them. @throws {SqlError} 2200H, 42P01, 55000 */
export interface SequenceSource {
  next(oid: number): SequenceValue;
  current(oid: number): SequenceValue;
  last(): SequenceValue;
  /** From here until `giveBack` numbers are noted, which rows may yet not take: then they are the next ones. */
  record(): void;
  giveBack(taken: boolean): void;
}

/** What a statement's values may depend on. */
export interface RowContext extends TimeContext {
  readonly sequences?: SequenceSource;
  /** clock_timestamp(), where it is another than now(). */
  readonly clock?: () => number;
  readonly user?: string;
}

export type Generator =
  | Exclude<ColumnDefault, { readonly kind: 'constant' }>
  | { readonly kind: 'currval'; readonly sequence: number }
  | { readonly kind: 'lastval' };

/** How a value of a column is made, once a row. */
export function generatedInput(column: ColumnDef, value: Generator, context: RowContext): (sink: ColumnSink) => void {
  switch (value.kind) {
    case 'now':
      return nowInput(column, value.shift, context);
    case 'nextval':
      return sequenceInput(column, context, (source) => source.next(value.sequence));
    case 'currval':
      return sequenceInput(column, context, (source) => source.current(value.sequence));
    case 'lastval':
      return sequenceInput(column, context, (source) => source.last());
    default:
      return functionInput(column, value.function, context);
  }
}

function sequenceInput(
  { type }: ColumnDef,
  context: RowContext,
  valueOf: (source: SequenceSource) => SequenceValue,
): (sink: ColumnSink) => void {
  const { sequences } = context;
  if (sequences === undefined)
    throw new SqlError(SqlState.featureNotSupported, 'sequences are not supported outside of a session');
  const outOfRange = (): SqlError =>
    new SqlError(SqlState.numericValueOutOfRange, `${formatType({ oid: type.oid, typmod: -1 })} out of range`);
  switch (type.oid) {
    case Oid.int8:
      return (sink) => {
        const value = valueOf(sequences);
        if (typeof value === 'number') sink.int64(value | 0, Math.floor(value / 4_294_967_296));
        else sink.int64(Number(BigInt.asIntN(32, value)), Number(value >> 32n));
      };
    case Oid.int4:
    case Oid.int2: {
      const max = type.oid === Oid.int2 ? 32_767 : 2_147_483_647;
      return (sink) => {
        const value = valueOf(sequences);
        if (typeof value !== 'number' || value > max || value < -max - 1) throw outOfRange();
        sink.int32(value);
      };
    }
    default: {
      const input = textInput(type, context);
      return (sink) => putText(input, String(valueOf(sequences)), sink);
    }
  }
}

function functionInput(
  { type }: ColumnDef,
  name: Extract<Generator, { readonly kind: 'function' }>['function'],
  context: RowContext,
): (sink: ColumnSink) => void {
  switch (name) {
    case 'gen_random_uuid': {
      const input = textInput(type, context);
      return (sink) => putText(input, randomUUID(), sink);
    }
    case 'random':
      return type.oid === Oid.float4 ? (sink) => sink.float32(fraction()) : (sink) => sink.float64(fraction());
    case 'now':
      return instantInput(type, context, context.now);
    case 'clock_timestamp':
      return instantInput(type, context, context.clock ?? context.now);
    default: {
      const input = textInput(type, context);
      return (sink) => putText(input, context.user ?? '', sink);
    }
  }
}

/** An instant; where the column is no time, the text that PostgreSQL shows of it in the session's zone. */
function instantInput(type: PgType, context: RowContext, clock: () => number): (sink: ColumnSink) => void {
  const { timeZone: zone } = context;
  if (!TEXTS.has(type.oid)) return (sink) => putNow(type, clock(), zone, sink);
  const input = textInput(type, context);
  const instant = { oid: Oid.timestamptz, typmod: -1 };
  const output = textOutput(instant, { timeZone: zone });
  return (sink) => {
    const builder = new VectorBuilder(physicalOf(instant));
    const bytes = new ByteWriter();
    putNow(instant, clock(), zone, builder);
    output(builder.vector(), 0, bytes);
    putText(input, decodeText(bytes.bytes, 0, bytes.length), sink);
  };
}

const FRACTIONS = 2 ** 48 - 1;
/** From 0 to below 1. */
function fraction(): number {
  return randomInt(FRACTIONS) / FRACTIONS;
}

function nowInput(
  { type }: ColumnDef,
  shift: NowShift | undefined,
  { now, timeZone: zone }: RowContext,
): (sink: ColumnSink) => void {
  if (shift === undefined) return (sink) => putNow(type, now(), zone, sink);
  const shown = shift.zone === null ? zone : timeZone(shift.zone);
  if (shift.zone !== null && type.oid === Oid.timestamptz)
    return (sink) => putNow(type, takenForLocal(now(), shown, zone), zone, sink);
  return (sink) => putNow(type, shifted(now(), shift, shown), shown, sink);
}

/** What a clock of one zone shows, as an instant of another. */
function takenForLocal(micros: number, shown: TimeZone, zone: TimeZone): number {
  const seconds = Math.floor(micros / 1e6);
  return localToUtc(zone, seconds + shown.offsetSeconds(seconds)) * 1e6 + (micros - seconds * 1e6);
}

/** An instant with an interval added: months and days by the calendar of the zone, then the time. */
function shifted(micros: number, { months, days, micros: more }: NowShift, zone: TimeZone): number {
  if (months === 0 && days === 0) return micros + more;
  const seconds = Math.floor(micros / 1e6);
  const fraction = micros - seconds * 1e6;
  const local = seconds + zone.offsetSeconds(seconds);
  const day = Math.floor(local / DAY_SECONDS);
  const { year, month, day: ofMonth } = civilFromDays(day);
  const count = year * 12 + (month - 1) + months;
  const newYear = Math.floor(count / 12);
  const newMonth = count - newYear * 12 + 1;
  const moved = daysFromCivil(newYear, newMonth, Math.min(ofMonth, daysInMonth(newYear, newMonth))) + days;
  return localToUtc(zone, moved * DAY_SECONDS + (local - day * DAY_SECONDS)) * 1e6 + fraction + more;
}
