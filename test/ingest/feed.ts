/** Changes of a table out of the log, read as arka.changes reads them, and consumers that apply them. */
import { EngineCursor } from '../../src/gateway/cursor.ts';
import { feedDef } from '../../src/planner/changes.ts';
import { integerAt } from '../../src/storage/memory/slice.ts';
import type { Table } from '../../src/storage/table.ts';
import type { Lsn } from '../../src/table-def.ts';
import { isValid, type ColumnVector } from '../../src/types/column-vector.ts';
import { uncancelled } from '../../src/running.ts';
import type { TestDatabase } from './harness.ts';

export interface SeenChange {
  readonly op: string;
  readonly lsn: Lsn;
  readonly commitLsn: Lsn;
  readonly time: number;
  readonly oldKey: string | null;
  /** `id|v|name` of the table's columns. */
  readonly row: string;
}

const text = (vector: ColumnVector, row: number): string | null =>
  isValid(vector, row) ? Buffer.from(vector.heap.subarray(vector.starts[row], vector.ends[row])).toString() : null;

/** Reads changes after `since`. */
export function openChanges(db: TestDatabase, table: Table, since: Lsn): Promise<EngineCursor> {
  const feed = { table: table.def, since: { kind: 'lsn', lsn: since }, follow: false } as const;
  const sql = 'SELECT op, lsn, commit_lsn, committed_at, old_key, id, v, name FROM "__arka_feed" AS t';
  const request = {
    rendered: { sql, timeRanges: [null], point: null, indexed: null, since: () => since },
    tables: [{ def: feedDef(table.def), placeholder: '__arka_feed', positions: false, feed }],
    transaction: null,
    columns: null,
    formats: [],
    output: 'vectors',
    times: { transaction: 0, statement: 0 },
    timeZone: 'UTC',
  } as const;
  return EngineCursor.open(db.tiers.database, db.tiers.engine, request, uncancelled);
}

/** At most `limit` changes after `since`. */
export async function changesOf(db: TestDatabase, table: Table, since: Lsn, limit = Infinity): Promise<SeenChange[]> {
  const seen: SeenChange[] = [];
  const cursor = await openChanges(db, table, since);
  try {
    for (let chunk = await cursor.next(); chunk !== null; chunk = await cursor.next()) {
      const [op, lsn, commit, time, oldKey, id, v, name] = chunk.vectors!;
      for (let row = 0; row < chunk.rows && seen.length < limit; row++) {
        seen.push({
          op: text(op!, row)!,
          lsn: integerAt(lsn!, row),
          commitLsn: integerAt(commit!, row),
          time: integerAt(time!, row),
          oldKey: text(oldKey!, row),
          row: [
            isValid(id!, row) ? integerAt(id!, row) : 'null',
            isValid(v!, row) ? v!.words[row] : 'null',
            text(name!, row) ?? 'null',
          ].join('|'),
        });
      }
      if (seen.length >= limit) break;
    }
  } finally {
    await cursor.close();
  }
  return seen;
}

/** What a consumer has: rows as the changes that it took make them. */
export class Consumer {
  lsn: Lsn;
  readonly #keyed: boolean;
  /** By key, or by whole row with its count. */
  readonly #rows = new Map<string, string[]>();

  /** From a snapshot: `rows` are those at `lsn`. */
  constructor(keyed: boolean, lsn: Lsn = 0, rows: readonly string[] = []) {
    this.#keyed = keyed;
    this.lsn = lsn;
    for (const row of rows) this.#add(row);
  }

  get rows(): string[] {
    return [...this.#rows.values()].flat().toSorted();
  }

  /** @throws when a change is not one that the rows so far can have */
  apply(changes: readonly SeenChange[]): void {
    for (const { op, lsn, commitLsn, oldKey, row } of changes) {
      if (lsn <= this.lsn || commitLsn < lsn) throw new Error(`LSN ${lsn} (of ${commitLsn}) after ${this.lsn}`);
      this.lsn = lsn;
      if (op !== 'insert') {
        const { id, v, name } = JSON.parse(oldKey!) as { id: number; v?: number | null; name?: string | null };
        this.#remove(this.#keyed ? String(id) : `${id}|${v}|${name}`);
      } else if (oldKey !== null) throw new Error('an insert has no old key');
      if (op !== 'delete') this.#add(row);
    }
  }

  #keyOf(row: string): string {
    return this.#keyed ? row.slice(0, row.indexOf('|')) : row;
  }

  #add(row: string): void {
    const key = this.#keyOf(row);
    const there = this.#rows.get(key) ?? [];
    if (this.#keyed && there.length > 0) throw new Error(`row ${key} twice`);
    this.#rows.set(key, [...there, row]);
  }

  #remove(key: string): void {
    const there = this.#rows.get(key);
    if (there === undefined) throw new Error(`no row ${key}`);
    if (there.length === 1) this.#rows.delete(key);
    else this.#rows.set(key, there.slice(1));
  }
}
