/**
 * A run for reading: footer and root in memory (a key for every 50,000 entries or more), pages through the cache.
 *
 * A search goes root → filter page of the group → fence page → data page. Equal keys may lie on both sides of a page's or a
 * group's end; all of them are found.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { hashKey, mayHold, pageOf } from './filter.ts';
import { compareKeys } from './key-order.ts';
import type { PageCache, PagedFile } from './page-cache.ts';
import {
  DamagedRun,
  decodeTrailer,
  filterPages,
  PAGE_BYTES,
  PAGE_HEAD,
  shapeOf,
  TRAILER_BYTES,
  type RunFooter,
  type Shape,
} from './run-format.ts';

/** Run files open at once; the one used longest ago is closed. */
const OPEN_MAX = 128;
const opened = new Map<RunReader, number>();
let nextSlot = 1;

export class RunReader implements PagedFile {
  readonly slot = nextSlot++;
  readonly id: string;
  readonly path: string;
  readonly bytes: number;
  readonly salt: number;
  readonly footer: RunFooter;
  readonly shape: Shape;
  readonly groups: number;
  /** Number of the first row of each slice among the rows that locators count. */
  readonly bases: Float64Array;
  readonly #root: Int32Array;
  readonly #min: Int32Array;
  readonly #max: Int32Array;

  private constructor(id: string, path: string, bytes: number, salt: number, footer: RunFooter, root: Int32Array) {
    this.id = id;
    this.path = path;
    this.bytes = bytes;
    this.salt = salt;
    this.footer = footer;
    this.shape = shapeOf(footer.width);
    this.groups = Math.ceil(footer.dataPages / this.shape.pagesPerGroup);
    this.#root = root;
    this.#min = Int32Array.from(footer.min);
    this.#max = Int32Array.from(footer.max);
    this.bases = new Float64Array(footer.slices.length);
    let rows = 0;
    footer.slices.forEach((slice, i) => {
      this.bases[i] = rows;
      rows += slice.to - slice.from;
    });
  }

