/** A number of slots, given in order of asking: who asks for many is not passed by others for ever. */
export class Slots {
  #free: number;
  readonly #waiting: { readonly count: number; readonly go: () => void }[] = [];

  constructor(total: number) {
    this.#free = total;
  }

  /** Runs `work` while it holds `count` slots. */
  async hold<T>(count: number, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((go) => {
      this.#waiting.push({ count, go });
      this.#next();
    });
    try {
      return await work();
    } finally {
      this.#free += count;
      this.#next();
    }
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#waiting[0]!.count <= this.#free) {
      const first = this.#waiting.shift()!;
      this.#free -= first.count;
      first.go();
    }
  }
}
