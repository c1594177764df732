/**
 * A set of rows of a unit, where most units have few in it, and these near each other: bits in pages that are made with their
 * first row, and a directory that says where the page of a row is.
 *
 * Bytes: the directory has a u32 for each PAGE_ROWS rows up to the last in the set, the number of their page from 1 on, 0 without
 * one; a page a bit a row. So a unit of which every thousandth row is in it takes 0.07 bytes a row, and one of which all are
 * 0.13, like one bitmap, which took as much for a row far behind as for all (a file of 12M rows: 2 MB).
 * Owner: the delete list, which counts what `add` says.
 */
const PAGE_SHIFT = 9;
const PAGE_ROWS = 1 << PAGE_SHIFT;
const PAGE_BYTES = PAGE_ROWS >> 3;
/** More room is made for a quarter more pages at least. */
const GROWTH = 1.25;
const DIRECTORY_MIN = 16;
const PAGES_MIN = 1;
const NO_PAGES = new Uint32Array(0);
const NO_BITS = new Uint8Array(0);

export class RowBits {
  #directory = NO_PAGES;
  #bits = NO_BITS;
  #pages = 0;

  has(row: number): boolean {
    const index = row >>> PAGE_SHIFT;
    if (index >= this.#directory.length) return false;
    const page = this.#directory[index]!;
    return (
      page !== 0 && (this.#bits[(page - 1) * PAGE_BYTES + ((row & (PAGE_ROWS - 1)) >> 3)]! & (1 << (row & 7))) !== 0
    );
  }

  /** @returns bytes that it took for it */
  add(row: number): number {
    const index = row >>> PAGE_SHIFT;
    const grown = index < this.#directory.length && this.#directory[index] !== 0 ? 0 : this.#addPage(index);
    const at = (this.#directory[index]! - 1) * PAGE_BYTES + ((row & (PAGE_ROWS - 1)) >> 3);
    this.#bits[at]! |= 1 << (row & 7);
    return grown;
  }

  /** A row of the set leaves it. */
  delete(row: number): void {
    const at = (this.#directory[row >>> PAGE_SHIFT]! - 1) * PAGE_BYTES + ((row & (PAGE_ROWS - 1)) >> 3);
    this.#bits[at]! &= ~(1 << (row & 7));
  }

  #addPage(index: number): number {
    let grown = 0;
    if (index >= this.#directory.length) {
      const room = Math.max(DIRECTORY_MIN, index + 1, Math.floor(this.#directory.length * GROWTH));
      const directory = new Uint32Array(room);
      directory.set(this.#directory);
      grown += directory.byteLength - this.#directory.byteLength;
      this.#directory = directory;
    }
    if ((this.#pages + 1) * PAGE_BYTES > this.#bits.length) {
      const room = Math.max(PAGES_MIN, this.#pages + 1, Math.floor(this.#pages * GROWTH));
      const bits = new Uint8Array(room * PAGE_BYTES);
      bits.set(this.#bits);
      grown += bits.byteLength - this.#bits.byteLength;
      this.#bits = bits;
    }
    this.#directory[index] = ++this.#pages;
    return grown;
  }
}
