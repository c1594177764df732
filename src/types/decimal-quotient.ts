/**
 * The quotient of two DECIMALs with the digits that PostgreSQL gives it: how many depends on the first digits of both
 * (select_div_scale), so each value has a scale of its own. The last one lies here, until it is put as text or as the parts of a sum.
 *
 * - Q1 Up to 15 digits are divided as doubles, some digits at a step, whose products are all below 2^53 and so exact. Others are BigInts.
 * - Q2 It is rounded once, from the exact value, halves away from zero.
 */
import { SqlError, SqlState, notSupported } from '../errors.ts';
import type { ByteWriter } from './byte-writer.ts';
import { POW10, putUnsigned, putUnsignedPadded } from './decimal-digits.ts';
import { DIVISION_DIGITS, exactQuotient, exactText, powerOfTen, toScale } from './numeric-text.ts';

/** The unscaled value `words` of a row, `width` words wide, two's complement; int64 views of the same bytes where they are that wide. */
export interface Operand {
  readonly words: Int32Array;
  readonly width: 1 | 2 | 4;
  readonly low: BigUint64Array;
  readonly high: BigInt64Array;
  readonly scale: number;
}

const EMPTY = new ArrayBuffer(0);

export function operand(words: Int32Array, width: 1 | 2 | 4, scale: number): Operand {
  const bytes = width === 1 ? EMPTY : words.buffer;
  const at = width === 1 ? 0 : words.byteOffset;
  const count = width === 1 ? 0 : words.length >> 1;
  return {
    words,
    width,
    low: new BigUint64Array(bytes, at, count),
    high: new BigInt64Array(bytes, at, count),
    scale,
  };
}

const TWO_32 = 4_294_967_296;
const EXACT = 2 ** 53;

/** A row's unscaled value, or NaN where a double does not hold it exactly. */
function exactNumber({ words, width }: Operand, row: number): number {
  if (width === 1) return words[row]!;
  const at = row * width;
  const high = words[at + 1]!;
  if (width === 4 && (words[at + 2]! !== high >> 31 || words[at + 3]! !== high >> 31)) return Number.NaN;
  return high >= -0x20_0000 && high < 0x20_0000 ? high * TWO_32 + (words[at]! >>> 0) : Number.NaN;
}

function bigNumber({ words, width, low, high }: Operand, row: number): bigint {
  if (width === 1) return BigInt(words[row]!);
  if (width === 2) return high[row]!;
  const top = high[row * 2 + 1]!;
  return top === 0n ? low[row * 2]! : (top << 64n) | low[row * 2]!;
}

/** Digits of one part of a fraction: a double, and 10^15 of them in a sum of 64 bits, hold them. */
const PART_DIGITS = 15;
const PART = POW10[PART_DIGITS]!;
/** Parts of a fraction that a sum has. */
export const PARTS = 3;

let isNegative = false;
let scale = 0;
/** What stands before the point, and two parts of what stands behind it, the last one as short as the scale makes it. */
let whole = 0;
let first = 0;
let second = 0;
/** In their place, without its sign and its point. */
let big: bigint | null = null;

/**
 * Divides and keeps the result here.
 * @param least digits behind the point that it has at least: those that the operands show
 * @throws {SqlError} 22012
 */
export function divide(dividend: Operand, divisor: Operand, row: number, least: number): void {
  const a = exactNumber(dividend, row);
  const b = exactNumber(divisor, row);
  if (b === 0) throw new SqlError(SqlState.divisionByZero, 'division by zero');
  isNegative = a < 0 !== b < 0;
  if (!divideNumbers(Math.abs(a), Math.abs(b), dividend.scale, divisor.scale, least))
    divideBig(bigNumber(dividend, row), bigNumber(divisor, row), dividend.scale, divisor.scale, least);
}

function divideNumbers(a: number, b: number, scaleA: number, scaleB: number, least: number): boolean {
  const weight = Math.floor((leading(a, scaleA) - leading(b, scaleB) - 1) / 10_000);
  scale = Math.max(DIVISION_DIGITS - 4 * weight, least);
  // One scale for both.
  const x = scaleB > scaleA ? a * power(scaleB - scaleA) : a;
  const y = scaleA > scaleB ? b * power(scaleA - scaleB) : b;
  // So negated, NaN is refused as well.
  if (!(x < EXACT && y <= 9e14 && scale <= 2 * PART_DIGITS)) return false;
  big = null;
  whole = Math.floor(x / y);
  let rest = x - whole * y;
  if (rest < 0) {
    whole--;
    rest += y;
  }
  const step = y <= 9e10 ? 5 : y <= 9e12 ? 3 : 1;
  const digits = Math.min(scale, PART_DIGITS);
  rest = fraction(rest, y, digits, step);
  first = part;
  rest = fraction(rest, y, scale - digits, step);
  second = part;
  if (rest * 2 >= y) roundUp(digits);
  return true;
}

let part = 0;

