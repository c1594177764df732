/**
 * PostgreSQL's text input of every column type: the bytes of one value to one call of the sink.
 *
 * `textInput` is called once a column; the closure it gives runs once a value, without strings or objects for the
 * values programs write. Errors carry PostgreSQL's SQLSTATE and message.
 * Sources: PostgreSQL's manual, chapters 8 and B.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { dateInput, timeInput, timestampInput, type TimeContext } from './datetime-input.ts';
import type { ColumnSink } from './column-vector.ts';
import { formatType } from './format-type.ts';
import { ByteWriter } from './byte-writer.ts';
import { plainJson } from './json-scan.ts';
import { normaliseJsonb, validateJson } from './jsonb.ts';
import {
  boolInput,
  float4Input,
  float8Input,
  int8Input,
  intInput,
  invalidSyntax,
  type TextInput,
} from './number-input.ts';
import { numericInput, requiredModifier } from './numeric-input.ts';
import { arrayInput } from './array-column.ts';
import { intervalInput } from './interval-input.ts';
import { numericTextInput } from './numeric-text.ts';
import { elementOf, isWideNumeric, Oid } from './pg-type.ts';
import { timetzInput } from './timetz.ts';
import { UTC } from './time-zone.ts';
import { checkUtf8, countCharacters, decodeText } from './utf8.ts';

export type { TextInput } from './number-input.ts';
export type { TimeContext } from './datetime-input.ts';

const NO_CLOCK: TimeContext = {
  timeZone: UTC,
  now: () => {
    throw new SqlError(SqlState.featureNotSupported, "a relative time such as 'now' is not supported here");
  },
};

/**
 * @param context the session's zone and clock; without one the zone is UTC and 'now' is refused
 * @throws {SqlError} 0A000 at once for a type no column can have
 */
export function textInput(type: PgType, context: TimeContext = NO_CLOCK): TextInput {
  switch (type.oid) {
    case Oid.bool:
      return boolInput();
    case Oid.int2:
      return intInput('smallint');
    case Oid.int4:
      return intInput('integer');
    case Oid.int8:
      return int8Input();
    case Oid.float4:
      return float4Input();
    case Oid.float8:
      return float8Input();
    case Oid.numeric:
      return isWideNumeric(type) ? numericTextInput(type) : numericInput(requiredModifier(type));
    case Oid.text:
      return characterInput(-1);
    case Oid.varchar:
      return characterInput(type.typmod < 4 ? -1 : type.typmod - 4);
    case Oid.bpchar:
      return blankPaddedInput(type.typmod < 4 ? -1 : type.typmod - 4);
    case Oid.name:
      return nameInput;
    case Oid.char:
      return oneByteInput;
    case Oid.oid:
      return oidInput();
    case Oid.bytea:
      return byteaInput();
    case Oid.date:
      return dateInput(context);
    case Oid.time:
      return timeInput(type, context);
    case Oid.timestamp:
      return timestampInput(type, false, context);
    case Oid.timestamptz:
      return timestampInput(type, true, context);
    case Oid.timetz:
      return timetzInput(type, context);
    case Oid.interval:
      return intervalInput(context);
    case Oid.uuid:
      return uuidInput();
    case Oid.json:
      return jsonInput();
    case Oid.jsonb:
      return jsonbInput();
    default:
      if (elementOf(type) !== undefined) return arrayInput(type, context);
      throw new SqlError(SqlState.featureNotSupported, `input of type ${formatType(type)} is not supported`);
  }
}

/**
 * char(n): kept without the blanks at its end, which mean nothing to comparisons, casts and most functions; output puts them back.
 * `lengthMax` in characters, -1 for a value that only compares.
 */
export function blankPaddedInput(lengthMax: number): TextInput {
  return (src, start, end, sink) => {
    checkUtf8(src, start, end);
    let stop = end;
    while (stop > start && src[stop - 1] === 32) stop--;
    if (lengthMax >= 0 && stop - start > lengthMax && countCharacters(src, start, stop) > lengthMax)
      throw new SqlError(SqlState.stringDataRightTruncation, `value too long for type character(${lengthMax})`);
    sink.bytes(src, start, stop);
  };
}

const NAME_BYTES_MAX = 63;

/** Cut at 63 bytes without a word, between characters. */
function nameInput(src: Uint8Array, start: number, end: number, sink: ColumnSink): void {
  checkUtf8(src, start, end);
  let stop = Math.min(end, start + NAME_BYTES_MAX);
  if (stop < end) while ((src[stop]! & 0xc0) === 0x80) stop--;
  sink.bytes(src, start, stop);
}

/** "char": the first byte, as PostgreSQL 15 takes it; the rest is dropped. */
function oneByteInput(src: Uint8Array, start: number, end: number, sink: ColumnSink): void {
  checkUtf8(src, start, end);
  if (start < end && src[start]! >= 0x80)
    throw new SqlError(SqlState.featureNotSupported, 'a value of type "char" beyond ASCII is not supported');
  sink.bytes(src, start, Math.min(end, start + 1));
}

/** Unsigned; a negative one counts from 2^32, as in PostgreSQL. */
function oidInput(): TextInput {
  return (src, start, end, sink) => {
    const text = decodeText(src, start, end);
    const digits = /^[ \t-\r]*([+-]?\d+)[ \t-\r]*$/.exec(text)?.[1];
    if (digits === undefined) throw invalidSyntax('oid', text);
    const value = Number(digits);
    if (value > 0xffff_ffff || value < -0x8000_0000)
      throw new SqlError(SqlState.numericValueOutOfRange, `value "${text}" is out of range for type oid`);
    sink.int64(value | 0, 0);
  };
}

