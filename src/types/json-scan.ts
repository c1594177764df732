/**
 * Whether bytes are JSON, for the JSON that programs write: one pass without calls per value where it can be helped.
 * A no is no verdict: escapes by number, deep nesting and everything wrong are `jsonb.ts`'s to judge.
 */
import { scanNumber } from './json-number.ts';

/** Bytes that stand for themselves in a string. */
const PLAIN = new Uint8Array(256).fill(1, 32);
PLAIN[34] = 0;
PLAIN[92] = 0;

const ESCAPED = new Uint8Array(256);
for (const letter of '"\\/bfnrt') ESCAPED[letter.charCodeAt(0)] = 1;

const SPACE = new Uint8Array(256);
for (const byte of [9, 10, 13, 32]) SPACE[byte] = 1;

/** One bit a level. */
const DEPTH_MAX = 30;

/** After the closing quote of the string whose first byte is at `from`; -1: see the head. */
function stringEnd(src: Uint8Array, from: number, end: number): number {
  let at = from;
  for (;;) {
    while (at < end && PLAIN[src[at]!] === 1) at++;
    if (at >= end) return -1;
    if (src[at] === 34) return at + 1;
    if (src[at] !== 92 || at + 1 >= end || ESCAPED[src[at + 1]!] === 0) return -1;
    at += 2;
  }
}

function wordEnd(src: Uint8Array, at: number, end: number): number {
  const first = src[at];
  if (first === 116 && at + 4 <= end && src[at + 1] === 114 && src[at + 2] === 117 && src[at + 3] === 101)
    return at + 4;
  if (first === 110 && at + 4 <= end && src[at + 1] === 117 && src[at + 2] === 108 && src[at + 3] === 108)
    return at + 4;
  if (first !== 102 || at + 5 > end) return -1;
  return src[at + 1] === 97 && src[at + 2] === 108 && src[at + 3] === 115 && src[at + 4] === 101 ? at + 5 : -1;
}

function numberEnd(src: Uint8Array, from: number, end: number): number {
  let at = from;
  if (src[at]! > 48) while (at < end && (src[at]! - 48) >>> 0 < 10) at++; // 1 to 9 first
  if (at > from && (at >= end || (src[at] !== 46 && (src[at]! | 32) !== 101))) return at;
  return scanNumber(src, from, end);
}

export function plainJson(src: Uint8Array, start: number, end: number): boolean {
  let at = start;
  let depth = 0;
  /** The containers open, the innermost in the lowest bit: 1 an object. */
  let objects = 0;
  let key = false;
  for (;;) {
    while (at < end && SPACE[src[at]!] === 1) at++;
    if (at >= end) return false;
    const byte = src[at]!;
    if (key) {
      if (byte !== 34) return false;
      at = stringEnd(src, at + 1, end);
      if (at < 0) return false;
      while (at < end && SPACE[src[at]!] === 1) at++;
      if (at >= end || src[at] !== 58) return false;
      at++;
      key = false;
      continue;
    }
    if (byte === 34) at = stringEnd(src, at + 1, end);
    else if (byte === 123 || byte === 91) {
      if (depth++ === DEPTH_MAX) return false;
      objects = (objects << 1) | ((byte >> 5) & 1); // { is 0x7b, [ is 0x5b
      at++;
      while (at < end && SPACE[src[at]!] === 1) at++;
      if (at >= end) return false;
      if (src[at] !== byte + 2) {
        key = (objects & 1) === 1;
        continue;
      }
      objects >>= 1;
      depth--;
      at++;
    } else if (byte === 45 || (byte >= 48 && byte <= 57)) at = numberEnd(src, at, end);
    else at = wordEnd(src, at, end);
    if (at < 0) return false;
    // After a value: its container goes on, or ends and is a value itself.
    for (;;) {
      while (at < end && SPACE[src[at]!] === 1) at++;
      if (depth === 0) return at === end;
      if (at >= end) return false;
      const next = src[at++]!;
      if (next === 44) {
        key = (objects & 1) === 1;
        break;
      }
      if (next !== ((objects & 1) === 1 ? 125 : 93)) return false;
      objects >>= 1;
      depth--;
    }
  }
}
