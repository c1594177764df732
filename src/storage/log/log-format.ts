/**
 * The bytes of the write-ahead log (T0). Little-endian; `u64` is a double below 2^53 written as two words.
 *
 * Segment file = a header block of 4,096 bytes, then groups, each starting at a multiple of 4,096; the file is preallocated
 * and zeroed (or recycled, then full of old bytes that no longer validate).
 *
 *   segment header  `magic 8 | crc32 u32 (of 12…128) | version u32 | log-id 16 | segment id 16 | sequence u64 | first LSN u64
 *                    | previous sequence u64 | previous end u64 | segment bytes u64 | flags u32 (1: begins inside a transaction)`
 *   group header    `magic u32 | crc32 u32 (of 8…64) | sequence u64 | offset u64 | durable sequence u64 | durable offset u64
 *                    | first LSN u64 | frames' bytes u32 | 0 u32 | time u64 (µs since 1970; 0: not said)` 64 bytes, then the frames, then padding to 4,096
 *   frame           `crc32 u32 (of 4…32+length) | length u32 | kind u8 | flags u8 (1: last) | 0 u16 | count u32 | first LSN u64
 *                    | transaction u64 | payload | 0 to 7 bytes of padding`; frames and payloads lie at multiples of 8
 *
 * - F1 Group and frame CRCs start from the segment's seed, which is random: what a recycled file held before never validates.
 * - F2 A group header carries the position that was durable when it was written. A bad group at or after the highest such
 *   position is the torn tail; before it, corruption (C9).
 * - F3 A group is padded to 4,096 bytes, so no block that holds something durable is ever written again. A lone single-row
 *   commit costs 4 KB instead of ~200 bytes; measured, the latency is the same (the file system writes whole blocks either
 *   way), and no device, whatever its physical sector, can tear what was acknowledged. Under load groups share the padding.
 * - F4 The segment header's `previous end` says where the log before it ends; what lies behind that position is void: the rest
 *   of a group, an unfinished transaction, whole segments between.
 * - F5 A mark is a group without frames: all before it was durable. A start and a clean stop write one, and the log does once
 *   nothing has come for a second. So what damage can make look like a torn tail is the last group of a crash under load alone.
 */
import { crc32 } from 'node:zlib';
import type { FrameHead, RecoveredFrame } from './log-api.ts';

export const BLOCK_BYTES = 4096;
export const GROUP_HEADER_BYTES = 64;
export const FRAME_HEADER_BYTES = 32;
const SEGMENT_HEADER_BYTES = 128;
const VERSION = 1;
const SEGMENT_MAGIC = Uint8Array.from('ARKALOG\n', (char) => char.charCodeAt(0));
const GROUP_MAGIC = 0x31474b41; // "AKG1"
const FLAG_LAST = 1;
const FLAG_INSIDE = 1;
const STREAM_MAGIC = Uint8Array.from('ARKASTR\n', (char) => char.charCodeAt(0));
const KINDS = ['data', 'checkpoint', 'stream'] as const;
const STREAM_KIND = KINDS.indexOf('stream');
/** What a frame of kind `stream` says of its file, before its sections. */
export const STREAM_REFERENCE_BYTES = 24;
export const STREAM_HEADER_BYTES = 64;
export const CHECKPOINT_KIND = KINDS.indexOf('checkpoint');

/** A place in the log: a segment's sequence number and a byte offset in its file. */
export interface Position {
  readonly sequence: number;
  readonly offset: number;
}

export interface SegmentHeader {
  /** 32 hex digits. */
  readonly logId: string;
  /** 32 hex digits, random for each use of the file. */
  readonly segmentId: string;
  /** From 1. */
  readonly sequence: number;
  readonly firstLsn: number;
  /** Sequence 0: this is the log's first segment. */
  readonly previous: Position;
  readonly segmentBytes: number;
  /** The first frame continues a transaction of the segment before. */
  readonly inside: boolean;
}

export interface GroupHeader {
  readonly at: Position;
  readonly durable: Position;
  readonly firstLsn: number;
  /** Bytes of the frames, without header and padding. 0: a mark that only says what is durable. */
  readonly bytes: number;
  /** When it was written: microseconds since 1970, 0 in logs of older programs. */
  readonly time: number;
}

export const roundUp = (bytes: number, unit: number): number => Math.ceil(bytes / unit) * unit;
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

const getU64 = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;

