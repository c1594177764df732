/** The catalog and the flush manifest as they are, read beside Arka; and V4, for each metadata file that the catalog shows. */
import type { StatementSync } from 'node:sqlite';
import { committed, currentSnapshot, parseMetadata, type LoadedTable } from '../../src/storage/iceberg/metadata.ts';
import { contentOf } from './foreign.ts';
import type { Outside } from './life.ts';
import { difference, FOREIGN, type Model } from './model.ts';
import type { World } from './world.ts';

export class Catalog implements Outside {
  readonly #world: World;
  readonly #model: Model;
  /** The metadata files that V4 was looked at for. */
  readonly #checked = new Set<string>();
  #find: StatementSync | null = null;
  /** Of the databases, when it was looked at last. */
  #writes = -1;
  readonly history = new Map<string, string[]>();

  constructor(world: World, model: Model) {
    this.#world = world;
    this.#model = model;
  }

  location(table: string): string | null {
    const database = this.#world.databases.get('/sim/catalog.db');
    if (this.#find === null) {
      const made = database?.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'iceberg_tables'`).get();
      if (made === undefined) return null;
    }
    this.#find ??= database!.prepare('SELECT metadata_location AS m FROM iceberg_tables WHERE table_name = ?');
    const row = this.#find.get(table);
    return row === undefined ? null : (row['m'] as string);
  }

  /** What another client of the catalog does. */
  show(table: string, location: string): void {
    this.#world.sqliteWrites++;
    this.#world.databases
      .get('/sim/catalog.db')!
      .prepare('UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ?')
      .run(location, table);
  }

  load(table: string): LoadedTable | null {
    const location = this.location(table);
    return location === null ? null : this.read(table, location);
  }

  read(table: string, location: string): LoadedTable {
    const metadata = parseMetadata(this.#world.bytesAt(location), location);
    return { schema: 'public', name: table, metadataLocation: location, metadata };
  }

  committed(table: string): { readonly uuid: string; readonly logId: string | null; readonly lsn: number } | null {
    const loaded = this.load(table);
    if (loaded === null) return null;
    const { logId, lsn } = committed(loaded.metadata);
    return { uuid: loaded.metadata['table-uuid'], logId, lsn };
  }

  flushed(uuid: string, logId: string): number {
    const database = this.#world.databases.get('/sim/disk/flush.db');
    const row = database
      ?.prepare('SELECT flushed_lsn AS l FROM flush WHERE table_uuid = ? AND log_id = ?')
      .get(uuid, logId);
    return row === undefined ? 0 : (row['l'] as number);
  }

  /** Null: nothing new in the catalog. */
  look(logId: () => string): Promise<void> | null {
    if (this.#writes === this.#world.sqliteWrites) return null;
    this.#writes = this.#world.sqliteWrites;
    const fresh = this.#model.tables.flatMap((table) => {
      const location = this.location(table);
      return location === null || this.#checked.has(location) ? [] : [{ table, location }];
    });
    return fresh.length === 0 ? null : this.#check(fresh, logId);
  }

  /** V4: a snapshot with arka.lsn = L holds exactly the operations ≤ L, beside what others wrote. */
  async #check(
    fresh: readonly { readonly table: string; readonly location: string }[],
    logId: () => string,
  ): Promise<void> {
    for (const { table, location } of fresh) {
      this.#checked.add(location);
      this.history.set(table, [...(this.history.get(table) ?? []), location]);
      const foreign = new Map(this.#model.foreign.get(table));
      this.#model.foreignAt.set(location, foreign);
      const { metadata } = this.read(table, location);
      const { lsn, logId: stamped } = committed(metadata);
      const head = currentSnapshot(metadata);
      const { rows } = await this.#world.outside(() => contentOf(this.#world, head));
      this.#world.trace(`catalog: ${table} at arka.lsn ${lsn}, ${rows.length} rows`);
      const others = difference(
        rows.filter(([key]) => key >= FOREIGN),
        stamped !== null && stamped === logId() ? this.#model.without(table, foreign, lsn) : foreign,
      );
      if (others !== null) this.#world.fail(`V4: ${table} in Iceberg, rows of other writers: ${others}`);
      if (stamped !== null && stamped !== logId()) continue;
      const own = difference(
        rows.filter(([key]) => key < FOREIGN),
        this.#model.at(table, lsn),
      );
      if (own !== null) this.#world.fail(`V4: ${table} in Iceberg at arka.lsn ${lsn}: ${own}`);
    }
  }
}
