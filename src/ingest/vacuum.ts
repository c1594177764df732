/** VACUUM and VACUUM FULL of a table, and the standing look for files that should be rewritten. */
import { rowsOfFooter } from '../storage/file-footers.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { VacuumResult } from '../storage/iceberg/lake-api.ts';
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';
import type { RewriteTrigger } from './migration-choice.ts';
import { chooseRewrite, type RewriteChoice, type RewriteLimits } from './rewrite-choice.ts';
import { collectLater, refreshTable } from './iceberg-commit.ts';
import { readOnly } from './read-only.ts';

/** One swap takes groups up to so many target files: fewer snapshots, and a conflict costs no more than that. */
const OUTPUTS_PER_SWAP = 8;
const ROWS_MAX_LEAST = 2 ** 20;
/** Of the memory for rows, what the footer of one file may take when files are merged: 1 MB at the least memory.limit. */
const FOOTER_SHARE = 1 / 96;
/** And for each row that is read by its key all of it is decoded: 3 ms of CPU a megabyte. */
const FOOTER_BYTES_MAX = 2 * 2 ** 20;

type Groups = readonly (readonly DataFileUnit[])[];

function choose(
  database: Database,
  table: Table,
  key: string,
  smallFilesMax: number,
  full: boolean,
): { readonly trigger: RewriteTrigger; readonly groups: Groups } | null {
  const files = [...table.fileSets.partition(key)].filter(({ isLeaving }) => !isLeaving);
  const limits: RewriteLimits = {
    targetFileBytes: database.targetFileBytes,
    smallFilesMax,
    mergedRowsMax: rowsOfFooter(
      Math.min(FOOTER_BYTES_MAX, database.memory.pool.budgetBytes * FOOTER_SHARE),
      table.def.columns.length,
    ),
    // Where each row of a sorted file went takes 12 bytes for a moment; of others it is counted.
    rowsMax:
      table.def.sort.length === 0
        ? Number.POSITIVE_INFINITY
        : Math.max(ROWS_MAX_LEAST, database.memory.pool.budgetBytes / 64),
  };
  const choice: RewriteChoice | null = chooseRewrite(
    limits,
    files.map((file) => ({
      bytes: file.info.bytes,
      rows: file.rows,
      deleted: file.deletesCommitted,
      timeMin: file.time.min,
    })),
    full,
  );
  if (choice === null) return null;
  return { trigger: choice.trigger, groups: choice.groups.map((group) => group.map((i) => files[i]!)) };
}

/**
 * Everything of the table in files of the target size, without deleted rows.
 * @param isWanted asked between two swaps
 */
export async function vacuumFull(database: Database, table: Table, isWanted = (): boolean => true): Promise<void> {
  const trigger = 'vacuum_full';
  if (table.detached !== null) throw readOnly(table.detached);
  await database.commit(table, trigger);
  const groups = [...table.fileSets.partitionKeys()].flatMap(
    (key) => choose(database, table, key, 2, true)?.groups ?? [],
  );
  for (let i = 0; i < groups.length && isWanted(); i += OUTPUTS_PER_SWAP)
    await database.rewrite(table, groups.slice(i, i + OUTPUTS_PER_SWAP), trigger);
}

/** Snapshots expire; files go that no snapshot needs any more, after their grace, and such that nobody knows. */
export async function vacuum(database: Database, table: Table): Promise<VacuumResult & { expiredFiles: number }> {
  const result = await database.inLane(table, async () => {
    if (table.detached !== null) throw readOnly(table.detached);
    await refreshTable(database, table);
    const done = await database.lake.vacuum(table.def.uuid);
    table.metadataLocation = done.metadataLocation;
    return done;
  });
  return { ...result, expiredFiles: (await collectLater(database, table)) ?? 0 };
}

/** Partitions of one table that have something to rewrite: looked at again only when their files have changed. */
export class RewriteCandidates {
  readonly #found = new Map<string, RewriteTrigger>();

  look(database: Database, table: Table, smallFilesMax: number): RewriteTrigger | null {
    for (const key of table.fileSets.takeChanged()) {
      const choice = choose(database, table, key, smallFilesMax, false);
      if (choice === null) this.#found.delete(key);
      else this.#found.set(key, choice.trigger);
    }
    return this.#found.values().next().value ?? null;
  }

  /** As many partitions as one swap takes. */
  async rewrite(database: Database, table: Table, smallFilesMax: number, trigger: RewriteTrigger): Promise<void> {
    const groups: Groups[number][] = [];
    for (const [key, why] of this.#found) {
      if (groups.length >= OUTPUTS_PER_SWAP) break;
      if (why !== trigger) continue;
      groups.push(...(choose(database, table, key, smallFilesMax, false)?.groups ?? []));
      this.#found.delete(key);
      table.fileSets.lookAgain(key);
    }
    if (groups.length > 0) await database.rewrite(table, groups.slice(0, OUTPUTS_PER_SWAP), trigger);
  }
}
