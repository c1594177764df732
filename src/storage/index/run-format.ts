/**
 * A run: one immutable file of sorted (key, locator) entries with its filters and fences, in pages of 4 KB.
 *
 *     group … group | footer (JSON, then the groups' first keys) | trailer (64 bytes)
 *     group   = up to F data pages | filter pages | one fence page
 *     page    = crc32 u32 | count u32 | 1,022 words, little-endian
 *     data    = entries of (key words, locator word), sorted by key
 *     filter  = 63 Bloom blocks of 512 bits, 10 bits a key
 *     fences  = the first key of each data page of the group
 *
 * A locator is a row's number over all slices (row ranges of data files) that the run covers, in the footer's order, so
 * 4 bytes name file and position: 12 bytes a bigint key, 20 a hash or uuid, and 1.3 for filter and fences.
 *
 * - R1 A CRC is seeded by the run's salt and the page's number: no page of another run or place validates.
 * - R2 A run is named by a manifest only after its fsync; it is never changed then.
 */
import { crc32 } from 'node:zlib';
import { SqlError, SqlState } from '../../errors.ts';

export const PAGE_BYTES = 4096;
export const PAGE_WORDS = PAGE_BYTES / 4;
/** Words before a page's payload. */
export const PAGE_HEAD = 2;
const PAYLOAD_WORDS = PAGE_WORDS - PAGE_HEAD;

export const FILTER_BLOCKS = 63;
export const FILTER_BLOCK_WORDS = 16;
const FILTER_BITS_PER_KEY = 10;
const FILTER_PAGE_KEYS = Math.floor((FILTER_BLOCKS * 512) / FILTER_BITS_PER_KEY);

export const TRAILER_BYTES = 64;
export const MAGIC = 'ARKARUN1';
/** Locators are 32 bits. */
export const RUN_ROWS_MAX = 2 ** 32 - 1;

/** Rows [from, to) of a data file of `rows` rows. */
export interface Slice {
  readonly location: string;
  readonly rows: number;
  readonly from: number;
  readonly to: number;
}

/** How many of what a group has, by the key's width in words. */
export interface Shape {
  readonly width: number;
  /** Words of an entry. */
  readonly stride: number;
  readonly entriesPerPage: number;
  /** Data pages of a full group. */
  readonly pagesPerGroup: number;
  readonly entriesPerGroup: number;
  /** All pages of a full group. */
  readonly groupPages: number;
}

export function shapeOf(width: number): Shape {
  const stride = width + 1;
  const entriesPerPage = Math.floor(PAYLOAD_WORDS / stride);
  const pagesPerGroup = Math.floor(PAYLOAD_WORDS / width);
  const entriesPerGroup = entriesPerPage * pagesPerGroup;
  const groupPages = pagesPerGroup + filterPages(entriesPerGroup) + 1;
  return { width, stride, entriesPerPage, pagesPerGroup, entriesPerGroup, groupPages };
}

export function filterPages(entries: number): number {
  return Math.max(1, Math.ceil(entries / FILTER_PAGE_KEYS));
}

/** The CRC of a page's bytes after the CRC itself (R1). */
export function pageCrc(bytes: Uint8Array, salt: number, page: number): number {
  return crc32(bytes.subarray(4), (salt + Math.imul(page, 0x9e37_79b1)) >>> 0);
}

export interface RunFooter {
  readonly version: 1;
  readonly tableUuid: string;
  /** What the keys are, and under which secret: keys.ts. */
  readonly fingerprint: string;
  readonly width: number;
  readonly entries: number;
  /** Data pages of all groups. */
  readonly dataPages: number;
  readonly min: readonly number[];
  readonly max: readonly number[];
  readonly slices: readonly Slice[];
}

export interface Trailer {
  readonly footerAt: number;
  readonly jsonBytes: number;
  readonly rootBytes: number;
  readonly footerCrc: number;
  readonly salt: number;
}

export function encodeTrailer(trailer: Trailer): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setFloat64(8, trailer.footerAt, true);
  view.setUint32(16, trailer.jsonBytes, true);
  view.setUint32(20, trailer.rootBytes, true);
  view.setUint32(24, trailer.footerCrc, true);
  view.setUint32(28, trailer.salt, true);
  view.setUint32(TRAILER_BYTES - 4, crc32(bytes.subarray(0, TRAILER_BYTES - 4)), true);
  return bytes;
}

/** Null when it is none. */
export function decodeTrailer(bytes: Uint8Array): Trailer | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (new TextDecoder('latin1').decode(bytes.subarray(0, 8)) !== MAGIC) return null;
  if (crc32(bytes.subarray(0, TRAILER_BYTES - 4)) !== view.getUint32(TRAILER_BYTES - 4, true)) return null;
  return {
    footerAt: view.getFloat64(8, true),
    jsonBytes: view.getUint32(16, true),
    rootBytes: view.getUint32(20, true),
    footerCrc: view.getUint32(24, true),
    salt: view.getUint32(28, true),
  };
}

/** A run, or a part of the index's folder, is not what was written. Never shown to a client: the run is built again. */
export class DamagedRun extends SqlError {
  readonly path: string;

  constructor(path: string, offset: number, what: string) {
    super(SqlState.dataCorrupted, `index run "${path}": ${what} at offset ${offset}; it is built again`);
    this.path = path;
  }
}
