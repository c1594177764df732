/**
 * What all parts of one statement see whose WITH writes: the rows as they were when it began, its transaction's own among them, and
 * nothing of what its parts do.
 *
 * - W1 Reads see a snapshot. Rows that a part is to change are those of now (PostgreSQL looks at them again, too), without those that an
 *   earlier part has changed: a row is changed once in a statement.
 * - W2 Own rows of before and of since are never in one file: a savepoint stands between them.
 */
import { notSupported } from '../errors.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';
import { Snapshot, type TableView } from './snapshot.ts';
import type { TableWrites, Transaction } from './transaction.ts';

interface Mark {
  readonly rows: number;
  readonly dead: number;
  readonly deletions: number;
  /** By unit, where the snapshot has them. */
  readonly deleted: ReadonlyMap<number, Uint32Array>;
}
const NOTHING: Mark = { rows: 0, dead: 0, deletions: 0, deleted: new Map() };

export class StatementView {
  readonly #transaction: Transaction;
  readonly #marks: ReadonlyMap<TableWrites, Mark>;
  /** Savepoints before its own; null: it needs none. */
  readonly #depth: number | null;
  /** Null: the transaction has one. */
  readonly #own: Snapshot | null;

  private constructor(transaction: Transaction, own: Snapshot | null) {
    const marks = new Map<TableWrites, Mark>();
    for (const writes of transaction.writes.values()) {
      const { inserted, dead, deleted, seen } = writes;
      if (writes.isEmpty) continue;
      marks.set(writes, {
        rows: inserted.rows,
        dead: dead.length,
        deletions: deleted.length,
        deleted: (seen?.deleted ?? deleted).byUnit(),
      });
    }
    this.#transaction = transaction;
    this.#marks = marks;
    this.#own = own;
    this.#depth = marks.size === 0 ? null : transaction.savepoints;
    if (this.#depth !== null) transaction.savepoint();
  }

  /** @throws {SqlError} 0A000 when own rows of the transaction have left memory */
  static async begin(database: Database, transaction: Transaction): Promise<StatementView> {
    if (transaction.isSpilled)
      throw notSupported('a data-modifying statement in WITH after so many rows of its transaction', {
        hint: 'COMMIT first.',
      });
    const own = transaction.snapshot === null ? await Snapshot.take(database) : null;
    const view = new StatementView(transaction, own);
    transaction.statement = view;
    return view;
  }

  end(): void {
    const transaction = this.#transaction;
    transaction.statement = null;
    this.#own?.close();
    if (this.#depth !== null && transaction.state === 'open') transaction.releaseTo(this.#depth);
  }

  get snapshot(): Snapshot {
    return (this.#own ?? this.#transaction.snapshot)!;
  }

  view(table: Table): TableView {
    return this.snapshot.view(table);
  }

  #markOf(writes: TableWrites): Mark {
    return this.#marks.get(writes) ?? NOTHING;
  }

  /** Rows of others that the transaction had deleted before. */
  deletedBefore(writes: TableWrites): ReadonlyMap<number, Uint32Array> {
    return this.#markOf(writes).deleted;
  }

  /** The first own row of the statement. */
  firstRow(writes: TableWrites): number {
    return this.#markOf(writes).rows;
  }

  /** Something of the table is the statement's doing. */
  hasWritten(writes: TableWrites): boolean {
    const { rows, dead, deletions } = this.#markOf(writes);
    return writes.inserted.rows !== rows || writes.deleted.length !== deletions || writes.dead.length !== dead;
  }

  /** Own rows of before, and those of them that are not seen; `now`: that are dead by now. */
  ownRows(writes: TableWrites, now: boolean): { readonly unit: MemoryUnit; readonly dead: Uint32Array } | null {
    const { rows, dead } = this.#markOf(writes);
    const unit = writes.scan(rows);
    if (unit === null) return null;
    const { first } = writes.inserted;
    const positions = writes.dead
      .positions(0, now ? writes.dead.length : dead)
      .filter((row) => row >= first && row < rows)
      .map((row) => row - first);
    return { unit: { ...unit, deletes: null }, dead: positions };
  }
}
