/**
 * Blocked Bloom filters: a key's bits lie in one block of 512 bits, so a question costs one page and one cache line.
 * Which block and which bits follows from two hashes of the key's words in a run.
 */
import { FILTER_BLOCK_WORDS, FILTER_BLOCKS, PAGE_HEAD, PAGE_WORDS } from './run-format.ts';

const PROBES = 6;
const TWO_32 = 2 ** 32;

/** Set by `hashKey`. */
let first = 0;
let second = 0;

/** Two hashes of the key at `words[at]`, in 32 bits each, for `filterHashes`. */
export function hashKey(words: Int32Array, at: number, width: number): void {
  let a = 0x9e37_79b9 | 0;
  let b = 0x85eb_ca6b | 0;
  for (let i = 0; i < width; i++) {
    const word = words[at + i]!;
    a = Math.imul(a ^ word, 0xcc9e_2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul((b + word) ^ a, 0x1b87_3593);
    b ^= b >>> 16;
  }
  a ^= b;
  a = Math.imul(a ^ (a >>> 16), 0x7feb_352d);
  a = Math.imul(a ^ (a >>> 15), 0x846c_a68b);
  first = (a ^ (a >>> 16)) >>> 0;
  b = Math.imul(b ^ (b >>> 15) ^ first, 0xc2b2_ae35);
  second = (b ^ (b >>> 13)) >>> 0;
}

/** Puts the hashes of the last key into two slots of an array. */
export function storeHashes(out: Uint32Array, at: number): void {
  out[at] = first;
  out[at + 1] = second;
}

/** Of `pages` filter pages, the one that the last key lies in. */
export function pageOf(pages: number): number {
  return Math.floor((first * pages) / TWO_32);
}

/** Whether the key may be there, by the page at `words[at]`. */
export function mayHold(words: Int32Array, at: number): boolean {
  const block = at + PAGE_HEAD + blockOf() * FILTER_BLOCK_WORDS;
  let bit = second & 511;
  const step = ((second >>> 9) & 511) | 1;
  for (let i = 0; i < PROBES; i++) {
    if ((words[block + (bit >>> 5)]! & (1 << (bit & 31))) === 0) return false;
    bit = (bit + step) & 511;
  }
  return true;
}

/** Writes the filter of `count` keys, given by their hashes, into the payload of `pages` pages from `words[at]` on. */
export function writeFilter(hashes: Uint32Array, count: number, words: Int32Array, at: number, pages: number): void {
  for (let i = 0; i < count; i++) {
    first = hashes[i * 2]!;
    second = hashes[i * 2 + 1]!;
    const block = at + pageOf(pages) * PAGE_WORDS + PAGE_HEAD + blockOf() * FILTER_BLOCK_WORDS;
    let bit = second & 511;
    const step = ((second >>> 9) & 511) | 1;
    for (let probe = 0; probe < PROBES; probe++) {
      words[block + (bit >>> 5)]! |= 1 << (bit & 31);
      bit = (bit + step) & 511;
    }
  }
}

/** From bits of both hashes that neither page nor bits use alone. */
function blockOf(): number {
  return Math.floor(((Math.imul(first, 0x9e37_79b1) ^ (second & 0xfffc_0000)) >>> 0) * (FILTER_BLOCKS / TWO_32));
}
