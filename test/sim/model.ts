/**
 * What the simulated database must hold, as plain as it can be said: transactions in LSN order, each a list of keys that it
 * sets or takes away. Other writers' rows have keys of their own (from FOREIGN on), so both can be told apart in any file.
 */
import type { Row } from './sim-engine.ts';

export const FOREIGN = 1_000_000;

/** Stands for a key in a change that is a TRUNCATE. */
export const TRUNCATED = -1;

export interface Change {
  readonly table: string;
  readonly key: number;
  /** Null: the key's row is deleted. */
  readonly row: Row | null;
  /** TRUNCATE: all rows before it are gone, and of other writers' those with these keys, noted when it came into the log. */
  readonly truncated?: Set<number>;
}

export interface Logged {
  /** Of its last operation: the transaction is in a cut at L when it is ≤ L. */
  readonly lsn: number;
  readonly first: number;
  readonly changes: readonly Change[];
  /** synchronous_commit is on: nobody sees it before it is durable. */
  readonly synchronous: boolean;
  acknowledged: boolean;
}

export type Rows = ReadonlyMap<number, Row>;

function apply(rows: Map<number, Row>, table: string, { changes }: Logged): void {
  for (const { table: name, key, row, truncated } of changes) {
    if (name !== table) continue;
    if (truncated !== undefined) rows.clear();
    else if (row === null) rows.delete(key);
    else rows.set(key, row);
  }
}

export class Model {
  readonly tables: readonly string[];
  /** The log may lack what the disk has: beyond wal.max_size, or once the disk was full. */
  diskNeeded = false;
  /** Since `#base`, in LSN order. */
  logged: Logged[] = [];
  /** What each table held before all of `logged`. */
  readonly #base = new Map<string, Map<number, Row>>();
  /** A rollback by a user: from this LSN on, the table's rows begin with these. */
  readonly #resets = new Map<string, { readonly lsn: number; readonly rows: Rows }>();
  /** Tables that another engine has ever set back. */
  readonly #setBack = new Set<string>();
  /** Other writers' rows as the catalog shows them now, and as it did with each metadata file. */
  readonly foreign = new Map<string, Map<number, Row>>();
  readonly foreignAt = new Map<string, Rows>();

  constructor(tables: readonly string[]) {
    this.tables = tables;
    for (const table of tables) {
      this.#base.set(table, new Map());
      this.foreign.set(table, new Map());
    }
  }

  /** The table's rows once everything ≤ lsn has happened. */
  at(table: string, lsn: number): Map<number, Row> {
    const reset = this.#resets.get(table);
    const start = reset !== undefined && reset.lsn <= lsn ? reset.rows : this.#base.get(table)!;
    const from = reset !== undefined && reset.lsn <= lsn ? reset.lsn : -1;
    const rows = new Map(start);
    for (const transaction of this.logged)
      if (transaction.lsn > from && transaction.lsn <= lsn) apply(rows, table, transaction);
    return rows;
  }

  /** The table's rows at `lsn` for who has those of `since` and a log that begins at `first`. */
  replayed(table: string, since: number, first: number, lsn: number): Map<number, Row> {
    const rows = this.at(table, since);
    for (const transaction of this.logged)
      if (transaction.first >= first && transaction.lsn > since && transaction.lsn <= lsn)
        apply(rows, table, transaction);
    return rows;
  }

  get lastLsn(): number {
    return this.logged.at(-1)?.lsn ?? 0;
  }

  /** Keys that transactions above the LSN have touched. */
  touchedAbove(table: string, lsn: number): Set<number> {
    const keys = new Set<number>();
    for (const transaction of this.logged)
      if (transaction.lsn > lsn)
        for (const change of transaction.changes) if (change.table === table) keys.add(change.key);
    if (keys.has(TRUNCATED)) for (const key of this.at(table, lsn).keys()) keys.add(key);
    return keys;
  }

  /** Other writers' rows, without those that TRUNCATE has taken up to an LSN. */
  without(table: string, foreign: Rows, lsn: number): Rows {
    const from = this.#resets.get(table)?.lsn ?? -1; // a rollback brings back what was gone
    const left = new Map(foreign);
    for (const transaction of this.logged)
      if (transaction.lsn <= lsn && transaction.lsn > from)
        for (const change of transaction.changes)
          if (change.table === table) for (const key of change.truncated ?? []) left.delete(key);
    return left;
  }

  /** After a crash: what the log does not have did not happen. @returns the acknowledged ones among it: there must be none */
  forgetAbove(lsn: number): Logged[] {
    const gone = this.logged.filter((transaction) => transaction.lsn > lsn);
    this.logged = this.logged.filter((transaction) => transaction.lsn <= lsn);
    return gone.filter((transaction) => transaction.acknowledged);
  }

  isSetBack(table: string): boolean {
    return this.#setBack.has(table);
  }

  rollBack(table: string, lsn: number, rows: Rows): void {
    this.#resets.set(table, { lsn, rows });
    this.#setBack.add(table);
  }

  /** The log is a new one: its LSNs begin again. */
  newLog(): void {
    for (const table of this.tables) {
      this.#base.set(table, this.at(table, Infinity));
      this.foreign.set(table, new Map(this.without(table, this.foreign.get(table)!, Infinity)));
    }
    this.#resets.clear();
    this.logged = [];
    this.diskNeeded = false;
  }
}

const text = (row: Row | undefined): string => (row === undefined ? 'no row' : row.join('|'));

/** Null when the rows are exactly the expected ones, each once; else what the first difference is. */
export function difference(rows: readonly Row[], expected: Rows): string | null {
  const seen = new Set<number>();
  for (const row of rows) {
    const [key] = row;
    if (seen.has(key)) return `key ${key} is there twice`;
    seen.add(key);
    const wanted = expected.get(key);
    if (text(wanted) !== text(row)) return `key ${key} is ${text(row)}, expected ${text(wanted)}`;
  }
  for (const [key, row] of expected) if (!seen.has(key)) return `key ${key} is missing, expected ${text(row)}`;
  return null;
}
