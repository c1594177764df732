/**
 * Who holds how much: each part of the server reports its bytes from a counter that it keeps running, so that asking
 * costs nothing. `live` parts share one budget with the slabs (V5); the others are told by arka.memory.
 */
export type PartName = 'index' | 'queue' | 'sessions' | 'engine' | 'footers' | 'catalog' | 'heaps' | 'pages';

interface Part {
  readonly name: PartName;
  readonly live: boolean;
  readonly bytes: () => number;
}

export class MemoryAccount {
  readonly #parts = new Set<Part>();

  /** Several may report under one name; `bytes` is asked often. @returns takes the part out again */
  report(name: PartName, live: boolean, bytes: () => number): () => void {
    const part: Part = { name, live, bytes };
    this.#parts.add(part);
    return () => void this.#parts.delete(part);
  }

  /** What counts against the budget beside the slabs. */
  get liveBytes(): number {
    let sum = 0;
    for (const part of this.#parts) if (part.live) sum += part.bytes();
    return sum;
  }

  bytesOf(name: PartName): number {
    let sum = 0;
    for (const part of this.#parts) if (part.name === name) sum += part.bytes();
    return sum;
  }
}
