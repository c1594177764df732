/**
 * Writes a run from entries in key order: pages as they fill, a group's filters and fences when it ends, the footer at the end,
 * then fsync and rename. What it holds meanwhile is bounded by one group, about 3 MB, plus one key a group.
 */
import { randomInt } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { hashKey, storeHashes, writeFilter } from './filter.ts';
import {
  encodeTrailer,
  filterPages,
  PAGE_BYTES,
  PAGE_HEAD,
  PAGE_WORDS,
  pageCrc,
  FILTER_BLOCKS,
  shapeOf,
  TRAILER_BYTES,
  type RunFooter,
  type Shape,
  type Slice,
} from './run-format.ts';

/** Pages between two writes. */
const BUFFER_PAGES = 192; // at least the filter pages of a group

export interface RunHead {
  readonly tableUuid: string;
  readonly fingerprint: string;
  readonly width: number;
  readonly slices: readonly Slice[];
}

export class RunWriter {
  /** Bytes in the file so far. */
  bytes = 0;
  entries = 0;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #head: RunHead;
  readonly #shape: Shape;
  readonly #salt = randomInt(2 ** 32);
  readonly #buffer: Int32Array;
  readonly #bufferBytes: Uint8Array;
  /** Full pages in the buffer; the page under way comes after them. */
  #buffered = 0;
  #inPage = 0;
  /** Of the group under way. */
  #groupPages = 0;
  #groupEntries = 0;
  readonly #hashes: Uint32Array;
  readonly #fences: Int32Array;
  #dataPages = 0;
  #nextPage = 0;
  readonly #root: number[] = [];
  readonly #min: number[] = [];
  #max: number[] = [];

  private constructor(path: string, file: FileHandle, head: RunHead) {
    this.#path = path;
    this.#file = file;
    this.#head = head;
    this.#shape = shapeOf(head.width);
    this.#buffer = new Int32Array(BUFFER_PAGES * PAGE_WORDS);
    this.#bufferBytes = new Uint8Array(this.#buffer.buffer);
    this.#hashes = new Uint32Array(this.#shape.entriesPerGroup * 2);
    this.#fences = new Int32Array(this.#shape.pagesPerGroup * head.width);
  }

  static async create(path: string, head: RunHead): Promise<RunWriter> {
    return new RunWriter(path, await open(`${path}.tmp`, 'w'), head);
  }

  /** Room for entries before `flush` must be called. */
  get room(): number {
    const pages = BUFFER_PAGES - this.#buffered;
    const inGroup = this.#shape.entriesPerGroup - this.#groupEntries;
    return Math.min(pages * this.#shape.entriesPerPage - this.#inPage, inGroup);
  }

  /** Takes `count` ≤ `room` entries from `words[at]` on, in key order and not below those before. */
  add(words: Int32Array, at: number, count: number): void {
    const { width, stride, entriesPerPage } = this.#shape;
    let from = at;
    for (let i = 0; i < count; i++, from += stride) {
      const page = this.#buffered * PAGE_WORDS;
      if (this.#inPage === 0) {
        const fence = this.#groupPages * width;
        for (let w = 0; w < width; w++) this.#fences[fence + w] = words[from + w]!;
        this.#buffer.fill(0, page, page + PAGE_WORDS);
      }
      const target = page + PAGE_HEAD + this.#inPage * stride;
      for (let w = 0; w < stride; w++) this.#buffer[target + w] = words[from + w]!;
      hashKey(words, from, width);
      storeHashes(this.#hashes, this.#groupEntries * 2);
      this.#groupEntries++;
      if (++this.#inPage === entriesPerPage) this.#endPage();
    }
    if (count > 0) {
      const last = at + (count - 1) * stride;
      if (this.entries === 0) for (let w = 0; w < width; w++) this.#min.push(words[at + w]!);
      this.#max = Array.from({ length: width }, (_, w) => words[last + w]!);
    }
    this.entries += count;
  }

  /** Writes what is full. */
  async flush(): Promise<void> {
    if (this.#groupEntries === this.#shape.entriesPerGroup) await this.#endGroup();
    if (this.#buffered === BUFFER_PAGES) await this.#write();
  }

  /** The finished file, durable under its name. Rows whose key is NULL have no entries: there may be none. */
  async finish(): Promise<void> {
    if (this.#inPage > 0) this.#endPage();
    if (this.#groupPages > 0) await this.#endGroup();
    await this.#write();
    const { tableUuid, fingerprint, width, slices } = this.#head;
    const { entries } = this;
    const dataPages = this.#dataPages;
    const bounds = { min: this.#min, max: this.#max };
    const footer: RunFooter = { version: 1, tableUuid, fingerprint, width, entries, dataPages, ...bounds, slices };
    const json = new TextEncoder().encode(JSON.stringify(footer));
    const root = new Uint8Array(Int32Array.from(this.#root).buffer);
    const tail = new Uint8Array(json.length + root.length + TRAILER_BYTES);
    tail.set(json);
    tail.set(root, json.length);
    const footerCrc = crc32(tail.subarray(0, json.length + root.length));
    const trailer = {
      footerAt: this.bytes,
      jsonBytes: json.length,
      rootBytes: root.length,
      footerCrc,
      salt: this.#salt,
    };
    tail.set(encodeTrailer(trailer), json.length + root.length);
    await this.#append(tail);
    await this.#file.sync();
    await this.#file.close();
    await rename(`${this.#path}.tmp`, this.#path);
  }

  /** Leaves no file behind. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await rm(`${this.#path}.tmp`, { force: true });
  }

  #endPage(): void {
    this.#seal(this.#inPage);
    this.#inPage = 0;
    this.#groupPages++;
    this.#dataPages++;
  }

  /** Ends the page after the full ones. */
  #seal(count: number): void {
    const at = this.#buffered * PAGE_WORDS;
    this.#buffer[at + 1] = count;
    const bytes = this.#bufferBytes.subarray(at * 4, at * 4 + PAGE_BYTES);
    this.#buffer[at] = pageCrc(bytes, this.#salt, this.#nextPage);
    this.#nextPage++;
    this.#buffered++;
  }

  async #endGroup(): Promise<void> {
    const { width } = this.#shape;
    await this.#write();
    const pages = filterPages(this.#groupEntries);
    this.#buffer.fill(0, 0, pages * PAGE_WORDS);
    writeFilter(this.#hashes, this.#groupEntries, this.#buffer, 0, pages);
    for (let i = 0; i < pages; i++) this.#seal(FILTER_BLOCKS);
    await this.#write();
    this.#buffer.fill(0, 0, PAGE_WORDS);
    this.#buffer.set(this.#fences.subarray(0, this.#groupPages * width), PAGE_HEAD);
    this.#seal(this.#groupPages);
    for (let w = 0; w < width; w++) this.#root.push(this.#fences[w]!);
    this.#groupPages = 0;
    this.#groupEntries = 0;
    await this.#write();
  }

  async #write(): Promise<void> {
    if (this.#buffered === 0) return;
    const bytes = this.#bufferBytes.subarray(0, this.#buffered * PAGE_BYTES);
    this.#buffered = 0;
    await this.#append(bytes);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.bytes + done);
      done += bytesWritten;
    }
    this.bytes += bytes.length;
  }
}
