/**
 * Floats as PostgreSQL prints them with extra_float_digits ≥ 1: the shortest digits that read back as the same value,
 * with an exponent below 1e-4 and from 1e15 (float8) or 1e6 (float4) on.
 *
 * A value that equals m / 10^k for a small m of at most 15 (6) digits has exactly these digits as its shortest form, so
 * most values need no string. Others take JavaScript's own shortest digits; for float4 the fewest that survive rounding.
 */
import type { ByteWriter } from './byte-writer.ts';
import { POW10, putUnsigned, putUnsignedPadded } from './decimal-digits.ts';

export function putFloat8(value: number, out: ByteWriter): void {
  if (!shortDecimal(value, 1e15, 6, false, out)) putDigits(value, shortestFloat8(value), 15, out);
}

/** `value` is a float already rounded to single precision. */
export function putFloat4(value: number, out: ByteWriter): void {
  if (shortDecimal(value, 1e6, 5, true, out)) return;
  putDigits(value, shortestFloat4(value), 6, out);
}

/** Prints m / 10^k without strings; false when the value is no such decimal. */
function shortDecimal(value: number, limit: number, placesMax: number, single: boolean, out: ByteWriter): boolean {
  const size = value < 0 ? -value : value;
  if (!(size < limit) || (size < 1e-4 && size !== 0)) return false;
  let places = 0;
  let mantissa = size;
  if (size !== Math.floor(size)) {
    for (places = placesMax > 5 ? 2 : 1; ; places += placesMax > 5 ? 2 : 1) {
      if (places > placesMax) return false;
      const unit = POW10[places]!;
      mantissa = Math.round(size * unit);
      if (mantissa >= limit) return false;
      const back = mantissa / unit;
      if ((single ? Math.fround(back) : back) === size) break;
    }
    while (places > 0 && mantissa % 10 === 0) {
      mantissa /= 10;
      places--;
    }
  }
  out.reserve(24);
  const bytes = out.bytes;
  let at = out.length;
  if (value < 0 || (value === 0 && 1 / value < 0)) bytes[at++] = 45;
  if (places === 0) {
    out.length = putUnsigned(bytes, at, mantissa);
    return true;
  }
  const unit = POW10[places]!;
  const whole = Math.floor(mantissa / unit);
  at = putUnsigned(bytes, at, whole);
  bytes[at++] = 46;
  out.length = putUnsignedPadded(bytes, at, mantissa - whole * unit, places);
  return true;
}

/** The fewest significant digits that a single keeps, in exponential form. */
function shortestFloat4(value: number): string {
  // Normal singles tell six digits apart; subnormal ones may need only one.
  for (let digits = Math.abs(value) < 1.2e-38 ? 1 : 6; digits <= 9; digits++) {
    const text = value.toExponential(digits - 1);
    if (isInside4(text, value)) {
      // Halfway between two decimals the even one is printed; toExponential gives the larger.
      const down = neighbour(text, -1);
      return down !== null && isOdd(text) && isTie(value, digits) && isInside4(down, value) ? down : text;
    }
    // At a power of two the gap below is half as wide: the neighbour above may fit where the nearest does not.
    const up = neighbour(text, 1);
    if (up !== null && isInside4(up, value)) return up;
  }
  return value.toExponential();
}

const pattern = new DataView(new ArrayBuffer(8));

/** Whether the decimal reads back as the float from strictly within its interval: PostgreSQL never prints a bound. */
function isInside4(text: string, value: number): boolean {
  const decimal = Number(text);
  if (Math.fround(decimal) !== value) return false;
  pattern.setFloat64(0, decimal);
  return (pattern.getUint32(4) & 0x1fff_ffff) !== 0x1000_0000 || !Number.isInteger(decimal * 4);
}

/** JavaScript's shortest digits, unless they lie exactly on the bound to the next double, which PostgreSQL never prints. */
function shortestFloat8(value: number): string {
  const text = value.toExponential();
  const size = Math.abs(value);
  if (size < 9_007_199_254_740_992 || size > 1e40 || !isBound(text, value)) return text;
  for (let digits = text.replace(/e.*|[-.]/g, '').length + 1; digits < 17; digits++) {
    const longer = value.toExponential(digits - 1);
    if (Number(longer) === value && !isBound(longer, value)) return longer;
  }
  return value.toExponential(16);
}

/** Whether an integer's decimal is as far from its double as from the next one. */
function isBound(text: string, value: number): boolean {
  const match = /^-?(\d)(?:\.(\d+))?e\+(\d+)$/.exec(text);
  if (match === null) return false;
  const fraction = match[2] ?? '';
  const zeros = Number(match[3]) - fraction.length;
  if (zeros < 0) return false;
  const size = Math.abs(value);
  const distance = BigInt(match[1]! + fraction) * 10n ** BigInt(zeros) - BigInt(size);
  pattern.setFloat64(0, size);
  const bits = pattern.getBigUint64(0);
  pattern.setBigUint64(0, distance > 0n ? bits + 1n : bits - 1n);
  const gap = BigInt(pattern.getFloat64(0)) - BigInt(size);
  return distance !== 0n && distance * 2n === gap;
}

/** Whether the value lies halfway between two decimals of so many digits. A single ends, or goes on, well before 20 digits. */
function isTie(value: number, digits: number): boolean {
  const exact = value.toExponential(20).replace(/e.*|[-.]/g, '');
  return /^50*$/.test(exact.slice(digits));
}

function isOdd(text: string): boolean {
  return (text.charCodeAt(text.indexOf('e') - 1) & 1) === 1;
}

/** The next decimal of as many digits, away from zero or (-1) towards it; null where it has more or fewer. */
function neighbour(text: string, step: 1 | -1): string | null {
  const match = /^(-?)(\d)(?:\.(\d+))?e(.+)$/.exec(text);
  if (match === null) return null;
  const digits = `${match[2]}${match[3] ?? ''}`;
  const next = String(Number(digits) + step);
  if (next.length !== digits.length) return null;
  return `${match[1]}${next[0]}${next.length > 1 ? `.${next.slice(1)}` : ''}e${match[4]}`;
}

/** Lays out digits given as d.ddde±x. */
function putDigits(value: number, exponential: string, exponentFrom: number, out: ByteWriter): void {
  if (!Number.isFinite(value)) {
    out.ascii(Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity');
    return;
  }
  const split = exponential.indexOf('e');
  const sign = exponential.charCodeAt(0) === 45 ? '-' : '';
  const digits = exponential.slice(sign.length, split).replace('.', '').replace(/0+$/, '') || '0';
  const exponent = Number(exponential.slice(split + 1));
  if (exponent < -4 || exponent >= exponentFrom) {
    const size = Math.abs(exponent);
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    out.ascii(`${sign}${digits[0]}${fraction}e${exponent < 0 ? '-' : '+'}${size < 10 ? '0' : ''}${size}`);
  } else if (exponent < 0) {
    out.ascii(`${sign}0.${'0'.repeat(-exponent - 1)}${digits}`);
  } else if (digits.length <= exponent + 1) {
    out.ascii(sign + digits.padEnd(exponent + 1, '0'));
  } else {
    out.ascii(`${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`);
  }
}
