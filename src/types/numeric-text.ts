/**
 * numeric of any size, as text: what columns hold whose type is numeric without a precision, or with more than 38 digits. The text
 * is what PostgreSQL prints: the scale of the value is kept, so 1.0 and 1.00 are equal and not the same.
 *
 * - M1 NaN, Infinity and -Infinity are values; arithmetic with them is PostgreSQL's.
 * - M2 Results of + - * are exact, of / they have at least 16 digits, as select_div_scale chooses them.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { INTEGER_DIGITS_MAX, numericOverflow, plainNumber, SCALE_MAX } from './json-number.ts';
import { invalidSyntax, type TextInput } from './number-input.ts';
import { nanRefused } from './numeric-input.ts';
import { numericText } from './numeric-binary.ts';
import { numericModifier } from './pg-type.ts';
import { decodeText, encodeText } from './utf8.ts';
import { trimSpace } from './white-space.ts';

/** Powers of ten, of which most are small: making one costs more than a product. */
const POWERS = Array.from({ length: 64 }, (_, exponent) => 10n ** BigInt(exponent));

export function powerOfTen(exponent: number): bigint {
  return POWERS[exponent] ?? 10n ** BigInt(exponent);
}

export interface Finite {
  readonly unscaled: bigint;
  readonly scale: number;
}
type Special = 'NaN' | 'Infinity' | '-Infinity';

const SPECIALS: Readonly<Record<string, Special>> = {
  nan: 'NaN',
  inf: 'Infinity',
  '+inf': 'Infinity',
  infinity: 'Infinity',
  '+infinity': 'Infinity',
  '-inf': '-Infinity',
  '-infinity': '-Infinity',
};

/** Any text that numeric takes, as it prints it. @throws {SqlError} 22P02, 22003 */
export function canonicalNumeric(given: string): string {
  const text = trimSpace(given);
  const plain = /^-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?$/.test(text) ? text : null;
  if (plain !== null) return plain.startsWith('-') && !/[1-9]/.test(plain) ? plain.slice(1) : plain;
  const special = SPECIALS[text.toLowerCase()];
  if (special !== undefined) return special;
  if (/^[+-]?0(?:x(?:_?[0-9a-f]+)+|o(?:_?[0-7]+)+|b(?:_?[01]+)+)$/i.test(text)) {
    const value = BigInt(text.replaceAll(/[_+-]/g, '')).toString();
    return text.startsWith('-') && value !== '0' ? `-${value}` : value;
  }
  const digits = String.raw`\d+(?:_\d+)*`;
  if (!new RegExp(`^[+-]?(?:${digits}(?:\\.(?:${digits})?)?|\\.${digits})(?:e[+-]?${digits})?$`, 'i').test(text))
    throw invalidSyntax('numeric', given);
  const shown = plainNumber(text.replaceAll('_', '').replace(/^\+/, ''));
  const [whole = '', fraction = ''] = shown.replace('-', '').split('.');
  if (whole.length > INTEGER_DIGITS_MAX || fraction.length > SCALE_MAX) throw numericOverflow();
  return shown;
}

function isSpecial(text: string): text is Special {
  return text === 'NaN' || text.endsWith('Infinity');
}

function finite(text: string): Finite {
  const point = text.indexOf('.');
  if (point < 0) return { unscaled: BigInt(text), scale: 0 };
  return { unscaled: BigInt(text.slice(0, point) + text.slice(point + 1)), scale: text.length - point - 1 };
}

