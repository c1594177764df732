/**
 * A disk in memory for the log: bytes are durable after `sync`, names after `syncDir`. A crash keeps of the rest what chance
 * says, block by block and name by name.
 */
import type { LogDisk, LogFile } from '../../src/storage/log/log-disk.ts';

const BLOCK = 512;

interface SimFile {
  bytes: Uint8Array;
  /** As on the platter, and which blocks differ. */
  durable: Uint8Array;
  readonly dirty: Set<number>;
}

export type Random = () => number;

/** mulberry32 */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class SimDisk implements LogDisk {
  names = new Map<string, SimFile>();
  durableNames = new Map<string, SimFile>();
  /** Operations until the power goes; each write, sync, rename and removal is one. */
  crashIn = Infinity;
  crashed = false;
  /** Bytes that all files may have together. */
  capacity = Infinity;
  /** The next sync fails so. */
  failSync: Error | null = null;
  syncs = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The power goes: the disk as the next start finds it. */
  crash(): SimDisk {
    const next = new SimDisk(this.#random);
    const names = new Map<string, SimFile>();
    for (const name of new Set([...this.names.keys(), ...this.durableNames.keys()])) {
      const now = this.names.get(name);
      const old = this.durableNames.get(name);
      const kept = now === old || this.#random() < 0.5 ? now : old;
      if (kept !== undefined) names.set(name, kept);
    }
    // a rename is one journal entry: a file that lost both names keeps its old one, one that has both the new one
    for (const [name, file] of this.durableNames)
      if (![...names.values()].includes(file) && [...this.names.values()].includes(file)) names.set(name, file);
    for (const [name, file] of this.durableNames) {
      if (names.get(name) === file && [...names].some(([other, same]) => other !== name && same === file))
        names.delete(name);
    }
    for (const [name, file] of names) {
      const bytes = file.durable.slice();
      let full = bytes;
      const survivors = [...file.dirty].filter(() => this.#random() < 0.5);
      for (const block of survivors) {
        const piece = file.bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
        if (block * BLOCK + piece.length > full.length) full = grown(full, block * BLOCK + piece.length);
        full.set(piece, block * BLOCK);
      }
      const copy = { bytes: full, durable: full.slice(), dirty: new Set<number>() };
      next.names.set(name, copy);
      next.durableNames.set(name, copy);
    }
    return next;
  }

  /** Without power nothing changes any more; the operation under way when it goes may have its effect. */
  #alive(): void {
    if (this.crashed) throw new Error('the power is gone');
  }

  #tick(): void {
    this.#alive();
    if (this.crashIn-- <= 0) {
      this.crashed = true;
      throw new Error('the power is gone');
    }
  }

  list = (): string[] => [...this.names.keys()];

  open(name: string, create: boolean): LogFile {
    let file = this.names.get(name);
    if (create) {
      this.#tick();
      file = { bytes: new Uint8Array(0), durable: new Uint8Array(0), dirty: new Set() };
      this.names.set(name, file);
    }
    if (file === undefined) throw new Error(`no file ${name}`);
    return this.#handle(file);
  }

  #handle(file: SimFile): LogFile {
    return {
      fd: -1,
      size: () => file.bytes.length,
      read: (into, offset) => {
        const piece = file.bytes.subarray(offset, offset + into.length);
        into.set(piece);
        return piece.length;
      },
      write: (parts, offset) => {
        this.#alive();
        const total = parts.reduce((sum, part) => sum + part.length, 0);
        const used = [...this.names.values()].reduce((sum, each) => sum + each.bytes.length, 0);
        const growth = Math.max(0, offset + total - file.bytes.length);
        if (used + growth > this.capacity)
          throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
        if (growth > 0) file.bytes = grown(file.bytes, offset + total);
        let at = offset;
        for (const part of parts) {
          file.bytes.set(part, at);
          at += part.length;
        }
        for (let block = Math.floor(offset / BLOCK); block * BLOCK < at; block++) file.dirty.add(block);
        this.#tick();
      },
      sync: () => {
        this.#tick();
        if (this.failSync !== null) throw this.failSync;
        this.syncs++;
        if (file.durable.length < file.bytes.length) file.durable = grown(file.durable, file.bytes.length);
        for (const block of file.dirty)
          file.durable.set(file.bytes.subarray(block * BLOCK, (block + 1) * BLOCK), block * BLOCK);
        file.dirty.clear();
      },
      close: () => undefined,
    };
  }

  rename(from: string, to: string): void {
    this.#alive();
    this.names.set(to, this.names.get(from)!);
    this.names.delete(from);
    this.#tick();
  }

  remove(name: string): void {
    this.#alive();
    this.names.delete(name);
    this.#tick();
  }

  syncDir(): void {
    this.#tick();
    this.durableNames = new Map(this.names);
  }
}

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(length);
  next.set(bytes);
  return next;
}
