/** A set of u32 positions: a bit each, in pages that are made with their first position and stay. */
const PAGE_SHIFT = 12;
const PAGE_MASK = (1 << PAGE_SHIFT) - 1;
const PAGE_BYTES = 1 << (PAGE_SHIFT - 3);
/** Heap bytes of a page, about. */
export const PAGE_HEAP_BYTES = PAGE_BYTES + 160;
const NO_PAGE = new Uint8Array(0);

export class PagedBits {
  readonly #pages = new Map<number, Uint8Array>();
  /** The page that was asked for last: neighbours come together. */
  #index = -1;
  #page: Uint8Array = NO_PAGE;
  size = 0;

  get pages(): number {
    return this.#pages.size;
  }

  /** Whether the page of a position is there. */
  covers(position: number): boolean {
    return this.#find(position >>> PAGE_SHIFT);
  }

  #find(index: number): boolean {
    if (index === this.#index) return true;
    const page = this.#pages.get(index);
    if (page === undefined) return false;
    this.#index = index;
    this.#page = page;
    return true;
  }

  has(position: number): boolean {
    if (!this.#find(position >>> PAGE_SHIFT)) return false;
    return (this.#page[(position & PAGE_MASK) >> 3]! & (1 << (position & 7))) !== 0;
  }

  /** False: it is there already. */
  add(position: number): boolean {
    const index = position >>> PAGE_SHIFT;
    if (!this.#find(index)) {
      this.#index = index;
      this.#page = new Uint8Array(PAGE_BYTES);
      this.#pages.set(index, this.#page);
    }
    const byte = (position & PAGE_MASK) >> 3;
    const bit = 1 << (position & 7);
    if ((this.#page[byte]! & bit) !== 0) return false;
    this.#page[byte]! |= bit;
    this.size++;
    return true;
  }

  /** False: it was not there. */
  delete(position: number): boolean {
    if (!this.has(position)) return false;
    this.#page[(position & PAGE_MASK) >> 3]! &= ~(1 << (position & 7));
    this.size--;
    return true;
  }
}
