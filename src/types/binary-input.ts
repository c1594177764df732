/**
 * PostgreSQL's binary format of every column type, for Bind parameters and COPY BINARY: big-endian, one value's bytes
 * without its length. Sources: each type's receive function as the protocol documents show it.
 *
 * A wrong length is 22P03; a NaN for numeric(p,s) is 0A000.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import {
  DATE_INFINITY,
  DATE_MAX,
  DATE_MIN,
  DAY_MICROS,
  joinMicros,
  POSTGRES_EPOCH_DAYS,
  roundMicros,
  splitMicros,
  TIMESTAMP_DAYS_MAX,
  typmodUnit,
} from './civil-date.ts';
import type { ColumnSink } from './column-vector.ts';
import { putInfinite } from './datetime-input.ts';
import { highWord, POW10, wordsToNumber } from './decimal-digits.ts';
import { formatType } from './format-type.ts';
import { type TextInput } from './number-input.ts';
import { nanRefused, overflow, putDigitsRounded, requiredModifier, type NumericModifier } from './numeric-input.ts';
import { arrayBinaryInput } from './array-column.ts';
import { intervalBinaryInput } from './interval-input.ts';
import { numericTextBinaryInput } from './numeric-text.ts';
import { elementOf, isWideNumeric, Oid } from './pg-type.ts';
import { timetzBinaryInput } from './timetz.ts';
import { characterInput, jsonbInput, textInput } from './text-input.ts';

/** As TextInput, over the binary format. */
export type BinaryInput = TextInput;

const POSTGRES_EPOCH_SECONDS = POSTGRES_EPOCH_DAYS * 86_400;

export function binaryInput(type: PgType): BinaryInput {
  switch (type.oid) {
    case Oid.bool:
      return fixed(1, (src, at, sink) => sink.bool(src[at] !== 0));
    case Oid.int2:
      return fixed(2, (src, at, sink) => sink.int32(((src[at]! << 24) >> 16) | src[at + 1]!));
    case Oid.int4:
      return fixed(4, (src, at, sink) => sink.int32(int32At(src, at)));
    case Oid.int8:
      return fixed(8, (src, at, sink) => sink.int64(int32At(src, at + 4), int32At(src, at)));
    case Oid.float4:
      return fixed(4, (src, at, sink) => {
        for (let i = 0; i < 4; i++) scratch.setUint8(i, src[at + i]!);
        sink.float32(scratch.getFloat32(0));
      });
    case Oid.float8:
      return fixed(8, (src, at, sink) => {
        for (let i = 0; i < 8; i++) scratch.setUint8(i, src[at + i]!);
        sink.float64(scratch.getFloat64(0));
      });
    case Oid.numeric:
      return isWideNumeric(type) ? numericTextBinaryInput(type) : numericBinaryInput(requiredModifier(type));
    case Oid.text:
      return characterInput(-1);
    case Oid.varchar:
      return characterInput(type.typmod < 4 ? -1 : type.typmod - 4);
    case Oid.bpchar:
    case Oid.name:
      return textInput(type);
    case Oid.char:
      return fixed(1, (src, at, sink) => textInput(type)(src, at, at + (src[at] === 0 ? 0 : 1), sink));
    case Oid.oid:
      return fixed(4, (src, at, sink) => sink.int64(int32At(src, at), 0));
    case Oid.bytea:
      return (src, start, end, sink) => sink.bytes(src, start, end);
    case Oid.date:
      return dateBinaryInput();
    case Oid.time:
      return timeBinaryInput(type);
    case Oid.timestamp:
    case Oid.timestamptz:
      return timestampBinaryInput(type);
    case Oid.timetz:
      return timetzBinaryInput(type);
    case Oid.interval:
      return intervalBinaryInput;
    case Oid.uuid:
      return fixed(16, (src, at, sink) => {
        sink.words4(littleAt(src, at), littleAt(src, at + 4), littleAt(src, at + 8), littleAt(src, at + 12));
      });
    case Oid.json:
      return textInput(type);
    case Oid.jsonb: {
      const text = jsonbInput();
      return (src, start, end, sink) => {
        if (start >= end) throw badFormat('insufficient data left in message');
        if (src[start] !== 1) throw badFormat(`unsupported jsonb version number ${src[start]}`);
        text(src, start + 1, end, sink);
      };
    }
    default:
      if (elementOf(type) !== undefined) return arrayBinaryInput(type);
      throw new SqlError(SqlState.featureNotSupported, `binary input of type ${formatType(type)} is not supported`);
  }
}

const scratch = new DataView(new ArrayBuffer(8));

function badFormat(message: string): SqlError {
  return new SqlError(SqlState.invalidBinaryRepresentation, message);
}

function badLength(): SqlError {
  return badFormat('incorrect binary data format');
}

export function int32At(src: Uint8Array, at: number): number {
  return (src[at]! << 24) | (src[at + 1]! << 16) | (src[at + 2]! << 8) | src[at + 3]!;
}

function littleAt(src: Uint8Array, at: number): number {
  return src[at]! | (src[at + 1]! << 8) | (src[at + 2]! << 16) | (src[at + 3]! << 24);
}

