/**
 * Addresses in the slab pool. A slab is a SharedArrayBuffer of 16 MiB; an address is slab × 16 MiB + offset, a
 * double that never loses a bit. Slabs are made up to the budget, announced once to each thread by number,
 * reused, never dropped (C13). Blocks are powers of two from 4 KiB to 16 MiB (see slab-pool.ts, main only).
 */
import { invariant } from '../../errors.ts';

export const SLAB_BYTES = 16 * 1024 * 1024;
export type Address = number;

/** The slabs a thread knows. Main adds each new one and posts it to the others before any message names it. */
export class SlabDirectory {
  readonly #slabs: SharedArrayBuffer[] = [];

  add(index: number, slab: SharedArrayBuffer): void {
    this.#slabs[index] = slab;
  }

  get count(): number {
    return this.#slabs.length;
  }

  #slab(address: Address): SharedArrayBuffer {
    const slab = this.#slabs[Math.floor(address / SLAB_BYTES)];
    invariant(slab !== undefined, 'a slab is announced before it is named');
    return slab;
  }

  bytes(address: Address, length: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.#slab(address), address % SLAB_BYTES, length);
  }

  /** `address` is a multiple of 4; `length` counts words. */
  words(address: Address, length: number): Int32Array<SharedArrayBuffer> {
    return new Int32Array(this.#slab(address), address % SLAB_BYTES, length);
  }

  float32(address: Address, length: number): Float32Array<SharedArrayBuffer> {
    return new Float32Array(this.#slab(address), address % SLAB_BYTES, length);
  }

  float64(address: Address, length: number): Float64Array<SharedArrayBuffer> {
    return new Float64Array(this.#slab(address), address % SLAB_BYTES, length);
  }
}
