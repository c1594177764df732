/** Of units the positions that were met: a bit each. */
const POSITIONS_FIRST = 1024;

export class PositionSets {
  readonly #bits = new Map<number, Uint8Array>();

  /** False: it was met before. */
  add(unit: number, position: number): boolean {
    const byte = position >> 3;
    let bits = this.#bits.get(unit);
    if (bits === undefined || byte >= bits.length) {
      const grown = new Uint8Array(Math.max(POSITIONS_FIRST >> 3, 2 ** (32 - Math.clz32(byte + 1))));
      if (bits !== undefined) grown.set(bits);
      this.#bits.set(unit, (bits = grown));
    }
    const bit = 1 << (position & 7);
    if ((bits[byte]! & bit) !== 0) return false;
    bits[byte]! |= bit;
    return true;
  }
}
