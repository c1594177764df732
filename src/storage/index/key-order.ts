/**
 * The order of keys in a run: a key's words (memory/key-encoder.ts) rearranged so that comparing them one after the other, as
 * signed integers, is the order of the values: neighbours by value are neighbours in a run, and new ids lie beyond all.
 * Only as many words are kept as the key has: 4, 8, 12 or 16 bytes; hashes always have 16.
 */
import type { Physical } from '../../types/column-vector.ts';
import { isFixedKey } from '../memory/key-encoder.ts';

const SIGN = 0x8000_0000 | 0;

export interface KeyOrder {
  /** Words of a key in a run: 1 to 4. */
  readonly width: number;
  /** Reads the four words at `words[at]`, writes `width` words to `out[outAt]`. */
  readonly arrange: (words: Int32Array, at: number, out: Int32Array, outAt: number) => void;
}

/** Per word of a run: which word of the key, whether its bytes are turned round, and what makes its order signed. */
interface Place {
  readonly source: number;
  readonly swap: boolean;
  readonly flip: number;
}

export function keyOrder(physicals: readonly Physical[]): KeyOrder {
  const places = isFixedKey(physicals) ? fixedPlaces(physicals) : [0, 1, 2, 3].map((source) => place(source, 0));
  const sources = Int32Array.from(places, (each) => each.source);
  const flips = Int32Array.from(places, (each) => each.flip);
  const swaps = places.map((each) => each.swap);
  const width = places.length;
  return {
    width,
    arrange(words, at, out, outAt) {
      for (let i = 0; i < width; i++) {
        const word = words[at + sources[i]!]!;
        out[outAt + i] = (swaps[i]! ? swapped(word) : word) ^ flips[i]!;
      }
    },
  };
}

function place(source: number, flip: number, swap = false): Place {
  return { source, flip, swap };
}

function fixedPlaces(physicals: readonly Physical[]): Place[] {
  const places: Place[] = [];
  let at = 0;
  for (const physical of physicals) {
    switch (physical) {
      case 'int64':
      case 'float64':
        places.push(place(at + 1, 0), place(at, SIGN));
        at += 2;
        break;
      case 'int128':
        places.push(place(at + 3, 0), place(at + 2, SIGN), place(at + 1, SIGN), place(at, SIGN));
        at += 4;
        break;
      case 'fixed16':
        for (let i = 0; i < 4; i++) places.push(place(at + i, SIGN, true));
        at += 4;
        break;
      default:
        places.push(place(at, 0));
        at += 1;
    }
  }
  return places;
}

function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

/** Compares `width` words at two places. */
export function compareKeys(a: Int32Array, aAt: number, b: Int32Array, bAt: number, width: number): number {
  for (let i = 0; i < width; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