/** The seed of a segment's CRCs. A CRC differs for each seed, so another segment's bytes fail for certain. */
export const segmentSeed = (segmentId: string): number => Number.parseInt(segmentId.slice(0, 8), 16);

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.set(SEGMENT_MAGIC, 0);
  block.writeUInt32LE(VERSION, 12);
  block.write(header.logId, 16, 'hex');
  block.write(header.segmentId, 32, 'hex');
  const view = viewOf(block);
  setU64(view, 48, header.sequence);
  setU64(view, 56, header.firstLsn);
  setU64(view, 64, header.previous.sequence);
  setU64(view, 72, header.previous.offset);
  setU64(view, 80, header.segmentBytes);
  block.writeUInt32LE(header.inside ? FLAG_INSIDE : 0, 88);
  block.writeUInt32LE(crc32(block.subarray(12, SEGMENT_HEADER_BYTES)), 8);
  return block;
}

/** @returns what is wrong, as text, when the block is not a segment header of this version */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | string {
  if (bytes.length < SEGMENT_HEADER_BYTES) return 'no whole segment header';
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (SEGMENT_MAGIC.some((byte, i) => block[i] !== byte)) return 'no segment header';
  if (crc32(block.subarray(12, SEGMENT_HEADER_BYTES)) !== block.readUInt32LE(8)) return 'a damaged segment header';
  const version = block.readUInt32LE(12);
  if (version !== VERSION) return `log format version ${version} (this program reads ${VERSION})`;
  const view = viewOf(bytes);
  return {
    logId: block.toString('hex', 16, 32),
    segmentId: block.toString('hex', 32, 48),
    sequence: getU64(view, 48),
    firstLsn: getU64(view, 56),
    previous: { sequence: getU64(view, 64), offset: getU64(view, 72) },
    segmentBytes: getU64(view, 80),
    inside: (block.readUInt32LE(88) & FLAG_INSIDE) !== 0,
  };
}

export function encodeGroupHeader(header: GroupHeader, seed: number): Uint8Array {
  const bytes = new Uint8Array(GROUP_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, GROUP_MAGIC, true);
  setU64(view, 8, header.at.sequence);
  setU64(view, 16, header.at.offset);
  setU64(view, 24, header.durable.sequence);
  setU64(view, 32, header.durable.offset);
  setU64(view, 40, header.firstLsn);
  view.setUint32(48, header.bytes, true);
  setU64(view, 56, header.time);
  view.setUint32(4, crc32(bytes.subarray(8), seed), true);
  return bytes;
}

/** The group header at `at`, which must be the place it names itself; null when there is none. */
export function decodeGroupHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  place: Position,
  seed: number,
): GroupHeader | null {
  if (at + GROUP_HEADER_BYTES > bytes.length || view.getUint32(at, true) !== GROUP_MAGIC) return null;
  if (crc32(bytes.subarray(at + 8, at + GROUP_HEADER_BYTES), seed) !== view.getUint32(at + 4, true)) return null;
  const header = {
    at: { sequence: getU64(view, at + 8), offset: getU64(view, at + 16) },
    durable: { sequence: getU64(view, at + 24), offset: getU64(view, at + 32) },
    firstLsn: getU64(view, at + 40),
    bytes: view.getUint32(at + 48, true),
    time: getU64(view, at + 56),
  };
  return header.at.sequence === place.sequence && header.at.offset === place.offset ? header : null;
}

/** The segment that the group header at `at` says it was written in, without a look at its checksum. */
export const groupSequence = (view: DataView, at: number): number => getU64(view, at + 8);

/** When the group whose header is at `at` was written. */
export const groupTime = (view: DataView, at: number): number => getU64(view, at + 56);

/** Bytes of a group in the file. */
export const groupBytesTotal = (frameBytes: number): number => roundUp(GROUP_HEADER_BYTES + frameBytes, BLOCK_BYTES);
/** Bytes of a frame in a group and in the ring. */
export const frameBytesTotal = (payloadBytes: number): number => roundUp(FRAME_HEADER_BYTES + payloadBytes, 8);

/** Writes all but the CRC, which the log's thread adds. */
export function encodeFrameHeader(view: DataView, head: FrameHead, payloadBytes: number): void {
  view.setUint32(0, 0, true);
  view.setUint32(4, payloadBytes, true);
  view.setUint8(8, KINDS.indexOf(head.kind));
  view.setUint8(9, head.last ? FLAG_LAST : 0);
  view.setUint16(10, 0, true);
  view.setUint32(12, head.count, true);
  setU64(view, 16, head.firstLsn);
  setU64(view, 24, head.transaction);
}

export const frameLength = (view: DataView, at: number): number => view.getUint32(at + 4, true);
export const frameCount = (view: DataView, at: number): number => view.getUint32(at + 12, true);
export const frameFirstLsn = (view: DataView, at: number): number => getU64(view, at + 16);
export const frameIsLast = (view: DataView, at: number): boolean => (view.getUint8(at + 9) & FLAG_LAST) !== 0;
export const frameIsCheckpoint = (view: DataView, at: number): boolean => view.getUint8(at + 8) === CHECKPOINT_KIND;