/** So many more digits of rest / y into `part`; returns what then remains. */
function fraction(given: number, y: number, digits: number, step: number): number {
  let rest = given;
  part = 0;
  for (let left = digits; left > 0; left -= step) {
    const factor = POW10[left < step ? left : step]!;
    const x = rest * factor;
    let digit = Math.floor(x / y);
    rest = x - digit * y;
    if (rest < 0) {
      digit--;
      rest += y;
    }
    part = part * factor + digit;
  }
  return rest;
}

function roundUp(digits: number): void {
  if (scale > digits) {
    if (++second < POW10[scale - digits]!) return;
    second = 0;
  }
  if (++first < POW10[digits]!) return;
  first = 0;
  whole++;
}

/** Of 10^n beyond those that a double holds: large enough to be refused. */
function power(exponent: number): number {
  return POW10[exponent] ?? Number.POSITIVE_INFINITY;
}

/** The power of 10,000 of the first digit in that base, times 10,000, and the digit. */
function leading(value: number, scaleOf: number): number {
  if (value === 0) return 0;
  const odd = scaleOf & 3;
  let weight = -(scaleOf >> 2);
  let unit = POW10[odd]!;
  if (value < unit) return (weight - 1) * 10_000 + value * POW10[4 - odd]!;
  while (value >= unit * 10_000) {
    unit *= 10_000;
    weight++;
  }
  const digit = Math.floor(value / unit);
  return weight * 10_000 + (digit * unit > value ? digit - 1 : digit);
}

function divideBig(a: bigint, b: bigint, scaleA: number, scaleB: number, least: number): void {
  const quotient = exactQuotient({ unscaled: a, scale: scaleA }, { unscaled: b, scale: scaleB }, least);
  scale = quotient.scale;
  isNegative = quotient.unscaled < 0n;
  big = isNegative ? -quotient.unscaled : quotient.unscaled;
}

/** As PostgreSQL prints it. */
export function putQuotient(out: ByteWriter): void {
  if (big !== null) return out.utf8(exactText({ unscaled: isNegative ? -big : big, scale }));
  out.reserve(64);
  const { bytes } = out;
  let at = out.length;
  if (isNegative && (whole !== 0 || first !== 0 || second !== 0)) bytes[at++] = 45;
  at = putUnsigned(bytes, at, whole);
  if (scale > 0) {
    const digits = Math.min(scale, PART_DIGITS);
    bytes[at++] = 46;
    at = putUnsignedPadded(bytes, at, first, digits);
    if (scale > digits) at = putUnsignedPadded(bytes, at, second, scale - digits);
  }
  out.length = at;
}

/** Where a sum's parts of a row go: four words, `PARTS` times two, and one. */
export interface PartArrays {
  readonly whole: Int32Array;
  readonly fraction: readonly Int32Array[];
  readonly scale: Int32Array;
}

/** @throws {SqlError} 0A000 where it has more digits than a sum of parts */
export function putParts(to: PartArrays, row: number): void {
  to.scale[row] = scale;
  if (big !== null) return putBigParts(to, row, big);
  putWords(to.whole, row * 4, whole, 4);
  putWords(to.fraction[0]!, row * 2, scale < PART_DIGITS ? first * POW10[PART_DIGITS - scale]! : first, 2);
  const digits = scale - PART_DIGITS;
  putWords(to.fraction[1]!, row * 2, digits > 0 ? second * POW10[PART_DIGITS - digits]! : 0, 2);
  putWords(to.fraction[2]!, row * 2, 0, 2);
}

function putWords(to: Int32Array, at: number, size: number, width: 2 | 4): void {
  const value = isNegative ? -size : size;
  const high = Math.floor(value / TWO_32);
  to[at] = value | 0;
  to[at + 1] = high;
  if (width === 4) to[at + 2] = to[at + 3] = high >> 31;
}

const WHOLE_MAX = 10n ** 30n;

function putBigParts(to: PartArrays, row: number, size: bigint): void {
  const unit = powerOfTen(scale);
  let rest = size % unit;
  const before = size / unit;
  if (scale > PARTS * PART_DIGITS || before >= WHOLE_MAX)
    throw notSupported(
      `a sum of quotients with more than 30 digits before the point or ${PARTS * PART_DIGITS} behind it over Arka tables`,
    );
  rest *= powerOfTen(PARTS * PART_DIGITS - scale);
  for (let i = PARTS - 1; i >= 0; i--) {
    putWords(to.fraction[i]!, row * 2, Number(rest % BigInt(PART)), 2);
    rest /= BigInt(PART);
  }
  const signed = isNegative ? -before : before;
  for (let i = 0; i < 4; i++) to.whole[row * 4 + i] = Number(BigInt.asIntN(32, signed >> BigInt(32 * i)));
}

/** The text of a sum whose parts have these sums, with the most digits that one of its values shows. */
export function sumOfParts(sums: readonly string[], shownDigits: number): string {
  const unscaled = sums.reduce((total, sum) => total * BigInt(PART) + BigInt(sum), 0n);
  return exactText(toScale({ unscaled, scale: PARTS * PART_DIGITS }, shownDigits));
}
