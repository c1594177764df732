/**
 * TRUNCATE: all rows of a table go in one step, by the unit. Nothing of it follows the number of rows.
 *
 * In the transaction it is a mark on its writes: what others have is not seen any more, own rows die as in any DELETE, a rollback
 * to a savepoint takes the mark back. In the log it is a section that names the files which the table has then; replay needs
 * no name of a row. In each unit it is one entry of the delete list, for all rows that are alive (`DeleteList.killAll`), which
 * cuts, pins and flushes treat as the entries that it stands for. In the flush manifest it is a row a file; in Iceberg the
 * files leave the manifests (`iceberg-commit.ts`).
 *
 * - T1 The table is held alone from the statement to the end of the transaction, and its lane is held from before the frame is
 *   made until the rows are gone: no flush, commit or rewrite is under way, so the section names every file that rows below
 *   its LSN may be in, and the slices have the others.
 * - T2 What another writer adds later is in no section, and stays, whatever is replayed (C7). What it has rewritten meanwhile is
 *   found by the names of its rows, as after any other delete (`replay-truncation.ts`, `rows-found-again.ts`).
 * - T3 A unit that is wholly gone gets no more rows: those that come after go to new slices.
 */
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { SectionSource } from '../storage/log/frame-section.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { DeleteList } from '../storage/memory/delete-list.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { settleKey } from './key-claims.ts';
import type { TableWrites, Transaction } from './transaction.ts';

/** A section's columns, which are no fields: a file's location, its rows, and up to which LSN they are where Iceberg may lack the file; else 0. */
const FIELDS = [0, 0, 0];

const key: KeyWords = new Int32Array(4);

/** The statement: the transaction has the table alone. @throws {SqlError} 53200 */
export function truncate(memory: Memory, transaction: Transaction, table: Table): void {
  const writes = transaction.of(table);
  if (transaction.streamed?.reaches(writes, { rows: 0, deletions: 0 }) === true) transaction.giveUpStream();
  const { dead, inserted, spilled } = writes;
  if (!dead.reserve(inserted.rows - inserted.first)) throw memory.usedUp();
  for (const unit of spilled.all) spilled.killAll(unit);
  if (table.keyed && writes.own === null) settleKeys(writes);
  for (let row = inserted.first; row < inserted.rows; row++) if (!dead.has(row)) dead.append(row, 0);
  writes.isTruncated = true;
  transaction.fresh.truncated(table.def.uuid, transaction.savepoints);
}

/** Own rows that die are not found by their keys any more. */
function settleKeys(writes: TableWrites): void {
  const { dead, inserted, table } = writes;
  inserted.batches.forEach((batch, index) => {
    const start = inserted.batchStart(index);
    const vectors = table.keyColumns.map((column) => batch.columns[column]!.vector());
    for (let row = 0; row < batch.rows; row++) {
      if (dead.has(start + row)) continue;
      table.encodeKey(vectors, row, key);
      settleKey(writes, key);
    }
  });
}

/** Tables whose lanes its commit holds (T1). */
export function truncatedTables(transaction: Transaction): readonly Table[] {
  const tables: Table[] = [];
  if (!transaction.fresh.hasTruncated) return tables;
  for (const { isTruncated, table } of transaction.writes.values()) if (isTruncated) tables.push(table);
  return tables;
}

/** What the log says of it. The first row stands for what is in memory; the others may lie in frames of their own. */
export function truncationSection({ uuidBytes: tableUuid, def, files }: Table): SectionSource {
  const [locations, rows, lsns] = [new VectorBuilder('bytes'), new VectorBuilder('int32'), new VectorBuilder('int64')];
  const add = (location: string, count: number, lsn: Lsn): void => {
    const bytes = Buffer.from(location);
    locations.bytes(bytes, 0, bytes.length);
    rows.int32(count);
    lsns.int64(lsn | 0, Math.floor(lsn / 2 ** 32));
  };
  add('', 0, 0);
  // A file of which nothing was left a commit may have dropped unheard.
  for (const { deletes, info, rows: count, tier, lsnTo } of files)
    if (deletes.length < count) add(info.location, count, tier === 'disk' ? lsnTo : 0);
  return {
    tableUuid,
    schemaId: def.schemaId,
    kind: 'truncate',
    fieldIds: FIELDS,
    vectors: [locations.vector(), rows.vector(), lsns.vector()],
    start: 0,
    end: rows.rows,
  };
}

export function truncationsOf(writes: readonly TableWrites[]): SectionSource[] {
  return writes.flatMap(({ isTruncated, table }) => (isTruncated ? [truncationSection(table)] : []));
}

/** The rows are gone at that LSN: of all slices, and of the files that are concerned. */
export function applyTruncation(
  table: Table,
  lsn: Lsn,
  lists: Set<DeleteList>,
  concerned: (file: DataFileUnit) => boolean = () => true,
): void {
  table.freeze(); // T3
  for (const { deletes, rows } of table.slices()) if (deletes.killAll(rows, lsn) > 0) lists.add(deletes);
  for (const file of table.files) {
    if (!concerned(file) || file.deletes.killAll(file.rows, lsn) === 0) continue;
    lists.add(file.deletes);
    table.fileSets.deleted(file);
  }
  table.changes?.lose();
}
