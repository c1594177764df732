/**
 * Pins: a reader names units, blocks and files by the state it pinned; what was retired since is reused or deleted
 * only when every pin older than the retirement is gone. A queue for memory (blocks, slices) and one for files on disk.
 *
 * - P1 What pins keep from being freed has a budget, for memory and for disk. Beyond it the oldest readers are told that
 *   their snapshot is too old (72000): one idle reader never stops ingestion (H5).
 * - P2 A reader is told once, and releases its pin when nothing of it reads any more; until then nothing is freed.
 * - P3 A reader that has read all it wants of memory says so, and holds files alone from then on.
 * - P4 A busy reader, whose statement is running, is not told for what it holds of memory: it ends by itself, and writers
 *   wait as long as they can (src/ingest/memory-signal.ts). One that stands still is.
 */
export interface Pin {
  release(): void;
  /** P3 */
  releaseMemory(): void;
}

/** What retired things occupy. */
export type Held = 'memory' | 'disk';

interface Active {
  /** Null: short work of the server's own, which ends by itself. */
  readonly tooOld: (() => void) | null;
  readonly isBusy: () => boolean;
  told: boolean;
}

interface Retired {
  readonly at: number;
  /** Null: it is kept for longer than its readers. */
  free: (() => void) | null;
  bytes: number;
  isUnpinned: boolean;
}

/** What waits, and for whom. */
class Queue {
  readonly active = new Map<number, Active>(); // insertion order: the first is the oldest
  bytes = 0;
  readonly #retired: Retired[] = [];
  #head = 0;

  get length(): number {
    return this.#retired.length - this.#head;
  }

  add(retired: Retired): void {
    this.#retired.push(retired);
    this.bytes += retired.bytes;
  }

  release(id: number): void {
    if (!this.active.delete(id)) return;
    const oldest = this.active.keys().next().value ?? Number.POSITIVE_INFINITY;
    while (this.#head < this.#retired.length && this.#retired[this.#head]!.at <= oldest) {
      const retired = this.#retired[this.#head]!;
      this.#head++;
      retired.isUnpinned = true;
      this.bytes -= retired.bytes;
      retired.free?.();
    }
    if (this.#head > 1024 || this.#head === this.#retired.length) {
      this.#retired.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** Tells the oldest readers, as many as it takes until pins hold at most `bytesMax`; how many. Whoever ends by itself counts as gone. */
  giveWay(bytesMax: number, sparesBusy: boolean): number {
    let held = this.bytes;
    let at = this.#head;
    let told = 0;
    const oldestFirst = [...this.active];
    for (let i = 0; i < oldestFirst.length && held > bytesMax; i++) {
      const [, reader] = oldestFirst[i]!;
      if (reader.tooOld !== null && !reader.told && !(sparesBusy && reader.isBusy())) {
        reader.told = true;
        told++;
        reader.tooOld();
      }
      const next = oldestFirst[i + 1]?.[0] ?? Number.POSITIVE_INFINITY;
      for (; at < this.#retired.length && this.#retired[at]!.at <= next; at++) held -= this.#retired[at]!.bytes;
    }
    return told;
  }
}

const NEVER = (): boolean => false;

export class Pins {
  readonly budgetBytes: Record<Held, number> = { memory: Number.POSITIVE_INFINITY, disk: Number.POSITIVE_INFINITY };
  /** Readers told so far. */
  told = 0;
  #next = 1;
  readonly #queues: Readonly<Record<Held, Queue>> = { memory: new Queue(), disk: new Queue() };

  /**
   * Both releases are idempotent.
   * @param tooOld told that the reader must end, P2; may not throw
   * @param isBusy P4
   */
  acquire(tooOld: (() => void) | null = null, isBusy: () => boolean = NEVER): Pin {
    const id = this.#next++;
    const { memory, disk } = this.#queues;
    const reader: Active = { tooOld, isBusy, told: false };
    memory.active.set(id, reader);
    disk.active.set(id, reader);
    return {
      release: () => {
        memory.release(id);
        disk.release(id);
      },
      releaseMemory: () => memory.release(id),
    };
  }

  get active(): number {
    return this.#queues.disk.active.size;
  }

  /** Things retired that still wait for a pin. */
  get waiting(): number {
    return this.#queues.memory.length + this.#queues.disk.length;
  }

  /** Bytes retired that still wait for a pin. */
  get heldBytes(): Readonly<Record<Held, number>> {
    return { memory: this.#queues.memory.bytes, disk: this.#queues.disk.bytes };
  }

  /** Runs `free` when no pin acquired before now is left; at once when there is none. `bytes` are those it frees. */
  whenUnpinned(free: () => void, bytes = 0, kind: Held = 'memory'): void {
    const queue = this.#queues[kind];
    if (queue.active.size === 0) {
      free();
      return;
    }
    queue.add({ at: this.#next, free, bytes, isUnpinned: false });
    this.#holdToBudget(kind);
  }

  /**
   * The same for memory that readers may name now, but that is kept for longer: the answer is called once, when it may go. Later
   * readers are not waited for.
   */
  whenUnpinnedLater(): (free: () => void, bytes: number) => void {
    const queue = this.#queues.memory;
    const later: Retired = { at: this.#next, free: null, bytes: 0, isUnpinned: queue.active.size === 0 };
    if (!later.isUnpinned) queue.add(later);
    return (free, bytes) => {
      if (later.isUnpinned) {
        free();
        return;
      }
      later.free = free;
      later.bytes = bytes;
      queue.bytes += bytes;
      this.#holdToBudget('memory');
    };
  }

  #holdToBudget(kind: Held): void {
    if (this.#queues[kind].bytes > this.budgetBytes[kind])
      this.giveWay(kind, this.budgetBytes[kind], kind === 'memory');
  }

  /** Tells the oldest readers, as many as it takes until pins hold at most `bytesMax`. */
  giveWay(kind: Held, bytesMax: number, sparesBusy = false): void {
    this.told += this.#queues[kind].giveWay(bytesMax, sparesBusy);
  }
}
