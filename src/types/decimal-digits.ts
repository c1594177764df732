/**
 * Integers between their words and their decimal digits, without BigInt and without strings.
 *
 * 64 bits are two words (low, high), 128 bits four, two's complement, little-endian. A double is exact below 2^53,
 * which covers nearly every value met; beyond it, words are multiplied and divided 16 bits at a time.
 * Digits are ASCII bytes. Callers reserve the room: 20 bytes for 64 bits, 40 for 128.
 */

const TWO_32 = 4_294_967_296;
/** Powers of ten that a double holds exactly. */
export const POW10: readonly number[] = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

function digitCount(value: number): number {
  if (value < 100_000) return value < 100 ? (value < 10 ? 1 : 2) : value < 1000 ? 3 : value < 10_000 ? 4 : 5;
  if (value < 10_000_000) return value < 1_000_000 ? 6 : 7;
  return value < 100_000_000 ? 8 : value < 1_000_000_000 ? 9 : 10;
}

/** Zero-padded digits of an integer in [0, 2^31); returns the end. */
export function putPadded(bytes: Uint8Array, at: number, value: number, width: number): number {
  let rest = value;
  for (let i = at + width - 1; i >= at; i--) {
    const quotient = (rest / 10) | 0;
    bytes[i] = 48 + rest - quotient * 10;
    rest = quotient;
  }
  return at + width;
}

/** The digits of an integer in [0, 2^53]; returns the end. */
export function putUnsigned(bytes: Uint8Array, at: number, value: number): number {
  if (value < 2_147_483_648) return putPadded(bytes, at, value, digitCount(value));
  const high = Math.floor(value / 1e9);
  return putPadded(bytes, putUnsigned(bytes, at, high), value - high * 1e9, 9);
}

/** As `putUnsigned`, with zeros in front up to `width` digits. */
export function putUnsignedPadded(bytes: Uint8Array, at: number, value: number, width: number): number {
  if (width <= 9) return putPadded(bytes, at, value, width);
  const high = Math.floor(value / 1e9);
  return putPadded(bytes, putUnsignedPadded(bytes, at, high, width - 9), value - high * 1e9, 9);
}

/** A signed 64-bit integer in decimal; returns the end. */
export function putInt64(bytes: Uint8Array, at: number, low: number, high: number): number {
  let end = at;
  if (high >= -0x20_0000 && high < 0x20_0000) {
    const value = high * TWO_32 + (low >>> 0);
    if (value >= 0) return putUnsigned(bytes, end, value);
    bytes[end++] = 45;
    return putUnsigned(bytes, end, -value);
  }
  if (high < 0) {
    bytes[end++] = 45;
    magnitude.fill(0);
    magnitude[0] = -low;
    magnitude[1] = ~high + (low === 0 ? 1 : 0);
  } else {
    setMagnitude(low, high, 0, 0);
  }
  return putMagnitude(bytes, end, 1);
}

const magnitude = new Uint32Array(4);

/** Takes the absolute value of 128 bits as the magnitude to print; true when it was negative. */
export function setMagnitude(w0: number, w1: number, w2: number, w3: number): boolean {
  if (w3 >= 0) {
    magnitude[0] = w0;
    magnitude[1] = w1;
    magnitude[2] = w2;
    magnitude[3] = w3;
    return false;
  }
  let carry = 1;
  for (let i = 0; i < 4; i++) {
    const sum = (~(i === 0 ? w0 : i === 1 ? w1 : i === 2 ? w2 : w3) >>> 0) + carry;
    magnitude[i] = sum;
    carry = sum >= TWO_32 ? 1 : 0;
  }
  return true;
}

/** The magnitude as a double if exact, else -1. */
export function exactMagnitude(): number {
  if (magnitude[3] !== 0 || magnitude[2] !== 0 || magnitude[1]! >= 0x20_0000) return -1;
  return magnitude[1]! * TWO_32 + magnitude[0]!;
}

const chunks = new Int32Array(5);

/** The digits of the magnitude, at least `width` of them; the magnitude is consumed. Returns the end. */
export function putMagnitude(bytes: Uint8Array, at: number, width: number): number {
  let count = 0;
  while (magnitude[3] !== 0 || magnitude[2] !== 0 || magnitude[1] !== 0 || magnitude[0] !== 0) {
    let remainder = 0;
    for (let i = 3; i >= 0; i--) {
      const word = magnitude[i]!;
      const upper = remainder * 65_536 + (word >>> 16);
      const upperQuotient = Math.floor(upper / 1e9);
      const lower = (upper - upperQuotient * 1e9) * 65_536 + (word & 0xffff);
      const lowerQuotient = Math.floor(lower / 1e9);
      remainder = lower - lowerQuotient * 1e9;
      magnitude[i] = upperQuotient * 65_536 + lowerQuotient;
    }
    chunks[count++] = remainder;
  }
  const top = count === 0 ? 0 : chunks[count - 1]!;
  const digits = count === 0 ? 1 : (count - 1) * 9 + digitCount(top);
  let end = at;
  for (let i = digits; i < width; i++) bytes[end++] = 48;
  end = putUnsigned(bytes, end, top);
  for (let i = count - 2; i >= 0; i--) end = putPadded(bytes, end, chunks[i]!, 9);
  return end;
}

/** Four words being built from digits; see `digitsToWords`. */
export const built = new Int32Array(4);
const limbs = new Float64Array(4);

/** The value of ASCII digits (below 10^38), negated if asked, into `built`. */
export function digitsToWords(digits: Uint8Array, start: number, end: number, negative: boolean): void {
  limbs.fill(0);
  let at = start;
  while (at < end) {
    let factor = 1;
    let carry = 0;
    // 10^6 times a 32-bit word stays below 2^53.
    for (; at < end && factor < 1e6; at++) {
      factor *= 10;
      carry = carry * 10 + digits[at]! - 48;
    }
    for (let i = 0; i < 4; i++) {
      const product = limbs[i]! * factor + carry;
      carry = Math.floor(product / TWO_32);
      limbs[i] = product - carry * TWO_32;
    }
  }
  let carry = negative ? 1 : 0;
  for (let i = 0; i < 4; i++) {
    const word = limbs[i]! | 0;
    if (!negative) {
      built[i] = word;
    } else {
      const sum = (~word >>> 0) + carry;
      built[i] = sum | 0;
      carry = sum >= TWO_32 ? 1 : 0;
    }
  }
}

/** The high word of an integer that a double holds exactly; the low word is `value | 0`. */
export function highWord(value: number): number {
  return Math.floor(value / TWO_32);
}

/** The double nearest to a 64-bit integer; exact below 2^53. */
export function wordsToNumber(low: number, high: number): number {
  return high * TWO_32 + (low >>> 0);
}