export function exactText({ unscaled, scale }: Finite): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`;
}

/** Rounded half away from zero, or cut, to so many digits behind the point; fewer than none: before it. */
export function toScale({ unscaled, scale }: Finite, wanted: number, cuts = false): Finite {
  if (wanted >= scale) return { unscaled: unscaled * powerOfTen(wanted - scale), scale: wanted };
  const divisor = powerOfTen(scale - wanted);
  const size = unscaled < 0n ? -unscaled : unscaled;
  const rounded = cuts ? size / divisor : (size * 2n + divisor) / (divisor * 2n);
  const back = wanted < 0 ? rounded * powerOfTen(-wanted) : rounded;
  return { unscaled: unscaled < 0n ? -back : back, scale: Math.max(0, wanted) };
}

export function roundedNumeric(text: string, scale: number): string {
  return isSpecial(text)
    ? text
    : exactText(toScale(finite(text), Math.max(-INTEGER_DIGITS_MAX, Math.min(scale, SCALE_MAX))));
}

export function truncatedNumeric(text: string, scale: number): string {
  return isSpecial(text)
    ? text
    : exactText(toScale(finite(text), Math.max(-INTEGER_DIGITS_MAX, Math.min(scale, SCALE_MAX)), true));
}

/** As a value of numeric(precision, scale). @throws {SqlError} 22003 */
export function fittedNumeric(text: string, precision: number, scale: number): string {
  if (text === 'NaN') return text;
  const overflow = (what: string): SqlError =>
    new SqlError(SqlState.numericValueOutOfRange, 'numeric field overflow', {
      detail: `A field with precision ${precision}, scale ${scale} ${what}.`,
    });
  if (isSpecial(text)) throw overflow('cannot hold an infinite value');
  const value = toScale(finite(text), scale);
  const whole = precision - scale;
  const limit = 10n ** BigInt(Math.max(0, whole + value.scale));
  const size = value.unscaled < 0n ? -value.unscaled : value.unscaled;
  if (size >= limit) throw overflow(`must round to an absolute value less than ${whole === 0 ? '1' : `10^${whole}`}`);
  return exactText(value);
}

export function numericTextInput(type: PgType): TextInput {
  const modifier = numericModifier(type.typmod);
  return (src, start, end, sink) => {
    const text = canonicalNumeric(decodeText(src, start, end));
    const bytes = encodeText(modifier === null ? text : fittedNumeric(text, modifier.precision, modifier.scale));
    sink.bytes(bytes, 0, bytes.length);
  };
}

export function numericTextBinaryInput(type: PgType): TextInput {
  const modifier = numericModifier(type.typmod);
  return (src, start, end, sink) => {
    const text = numericText(src.subarray(start, end));
    const bytes = encodeText(modifier === null ? text : fittedNumeric(text, modifier.precision, modifier.scale));
    sink.bytes(bytes, 0, bytes.length);
  };
}

/** A value of numeric(precision, scale) that goes into a DECIMAL. @throws {SqlError} 22003, 0A000 for NaN, which no DECIMAL is */
export function decimalNumeric(text: string, precision: number, scale: number): string {
  const fitted = fittedNumeric(text, precision, scale);
  if (fitted === 'NaN') throw nanRefused({ precision, scale });
  return fitted;
}

/** What toExponential can be asked for. */
const DIGITS_MAX = 99;

/** What is in the middle of two texts of so many digits, as the one that is even; JavaScript takes the greater. Undefined: it is not. */
function evenDigits(value: number, digits: number): string | undefined {
  if (!/5[.]?0(?:e.*)?$/.test(value.toPrecision(digits + 2))) return undefined;
  const [mantissa = '', exponent] = value.toExponential(DIGITS_MAX).split('e');
  const cut = mantissa.length - DIGITS_MAX - 1 + digits; // with the sign and the point
  return /^50*$/.test(mantissa.slice(cut)) && /[02468]$/.test(mantissa.slice(0, cut))
    ? `${mantissa.slice(0, cut)}e${exponent}`
    : undefined;
}

/** A float as numeric has it, with `digits` digits: 15 of float8, 6 of float4. */
export function numericOfFloat(value: number, digits: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  const text = evenDigits(value, digits) ?? value.toPrecision(digits);
  const [mantissa = '', exponent] = text.split('e');
  const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  return canonicalNumeric(exponent === undefined ? short : `${short}e${exponent}`);
}

const negative = (text: string): boolean => text.startsWith('-');

export function negated(text: string): string {
  if (text === 'NaN') return text;
  if (negative(text)) return text.slice(1);
  return /[1-9I]/.test(text) ? `-${text}` : text;
}

const signOf = (text: string): number => (negative(text) ? -1 : /[1-9I]/.test(text) ? 1 : 0);

export function added(a: string, b: string): string {
  if (isSpecial(a) || isSpecial(b)) {
    if (a === 'NaN' || b === 'NaN') return 'NaN';
    if (isSpecial(a) && isSpecial(b)) return a === b ? a : 'NaN';
    return isSpecial(a) ? a : b;
  }
  const [x, y] = [finite(a), finite(b)];
  const scale = Math.max(x.scale, y.scale);
  return exactText({ unscaled: toScale(x, scale).unscaled + toScale(y, scale).unscaled, scale });
}

export function multiplied(a: string, b: string): string {
  if (isSpecial(a) || isSpecial(b)) {
    const sign = signOf(a) * signOf(b);
    if (a === 'NaN' || b === 'NaN' || sign === 0) return 'NaN';
    return sign > 0 ? 'Infinity' : '-Infinity';
  }
  const [x, y] = [finite(a), finite(b)];
  const product = { unscaled: x.unscaled * y.unscaled, scale: x.scale + y.scale };
  return exactText(product.scale > SCALE_MAX ? toScale(product, SCALE_MAX) : product);
}

const byZero = (): SqlError => new SqlError(SqlState.divisionByZero, 'division by zero');

/** The power of 10,000 of the first digit in that base, and the digit. */
function leading({ unscaled, scale }: Finite): { readonly weight: number; readonly digit: number } {
  if (unscaled === 0n) return { weight: 0, digit: 0 };
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString();
  const exponent = digits.length - scale; // the value is 0.digits · 10^exponent
  const weight = Math.floor((exponent - 1) / 4);
  return { weight, digit: Number(digits.slice(0, exponent - weight * 4).padEnd(exponent - weight * 4, '0')) };
}

export function divided(a: string, b: string): string {
  if (a === 'NaN' || b === 'NaN') return 'NaN';
  if (signOf(b) === 0) throw byZero();
  if (isSpecial(a)) return isSpecial(b) ? 'NaN' : signOf(a) * signOf(b) > 0 ? 'Infinity' : '-Infinity';
  if (isSpecial(b)) return '0';
  const [x, y] = [finite(a), finite(b)];
  return exactText(exactQuotient(x, y, Math.max(x.scale, y.scale)));
}

/** Digits of a quotient at least (NUMERIC_MIN_SIG_DIGITS), and behind its point at most. */
export const DIVISION_DIGITS = 16;
const QUOTIENT_SCALE_MAX = 1000;

/** By a divisor that is not 0; with `least` digits behind the point or more. */
export function exactQuotient(x: Finite, y: Finite, least: number): Finite {
  const [p, q] = [leading(x), leading(y)];
  const weight = p.weight - q.weight - (p.digit <= q.digit ? 1 : 0);
  const scale = Math.min(QUOTIENT_SCALE_MAX, Math.max(DIVISION_DIGITS - weight * 4, least));
  const shift = scale - x.scale + y.scale;
  const numerator = shift < 0 ? x.unscaled : x.unscaled * powerOfTen(shift);
  const divisor = shift < 0 ? y.unscaled * powerOfTen(-shift) : y.unscaled;
  const [n, d] = [numerator < 0n ? -numerator : numerator, divisor < 0n ? -divisor : divisor];
  const size = (n * 2n + d) / (d * 2n);
  return { unscaled: numerator < 0n === divisor < 0n ? size : -size, scale };
}

export function remainder(a: string, b: string): string {
  if (a === 'NaN' || b === 'NaN') return 'NaN';
  if (isSpecial(a)) {
    if (signOf(b) === 0) throw byZero();
    return 'NaN';
  }
  if (signOf(b) === 0) throw byZero();
  if (isSpecial(b)) return a;
  const [x, y] = [finite(a), finite(b)];
  const scale = Math.max(x.scale, y.scale);
  return exactText({ unscaled: toScale(x, scale).unscaled % toScale(y, scale).unscaled, scale });
}

/** The nearest whole number below or above. */
export function wholeNumeric(text: string, direction: -1 | 1): string {
  if (isSpecial(text)) return text;
  const value = finite(text);
  const cut = toScale(value, 0, true).unscaled;
  const isExact = cut * 10n ** BigInt(value.scale) === value.unscaled;
  const moves = !isExact && (direction > 0 ? value.unscaled > 0n : value.unscaled < 0n);
  return exactText({ unscaled: moves ? cut + BigInt(direction) : cut, scale: 0 });
}

export function signNumeric(text: string): string {
  return text === 'NaN' ? text : String(signOf(text));
}

/** The greater of both; of equal ones the first. */
export function largerNumeric(a: string, b: string): string {
  return compareNumeric(a, b) < 0 ? b : a;
}

export function smallerNumeric(a: string, b: string): string {
  return compareNumeric(a, b) > 0 ? b : a;
}

/** NaN is the greatest of all. */
function compareNumeric(a: string, b: string): number {
  if (isSpecial(a) || isSpecial(b)) return rankOf(a) - rankOf(b);
  const [x, y] = [finite(a), finite(b)];
  const scale = Math.max(x.scale, y.scale);
  const difference = toScale(x, scale).unscaled - toScale(y, scale).unscaled;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function rankOf(text: string): number {
  if (text === 'NaN') return 2;
  return isSpecial(text) ? (negative(text) ? -1 : 1) : 0;
}

/** The next value of this scale below or above, within 38 digits: what numbers of this scale compare with as with the value. */
export function boundNumeric(text: string, scale: number, direction: number): string {
  const limit = { unscaled: 10n ** 38n - 1n, scale };
  if (isSpecial(text)) return exactText(text === '-Infinity' ? { ...limit, unscaled: -limit.unscaled } : limit);
  const value = finite(text);
  const cut = toScale(value, scale, true).unscaled;
  const back = toScale({ unscaled: cut, scale }, Math.max(scale, value.scale)).unscaled;
  const isExact = back === toScale(value, Math.max(scale, value.scale)).unscaled;
  const moves = !isExact && (direction > 0 ? value.unscaled > 0n : value.unscaled < 0n);
  const near = moves ? cut + BigInt(direction) : cut;
  const unscaled = near > limit.unscaled ? limit.unscaled : near < -limit.unscaled ? -limit.unscaled : near;
  return exactText({ unscaled, scale });
}

/** Of the last argument of `deviationOf`: over one value less, and as the root. */
const SAMPLE = 1;
const ROOT = 2;

/** Variance or standard deviation of `count` values with these sums, as numeric_stddev_internal works it out; null: of too few values. */
export function deviationOf(sum: string, squares: string, count: string, kind: number): string | null {
  const isSample = (kind & SAMPLE) !== 0;
  const n = BigInt(count);
  if (n <= (isSample ? 1n : 0n)) return null;
  if (isSpecial(sum) || isSpecial(squares)) return 'NaN';
  const x = finite(sum);
  const scale = x.scale * 2;
  const numerator = { unscaled: n * toScale(finite(squares), scale).unscaled - x.unscaled * x.unscaled, scale };
  if (numerator.unscaled <= 0n) return '0';
  const variance = finite(divided(exactText(numerator), String(isSample ? n * (n - 1n) : n * n)));
  if ((kind & ROOT) === 0) return exactText(variance);
  const doubled = squareRoot(4n * variance.unscaled * 10n ** BigInt(variance.scale));
  return exactText({ unscaled: (doubled + 1n) / 2n, scale: variance.scale });
}

/** The largest whole number whose square is not above. */
function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
