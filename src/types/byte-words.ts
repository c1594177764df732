/**
 * Four bytes in one test: the classic of zero bytes in a word. With x = word ^ (byte · ONES),
 * `(x - ONES) & ~x & TOP_BITS` has the top bit of each byte that equals it, and `(w - n · ONES) & ~w & TOP_BITS` of each
 * ASCII byte below n. A byte above a hit may be reported, too: look at what is found.
 */
export const ONES = 0x0101_0101;
export const TOP_BITS = 0x8080_8080 | 0;
