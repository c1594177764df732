/**
 * What equality deletes of other writers have deleted from a table's data files, by location (H14). Neither kind of file ever
 * changes, so each pair is looked at once.
 */
import type { Memory } from './memory/memory.ts';

export interface KnownEquality {
  /** Locations of the delete files that were looked at. */
  readonly by: ReadonlySet<string>;
  readonly positions: Uint32Array;
}

/** Of an entry, beside its positions. */
const ENTRY_BYTES = 200;

export class EqualityKnown {
  readonly #memory: Memory;
  readonly #byLocation = new Map<string, KnownEquality>();
  #bytes = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  of(location: string): KnownEquality | undefined {
    return this.#byLocation.get(location);
  }

  /** These, and no others from now on. */
  replace(known: ReadonlyMap<string, KnownEquality>): void {
    this.#byLocation.clear();
    this.#memory.fileBytes -= this.#bytes;
    this.#bytes = 0;
    for (const [location, each] of known) {
      this.#byLocation.set(location, each);
      this.#bytes += ENTRY_BYTES + each.by.size * 8 + each.positions.byteLength;
    }
    this.#memory.fileBytes += this.#bytes;
  }
}
