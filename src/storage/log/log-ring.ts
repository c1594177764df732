/**
 * The ring through which frames go from main to the log's thread: one SharedArrayBuffer, made once.
 *
 * Bytes: `signal i32 | tail i32 | head i32 | pen i32 | full i32 | 0 …` (64), the writer's state as doubles (128, see log-writer.ts), then
 * the frames as they stand in the file but for the CRC.
 * - Tail and head count units of 8 bytes and wrap at 2^32, so the capacity is a power of two.
 * - Main alone moves the tail, whoever holds the pen the head (after the frames are durable); each publishes by `Atomics.store`.
 * - A frame may wrap around the end; a field never does, as each lies inside one unit of 8 bytes.
 */
import { FRAME_HEADER_BYTES, frameBytesTotal } from './log-format.ts';

const WORDS_BYTES = 64;
const STATE_BYTES = 128;
const CONTROL_BYTES = WORDS_BYTES + STATE_BYTES;
const SIGNAL = 0;
const TAIL = 1;
const HEAD = 2;
const PEN = 3;
const FULL = 4;

export interface Ring {
  readonly shared: SharedArrayBuffer;
  readonly control: Int32Array;
  /** Belongs to whoever holds the pen. */
  readonly state: Float64Array;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

/** @param bytes rounded up to a power of two */
export function newRing(bytes: number): Ring {
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(bytes, 4096)));
  return ringOver(new SharedArrayBuffer(CONTROL_BYTES + capacity));
}

export function ringOver(shared: SharedArrayBuffer): Ring {
  return {
    shared,
    control: new Int32Array(shared, 0, WORDS_BYTES / 4),
    state: new Float64Array(shared, WORDS_BYTES, STATE_BYTES / 8),
    bytes: new Uint8Array(shared, CONTROL_BYTES),
    words: new Uint32Array(shared, CONTROL_BYTES),
  };
}

export const ringTail = (ring: Ring): number => Atomics.load(ring.control, TAIL) >>> 0;
export const ringHead = (ring: Ring): number => Atomics.load(ring.control, HEAD) >>> 0;
/** Bytes between two unit counts. */
export const bytesBetween = (head: number, tail: number): number => ((tail - head) >>> 0) * 8;
export const bytesFree = (ring: Ring): number => ring.bytes.length - bytesBetween(ringHead(ring), ringTail(ring));

/** Main: copies a frame to the tail and publishes it. The caller has seen that it fits. */
export function pushFrame(ring: Ring, header: Uint8Array, parts: readonly Uint8Array[], payloadBytes: number): void {
  const tail = ringTail(ring);
  let at = copyIn(ring, (tail * 8) % ring.bytes.length, header);
  for (const part of parts) at = copyIn(ring, at, part);
  const total = frameBytesTotal(payloadBytes);
  for (let left = total - FRAME_HEADER_BYTES - payloadBytes; left > 0; left--) ring.bytes[at++ % ring.bytes.length] = 0;
  Atomics.store(ring.control, TAIL, (tail + total / 8) | 0);
}

function copyIn(ring: Ring, at: number, bytes: Uint8Array): number {
  const untilEnd = ring.bytes.length - at;
  if (bytes.length < untilEnd) {
    ring.bytes.set(bytes, at);
    return at + bytes.length;
  }
  ring.bytes.set(bytes.subarray(0, untilEnd), at);
  ring.bytes.set(bytes.subarray(untilEnd), 0);
  return bytes.length - untilEnd;
}

/** The writer: the bytes from unit `head` on, as one or two views of the ring. */
export function ringSlices(ring: Ring, head: number, bytes: number): Uint8Array[] {
  const at = (head * 8) % ring.bytes.length;
  const untilEnd = ring.bytes.length - at;
  if (bytes <= untilEnd) return [ring.bytes.subarray(at, at + bytes)];
  return [ring.bytes.subarray(at), ring.bytes.subarray(0, bytes - untilEnd)];
}

/** The writer: gives the room before unit `head` back to main. */
export const releaseTo = (ring: Ring, head: number): void => void Atomics.store(ring.control, HEAD, head | 0);

/** The disk has no room for another segment: known to main at once, so that nothing more comes than has room (W3). */
export const isFull = (ring: Ring): boolean => Atomics.load(ring.control, FULL) === 1;
export const setFull = (ring: Ring, full: boolean): void => void Atomics.store(ring.control, FULL, full ? 1 : 0);

/** Main: there is a frame or a command. */
export function signal(ring: Ring): void {
  Atomics.add(ring.control, SIGNAL, 1);
  Atomics.notify(ring.control, SIGNAL);
}

export const signals = (ring: Ring): number => Atomics.load(ring.control, SIGNAL);

/** The thread: sleeps until a signal after the `seen` one. False: none came in time. */
export const awaitSignal = (ring: Ring, seen: number, milliseconds: number): boolean =>
  Atomics.wait(ring.control, SIGNAL, seen, milliseconds) !== 'timed-out';

/** Takes the right to write groups, if nobody has it. */
export const tryPen = (ring: Ring): boolean => Atomics.compareExchange(ring.control, PEN, 0, 1) === 0;

/** The thread: waits for the right to write groups; main holds it for one small group at most. */
export function takePen(ring: Ring): void {
  while (!tryPen(ring)) Atomics.wait(ring.control, PEN, 1);
}

export function givePen(ring: Ring): void {
  Atomics.store(ring.control, PEN, 0);
  Atomics.notify(ring.control, PEN);
}
