/**
 * A file system in memory with a power switch. Bytes of a file are durable after its sync, names after a sync of their
 * folder; a crash keeps of the rest what chance says, block by block and name by name, or nothing.
 *
 * Every write, sync and change of a name is one operation: `crashIn` counts down to the one during which the power goes.
 * After it nothing has an effect any more: synchronous calls throw, asynchronous ones never end.
 */
import { basename, dirname } from 'node:path';
import type { LogDisk, LogFile } from '../../src/storage/log/log-disk.ts';
import type { Random } from './sim-disk.ts';

const BLOCK = 512;

export class PowerGone extends Error {
  constructor() {
    super('the power is gone');
  }
}

export interface SimFile {
  readonly dir: boolean;
  bytes: Uint8Array;
  /** As on the platter, and which blocks differ. */
  durable: Uint8Array;
  readonly dirty: Set<number>;
}

const newFile = (dir: boolean): SimFile => ({
  dir,
  bytes: new Uint8Array(0),
  durable: new Uint8Array(0),
  dirty: new Set(),
});

export const fsError = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: simulated, '${path}'`), { code });

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(length);
  next.set(bytes);
  return next;
}

export class SimFs {
  names = new Map<string, SimFile>();
  durableNames = new Map<string, SimFile>();
  /** Operations until the power goes. */
  crashIn = Infinity;
  crashed = false;
  operations = 0;
  /** Bytes that all files may have together. */
  capacity = Infinity;
  /** Asked before each write, sync and change of a name, and each synchronous read: throws to make it fail. */
  fault: (operation: 'read' | 'write' | 'sync' | 'name', path: string) => void = () => {};
  /** A planted bug: a sync that does nothing (of the paths it says yes to). */
  lazySync: (path: string) => boolean = () => false;
  onCrash: () => void = () => {};
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    for (const path of ['/', '/sim']) {
      const dir = newFile(true);
      this.names.set(path, dir);
      this.durableNames.set(path, dir);
    }
  }

  alive(): void {
    if (this.crashed) throw new PowerGone();
  }

  /** One operation: it has had its effect when `tick` is called, and the power may go with it. */
  tick(): void {
    this.alive();
    this.operations++;
    if (this.crashIn-- <= 0) this.cut();
  }

  cut(): never {
    this.crashed = true;
    this.onCrash();
    throw new PowerGone();
  }

  /** The file system as the next start finds it. */
  afterCrash(): SimFs {
    const next = new SimFs(this.#random);
    const keepNothing = this.#random() < 0.5;
    const keep = (): boolean => !keepNothing && this.#random() < 0.5;
    const names = new Map<string, SimFile>();
    for (const path of new Set([...this.names.keys(), ...this.durableNames.keys()])) {
      const now = this.names.get(path);
      const old = this.durableNames.get(path);
      const kept = now === old || keep() ? now : old;
      if (kept !== undefined) names.set(path, kept);
    }
    // a rename is one journal entry: a file that lost both names keeps its old one, one that has both the new one
    for (const [path, file] of this.durableNames) {
      if (![...names.values()].includes(file) && [...this.names.values()].includes(file)) names.set(path, file);
    }
    for (const [path, file] of this.durableNames) {
      const moved = this.names.get(path) !== file;
      const elsewhere = [...names].some(
        ([other, same]) => other !== path && same === file && this.durableNames.get(other) !== file,
      );
      if (moved && names.get(path) === file && elsewhere) names.delete(path);
    }
    const copies = new Map<SimFile, SimFile>();
    for (const path of [...names.keys()].sort()) {
      const parent = next.names.get(dirname(path));
      if (path !== '/' && (parent === undefined || !parent.dir)) continue; // its folder is not there
      const file = names.get(path)!;
      let copy = copies.get(file);
      if (copy === undefined) {
        const bytes = file.dir ? file.durable : survivors(file, keep);
        copy = { dir: file.dir, bytes, durable: bytes.slice(), dirty: new Set() };
        copies.set(file, copy);
      }
      next.names.set(path, copy);
      next.durableNames.set(path, copy);
    }
    return next;
  }

  /** As the next process finds it when only the last one died. */
  afterKill(): SimFs {
    const next = new SimFs(this.#random);
    next.names = this.names;
    next.durableNames = this.durableNames;
    return next;
  }

  get(path: string): SimFile {
    const file = this.names.get(path);
    if (file === undefined) throw fsError('ENOENT', path);
    return file;
  }

  /** What a process reads; an onlooker takes `get`. */
  reading(path: string): SimFile {
    const file = this.get(path);
    this.fault('read', path);
    return file;
  }

  #entry(path: string): void {
    const parent = this.names.get(dirname(path));
    if (parent === undefined) throw fsError('ENOENT', path);
    if (!parent.dir) throw fsError('ENOTDIR', path);
  }

  #named(path: string, change: () => void): void {
    this.alive();
    this.fault('name', path);
    change();
    this.tick();
  }

  create(path: string): SimFile {
    this.#entry(path);
    const file = newFile(false);
    this.#named(path, () => this.names.set(path, file));
    return file;
  }

  truncate(path: string): SimFile {
    const file = this.names.get(path);
    if (file === undefined) return this.create(path);
    file.bytes = new Uint8Array(0);
    file.dirty.add(0);
    return file;
  }

  write(path: string, file: SimFile, parts: readonly Uint8Array[], offset: number): void {
    this.alive();
    this.fault('write', path);
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    const growth = Math.max(0, offset + total - file.bytes.length);
    if (growth > 0 && Number.isFinite(this.capacity)) {
      let used = 0;
      for (const each of new Set(this.names.values())) used += each.bytes.length;
      if (used + growth > this.capacity) throw fsError('ENOSPC', path);
    }
    if (growth > 0) file.bytes = grown(file.bytes, offset + total);
    let at = offset;
    for (const part of parts) {
      file.bytes.set(part, at);
      at += part.length;
    }
    for (let block = Math.floor(offset / BLOCK); block * BLOCK < at; block++) file.dirty.add(block);
    this.tick();
  }

  sync(path: string, file: SimFile): void {
    this.alive();
    this.fault('sync', path);
    this.tick();
    if (this.lazySync(path)) return;
    if (file.dir) {
      for (const name of new Set([...this.names.keys(), ...this.durableNames.keys()])) {
        if (dirname(name) !== path || name === path) continue;
        const now = this.names.get(name);
        if (now === undefined) this.durableNames.delete(name);
        else this.durableNames.set(name, now);
      }
      return;
    }
    file.durable = grown(file.durable.subarray(0, file.bytes.length), file.bytes.length);
    for (const block of file.dirty)
      file.durable.set(
        file.bytes.subarray(block * BLOCK, (block + 1) * BLOCK),
        Math.min(block * BLOCK, file.durable.length),
      );
    file.dirty.clear();
  }

  rename(from: string, to: string): void {
    const file = this.get(from);
    this.#entry(to);
    this.#named(to, () => {
      this.names.set(to, file);
      this.names.delete(from);
    });
  }

  link(from: string, to: string): void {
    const file = this.get(from);
    this.#entry(to);
    if (this.names.has(to)) throw fsError('EEXIST', to);
    this.#named(to, () => this.names.set(to, file));
  }

  remove(path: string, options: { readonly force?: boolean; readonly recursive?: boolean } = {}): void {
    this.alive();
    const file = this.names.get(path);
    if (file === undefined) {
      if (options.force !== true) throw fsError('ENOENT', path);
      return;
    }
    if (file.dir && options.recursive !== true) throw fsError('EISDIR', path);
    this.#named(path, () => {
      for (const name of [...this.names.keys()])
        if (name === path || name.startsWith(`${path}/`)) this.names.delete(name);
    });
  }

  /** The topmost folder made. */
  makeFolders(path: string): string | undefined {
    if (this.names.has(path)) return undefined;
    const above = path === '/' ? undefined : this.makeFolders(dirname(path));
    const dir = newFile(true);
    this.#named(path, () => this.names.set(path, dir));
    return above ?? path;
  }

  children(path: string): string[] {
    if (!this.get(path).dir) throw fsError('ENOTDIR', path);
    return [...this.names.keys()].filter((name) => name !== '/' && dirname(name) === path).sort();
  }

  /** The log's directory, made durably. */
  logDisk(dir: string): LogDisk {
    if (!this.names.has(dir)) {
      this.makeFolders(dir);
      this.sync(dirname(dir), this.get(dirname(dir)));
    }
    return {
      list: () => this.children(dir).map((path) => basename(path)),
      open: (name, create) => {
        const path = `${dir}/${name}`;
        return this.#logFile(path, create ? this.create(path) : this.get(path));
      },
      rename: (from, to) => this.rename(`${dir}/${from}`, `${dir}/${to}`),
      remove: (name) => this.remove(`${dir}/${name}`, { force: true }),
      syncDir: () => this.sync(dir, this.get(dir)),
    };
  }

  #logFile(path: string, file: SimFile): LogFile {
    return {
      fd: -1,
      size: () => file.bytes.length,
      read: (into, offset) => {
        this.alive();
        const piece = file.bytes.subarray(offset, offset + into.length);
        into.set(piece);
        return piece.length;
      },
      write: (parts, offset) => this.write(path, file, parts, offset),
      sync: () => this.sync(path, file),
      close: () => undefined,
    };
  }
}

function survivors(file: SimFile, keep: () => boolean): Uint8Array {
  let bytes = file.durable.slice();
  for (const block of file.dirty) {
    if (!keep()) continue;
    const piece = file.bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
    if (piece.length === 0) {
      if (file.bytes.length < bytes.length) bytes = bytes.subarray(0, file.bytes.length).slice();
      continue;
    }
    if (block * BLOCK + piece.length > bytes.length) bytes = grown(bytes, block * BLOCK + piece.length);
    bytes.set(piece, block * BLOCK);
  }
  return bytes;
}
