/**
 * Main's side of the index over files: tells the index thread what files the tables have, and keeps, per file, whether it is
 * covered. A file that is not is scanned (resolver.ts), never skipped.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { Remote } from '../rpc.ts';
import type { DiskCache } from '../storage/disk/disk-cache.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { IndexApi, KeyMatches, RowGroups, RowRequest } from '../storage/index/index-api.ts';
import type { Table } from '../storage/table.ts';

interface Known {
  /** Version of the table that was told. */
  version: number;
  /** Field ids. */
  readonly key: readonly number[];
  readonly files: Map<number, { readonly file: DataFileUnit; path: string }>;
}

export class ColdIndex {
  readonly #remote: Remote<IndexApi>;
  readonly #disk: DiskCache;
  readonly #warn: (error: unknown, where: string) => void;
  readonly #tables = new Map<string, Known>();
  readonly #units = new Map<number, DataFileUnit>();
  /** Rises whenever a file ceases to be covered. */
  losses = 0;
  #lending = false;
  /** What is reserved for the run that is being written. */
  #room: () => void = () => {};

  constructor(remote: Remote<IndexApi>, disk: DiskCache, warn: (error: unknown, where: string) => void) {
    this.#remote = remote;
    this.#disk = disk;
    this.#warn = warn;
    void this.#listen();
  }

  /** Tells what has changed of the table's files; resolves when the index knows. Messages keep their order, so nobody need wait. */
  async sync(table: Table): Promise<void> {
    if (!table.keyed) return;
    const { uuid } = table.def;
    try {
      if (table.dropped) {
        await this.#forget(uuid);
        return;
      }
      let known = this.#tables.get(uuid);
      if (known?.version === table.version) return;
      const asked: Promise<unknown>[] = [];
      if (known === undefined) {
        known = { version: 0, key: table.def.key, files: new Map() };
        this.#tables.set(uuid, known);
        asked.push(this.#remote.attach(table.def));
      }
      const changes = this.#changes(table, known);
      if (changes === null) {
        await Promise.all(asked);
        return;
      }
      const told = this.#remote.change({ uuid, ...changes });
      await Promise.all([...asked, told]);
      const { covered } = await told;
      this.#cover(covered);
      this.#lend();
    } catch (error) {
      this.#warn(error, `the index of ${table.def.schema}.${table.def.name}`);
    }
  }

  /** What the index does not know yet; null: nothing. */
  #changes(table: Table, known: Known): Omit<Parameters<IndexApi['change']>[0], 'uuid'> | null {
    known.version = table.version;
    const added = [];
    const moved = [];
    const removed: number[] = [];
    const live = new Set<number>();
    for (const file of [...table.files, ...table.spilledFiles]) {
      live.add(file.unit);
      const local = !this.#disk.concerns([file]);
      const before = known.files.get(file.unit);
      if (before === undefined) {
        known.files.set(file.unit, { file, path: file.path });
        this.#units.set(file.unit, file);
        added.push({ unit: file.unit, location: file.info.location, path: file.path, rows: file.rows, local });
      } else if (before.path !== file.path) {
        before.path = file.path;
        moved.push({ unit: file.unit, path: file.path, local });
      }
    }
    if (live.size < known.files.size) {
      for (const unit of known.files.keys()) {
        if (live.has(unit)) continue;
        known.files.delete(unit);
        this.#units.delete(unit);
        removed.push(unit);
      }
    }
    return added.length + moved.length + removed.length === 0 ? null : { added, moved, removed };
  }

  /** The key is read otherwise now: no file is covered until it is indexed anew, from the next `sync` on. */
  async forget(table: Table): Promise<void> {
    const known = this.#tables.get(table.def.uuid);
    if (known === undefined) return;
    this.#lose([...known.files.keys()]);
    await this.#forget(table.def.uuid);
  }

