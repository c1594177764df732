/** Of units the positions that were met: a bit each. */
import { PagedBits } from '../storage/memory/paged-bits.ts';

export class PositionSets {
  readonly #bits = new Map<number, PagedBits>();

  /** False: it was met before. */
  add(unit: number, position: number): boolean {
    let bits = this.#bits.get(unit);
    if (bits === undefined) this.#bits.set(unit, (bits = new PagedBits()));
    return bits.add(position);
  }
}
