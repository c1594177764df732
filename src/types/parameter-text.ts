/**
 * A Bind value as PostgreSQL text, for the places where a parameter becomes part of a statement.
 *
 * Text values are checked UTF-8; binary ones are decoded by their type. The text of a timestamptz is in UTC with its
 * offset, so that it means the same in every session.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { int32At, binaryInput } from './binary-input.ts';
import { ByteWriter } from './byte-writer.ts';
import { formatType } from './format-type.ts';
import { columnTypeInfo, Oid } from './pg-type.ts';
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
    case Oid.regproc:
      if (value.length !== 4) throw new SqlError(SqlState.invalidBinaryRepresentation, 'incorrect binary data format');
      return String(int32At(value, 0) >>> 0);
    default:
  }
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

/** numeric of any precision, with the scale it was sent with. */
function numericText(value: Uint8Array): string {
  const wrong = (message: string): SqlError => new SqlError(SqlState.invalidBinaryRepresentation, message);
  const int16 = (at: number): number => (value[at]! << 8) | value[at + 1]!;
  if (value.length < 8 || value.length !== 8 + int16(0) * 2) throw wrong('incorrect binary data format');
  const count = int16(0);
  const weight = (int16(2) << 16) >> 16;
  const sign = int16(4);
  const scale = int16(6);
  if (sign === 0xc000) return 'NaN';
  if (sign === 0xd000) return 'Infinity';
  if (sign === 0xf000) return '-Infinity';
  if (sign !== 0 && sign !== 0x4000) throw wrong('invalid sign in external "numeric" value');
  if (scale > 16_383) throw wrong('invalid scale in external "numeric" value');
  const group = (i: number): string => {
    if (i < 0 || i >= count) return '0000';
    const digit = int16(8 + i * 2);
    if (digit > 9999) throw wrong('invalid digit in external "numeric" value');
    return String(digit).padStart(4, '0');
  };
  let whole = '';
  for (let i = 0; i <= weight; i++) whole += group(i);
  let fraction = '';
  for (let i = weight + 1; fraction.length < scale; i++) fraction += group(i);
  const digits = `${whole.replace(/^0+(?=.)/, '') || '0'}${scale === 0 ? '' : `.${fraction.slice(0, scale)}`}`;
  return sign !== 0 && /[1-9]/.test(digits) ? `-${digits}` : digits;
}
