/** Bytes of SQL as PostgreSQL's scanner sees them (scan.l): spaces, words, keywords in any case. */

const SPACE = new Uint8Array(256);
for (const byte of [9, 10, 12, 13, 32]) SPACE[byte] = 1;

/** Letters, digits, `_`, `$` and every byte of a character beyond ASCII. */
const WORD = new Uint8Array(256).fill(1, 128);
WORD.fill(1, 48, 58).fill(1, 65, 91).fill(1, 97, 123);
WORD[95] = 1;
WORD[36] = 1;

export function isSpaceByte(byte: number): boolean {
  return SPACE[byte] === 1;
}

export function isWordByte(byte: number): boolean {
  return WORD[byte] === 1;
}

/** Whether the word at `at` is exactly `word`, which is of lower-case letters and `_`. */
export function wordAt(src: Uint8Array, at: number, end: number, word: string): boolean {
  const stop = at + word.length;
  if (stop > end || (stop < end && WORD[src[stop]!] === 1)) return false;
  for (let i = 0; i < word.length; i++) {
    const byte = src[at + i]!;
    if ((byte >= 65 && byte <= 90 ? byte + 32 : byte) !== word.charCodeAt(i)) return false;
  }
  return true;
}
