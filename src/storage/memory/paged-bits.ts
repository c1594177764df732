/** A set of positions: a bit each, in pages that are made with their first position and stay until `clear`. */
const PAGE_SHIFT = 12;
const PAGE_MASK = (1 << PAGE_SHIFT) - 1;
const PAGE_BYTES = 1 << (PAGE_SHIFT - 3);

export class PagedBits {
  readonly #pages: (Uint8Array | undefined)[] = [];
  #made = 0;
  size = 0;

  /** Heap bytes, about. */
  get bytes(): number {
    return this.#made * (PAGE_BYTES + 96) + this.#pages.length * 8;
  }

  has(position: number): boolean {
    const page = this.#pages[position >>> PAGE_SHIFT];
    return page !== undefined && (page[(position & PAGE_MASK) >> 3]! & (1 << (position & 7))) !== 0;
  }

  /** False: it is there already. */
  add(position: number): boolean {
    const index = position >>> PAGE_SHIFT;
    let page = this.#pages[index];
    if (page === undefined) {
      while (this.#pages.length < index) this.#pages.push(undefined); // no holes: they would make a slow array
      this.#pages[index] = page = new Uint8Array(PAGE_BYTES);
      this.#made++;
    }
    const byte = (position & PAGE_MASK) >> 3;
    const bit = 1 << (position & 7);
    if ((page[byte]! & bit) !== 0) return false;
    page[byte]! |= bit;
    this.size++;
    return true;
  }

  /** False: it was not there. */
  delete(position: number): boolean {
    if (!this.has(position)) return false;
    this.#pages[position >>> PAGE_SHIFT]![(position & PAGE_MASK) >> 3]! &= ~(1 << (position & 7));
    this.size--;
    return true;
  }
}
