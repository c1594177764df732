/** An index over files that exist in memory only, and the plain answer to compare with. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { createIndexCore, type IndexCore } from '../../src/storage/index/index-service.ts';
import type { KeyReader } from '../../src/storage/index/key-reader.ts';
import { keyEncoder } from '../../src/storage/memory/key-encoder.ts';
import { tableSecret } from '../../src/storage/memory/keyed-hash.ts';
import type { TableDef } from '../../src/table-def.ts';
import type { ColumnVector } from '../../src/types/column-vector.ts';
import { physicalOf } from '../../src/types/pg-type.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { tableDef } from '../ingest/harness.ts';
import { put, type Value } from '../memory/values.ts';

export const UUID = '0b5a7c1e-0000-4000-8000-000000000001';

export function keyDef(oids: readonly number[]): TableDef {
  const base = tableDef('t', []);
  const columns = oids.map((oid, i) => ({
    ...base.columns[0]!,
    name: `c${i}`,
    fieldId: i + 1,
    attnum: i + 1,
    type: { oid, typmod: -1 },
  }));
  return { ...base, uuid: UUID, columns, key: columns.map((column) => column.fieldId) };
}

/** One key a row; a part may be null, as another engine may write it. */
export type Rows = readonly (readonly Value[])[];

export class IndexWorld {
  readonly dir: string;
  readonly def: TableDef;
  core!: IndexCore;
  readonly files = new Map<number, { readonly location: string; path: string; readonly rows: Rows }>();
  readonly covered = new Set<number>();
  readonly problems: string[] = [];
  /** Says whether a run of so many bytes has room; null: it is not asked. */
  room: ((bytes: number) => boolean) | null = null;
  #secret!: Uint8Array;
  #news: (() => void)[] = [];

  constructor(def: TableDef) {
    this.dir = mkdtempSync(join(tmpdir(), 'arka-index-'));
    this.def = def;
  }

  get tableDir(): string {
    return join(this.dir, this.def.uuid);
  }

  async open(cacheBytes = 2 ** 20): Promise<void> {
    this.covered.clear();
    this.core = createIndexCore(systemClock, this.#reader());
    const { secret } = await this.core.open({ dir: this.dir, cacheBytes, asksForRoom: this.room !== null });
    await this.core.keepOnly([this.def.uuid]);
    this.#secret = secret;
    await this.core.attach(this.def);
    void this.#listen(this.core);
    await this.#change([...this.files.keys()], []);
  }

  async add(unit: number, rows: Rows): Promise<void> {
    this.files.set(unit, { location: `/warehouse/${unit}.parquet`, path: String(unit), rows });
    await this.#change([unit], []);
  }

  async remove(unit: number): Promise<void> {
    this.files.delete(unit);
    this.covered.delete(unit);
    await this.#change([], [unit]);
  }

  async #change(added: readonly number[], removed: readonly number[]): Promise<void> {
    const files = added.map((unit) => {
      const { location, path, rows } = this.files.get(unit)!;
      return { unit, location, path, rows: rows.length, local: true };
    });
    const { covered } = await this.core.change({ uuid: UUID, added: files, removed, moved: [] });
    for (const unit of covered) this.covered.add(unit);
  }

  async #listen(core: IndexCore): Promise<void> {
    for (let events = await core.events(null); events !== null; events = await core.events(null)) {
      if (core === this.core) {
        for (const unit of events.covered) if (this.files.has(unit)) this.covered.add(unit);
        for (const unit of events.lost) this.covered.delete(unit);
      }
      this.problems.push(...events.problems);
      if (events.room !== null && events.room > 0) void core.room(this.room!(events.room));
      for (const tell of this.#news.splice(0)) tell();
    }
  }

  /** Resolves when the index has said something. */
  heard(): Promise<void> {
    return new Promise((resolve) => this.#news.push(resolve));
  }

  /** Resolves when every file is covered. */
  async settled(): Promise<void> {
    while (this.covered.size < this.files.size) await this.heard();
  }

  /** `unit:position` of every row with each key, in order, of covered files; what the index says, and what is so. */
  async compare(keys: Rows): Promise<{ readonly said: string[][]; readonly so: string[][] }> {
    const answer = await this.core.lookup({ uuid: UUID, keys: this.#words(keys) });
    for (const unit of answer.lost) this.covered.delete(unit);
    const said = keys.map((): string[] => []);
    answer.rows.forEach((row, i) => {
      const unit = answer.units[i]!;
      if (this.covered.has(unit)) said[row]!.push(`${unit}:${answer.positions[i]!}`);
    });
    const places = new Map<string, string[]>();
    for (const [unit, { rows }] of this.files) {
      if (!this.covered.has(unit)) continue;
      rows.forEach((row, position) => {
        const name = textOf(row);
        places.set(name, [...(places.get(name) ?? []), `${unit}:${position}`]);
      });
    }
    const so = keys.map((row) => (places.get(textOf(row)) ?? []).toSorted());
    return { said: said.map((each) => each.toSorted()), so };
  }

  async close(): Promise<void> {
    await this.core.shutdown(null);
  }

  async destroy(): Promise<void> {
    await this.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  #words(keys: Rows): Int32Array {
    const physicals = this.#physicals();
    const encode = keyEncoder(physicals, tableSecret(this.#secret, UUID));
    const vectors = this.#vectors(keys);
    const words = new Int32Array(keys.length * 4);
    for (let row = 0; row < keys.length; row++) encode(vectors, row, words.subarray(row * 4, row * 4 + 4));
    return words;
  }

  #physicals() {
    return this.def.columns.map((column) => physicalOf(column.type));
  }

  #vectors(rows: Rows): ColumnVector[] {
    return this.#physicals().map((physical, i) => {
      const builder = new VectorBuilder(physical);
      for (const row of rows) put(builder, physical, row[i]!);
      return builder.vector();
    });
  }

  #reader(): KeyReader {
    return {
      readKeys: async (_, file, from, to, visit) => {
        const unit = [...this.files].find(([, each]) => each.path === file.path);
        if (unit === undefined) throw new Error(`no file ${file.path}`);
        for (let at = from; at < to; at += 2048) {
          const end = Math.min(to, at + 2048);
          const positions = Int32Array.from({ length: end - at }, (_, i) => at + i);
          await visit(this.#vectors(unit[1].rows.slice(at, end)), positions, end - at);
        }
      },
    };
  }
}

/** Equal exactly for equal keys; a key with a NULL equals none. */
function textOf(row: readonly Value[]): string {
  if (row.includes(null)) return 'null';
  return JSON.stringify(row, (_, part: unknown) => (typeof part === 'number' ? String(part + 0) : part));
}
