/**
 * Sorts entries (key words, locator) by key: a radix sort, 11 bits a pass from the last word to the first, that leaves out
 * passes in which all entries agree. Stable. In turns of `pace`.
 */
import type { Pace } from './pace.ts';

const DIGIT_BITS = [0, 11, 22] as const;
const BUCKETS = 2048;
/** Entries between two looks at the clock. */
const STEP = 16_384;

/** What builds sort in, one after another: as large as the largest so far. */
export class SortSpace {
  #entries = new Int32Array(0);
  #scratch = new Int32Array(0);

  /** Room for so many words in each; what was there is lost. */
  of(words: number): { readonly entries: Int32Array; readonly scratch: Int32Array } {
    if (this.#entries.length < words) {
      this.#entries = new Int32Array(words);
      this.#scratch = new Int32Array(words);
    }
    return { entries: this.#entries, scratch: this.#scratch };
  }
}

/** The sorted entries, in `entries` or in `scratch`, which is as long. */
export async function sortEntries(
  entries: Int32Array,
  scratch: Int32Array,
  count: number,
  width: number,
  pace: Pace,
): Promise<Int32Array> {
  if (await isSorted(entries, count, width, pace)) return entries;
  const stride = width + 1;
  let from = entries;
  let to = scratch;
  for (let word = width - 1; word >= 0; word--) {
    const counts = DIGIT_BITS.map(() => new Int32Array(BUCKETS));
    for (let i = 0; i < count;) {
      const end = Math.min(count, i + STEP);
      countDigits(from, i, end, stride, word, counts);
      i = end;
      if (pace.due) await pace.turn();
    }
    for (let pass = 0; pass < DIGIT_BITS.length; pass++) {
      const starts = startsOf(counts[pass]!, count);
      if (starts === null) continue;
      for (let i = 0; i < count;) {
        const end = Math.min(count, i + STEP);
        scatter(from, to, i, end, stride, word, DIGIT_BITS[pass]!, starts);
        i = end;
        if (pace.due) await pace.turn();
      }
      [from, to] = [to, from];
    }
  }
  return from;
}

async function isSorted(entries: Int32Array, count: number, width: number, pace: Pace): Promise<boolean> {
  const stride = width + 1;
  for (let i = 1; i < count;) {
    const end = Math.min(count, i + STEP);
    for (; i < end; i++) {
      const at = i * stride;
      for (let w = 0; w < width; w++) {
        const difference = entries[at + w]! - entries[at + w - stride]!;
        if (difference < 0) return false;
        if (difference > 0) break;
      }
    }
    if (pace.due) await pace.turn();
  }
  return true;
}

function countDigits(
  entries: Int32Array,
  start: number,
  end: number,
  stride: number,
  word: number,
  counts: readonly Int32Array[],
): void {
  const [low, middle, high] = counts as [Int32Array, Int32Array, Int32Array];
  for (let i = start, at = start * stride + word; i < end; i++, at += stride) {
    const value = entries[at]! ^ 0x8000_0000; // signed order
    low[value & 2047]!++;
    middle[(value >>> 11) & 2047]!++;
    high[value >>> 22]!++;
  }
}

/** Where each bucket begins; null when one of them holds everything. */
function startsOf(counts: Int32Array, count: number): Int32Array | null {
  const starts = new Int32Array(BUCKETS);
  let sum = 0;
  for (let i = 0; i < BUCKETS; i++) {
    if (counts[i] === count) return null;
    starts[i] = sum;
    sum += counts[i]!;
  }
  return starts;
}

function scatter(
  from: Int32Array,
  to: Int32Array,
  start: number,
  end: number,
  stride: number,
  word: number,
  shift: number,
  starts: Int32Array,
): void {
  for (let i = start, at = start * stride; i < end; i++, at += stride) {
    const bucket = ((from[at + word]! ^ 0x8000_0000) >>> shift) & 2047;
    const target = starts[bucket]!++ * stride;
    for (let w = 0; w < stride; w++) to[target + w] = from[at + w]!;
  }
}
