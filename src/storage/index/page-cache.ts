/**
 * Pages of runs in memory, at most so many: 8-way sets, the page used longest ago goes first. Each page is checked when it is read.
 *
 * Filter and fence pages are what the next lookup asks for again; data pages of random keys are not. So of each set at
 * most two ways hold data pages while others are wanted.
 */
import { readSync } from 'node:fs';
import { DamagedRun, PAGE_BYTES, PAGE_WORDS, pageCrc } from './run-format.ts';

const WAYS = 8;
const DATA_WAYS = 2;
const CHUNK_FRAMES = 256; // 1 MB, taken when its first frame is
const PAGES_PER_RUN = 2 ** 26;

/** What the cache knows of a run. */
export interface PagedFile {
  /** Unique among all runs of the thread's life. */
  readonly slot: number;
  readonly path: string;
  readonly salt: number;
  /** An open descriptor; may open it. */
  descriptor(): number;
}

export class PageCache {
  /** The page given last: its words begin at `at`. Valid until the next call. */
  words: Int32Array = new Int32Array(0);
  at = 0;
  hits = 0;
  misses = 0;
  readonly #sets: number;
  readonly #tags: Float64Array;
  readonly #stamps: Uint32Array;
  readonly #isData: Uint8Array;
  readonly #chunks: (Int32Array | null)[];
  readonly #bytes: (Uint8Array | null)[];
  #clock = 0;

  constructor(budgetBytes: number) {
    this.#sets = Math.max(8, Math.floor(budgetBytes / (PAGE_BYTES * WAYS)));
    const frames = this.#sets * WAYS;
    this.#tags = new Float64Array(frames).fill(-1);
    this.#stamps = new Uint32Array(frames);
    this.#isData = new Uint8Array(frames);
    const chunks = Math.ceil(frames / CHUNK_FRAMES);
    this.#chunks = Array.from({ length: chunks }, () => null);
    this.#bytes = Array.from({ length: chunks }, () => null);
  }

  /** Bytes taken so far. */
  get heldBytes(): number {
    let chunks = 0;
    for (const chunk of this.#chunks) if (chunk !== null) chunks++;
    return chunks * CHUNK_FRAMES * PAGE_BYTES + this.#tags.length * 13;
  }

  /** Sets `words` and `at`. @throws {DamagedRun} */
  page(file: PagedFile, page: number, isData: boolean): void {
    const tag = file.slot * PAGES_PER_RUN + page;
    const set = (Math.imul(page ^ Math.imul(file.slot, 0x85eb_ca6b), 0x9e37_79b1) >>> 0) % this.#sets;
    const firstWay = set * WAYS;
    this.#clock = (this.#clock + 1) >>> 0;
    for (let frame = firstWay; frame < firstWay + WAYS; frame++) {
      if (this.#tags[frame] !== tag) continue;
      this.#stamps[frame] = this.#clock;
      this.hits++;
      this.#show(frame);
      return;
    }
    this.misses++;
    const frame = this.#victim(firstWay, isData);
    this.#read(file, page, frame);
    this.#tags[frame] = tag;
    this.#stamps[frame] = this.#clock;
    this.#isData[frame] = isData ? 1 : 0;
    this.#show(frame);
  }

  #show(frame: number): void {
    this.words = this.#chunks[Math.floor(frame / CHUNK_FRAMES)]!;
    this.at = (frame % CHUNK_FRAMES) * PAGE_WORDS;
  }

  #victim(firstWay: number, isData: boolean): number {
    let oldest = firstWay;
    let oldestData = -1;
    let data = 0;
    for (let frame = firstWay; frame < firstWay + WAYS; frame++) {
      if (this.#tags[frame] === -1) return frame;
      if (this.#age(frame) > this.#age(oldest)) oldest = frame;
      if (this.#isData[frame] === 0) continue;
      data++;
      if (oldestData === -1 || this.#age(frame) > this.#age(oldestData)) oldestData = frame;
    }
    if (data === 0) return oldest;
    return isData && data < DATA_WAYS ? oldest : oldestData;
  }

  /** Right across the wrap of the clock. */
  #age(frame: number): number {
    return (this.#clock - this.#stamps[frame]!) >>> 0;
  }

  #read(file: PagedFile, page: number, frame: number): void {
    this.#tags[frame] = -1;
    const index = Math.floor(frame / CHUNK_FRAMES);
    if (this.#chunks[index] === null) {
      const buffer = new ArrayBuffer(CHUNK_FRAMES * PAGE_BYTES);
      this.#chunks[index] = new Int32Array(buffer);
      this.#bytes[index] = new Uint8Array(buffer);
    }
    const start = (frame % CHUNK_FRAMES) * PAGE_BYTES;
    const bytes = this.#bytes[index]!.subarray(start, start + PAGE_BYTES);
    const read = readSync(file.descriptor(), bytes, 0, PAGE_BYTES, page * PAGE_BYTES);
    if (read !== PAGE_BYTES) throw new DamagedRun(file.path, page * PAGE_BYTES, 'the file ends');
    const words = this.#chunks[index]!;
    if (words[start / 4]! >>> 0 !== pageCrc(bytes, file.salt, page))
      throw new DamagedRun(file.path, page * PAGE_BYTES, 'a page with a wrong checksum');
  }
}
