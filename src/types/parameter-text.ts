/**
 * A Bind value as PostgreSQL text, for the places where a parameter becomes part of a statement.
 *
 * Text values are checked UTF-8; binary ones are decoded by their type. The text of a timestamptz is in UTC with its
 * offset, so that it means the same in every session.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { int32At, binaryInput } from './binary-input.ts';
import { arrayOfBinary, arrayText } from './array-value.ts';
import { ByteWriter } from './byte-writer.ts';
import { formatType } from './format-type.ts';
import { numericText } from './numeric-binary.ts';
import { columnTypeInfo, Oid, elementType } from './pg-type.ts';
import type { Format } from './result-column.ts';
import { textOutput } from './text-output.ts';
import { UTC } from './time-zone.ts';
import { checkUtf8, decodeText } from './utf8.ts';
import { VectorBuilder } from './vector-builder.ts';

/**
 * @param typeOid the parameter's type; 0 and unknown read as text
 * @throws {SqlError} 22021, 22P03, or 0A000 for a binary type that is not known here
 */
export function parameterText(typeOid: number, format: Format, value: Uint8Array | null): string | null {
  if (value === null) return null;
  if (format === 0) return checkedText(value);
  switch (typeOid) {
    case 0:
    case Oid.unknown:
    case Oid.text:
    case Oid.varchar:
    case Oid.bpchar:
    case Oid.name:
    case Oid.json:
      return checkedText(value);
    case Oid.numeric:
      return numericText(value);
    case Oid.oid:
    case Oid.xid:
    case Oid.cid:
    case Oid.regproc:
    case Oid.regprocedure:
    case Oid.regoper:
    case Oid.regoperator:
    case Oid.regclass:
    case Oid.regtype:
    case Oid.regconfig:
    case Oid.regdictionary:
    case Oid.regnamespace:
    case Oid.regrole:
    case Oid.regcollation:
      checkLength(value, 4);
      return String(int32At(value, 0) >>> 0);
    case Oid.interval:
      return intervalOf(value);
    case Oid.timetz:
      return timetzOf(value);
    case Oid.pgLsn:
      checkLength(value, 8);
      return `${hex(int32At(value, 0))}/${hex(int32At(value, 4))}`;
    default:
  }
  const element = elementType(typeOid);
  if (element !== undefined)
    return arrayText(arrayOfBinary(value, element, (bytes) => parameterText(element, 1, bytes)!));
  const type = { oid: typeOid, typmod: -1 };
  const info = columnTypeInfo(typeOid);
  if (info === undefined)
    throw notSupported(`a binary parameter of type ${formatType(type)}`, { hint: 'Send it in the text format.' });
  const builder = new VectorBuilder(info.physical);
  binaryInput(type)(value, 0, value.length, builder);
  const out = new ByteWriter(64);
  textOutput(type, { timeZone: UTC })(builder.vector(), 0, out);
  return decodeText(out.bytes, 0, out.length);
}

function checkedText(value: Uint8Array): string {
  checkUtf8(value, 0, value.length);
  return decodeText(value, 0, value.length);
}

function checkLength(value: Uint8Array, length: number): void {
  if (value.length !== length) throw new SqlError(SqlState.invalidBinaryRepresentation, 'incorrect binary data format');
}

const hex = (word: number): string => (word >>> 0).toString(16).toUpperCase();

/** Signed, of two words; micros of an interval or of a day are exact beyond any use. */
const int64At = (value: Uint8Array, at: number): number =>
  int32At(value, at) * 0x1_0000_0000 + (int32At(value, at + 4) >>> 0);

function intervalOf(value: Uint8Array): string {
  checkLength(value, 16);
  const micros = int64At(value, 0);
  if (!Number.isSafeInteger(micros)) throw notSupported('an interval of more than 285 years of hours');
  // Its parts with signs of their own: what PostgreSQL prints is not what every reader takes.
  const size = Math.abs(micros);
  const seconds = Math.floor(size / 1e6);
  const two = (part: number): string => String(part).padStart(2, '0');
  const fraction = size % 1e6 === 0 ? '' : `.${String(size % 1e6).padStart(6, '0')}`;
  const time = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`;
  return `${int32At(value, 12)} mons ${int32At(value, 8)} days ${micros < 0 ? '-' : ''}${time}`;
}

/** Micros of the day, then seconds west of Greenwich. */
function timetzOf(value: Uint8Array): string {
  checkLength(value, 12);
  const micros = int64At(value, 0);
  const east = -int32At(value, 8);
  const two = (part: number): string => String(part).padStart(2, '0');
  const clock = (seconds: number): string =>
    `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const fraction = micros % 1e6 === 0 ? '' : `.${String(micros % 1e6).padStart(6, '0')}`;
  return `${clock(Math.floor(micros / 1e6))}${fraction}${east < 0 ? '-' : '+'}${clock(Math.abs(east))}`;
}
