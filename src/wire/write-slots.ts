/**
 * Answers on their way from main to the thread that writes them: slots of one SharedArrayBuffer, filled and passed in turn.
 *
 * Words: `published | passed | asleep | ended` (64 bytes), then `state | fd | length | written` a slot, then the slots' bytes.
 * - H1 Who writes a slot is whoever moves it from FILLED on, by compare-and-swap: the thread to WRITING, main, which takes it back, to TAKEN.
 * - H2 After `reclaim` the thread makes no system call with the slot's descriptor: it has made its one, or never will.
 * - H3 A slot is filled again only when the thread has passed it.
 * Sockets do not block, so WRITING lasts for one copy into the kernel; main may wait for that.
 */
const CONTROL_BYTES = 64;
const PUBLISHED = 0;
const PASSED = 1;
const ASLEEP = 2;
const ENDED = 3;

/** A power of two, so that turns may wrap at 2^32. */
export const SLOTS = 256;
/** Longer answers are few, and copied into the kernel at the same price by either. */
export const SLOT_BYTES = 4096;
const HEADER_WORDS = 4;
const FD = 1;
const LENGTH = 2;
const WRITTEN = 3;

const FILLED = 1;
const WRITING = 2;
/** WRITING, and main sleeps on it. */
const AWAITED = 3;
const DONE = 4;
const TAKEN = 5;
/** Looks at the state before main goes to sleep on it: as long as a write takes. */
const SPINS = 2000;

export interface WriteSlots {
  readonly shared: SharedArrayBuffer;
  readonly control: Int32Array;
  readonly headers: Int32Array;
  readonly bytes: Uint8Array;
}

export const newWriteSlots = (): WriteSlots =>
  slotsOver(new SharedArrayBuffer(CONTROL_BYTES + SLOTS * (HEADER_WORDS * 4 + SLOT_BYTES)));

export function slotsOver(shared: SharedArrayBuffer): WriteSlots {
  const bytesAt = CONTROL_BYTES + SLOTS * HEADER_WORDS * 4;
  return {
    shared,
    control: new Int32Array(shared, 0, CONTROL_BYTES / 4),
    headers: new Int32Array(shared, CONTROL_BYTES, SLOTS * HEADER_WORDS),
    bytes: new Uint8Array(shared, bytesAt),
  };
}

export const slotOf = (turn: number): number => turn & (SLOTS - 1);

/** Main: whether the slot of this turn may be filled (H3). */
export const hasRoom = ({ control }: WriteSlots, turn: number): boolean =>
  ((turn - Atomics.load(control, PASSED)) | 0) < SLOTS;

/** Main: the turn is published later. */
export function fill({ headers, bytes }: WriteSlots, slot: number, fd: number, from: Uint8Array, length: number): void {
  const at = slot * HEADER_WORDS;
  bytes.set(length === from.length ? from : from.subarray(0, length), slot * SLOT_BYTES);
  headers[at + FD] = fd;
  headers[at + LENGTH] = length;
  headers[at + WRITTEN] = 0;
  Atomics.store(headers, at, FILLED);
}

/** Main: the thread may write the turns before this one. */
export function publish({ control }: WriteSlots, turn: number): void {
  Atomics.store(control, PUBLISHED, turn);
  if (Atomics.load(control, ASLEEP) === 1) Atomics.notify(control, PUBLISHED);
}

export const isAsleep = ({ control }: WriteSlots): boolean => Atomics.load(control, ASLEEP) === 1;

/**
 * Main: nothing of the slot is written by the thread after this. What it has not written, as a copy; null: it was all;
 * 'stuck': it has been writing for longer than `stuckMs`, so it may have died in it.
 */
export function reclaim(
  { headers, bytes }: WriteSlots,
  slot: number,
  stuckMs: number,
): Uint8Array<ArrayBuffer> | null | 'stuck' {
  const at = slot * HEADER_WORDS;
  let state = Atomics.compareExchange(headers, at, FILLED, TAKEN);
  if (state === AWAITED) return 'stuck'; // since the last time
  if (state === WRITING) {
    for (let spins = SPINS; spins > 0 && (state = Atomics.load(headers, at)) === WRITING;) spins--;
    if (Atomics.compareExchange(headers, at, WRITING, AWAITED) === WRITING)
      if (Atomics.wait(headers, at, AWAITED, stuckMs) === 'timed-out') return 'stuck';
  }
  const written = headers[at + WRITTEN]!;
  const length = headers[at + LENGTH]!;
  return written === length ? null : bytes.slice(slot * SLOT_BYTES + written, slot * SLOT_BYTES + length);
}

/** Main has taken back all slots: the thread ends. */
export function endSlots({ control }: WriteSlots): void {
  Atomics.store(control, ENDED, 1);
  Atomics.add(control, PUBLISHED, 1); // it may be about to sleep, and sleeps only while this is as it was
  Atomics.notify(control, PUBLISHED);
}

/** How many bytes the system took; what it did not take main sees to, errors too. */
export type WriteBytes = (fd: number, bytes: Uint8Array, offset: number, length: number) => number;

/** The thread: writes what is published. `short` names a slot that was not written whole. */
export function writePublished(slots: WriteSlots, write: WriteBytes, short: (slot: number) => void): void {
  const { control, headers, bytes } = slots;
  let turn = Atomics.load(control, PASSED);
  while (turn !== Atomics.load(control, PUBLISHED)) {
    const slot = slotOf(turn);
    const at = slot * HEADER_WORDS;
    if (Atomics.compareExchange(headers, at, FILLED, WRITING) === FILLED) {
      const length = headers[at + LENGTH]!;
      const written = write(headers[at + FD]!, bytes, slot * SLOT_BYTES, length);
      headers[at + WRITTEN] = written;
      if (Atomics.exchange(headers, at, DONE) === AWAITED) Atomics.notify(headers, at);
      if (written !== length) short(slot);
    }
    turn = (turn + 1) | 0;
    Atomics.store(control, PASSED, turn);
  }
}

/** The thread: sleeps until something is published; false: it is to end. */
export function awaitPublished({ control }: WriteSlots): boolean {
  Atomics.store(control, ASLEEP, 1);
  const passed = Atomics.load(control, PASSED);
  const ended = Atomics.load(control, ENDED) === 1;
  if (!ended) Atomics.wait(control, PUBLISHED, passed);
  Atomics.store(control, ASLEEP, 0);
  return !ended;
}