export const framePayload = (bytes: Uint8Array<ArrayBuffer>, view: DataView, at: number): Uint8Array<ArrayBuffer> =>
  bytes.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + frameLength(view, at));

/** @returns the end of the frame at `at` (before `end`), or -1 when it does not validate */
export function checkFrame(bytes: Uint8Array, view: DataView, at: number, end: number, seed: number): number {
  if (at + FRAME_HEADER_BYTES > end) return -1;
  const length = frameLength(view, at);
  const next = at + frameBytesTotal(length);
  if (next > end || view.getUint8(at + 8) >= KINDS.length) return -1;
  const crc = crc32(bytes.subarray(at + 4, at + FRAME_HEADER_BYTES + length), seed);
  return crc === view.getUint32(at, true) ? next : -1;
}

/**
 * The payload is a view of `bytes`: its place in memory is a multiple of 8, as every frame's. A frame that names a stream file
 * reads as data, its sections alone: the file's frames follow it.
 */
export function decodeFrame(bytes: Uint8Array, view: DataView, at: number): RecoveredFrame {
  const streamed = frameIsStream(view, at);
  const start = at + FRAME_HEADER_BYTES;
  return {
    kind: streamed ? 'data' : KINDS[view.getUint8(at + 8)]!,
    firstLsn: frameFirstLsn(view, at),
    count: frameCount(view, at),
    transaction: getU64(view, at + 24),
    last: frameIsLast(view, at),
    payload: bytes.subarray(start + (streamed ? STREAM_REFERENCE_BYTES : 0), start + frameLength(view, at)),
  };
}

export const frameIsStream = (view: DataView, at: number): boolean => view.getUint8(at + 8) === STREAM_KIND;
export const frameTransaction = (view: DataView, at: number): number => getU64(view, at + 24);

/** Gives a frame the place in the order that it has when it is replayed; its CRC was checked before. */
export function placeFrame(view: DataView, at: number, head: Omit<FrameHead, 'kind'>): void {
  view.setUint8(at + 9, head.last ? FLAG_LAST : 0);
  view.setUint32(at + 12, head.count, true);
  setU64(view, at + 16, head.firstLsn);
  setU64(view, at + 24, head.transaction);
}

/** A stream file as the frame that commits it names it. */
export interface StreamReference {
  readonly number: number;
  readonly bytes: number;
  readonly rows: number;
  /** The file's, so that it is not taken for a later one with its number; 0 in logs of older programs: not said. */
  readonly seed: number;
}

export function encodeStreamReference({ number, bytes, rows, seed }: StreamReference): Uint8Array {
  const out = new Uint8Array(STREAM_REFERENCE_BYTES);
  const view = viewOf(out);
  setU64(view, 0, number);
  setU64(view, 8, bytes);
  view.setUint32(16, rows, true);
  view.setUint32(20, seed, true);
  return out;
}

/** Of the frame at `at`. */
export function decodeStreamReference(view: DataView, at: number): StreamReference {
  const start = at + FRAME_HEADER_BYTES;
  return {
    number: getU64(view, start),
    bytes: getU64(view, start + 8),
    rows: view.getUint32(start + 16, true),
    seed: view.getUint32(start + 20, true),
  };
}

interface StreamHeader {
  readonly logId: string;
  readonly number: number;
  readonly seed: number;
}

export function encodeStreamHeader({ logId, number, seed }: StreamHeader): Uint8Array {
  const bytes = Buffer.alloc(STREAM_HEADER_BYTES);
  bytes.set(STREAM_MAGIC, 0);
  bytes.writeUInt32LE(VERSION, 12);
  bytes.write(logId, 16, 'hex');
  setU64(viewOf(bytes), 32, number);
  bytes.writeUInt32LE(seed, 40);
  bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
  return bytes;
}

/** @returns what is wrong, as text, when it is no such header */
export function decodeStreamHeader(bytes: Uint8Array): StreamHeader | string {
  if (bytes.length < STREAM_HEADER_BYTES) return 'no whole stream header';
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (STREAM_MAGIC.some((byte, i) => block[i] !== byte)) return 'no stream header';
  if (crc32(block.subarray(12, STREAM_HEADER_BYTES)) !== block.readUInt32LE(8)) return 'a damaged stream header';
  const version = block.readUInt32LE(12);
  if (version !== VERSION) return `log format version ${version} (this program reads ${VERSION})`;
  return { logId: block.toString('hex', 16, 32), number: getU64(viewOf(bytes), 32), seed: block.readUInt32LE(40) };
}
