/**
 * Pins: a reader names units, blocks and files by the state it pinned; what was retired since is reused or deleted
 * only when every pin older than the retirement is gone. One queue for blocks, slices and files alike.
 */
export interface Pin {
  release(): void;
}

export class Pins {
  #next = 1;
  readonly #active = new Set<number>(); // insertion order: the first is the oldest
  readonly #retired: { readonly at: number; readonly free: () => void }[] = [];
  #head = 0;

  /** Idempotent release. */
  acquire(): Pin {
    const id = this.#next++;
    this.#active.add(id);
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

  /** Runs `free` when no pin acquired before now is left; at once when there is none. */
  whenUnpinned(free: () => void): void {
    if (this.#active.size === 0) free();
    else this.#retired.push({ at: this.#next, free });
  }

  #collect(): void {
    const oldest = this.#active.values().next().value ?? Number.POSITIVE_INFINITY;
    while (this.#head < this.#retired.length && this.#retired[this.#head]!.at <= oldest) {
      this.#retired[this.#head]!.free();
      this.#head++;
    }
    if (this.#head > 1024 || this.#head === this.#retired.length) {
      this.#retired.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
