/**
 * Iceberg's partition transforms over column vectors: pure, used by main to route rows and here for tests.
 *
 * Results have the transform's result type as a `PartitionValue`: bucket, year, month, day, hour, int and date are
 * numbers; long, time and timestamps are bigint; decimals are their unscaled bigint; binary and uuid are bytes.
 * A null gives null. Only `identity` and `truncate` of wide types allocate; the rest is arithmetic on words.
 * @see https://iceberg.apache.org/spec/#partition-transforms
 */
import { invariant, notSupported, SqlError, SqlState } from '../../errors.ts';
import type { PartitionField, PgType } from '../../table-def.ts';
import { isValid, type ColumnVector } from '../../types/column-vector.ts';
import { icebergType, physicalOf } from '../../types/pg-type.ts';
import type { PartitionValue } from './lake-api.ts';
import { murmur3, murmur3Long } from './murmur3.ts';

export type RowTransform = (vector: ColumnVector, row: number) => PartitionValue;

const MICROS_PER_HOUR = 3_600_000_000;
const MICROS_PER_DAY = 86_400_000_000;

/** @throws {SqlError} 0A000 when Iceberg has no such transform for the type */
export function partitionTransform(field: PartitionField, type: PgType): RowTransform {
  const inner = valueTransform(field, type);
  return (vector, row) => (isValid(vector, row) ? inner(vector, row) : null);
}

/** The Iceberg type of a field's partition values. */
export function resultType(field: Pick<PartitionField, 'transform'>, sourceType: string): string {
  switch (field.transform) {
    case 'bucket':
    case 'year':
    case 'month':
    case 'hour':
      return 'int';
    case 'day':
      return 'date';
    default:
      return sourceType;
  }
}

function valueTransform(field: PartitionField, type: PgType): RowTransform {
  const source = icebergType(type);
  const refuse = (): never => {
    throw notSupported(`partition transform ${field.transform} of type ${source}`);
  };
  switch (field.transform) {
    case 'void':
      return () => null;
    case 'identity':
      return identity(type);
    case 'bucket':
      return bucket(type, source, field.arg) ?? refuse();
    case 'truncate':
      return truncate(source, field.arg) ?? refuse();
    case 'hour':
      if (!source.startsWith('timestamp')) refuse();
      return (v, row) => hourOf(v.words[row * 2]!, v.words[row * 2 + 1]!);
    case 'day':
      return days(source) ?? refuse();
    case 'month': {
      const day = days(source) ?? refuse();
      return (v, row) => monthOfDay(day(v, row));
    }
    case 'year': {
      const day = days(source) ?? refuse();
      return (v, row) => Math.floor(monthOfDay(day(v, row)) / 12);
    }
    default:
      return refuse();
  }
}

/** Hours are int32: those of an infinite timestamp are not. */
function hourOf(low: number, high: number): number {
  const hour = floorDivide(low, high, MICROS_PER_HOUR);
  if (Math.abs(hour) <= 0x7fff_ffff) return hour;
  throw new SqlError(SqlState.numericValueOutOfRange, 'a timestamp this far away has no partition by hour', {
    hint: 'Partition by day, month or year.',
  });
}

function days(source: string): ((v: ColumnVector, row: number) => number) | null {
  if (source === 'date') return (v, row) => v.words[row]!;
  if (source.startsWith('timestamp'))
    return (v, row) => floorDivide(v.words[row * 2]!, v.words[row * 2 + 1]!, MICROS_PER_DAY);
  return null;
}

/** floor(long / divisor). Beyond 2^53 a double would round across a boundary, so those go the exact way. */
function floorDivide(low: number, high: number, divisor: number): number {
  if (high >= -0x20_0000 && high < 0x20_0000) return Math.floor((high * 0x1_0000_0000 + (low >>> 0)) / divisor);
  const value = long(low, high);
  const by = BigInt(divisor);
  const quotient = value / by;
  return Number(value < 0n && quotient * by !== value ? quotient - 1n : quotient);
}

/** Months since 1970-01 of a day number, in the proleptic Gregorian calendar. */
export function monthOfDay(day: number): number {
  const z = day + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 2 : marchMonth - 10; // from 0
  return (yearOfEra + era * 400 + (month < 2 ? 1 : 0) - 1970) * 12 + month;
}

function long(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** The unscaled value of a numeric: four little-endian words in two's complement. */
export function decimalAt(words: Int32Array, row: number): bigint {
  const at = row * 4;
  return (
    (BigInt(words[at + 3]!) << 96n) |
    (BigInt(words[at + 2]! >>> 0) << 64n) |
    (BigInt(words[at + 1]! >>> 0) << 32n) |
    BigInt(words[at]! >>> 0)
  );
}

function uuidAt(words: Int32Array, row: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + row * 16, 16);
}

