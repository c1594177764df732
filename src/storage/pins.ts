/**
 * Pins: a reader names units, blocks and files by the state it pinned; what was retired since is reused or deleted
 * only when every pin older than the retirement is gone. One queue for blocks, slices and files alike.
 *
 * - P1 What pins keep from being freed has a budget, for memory and for disk. Beyond it the oldest readers are told that
 *   their snapshot is too old (72000): one idle reader never stops ingestion (H5).
 * - P2 A reader is told once, and releases its pin when nothing of it reads any more; until then nothing is freed.
 */
export interface Pin {
  release(): void;
}

/** What retired things occupy. */
export type Held = 'memory' | 'disk';

interface Active {
  /** Null: short work of the server's own, which ends by itself. */
  readonly tooOld: (() => void) | null;
  told: boolean;
}

interface Retired {
  readonly at: number;
  readonly free: () => void;
  readonly kind: Held;
  readonly bytes: number;
}

export class Pins {
  readonly budgetBytes: Record<Held, number> = { memory: Number.POSITIVE_INFINITY, disk: Number.POSITIVE_INFINITY };
  /** Bytes retired that still wait for a pin. */
  readonly heldBytes: Record<Held, number> = { memory: 0, disk: 0 };
  /** Readers told so far. */
  told = 0;
  #next = 1;
  readonly #active = new Map<number, Active>(); // insertion order: the first is the oldest
  readonly #retired: Retired[] = [];
  #head = 0;

  /**
   * Release is idempotent.
   * @param tooOld told that the reader must end, P2; may not throw
   */
  acquire(tooOld: (() => void) | null = null): Pin {
    const id = this.#next++;
    this.#active.set(id, { tooOld, told: false });
    return {
      release: () => {
        if (this.#active.delete(id)) this.#collect();
      },
    };
  }

  get active(): number {
    return this.#active.size;
  }

  /** Things retired that still wait for a pin. */
  get waiting(): number {
    return this.#retired.length - this.#head;
  }

  /** Runs `free` when no pin acquired before now is left; at once when there is none. `bytes` are those it frees. */
  whenUnpinned(free: () => void, bytes = 0, kind: Held = 'memory'): void {
    if (this.#active.size === 0) {
      free();
      return;
    }
    this.#retired.push({ at: this.#next, free, kind, bytes });
    this.heldBytes[kind] += bytes;
    if (this.heldBytes[kind] > this.budgetBytes[kind]) this.giveWay(kind, this.budgetBytes[kind]);
  }

  /** Tells the oldest readers, as many as it takes until pins hold at most `bytesMax`. */
  giveWay(kind: Held, bytesMax: number): void {
    let held = this.heldBytes[kind];
    let at = this.#head;
    const oldestFirst = [...this.#active];
    for (let i = 0; i < oldestFirst.length && held > bytesMax; i++) {
      const [, reader] = oldestFirst[i]!;
      if (reader.tooOld !== null && !reader.told) {
        reader.told = true;
        this.told++;
        reader.tooOld();
      }
      const next = oldestFirst[i + 1]?.[0] ?? Number.POSITIVE_INFINITY;
      for (; at < this.#retired.length && this.#retired[at]!.at <= next; at++)
        if (this.#retired[at]!.kind === kind) held -= this.#retired[at]!.bytes;
    }
  }

  #collect(): void {
    const oldest = this.#active.keys().next().value ?? Number.POSITIVE_INFINITY;
    while (this.#head < this.#retired.length && this.#retired[this.#head]!.at <= oldest) {
      const { free, kind, bytes } = this.#retired[this.#head]!;
      this.#head++;
      this.heldBytes[kind] -= bytes;
      free();
    }
    if (this.#head > 1024 || this.#head === this.#retired.length) {
      this.#retired.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