function fixed(length: number, put: (src: Uint8Array, at: number, sink: ColumnSink) => void): BinaryInput {
  return (src, start, end, sink) => {
    if (end - start !== length) throw badLength();
    put(src, start, sink);
  };
}

function dateBinaryInput(): BinaryInput {
  return fixed(4, (src, at, sink) => {
    const value = int32At(src, at);
    if (value === 2_147_483_647 || value === -2_147_483_648)
      return sink.int32(value > 0 ? DATE_INFINITY : -DATE_INFINITY);
    const days = value + POSTGRES_EPOCH_DAYS;
    if (days < DATE_MIN || days > DATE_MAX) throw new SqlError(SqlState.datetimeFieldOverflow, 'date out of range');
    sink.int32(days);
  });
}

function timeBinaryInput(type: PgType): BinaryInput {
  const round = typmodUnit(type.typmod);
  return fixed(8, (src, at, sink) => {
    let micros = wordsToNumber(int32At(src, at + 4), int32At(src, at));
    if (micros < 0 || micros > DAY_MICROS) throw new SqlError(SqlState.datetimeFieldOverflow, 'time out of range');
    if (round !== 1) micros = Math.round(micros / round) * round;
    sink.int64(micros | 0, highWord(micros));
  });
}

function timestampBinaryInput(type: PgType): BinaryInput {
  const round = typmodUnit(type.typmod);
  return fixed(8, (src, at, sink) => {
    const high = int32At(src, at);
    const low = int32At(src, at + 4);
    if (high === 0x7fff_ffff && low === -1) return putInfinite(1, sink);
    if (high === -0x8000_0000 && low === 0) return putInfinite(-1, sink);
    const parts = splitMicros(low, high);
    const seconds = parts.seconds + POSTGRES_EPOCH_SECONDS;
    const day = seconds / 86_400;
    if (day < DATE_MIN || day >= TIMESTAMP_DAYS_MAX)
      throw new SqlError(SqlState.datetimeFieldOverflow, 'timestamp out of range');
    const words = joinMicros(seconds, round === 1 ? parts.micros : roundMicros(seconds, parts.micros, round));
    sink.int64(words.low, words.high);
  });
}

let digits = new Uint8Array(64);

/** ndigits, weight, sign, dscale (int16 each), then digits of base 10,000. */
function numericBinaryInput(modifier: NumericModifier): BinaryInput {
  const limit = modifier.precision <= 15 ? POW10[modifier.precision]! : 1e15;
  return (src, start, end, sink) => {
    const count = end - start >= 8 ? (src[start]! << 8) | src[start + 1]! : -1;
    if (count < 0 || end - start !== 8 + count * 2) throw badLength();
    const weight = ((src[start + 2]! << 24) >> 16) | src[start + 3]!;
    const sign = (src[start + 4]! << 8) | src[start + 5]!;
    if (sign !== 0 && sign !== 0x4000) throw notFinite(sign, modifier);
    const exponent = (weight - count + 1) * 4 + modifier.scale; // of the digits as one integer, after scaling
    if (count <= 3 && exponent <= 3 && exponent >= -12) {
      let value = 0;
      for (let at = start + 8; at < end; at += 2) value = value * 10_000 + digitAt(src, at);
      if (exponent >= 0) {
        value *= POW10[exponent]!;
      } else {
        const divisor = POW10[-exponent]!;
        const remainder = value % divisor;
        value = (value - remainder) / divisor + (remainder * 2 >= divisor ? 1 : 0);
      }
      if (value < limit) {
        const signed = sign === 0 || value === 0 ? value : -value;
        const high = highWord(signed);
        return sink.words4(signed | 0, high, high >> 31, high >> 31);
      }
      if (modifier.precision <= 15) throw overflow(modifier);
    }
    slowNumeric(src, start + 8, count, weight, sign !== 0, modifier, sink);
  };
}

function digitAt(src: Uint8Array, at: number): number {
  const digit = (src[at]! << 8) | src[at + 1]!;
  if (digit > 9999) throw badFormat('invalid digit in external "numeric" value');
  return digit;
}

function notFinite(sign: number, modifier: NumericModifier): SqlError {
  if (sign !== 0xc000 && sign !== 0xd000 && sign !== 0xf000)
    return badFormat('invalid sign in external "numeric" value');
  if (sign === 0xc000) return nanRefused(modifier);
  return new SqlError(SqlState.numericValueOutOfRange, 'numeric field overflow', {
    detail: `A field with precision ${modifier.precision}, scale ${modifier.scale} cannot hold an infinite value.`,
  });
}

function slowNumeric(
  src: Uint8Array,
  from: number,
  count: number,
  weight: number,
  negative: boolean,
  modifier: NumericModifier,
  sink: ColumnSink,
): void {
  if (digits.length < count * 4) digits = new Uint8Array(count * 8);
  let length = 0;
  let leading = 0;
  for (let i = 0; i < count; i++) {
    let rest = digitAt(src, from + i * 2);
    for (let unit = 1000; unit >= 1; unit /= 10) {
      const digit = (rest / unit) | 0;
      rest -= digit * unit;
      if (length > 0 || digit > 0) digits[length++] = 48 + digit;
      else leading++;
    }
  }
  putDigitsRounded(digits, length, (weight + 1) * 4 - leading, negative, modifier, sink);
}
