/**
 * What the log has of tables that are not here, while a table is here of which nobody can say which it is: its metadata cannot
 * be read, and nothing else proves its uuid (U4 in `src/storage/iceberg/unreadable-table.ts`). It may be any of them.
 *
 * - N1 Such operations are nobody's, not those of a table that is gone (M-4): the log is kept from the first of them on, and
 *   checkpoint frames name their tables, so that the next start finds them.
 * - N2 Once a table's uuid is known, its own are taken out of them: it comes back with what the log has of it.
 * - N3 What is left when all tables are known waits for the next start, which writes it to DATA_DIR/lost. So do rows in the log of an
 *   unreadable table that another client has dropped meanwhile.
 */
import { isNeeded, type TableCheckpoint } from '../storage/log/checkpoint.ts';
import type { LogHolder } from './log-full.ts';
import type { Lsn } from '../table-def.ts';

export class UnclaimedRows {
  readonly #tables = new Map<string, TableCheckpoint>();

  /** As checkpoint frames have them. */
  get tables(): Iterable<TableCheckpoint> {
    return this.#tables.values();
  }

  /** From where on the log is kept for them; 0: there are none. */
  get from(): Lsn {
    let from = 0;
    for (const table of this.#tables.values())
      if (isNeeded(table) && (from === 0 || table.neededFrom < from)) from = table.neededFrom;
    return from;
  }

  /** What the log is kept for from an LSN on, where all tables that are here are known. */
  holder(from: Lsn): LogHolder | null {
    const table = [...this.#tables.values()].find((each) => isNeeded(each) && each.neededFrom === from);
    if (table === undefined) return null;
    const unsaid = { detached: null, isReadAgain: false, isUnflushed: false, failure: null };
    return { ...unsaid, name: `with uuid ${table.uuid}`, from, isGone: true };
  }

  /** What a checkpoint said of a table that is not here; or what is known of one that goes. */
  keep(table: TableCheckpoint): void {
    this.#tables.set(table.uuid, table);
  }

  /** The log has operations on it. */
  note(uuid: string, firstLsn: Lsn, lastLsn: Lsn): void {
    const known = this.#tables.get(uuid);
    const neededFrom = known !== undefined && isNeeded(known) ? known.neededFrom : firstLsn;
    this.#tables.set(uuid, {
      ...(known ?? { uuid, committedLsn: 0, snapshotId: null, metadataLocation: '' }),
      neededFrom,
      lastLsn: Math.max(lastLsn, known?.lastLsn ?? 0),
    });
  }

  /** N2. Null: nothing is known of it. */
  claim(uuid: string): TableCheckpoint | null {
    const known = this.#tables.get(uuid) ?? null;
    this.#tables.delete(uuid);
    return known;
  }
}
