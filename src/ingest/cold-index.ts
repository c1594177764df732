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
import { keyTypes, type Table } from '../storage/table.ts';
import type { UniqueKey } from '../storage/unique-key.ts';
import type { TableDef } from '../table-def.ts';

/** One of a table's indexes: of its key, or of a UNIQUE constraint. */
interface Wanted {
  readonly name: string;
  /** The table's, with its columns for a key. */
  readonly def: TableDef;
  readonly isKey: boolean;
}

interface Known {
  /** Version of the table that was told. */
  version: number;
  /** Field ids. */
  readonly key: readonly number[];
  readonly types: string;
  readonly isKey: boolean;
  readonly files: Map<number, KnownFile>;
}

interface KnownFile {
  readonly file: DataFileUnit;
  /** What the index calls it: the file's own number, or one of the index's where it is not that of the key. */
  readonly unit: number;
  path: string;
  isCovered: boolean;
}

export class ColdIndex {
  readonly #remote: Remote<IndexApi>;
  readonly #disk: DiskCache;
  readonly #warn: (error: unknown, where: string) => void;
  /** By name. */
  readonly #indexes = new Map<string, Known>();
  /** Names, by the table's uuid. */
  readonly #names = new Map<string, ReadonlySet<string>>();
  readonly #units = new Map<number, { readonly known: Known; readonly own: KnownFile }>();
  #lastUnit = 0;
  /** Their folders are on their way out: one of that name comes after that. */
  readonly #leaving = new Map<string, Promise<void>>();
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
    const { uuid } = table.def;
    const before = this.#names.get(uuid);
    const wanted = table.dropped ? [] : wantedOf(table);
    if (before === undefined && wanted.length === 0) return;
    try {
      const names = new Set(wanted.map(({ name }) => name));
      const told: Promise<unknown>[] = [];
      for (const name of before ?? []) if (!names.has(name)) told.push(this.#forget(name));
      if (names.size === 0) this.#names.delete(uuid);
      else this.#names.set(uuid, names);
      for (const each of wanted) told.push(this.#sync(table, each));
      await Promise.all(told);
    } catch (error) {
      this.#warn(error, `the index of ${table.def.schema}.${table.def.name}`);
    }
  }

  async #sync(table: Table, { name, def, isKey }: Wanted): Promise<void> {
    const types = isKey ? '' : keyTypes(def);
    if (!isKey && (this.#indexes.get(name)?.types ?? types) !== types) await this.#forget(name);
    const leaving = this.#leaving.get(name);
    if (leaving !== undefined) await leaving;
    let known = this.#indexes.get(name);
    if (known?.version === table.version) return;
    const asked: Promise<unknown>[] = [];
    if (known === undefined) {
      known = { version: 0, key: def.key, types, isKey, files: new Map() };
      this.#indexes.set(name, known);
      asked.push(this.#remote.attach({ ...def, uuid: name }));
    }
    const changes = this.#changes(table, known);
    if (changes === null) {
      await Promise.all(asked);
      return;
    }
    const told = this.#remote.change({ uuid: name, ...changes });
    await Promise.all([...asked, told]);
    const { covered } = await told;
    this.#cover(covered);
    this.#lend();
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
        const unit = known.isKey ? file.unit : --this.#lastUnit;
        const own: KnownFile = { file, unit, path: file.path, isCovered: false };
        known.files.set(file.unit, own);
        this.#units.set(unit, { known, own });
        added.push({ unit, location: file.info.location, path: file.path, rows: file.rows, local });
      } else if (before.path !== file.path) {
        before.path = file.path;
        moved.push({ unit: before.unit, path: file.path, local });
      }
    }
    if (live.size < known.files.size) {
      for (const [number, { unit }] of known.files) {
        if (live.has(number)) continue;
        known.files.delete(number);
        this.#units.delete(unit);
        removed.push(unit);
      }
    }
    return added.length + moved.length + removed.length === 0 ? null : { added, moved, removed };
  }

  /** The key is read otherwise now: no file is covered until it is indexed anew, from the next `sync` on. */
  async forget(table: Table): Promise<void> {
    await this.#forget(table.def.uuid);
  }

  async #forget(name: string): Promise<void> {
    const known = this.#indexes.get(name);
    if (known === undefined) return;
    const units = [...known.files.values()].map(({ unit }) => unit);
    this.#lose(units);
    this.#indexes.delete(name);
    for (const unit of units) this.#units.delete(unit);
    const left = this.#remote.detach(name);
    this.#leaving.set(name, left);
    try {
      await left;
    } finally {
      if (this.#leaving.get(name) === left) this.#leaving.delete(name);
    }
  }

  /** Of covered files; what others hold is found by scanning them. `keys`: four words a key. */
  async lookup(table: Table, keys: Int32Array): Promise<KeyMatches> {
    const answer = await this.#remote.lookup({ uuid: table.def.uuid, keys }, [keys.buffer as ArrayBuffer]);
    this.#lose(answer.lost);
    return answer;
  }

  async lookupUnique(_table: Table, { name }: UniqueKey, values: Int32Array): Promise<KeyMatches> {
    const answer = await this.#remote.lookup({ uuid: name, keys: values }, [values.buffer as ArrayBuffer]);
    this.#lose(answer.lost);
    // A file that has left the table meanwhile has number 0, which no file has.
    return { ...answer, units: answer.units.map((unit) => this.#units.get(unit)?.own.file.unit ?? 0) };
  }

  covers(_table: Table, { name }: UniqueKey, file: DataFileUnit): boolean {
    return this.#indexes.get(name)?.files.get(file.unit)?.isCovered === true;
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
    const tried = new Set<KnownFile>();
    for (;;) {
      const next = this.#remoteFile(tried);
      if (next === null) return;
      tried.add(next.own);
      const { file, unit } = next.own;
      try {
        const { path, release } = await this.#disk.leaseColumns(file.scan(0), next.key, this.#remote);
        try {
          await this.#remote.lend({ uuid: next.name, unit, path });
        } finally {
          release();
        }
      } catch (error) {
        this.#warn(error, `fetching ${file.info.location} for the index`);
      }
    }
  }

  #remoteFile(
    tried: ReadonlySet<KnownFile>,
  ): { readonly name: string; readonly key: readonly number[]; readonly own: KnownFile } | null {
    for (const [name, { files, key }] of this.#indexes)
      for (const own of files.values())
        if (!own.isCovered && !tried.has(own) && this.#disk.concerns([own.file])) return { name, key, own };
    return null;
  }

  #cover(units: readonly number[]): void {
    for (const unit of units) {
      const found = this.#units.get(unit);
      if (found !== undefined) mark(found, true);
    }
  }

  #lose(units: readonly number[]): void {
    for (const unit of units) {
      const found = this.#units.get(unit);
      if (found === undefined) continue;
      mark(found, false);
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

function mark({ known, own }: { readonly known: Known; readonly own: KnownFile }, isCovered: boolean): void {
  own.isCovered = isCovered;
  if (known.isKey) own.file.indexed = isCovered;
}

function wantedOf(table: Table): readonly Wanted[] {
  const { def, keyed, uniques } = table;
  // Two constraints over the same columns have one.
  const others = new Map(uniques.map((unique) => [unique.name, { name: unique.name, def: unique.def, isKey: false }]));
  return [...(keyed ? [{ name: def.uuid, def, isKey: true }] : []), ...others.values()];
}
