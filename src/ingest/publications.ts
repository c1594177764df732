/** Who waits for what others commit: told on main after each publication, in the turn in which it happened. */

export class Publications {
  /** The server stops: whoever listens ends. */
  ended = false;
  readonly #listeners = new Set<() => void>();

  /** The answer ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(): void {
    if (this.#listeners.size > 0) for (const listener of this.#listeners) listener();
  }

  end(): void {
    this.ended = true;
    this.tell();
  }
}
