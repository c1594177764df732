/**
 * Another writer has rewritten files that rows of ours are deleted from, in entries that Iceberg lacks or by transactions
 * under way. The rows are read once more where they were, and found again by their names in the files that came (C7, C3);
 * what is not there the other writer has deleted, too.
 */
import type { DataFileUnit } from '../storage/file-unit.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';

interface Place {
  readonly file: DataFileUnit;
  readonly position: number;
}

export class RowsFoundAgain {
  readonly #database: Database;
  readonly #table: Table;
  readonly #leaving: readonly DataFileUnit[];
  readonly #added: ReadonlyMap<number, DataFileUnit>;
  /** Positions of added files that cannot be given to a name: deleted by the other writer, or given already. */
  readonly #taken = new Map<DataFileUnit, Set<number>>();
  /** Of each unit that leaves, where the rows at its positions are now; null: nowhere. */
  readonly #places = new Map<number, Map<number, Place | null>>();

  /** Of units that leave and whose rows stay where they are, the next ones (`taken-back.ts`). */
  readonly #successors: ReadonlyMap<DataFileUnit, DataFileUnit>;

  /** @param deleted positions that the other writer has deleted, by location of the file */
  constructor(
    database: Database,
    table: Table,
    gone: readonly DataFileUnit[],
    added: readonly DataFileUnit[],
    successors: ReadonlyMap<DataFileUnit, DataFileUnit>,
    deleted: ReadonlyMap<string, Iterable<number>>,
  ) {
    this.#database = database;
    this.#table = table;
    this.#successors = successors;
    this.#leaving = [...successors.keys(), ...gone];
    const all = [...added, ...successors.values()];
    this.#added = new Map(all.map((file) => [file.unit, file]));
    for (const file of all) this.#taken.set(file, new Set(deleted.get(file.info.location)));
    for (const file of this.#leaving) this.#places.set(file.unit, new Map());
  }

  /** Null when every row is known: no transaction has come in between since. Else it looks for those that are not. */
  catchUp(): Promise<void> | null {
    const missing = this.#leaving.flatMap((file) => {
      const known = this.#places.get(file.unit)!;
      const positions = new Set(this.#database.touchedPositions(this.#table, file.unit));
      for (const position of file.deletes.positions(file.deletesCommitted, file.deletes.length))
        positions.add(position);
      for (const position of known.keys()) positions.delete(position);
      const successor = this.#successors.get(file);
      if (successor === undefined)
        return positions.size === 0 ? [] : [{ file, positions: Uint32Array.from(positions) }];
      const taken = this.#taken.get(successor)!;
      for (const position of positions) {
        known.set(position, taken.has(position) ? null : { file: successor, position });
        taken.add(position);
      }
      return [];
    });
    return missing.length === 0 ? null : this.#find(missing);
  }

  async #find(missing: readonly { readonly file: DataFileUnit; readonly positions: Uint32Array }[]): Promise<void> {
    const table = this.#table;
    const { engine, memory } = this.#database;
    const names = new RowBuffer(memory, table.namePhysicals);
    const from: Place[] = [];
    try {
      for (const { file, positions } of missing) {
        const fieldIds = table.nameColumns.map((column) => table.fieldIds[column]!);
        for (const read of await engine.readRows({ def: table.def, file: file.scan(0), positions, fieldIds })) {
          names.append(read.vectors, 0, read.rows);
          for (const position of read.positions) from.push({ file, position });
        }
      }
      const files = [...this.#added.values()].map((file) => file.scan(0));
      for (const [index, batch] of names.batches.entries()) {
        const request = { def: table.def, files, keys: batch.vectors(), rows: batch.rows };
        const { rows, units, positions } = await (table.keyed ? engine.lookup(request) : engine.lookupImages(request));
        for (let i = 0; i < rows.length; i++) {
          const { file, position } = from[names.batchStart(index) + rows[i]!]!;
          const places = this.#places.get(file.unit)!;
          const target = this.#added.get(units[i]!)!;
          const taken = this.#taken.get(target)!;
          if (places.has(position) || taken.has(positions[i]!)) continue;
          taken.add(positions[i]!);
          places.set(position, { file: target, position: positions[i]! });
        }
      }
      for (const { file, positions } of missing) {
        const places = this.#places.get(file.unit)!;
        for (const position of positions) if (!places.has(position)) places.set(position, null);
      }
    } finally {
      names.retire();
    }
  }

  /** Entries that Iceberg lacks go to the added files, transactions under way follow. In the turn in which `catchUp` gave null. */
  install(): void {
    const entries = new Map<DataFileUnit, { position: number; lsn: number; flushed: boolean }[]>();
    for (const { unit, deletes, deletesCommitted, deletesFlushed } of this.#leaving) {
      deletes.positions(deletesCommitted, deletes.length).forEach((position, i) => {
        const place = this.#places.get(unit)!.get(position);
        if (place === undefined || place === null) return;
        const lsn = deletes.lsnAt(deletesCommitted + i);
        const list = entries.get(place.file) ?? [];
        entries.set(place.file, list);
        list.push({ position: place.position, lsn, flushed: deletesCommitted + i < deletesFlushed });
      });
    }
    this.#database.memory.pool.unbounded(() => {
      for (const [file, list] of entries) {
        const { length } = file.deletes; // what Iceberg has of a successor
        file.deletes.reserve(list.length);
        for (const { position, lsn } of list.sort((a, b) => a.lsn - b.lsn)) file.deletes.append(position, lsn);
        file.deletes.publish(length + list.length);
        // The manifest names the file that left: after a crash it does not fit, and the log is replayed.
        file.deletesFlushed = length + list.filter(({ flushed }) => flushed).length;
      }
    });
    this.#database.remap(this.#table, (unit, position) => {
      const place = this.#places.get(unit)?.get(position);
      return place === undefined || place === null ? null : { unit: place.file.unit, position: place.position };
    });
  }
}
