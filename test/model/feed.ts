/**
 * The change feed beside the tables: what `arka.changes` gives since a position, applied to the rows of that position, are the rows now.
 *
 * - F1 A change applies: what it updates or deletes is there, and a key that it inserts is not.
 * - F2 A watch begins anew when the table is altered: rows get columns and values then that no change names.
 */
import type { Outcome, Step } from '../differential/wire.ts';
import type { Table } from './tables.ts';

type Row = readonly (string | null)[];
interface Watch {
  readonly since: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}
type Ask = (step: Step) => Promise<Outcome>;

export class FeedWatch {
  readonly #ask: Ask;
  readonly #schema: string;
  readonly #watches = new Map<string, Watch>();

  constructor(ask: Ask, schema: string) {
    this.#ask = ask;
    this.#schema = schema;
  }

  /** Watches the table from now on, while no transaction commits; not where it has another name now. */
  async begin({ name }: Table): Promise<void> {
    const since = (await this.#ask('SELECT pg_current_wal_lsn()')).rows[0]![0]!;
    const { rows, columns } = await this.#ask(`SELECT * FROM ${this.#schema}.${name}`);
    if (columns === null) this.#watches.delete(name);
    else this.#watches.set(name, { since, columns: columns.map(([column]) => column), rows });
  }

  /** @returns what is wrong, null: nothing */
  async check({ name, key }: Table): Promise<string | null> {
    const watch = this.#watches.get(name);
    if (watch === undefined) return null;
    const now = await this.#ask(`SELECT * FROM ${this.#schema}.${name}`);
    if (now.columns === null) return null;
    const changes = await this.#ask(
      `SELECT op, lsn, old_key, ${watch.columns.join(', ')} FROM arka.changes('${this.#schema}.${name}', '${watch.since}') ORDER BY lsn`,
    );
    if (changes.error !== null) return `arka.changes: ${JSON.stringify(changes.error)}`;
    const replay = new Replay(watch, key);
    for (const change of changes.rows) {
      const wrong = replay.apply(change);
      if (wrong !== null) return `${wrong}\n${JSON.stringify({ ...watch, changes: changes.rows })}`;
    }
    const [seen, wanted] = [replay.rows(), now.rows.map((row) => JSON.stringify(row)).toSorted()];
    return seen.join('\n') === wanted.join('\n')
      ? null
      : `the changes of ${name} give ${seen.join(' ')} instead of ${wanted.join(' ')}\n${JSON.stringify({ ...watch, changes: changes.rows })}`;
  }
}

class Replay {
  readonly #columns: readonly string[];
  readonly #key: readonly number[];
  /** By key, or by whole row; a row as often as it is there. */
  readonly #rows = new Map<string, Row[]>();

  constructor({ columns, rows }: Watch, key: readonly string[]) {
    this.#columns = columns;
    this.#key = key.map((name) => columns.indexOf(name));
    for (const row of rows) this.#add(row);
  }

  rows(): string[] {
    return [...this.#rows.values()]
      .flat()
      .map((row) => JSON.stringify(row))
      .toSorted();
  }

  apply([op, lsn, oldKey, ...row]: Row): string | null {
    if (op === 'truncate') {
      this.#rows.clear();
      return null;
    }
    if (op !== 'insert') {
      // a key does not change by an update
      const name = this.#key.length > 0 ? this.#nameOf(row) : this.#nameOf(this.#rowOf(oldKey!));
      const there = this.#rows.get(name)?.pop();
      if (there === undefined) return `${op} at ${lsn}: ${name} is not there`;
    }
    if (op === 'delete') return null;
    if (this.#key.length > 0 && (this.#rows.get(this.#nameOf(row))?.length ?? 0) > 0)
      return `${op} at ${lsn}: ${this.#nameOf(row)} is there`;
    this.#add(row);
    return null;
  }

  #add(row: Row): void {
    const name = this.#nameOf(row);
    this.#rows.set(name, [...(this.#rows.get(name) ?? []), row]);
  }

  #nameOf(row: Row): string {
    return JSON.stringify(
      this.#key.length > 0 ? this.#key.map((at) => row[at]) : row.map((value) => plain(value ?? null)),
    );
  }

  /** A whole row out of `old_key`, numbers as they are written. */
  #rowOf(oldKey: string): Row {
    const values = JSON.parse(oldKey, (_, value: unknown, context?: { readonly source?: string }) =>
      typeof value === 'number' ? context!.source! : value,
    ) as Readonly<Record<string, string | null>>;
    return this.#columns.map((name) => values[name] ?? null);
  }
}

/** One text for a moment in PostgreSQL's form and in JSON's. */
const plain = (value: string | null): string | null =>
  value?.replace(/^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)\+00(?::00)?$/, '$1 $2') ?? null;