/** text and varchar(n): checked UTF-8 as it is; `lengthMax` in characters, -1 for none. */
export function characterInput(lengthMax: number): TextInput {
  return (src, start, end, sink) => {
    checkUtf8(src, start, end);
    const stop = lengthMax >= 0 && end - start > lengthMax ? fitted(src, start, end, lengthMax) : end;
    sink.bytes(src, start, stop);
  };
}

/** Where the value ends once spaces beyond the length are cut, as the SQL standard has it. */
function fitted(src: Uint8Array, start: number, end: number, lengthMax: number): number {
  if (countCharacters(src, start, end) <= lengthMax) return end;
  let stop = start;
  for (let count = 0; count < lengthMax; count++) {
    stop++;
    while ((src[stop]! & 0xc0) === 0x80) stop++;
  }
  for (let at = stop; at < end; at++) {
    if (src[at] !== 32) {
      throw new SqlError(SqlState.stringDataRightTruncation, `value too long for type character varying(${lengthMax})`);
    }
  }
  return stop;
}

/** Values of ASCII hex digits; 255 for other bytes. */
const HEX = new Uint8Array(256).fill(255);
for (let i = 0; i < 10; i++) HEX[48 + i] = i;
for (let i = 0; i < 6; i++) HEX[65 + i] = HEX[97 + i] = 10 + i;

let unescaped = new Uint8Array(256);

function byteaInput(): TextInput {
  return (src, start, end, sink) => {
    if (unescaped.length < end - start) unescaped = new Uint8Array((end - start) * 2);
    const length =
      src[start] === 92 && src[start + 1] === 120 && end - start >= 2
        ? unhex(src, start + 2, end)
        : unescape(src, start, end);
    sink.bytes(unescaped, 0, length);
  };
}

function unhex(src: Uint8Array, start: number, end: number): number {
  const out = unescaped;
  let length = 0;
  let at = start;
  while (at < end) {
    const high = HEX[src[at]!]!;
    if (high < 16 && at + 1 < end) {
      const low = HEX[src[at + 1]!]!;
      if (low < 16) {
        out[length++] = (high << 4) | low;
        at += 2;
        continue;
      }
    }
    const byte = src[at]!;
    if (byte === 32 || byte === 9 || byte === 10 || byte === 13) {
      at++;
      continue;
    }
    if (high < 16 && at + 1 >= end) {
      throw new SqlError(SqlState.invalidParameterValue, 'invalid hexadecimal data: odd number of digits');
    }
    const wrong = high < 16 ? at + 1 : at;
    const width = src[wrong]! < 0x80 ? 1 : src[wrong]! < 0xe0 ? 2 : src[wrong]! < 0xf0 ? 3 : 4;
    throw new SqlError(
      SqlState.invalidParameterValue,
      `invalid hexadecimal digit: "${decodeText(src, wrong, Math.min(end, wrong + width))}"`,
    );
  }
  return length;
}

/** The older form: a backslash is doubled, other bytes may be three octal digits. */
function unescape(src: Uint8Array, start: number, end: number): number {
  checkUtf8(src, start, end);
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = src[at]!;
    if (byte !== 92) {
      unescaped[length++] = byte;
    } else if (src[at + 1] === 92 && at + 1 < end) {
      unescaped[length++] = 92;
      at++;
    } else {
      const a = src[at + 1]! - 48;
      const b = src[at + 2]! - 48;
      const c = src[at + 3]! - 48;
      if (at + 3 >= end || a >>> 0 > 3 || b >>> 0 > 7 || c >>> 0 > 7) {
        throw new SqlError(SqlState.invalidTextRepresentation, 'invalid input syntax for type bytea');
      }
      unescaped[length++] = (a << 6) | (b << 3) | c;
      at += 3;
    }
  }
  return length;
}

const uuidWords = new Int32Array(4);

/** 32 hex digits, a hyphen after any group of four, braces around; usually 8-4-4-4-12. */
function uuidInput(): TextInput {
  return (src, start, end, sink) => {
    let at = start;
    let stop = end;
    if (src[at] === 123 && src[stop - 1] === 125) {
      at++;
      stop--;
    }
    let byte = 0;
    let word = 0;
    while (at + 1 < stop && byte < 16) {
      const high = HEX[src[at]!]!;
      const low = HEX[src[at + 1]!]!;
      if ((high | low) > 15) break;
      word |= ((high << 4) | low) << ((byte & 3) << 3);
      if ((byte & 3) === 3) {
        uuidWords[byte >> 2] = word;
        word = 0;
      }
      at += 2;
      if ((byte & 1) === 1 && byte < 15 && src[at] === 45 && at < stop) at++;
      byte++;
    }
    if (byte !== 16 || at !== stop) throw invalidSyntax('uuid', decodeText(src, start, end));
    sink.words4(uuidWords[0]!, uuidWords[1]!, uuidWords[2]!, uuidWords[3]!);
  };
}

/** Validated, kept as written. */
function jsonInput(): TextInput {
  return (src, start, end, sink) => {
    checkUtf8(src, start, end);
    if (!plainJson(src, start, end)) validateJson(src, start, end);
    sink.bytes(src, start, end);
  };
}

/** In canonical form, so that equal values are equal bytes except for the scale of numbers. */
export function jsonbInput(): TextInput {
  const writer = new ByteWriter(256);
  return (src, start, end, sink) => {
    checkUtf8(src, start, end);
    writer.length = 0;
    normaliseJsonb(src, start, end, writer);
    sink.bytes(writer.bytes, 0, writer.length);
  };
}