  /** @throws {DamagedRun} when it is missing or not whole */
  static open(id: string, path: string): RunReader {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new DamagedRun(path, 0, 'the file is missing');
    }
    try {
      return readRun(id, path, fd);
    } finally {
      closeSync(fd);
    }
  }

  /** For `open`. */
  static of(id: string, path: string, bytes: number, salt: number, footer: RunFooter, root: Int32Array): RunReader {
    return new RunReader(id, path, bytes, salt, footer, root);
  }

  descriptor(): number {
    const known = opened.get(this);
    if (known !== undefined) {
      // The map's order is that of use, roughly: only a crowd makes it worth moving.
      if (opened.size > OPEN_MAX / 2) {
        opened.delete(this);
        opened.set(this, known);
      }
      return known;
    }
    if (opened.size >= OPEN_MAX) opened.keys().next().value!.close();
    const fd = openSync(this.path, 'r');
    opened.set(this, fd);
    return fd;
  }

  /** Closes the descriptor; a later read opens it again. */
  close(): void {
    const fd = opened.get(this);
    if (fd === undefined) return;
    opened.delete(this);
    closeSync(fd);
  }

  /** First page of a group. */
  groupStart(group: number): number {
    return group * this.shape.groupPages;
  }

  /** Data pages of a group. */
  groupDataPages(group: number): number {
    return Math.min(this.shape.pagesPerGroup, this.footer.dataPages - group * this.shape.pagesPerGroup);
  }

  #groupFilterPages(group: number): number {
    const before = group * this.shape.entriesPerGroup;
    return filterPages(Math.min(this.shape.entriesPerGroup, this.footer.entries - before));
  }

  /** Whether the bounds allow the key at `keys[at]`. */
  mayHold(keys: Int32Array, at: number): boolean {
    if (this.groups === 0) return false;
    const { width } = this.shape;
    return compareKeys(keys, at, this.#min, 0, width) >= 0 && compareKeys(keys, at, this.#max, 0, width) <= 0;
  }

  /** Calls back with the locator of each entry of the key at `keys[at]`, which `mayHold` allows. @throws {DamagedRun} */
  search(cache: PageCache, keys: Int32Array, at: number, found: (locator: number) => void): void {
    const { width } = this.shape;
    hashKey(keys, at, width);
    for (let group = this.#firstGroup(keys, at); group < this.groups; group++) {
      const dataPages = this.groupDataPages(group);
      const filters = this.#groupFilterPages(group);
      const filter = this.groupStart(group) + dataPages;
      cache.page(this, filter + pageOf(filters), false);
      if (mayHold(cache.words, cache.at)) this.#searchGroup(cache, group, dataPages, filter + filters, keys, at, found);
      if (group + 1 >= this.groups || compareKeys(this.#root, (group + 1) * width, keys, at, width) !== 0) return;
    }
  }

  /** The last group that begins below the key, or the first. */
  #firstGroup(keys: Int32Array, at: number): number {
    const { width } = this.shape;
    let low = 0;
    let high = this.groups - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (compareKeys(this.#root, middle * width, keys, at, width) < 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #searchGroup(
    cache: PageCache,
    group: number,
    dataPages: number,
    fencePage: number,
    keys: Int32Array,
    at: number,
    found: (locator: number) => void,
  ): void {
    const { width, stride } = this.shape;
    cache.page(this, fencePage, false);
    let page = lastBelow(cache.words, cache.at + PAGE_HEAD, dataPages, width, keys, at, width);
    for (; page < dataPages; page++) {
      cache.page(this, this.groupStart(group) + page, true);
      const { words } = cache;
      const start = cache.at + PAGE_HEAD;
      const count = words[cache.at + 1]!;
      let entry = lastBelow(words, start, count, stride, keys, at, width);
      if (compareKeys(words, start + entry * stride, keys, at, width) < 0) entry++;
      for (; entry < count; entry++) {
        const place = start + entry * stride;
        if (compareKeys(words, place, keys, at, width) !== 0) return;
        found(words[place + width]! >>> 0);
      }
    }
  }
}

/** Of `count` keys, `stride` words apart, the last below the key, or 0. */
function lastBelow(
  words: Int32Array,
  start: number,
  count: number,
  stride: number,
  keys: Int32Array,
  at: number,
  width: number,
): number {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (compareKeys(words, start + middle * stride, keys, at, width) < 0) low = middle;
    else high = middle - 1;
  }
  return low;
}

function readRun(id: string, path: string, fd: number): RunReader {
  const { size } = fstatSync(fd);
  const at = size - TRAILER_BYTES;
  if (at < 0) throw new DamagedRun(path, 0, 'no trailer');
  const trailer = decodeTrailer(readPart(path, fd, at, TRAILER_BYTES));
  if (trailer === null) throw new DamagedRun(path, at, 'a trailer with a wrong checksum');
  const { footerAt, jsonBytes, rootBytes, footerCrc, salt } = trailer;
  if (footerAt + jsonBytes + rootBytes !== at || footerAt % PAGE_BYTES !== 0)
    throw new DamagedRun(path, at, 'a trailer that does not fit the file');
  const tail = readPart(path, fd, footerAt, jsonBytes + rootBytes);
  if (crc32(tail) !== footerCrc) throw new DamagedRun(path, footerAt, 'a footer with a wrong checksum');
  const footer = JSON.parse(new TextDecoder().decode(tail.subarray(0, jsonBytes))) as RunFooter;
  const root = new Int32Array(tail.slice(jsonBytes).buffer);
  return RunReader.of(id, path, size, salt, footer, root);
}

function readPart(path: string, fd: number, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  if (readSync(fd, bytes, 0, length, at) !== length) throw new DamagedRun(path, at, 'the file ends');
  return bytes;
}