function identity(type: PgType): RowTransform {
  switch (physicalOf(type)) {
    case 'bool':
      return (v, row) => (v.bits[row >> 3]! & (1 << (row & 7))) !== 0;
    case 'int32':
      return (v, row) => v.words[row]!;
    case 'int64':
      return (v, row) => long(v.words[row * 2]!, v.words[row * 2 + 1]!);
    case 'int128':
      return (v, row) => decimalAt(v.words, row);
    case 'float32':
      return (v, row) => v.float32[row]!;
    case 'float64':
      return (v, row) => v.float64[row]!;
    case 'fixed16':
      return (v, row) => uuidAt(v.words, row).slice();
    case 'bytes':
      return icebergType(type) === 'binary'
        ? (v, row) => v.heap.slice(v.starts[row]!, v.ends[row]!)
        : (v, row) => text(v.heap, v.starts[row]!, v.ends[row]!);
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
/** A shared buffer may not be decoded in place, hence the copy. */
function text(heap: Uint8Array, start: number, end: number): string {
  return decoder.decode(heap.slice(start, end));
}

function bucket(type: PgType, source: string, count: number): RowTransform | null {
  invariant(count > 0, 'a bucket count is positive');
  const of = (hash: number): number => (hash & 0x7fff_ffff) % count;
  switch (physicalOf(type)) {
    case 'int32':
      return (v, row) => {
        const value = v.words[row]!;
        return of(murmur3Long(value, value >> 31));
      };
    case 'int64':
      return (v, row) => of(murmur3Long(v.words[row * 2]!, v.words[row * 2 + 1]!));
    case 'int128':
      return (v, row) => of(murmur3(decimalBytes(decimalAt(v.words, row))));
    case 'fixed16':
      return (v, row) => of(murmur3(uuidAt(v.words, row)));
    case 'bytes':
      return source === 'string' || source === 'binary'
        ? (v, row) => of(murmur3(v.heap, v.starts[row], v.ends[row]))
        : null;
    default:
      return null;
  }
}

/** An unscaled decimal as the fewest big-endian two's complement bytes: what Iceberg hashes and stores. */
export function decimalBytes(value: bigint): Uint8Array {
  let length = 1;
  while (BigInt.asIntN(length * 8, value) !== value) length++;
  const bytes = new Uint8Array(length);
  for (let i = length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

function truncate(source: string, width: number): RowTransform | null {
  invariant(width > 0, 'a truncate width is positive');
  if (source === 'int') {
    return (v, row) => {
      const value = v.words[row]!;
      return (value - (((value % width) + width) % width)) | 0; // wraps as the reference implementation does
    };
  }
  const wide = BigInt(width);
  const cut = (value: bigint): bigint => value - (((value % wide) + wide) % wide);
  if (source === 'long') return (v, row) => BigInt.asIntN(64, cut(long(v.words[row * 2]!, v.words[row * 2 + 1]!)));
  if (source.startsWith('decimal')) return (v, row) => cut(decimalAt(v.words, row));
  if (source === 'binary')
    return (v, row) => v.heap.slice(v.starts[row]!, Math.min(v.ends[row]!, v.starts[row]! + width));
  if (source === 'string')
    return (v, row) => text(v.heap, v.starts[row]!, codePointsEnd(v.heap, v.starts[row]!, v.ends[row]!, width));
  return null;
}

/** Where the first `count` code points of UTF-8 bytes[start, end) end. */
export function codePointsEnd(bytes: Uint8Array, start: number, end: number, count: number): number {
  let at = start;
  for (let seen = 0; at < end; at++) {
    if ((bytes[at]! & 0xc0) !== 0x80 && seen++ === count) return at;
  }
  return at;
}

/** A text that is equal for equal partition tuples and for no others. */
/** Names spec and partition. */
export function placeKey(specId: number, values: readonly PartitionValue[]): string {
  return `${specId} ${partitionKey(values)}`;
}

export function partitionKey(values: readonly PartitionValue[]): string {
  return values
    .map((value) => {
      if (value === null) return 'n';
      if (value instanceof Uint8Array)
        return `x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
      if (typeof value === 'string') return `s${value.length}:${value}`;
      return `${typeof value === 'boolean' ? 'b' : 'i'}${Object.is(value, -0) ? '-0' : value}`;
    })
    .join(',');
}
