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
  if (!shortDecimal(value, 1e15, 6, false, out)) putDigits(value, value.toExponential(), 15, out);
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
  for (let digits = 1; digits <= 9; digits++) {
    const text = value.toExponential(digits - 1);
    if (Math.fround(Number(text)) === value) return text;
    // At a power of two the gap below is half as wide: the neighbour above may fit where the nearest does not.
    const up = nextDecimal(text);
    if (up !== null && Math.fround(Number(up)) === value) return up;
  }
  return value.toExponential();
}

/** The next decimal of as many digits away from zero; null where a digit would carry out. */
function nextDecimal(text: string): string | null {
  const match = /^(-?)(\d)(?:\.(\d+))?e(.+)$/.exec(text);
  if (match === null) return null;
  const digits = `${match[2]}${match[3] ?? ''}`;
  const next = String(Number(digits) + 1);
  if (next.length > digits.length) return null;
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