  async #forget(uuid: string): Promise<void> {
    const known = this.#tables.get(uuid);
    if (known === undefined) return;
    this.#tables.delete(uuid);
    for (const unit of known.files.keys()) this.#units.delete(unit);
    await this.#remote.detach(uuid);
  }

  /** Of covered files; what others hold is found by scanning them. `keys`: four words a key. */
  async lookup(table: Table, keys: Int32Array): Promise<KeyMatches> {
    const answer = await this.#remote.lookup({ uuid: table.def.uuid, keys }, [keys.buffer as ArrayBuffer]);
    this.#lose(answer.lost);
    return answer;
  }

  /** A row of a file as a DataRow message; the caller has a pin. */
  async readRow(request: RowRequest): Promise<Uint8Array> {
    const checked = this.#disk.check([request]);
    if (checked !== null) await checked;
    return this.#remote.readRow(request);
  }

  /** The same as vectors of one row. */
  async readVectors(request: RowRequest): Promise<readonly ColumnVector[]> {
    const checked = this.#disk.check([request]);
    if (checked !== null) await checked;
    return this.#remote.readVectors(request);
  }

  rowGroups(path: string): Promise<RowGroups> {
    return this.#remote.rowGroups(path);
  }

  /** Of what lies in a remote warehouse only the key columns are fetched and lent to the index, one file at a time (H9). */
  #lend(): void {
    if (this.#lending) return;
    this.#lending = true;
    void this.#lendAll().finally(() => {
      this.#lending = false;
    });
  }

  async #lendAll(): Promise<void> {
    const tried = new Set<DataFileUnit>();
    for (;;) {
      const next = this.#remoteFile(tried);
      if (next === null) return;
      tried.add(next.file);
      try {
        const { path, release } = await this.#disk.leaseColumns(next.file.scan(0), next.key, this.#remote);
        try {
          await this.#remote.lend({ uuid: next.uuid, unit: next.file.unit, path });
        } finally {
          release();
        }
      } catch (error) {
        this.#warn(error, `fetching ${next.file.info.location} for the index`);
      }
    }
  }

  #remoteFile(
    tried: ReadonlySet<DataFileUnit>,
  ): { readonly uuid: string; readonly key: readonly number[]; readonly file: DataFileUnit } | null {
    for (const [uuid, { files, key }] of this.#tables)
      for (const { file } of files.values())
        if (!file.indexed && !tried.has(file) && this.#disk.concerns([file])) return { uuid, key, file };
    return null;
  }

  #cover(units: readonly number[]): void {
    for (const unit of units) {
      const file = this.#units.get(unit);
      if (file !== undefined) file.indexed = true;
    }
  }

  #lose(units: readonly number[]): void {
    for (const unit of units) {
      const file = this.#units.get(unit);
      if (file === undefined) continue;
      file.indexed = false;
      this.losses++;
    }
  }

  /** D4 of the disk: a run has its room before it is written, and is counted when it is. */
  async #makeRoom(bytes: number): Promise<void> {
    const giveBack = this.#room;
    this.#room = () => {};
    try {
      if (bytes === 0) await this.#disk.recount();
      giveBack();
      if (bytes > 0) this.#room = await this.#disk.reserve(bytes);
    } catch (error) {
      giveBack();
      const ended = error instanceof SqlError && error.code === SqlState.adminShutdown; // a thread's end is told elsewhere
      if (bytes === 0 && !ended) this.#warn(error, 'counting the disk');
      if (bytes > 0) await this.#remote.room(false).catch(() => undefined);
      return;
    }
    if (bytes > 0) await this.#remote.room(true).catch(() => undefined);
  }

  async #listen(): Promise<void> {
    try {
      for (;;) {
        const events = await this.#remote.events(null);
        if (events === null) return;
        this.#cover(events.covered);
        this.#lose(events.lost);
        if (events.room !== null) void this.#makeRoom(events.room);
        for (const problem of events.problems) this.#warn(new Error(problem), 'the index');
      }
    } catch {
      // The thread has ended, and with it the process.
    }
  }
}
