/** numeric of any precision between its text and its binary form, whose scale is that of the value, not of a column. */
import { SqlError, SqlState } from '../errors.ts';
import type { ByteWriter } from './byte-writer.ts';

const SPECIAL: ReadonlyMap<string, number> = new Map([
  ['NaN', 0xc000],
  ['Infinity', 0xd000],
  ['-Infinity', 0xf000],
]);

/** ndigits, weight, sign, dscale, then digits of base 10,000 without zeros at either end. `text` has no exponent. */
export function numericBinary(text: string, out: ByteWriter): void {
  const special = SPECIAL.get(text);
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = text.slice(negative ? 1 : 0).split('.');
  const digits =
    special === undefined
      ? whole.padStart(Math.ceil(whole.length / 4) * 4, '0') + fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0')
      : '';
  let first = 0;
  let last = digits.length;
  while (first < last && digits.startsWith('0000', first)) first += 4;
  while (last > first && digits.startsWith('0000', last - 4)) last -= 4;
  const count = (last - first) / 4;
  out.i16(count);
  out.i16(count === 0 ? 0 : Math.ceil(whole.length / 4) - 1 - first / 4);
  out.i16(special ?? (negative && count > 0 ? 0x4000 : 0));
  // Of an infinite one PostgreSQL sends what bits of its own header say.
  out.i16(special === undefined ? fraction.length : text === 'NaN' ? 0 : 32);
  for (let at = first; at < last; at += 4) out.i16(Number(digits.slice(at, at + 4)));
}

/** @throws {SqlError} 22P03 */
export function numericText(value: Uint8Array): string {
  const wrong = (message: string): SqlError => new SqlError(SqlState.invalidBinaryRepresentation, message);
  const int16 = (at: number): number => (value[at]! << 8) | value[at + 1]!;
  if (value.length < 8 || value.length !== 8 + int16(0) * 2) throw wrong('incorrect binary data format');
  const count = int16(0);
  const weight = (int16(2) << 16) >> 16;
  const sign = int16(4);
  const scale = int16(6);
  for (const [name, code] of SPECIAL) if (sign === code) return name;
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
