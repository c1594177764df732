/**
 * Which cached files stay: a segmented LRU over their sizes.
 *
 * - I1 A file enters on probation; used again it is protected, as long as the protected ones take at most
 *   PROTECTED_PART of the capacity, else the one of them longest unused goes back on probation. So one scan of everything
 *   pushes out what was used once, not what is used all the time.
 * - I2 A file in use is no victim.
 * Pure; bytes are counted from the moment that a file is expected.
 */
const PROTECTED_PART = 0.8;

interface Entry {
  bytes: number;
  uses: number;
}

export class CacheIndex {
  bytes = 0;
  /** Of files in use. */
  usedBytes = 0;
  #protectedBytes = 0;
  /** Both in order of use, the longest unused first. */
  readonly #probation = new Map<string, Entry>();
  readonly #protected = new Map<string, Entry>();

  get files(): number {
    return this.#probation.size + this.#protected.size;
  }

  has(path: string): boolean {
    return this.#probation.has(path) || this.#protected.has(path);
  }

  /** A file that was not there; again: its size is known better now. */
  add(path: string, bytes: number): void {
    const known = this.#find(path);
    if (known === undefined) this.#probation.set(path, { bytes, uses: 0 });
    else if (this.#protected.has(path)) this.#protectedBytes += bytes - known.bytes;
    this.bytes += bytes - (known?.bytes ?? 0);
    if (known !== undefined && known.uses > 0) this.usedBytes += bytes - known.bytes;
    if (known !== undefined) known.bytes = bytes;
  }

  /** Marks the file as in use. `again`: it was there before this use, which protects it. */
  hold(path: string, again: boolean, capacity: number): void {
    const entry = this.#find(path);
    if (entry === undefined) return;
    if (entry.uses === 0) this.usedBytes += entry.bytes;
    entry.uses++;
    if (!again) return;
    if (this.#protected.delete(path)) this.#protectedBytes -= entry.bytes;
    this.#probation.delete(path);
    this.#protected.set(path, entry);
    this.#protectedBytes += entry.bytes;
    for (const [oldest, back] of this.#protected) {
      if (this.#protectedBytes <= capacity * PROTECTED_PART || oldest === path) break;
      this.#protected.delete(oldest);
      this.#protectedBytes -= back.bytes;
      this.#probation.set(oldest, back);
    }
  }

  release(path: string): void {
    const entry = this.#find(path);
    if (entry === undefined || entry.uses === 0) return;
    entry.uses--;
    if (entry.uses === 0) this.usedBytes -= entry.bytes;
  }

  inUse(path: string): boolean {
    return (this.#find(path)?.uses ?? 0) > 0;
  }

  delete(path: string): void {
    const entry = this.#find(path);
    if (entry === undefined) return;
    this.bytes -= entry.bytes;
    if (entry.uses > 0) this.usedBytes -= entry.bytes;
    this.#probation.delete(path);
    if (this.#protected.delete(path)) this.#protectedBytes -= entry.bytes;
  }

  /** Takes out unused files until at most `bytes` are left, or none is unused but those of `spared`. */
  evict(bytes: number, spared: { has(path: string): boolean }): string[] {
    const victims: string[] = [];
    for (const part of [this.#probation, this.#protected])
      for (const [path, entry] of part) {
        if (this.bytes <= bytes) return victims;
        if (entry.uses > 0 || spared.has(path)) continue;
        this.delete(path);
        victims.push(path);
      }
    return victims;
  }

  #find(path: string): Entry | undefined {
    return this.#probation.get(path) ?? this.#protected.get(path);
  }
}
