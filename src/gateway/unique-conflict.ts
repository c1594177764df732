/**
 * INSERT … ON CONFLICT where a UNIQUE constraint or a unique index is among what decides. The values of proposed rows are locked and
 * looked for (`ingest/unique-probe.ts`). A row that has them may have any key: to be updated it is read, and locked by its own.
 *
 * - F2 of conflict.ts holds for values, too.
 */
import { keysOf, lockAndLocate, noteAbsent, NOWHERE, type Located } from '../ingest/keyed-rows.ts';
import { assertOpen } from '../ingest/key-locks.ts';
import { concurrentChange } from '../ingest/snapshot.ts';
import { lockRows, type SnapshotRows } from '../ingest/snapshot-writes.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { noteOwnRow } from '../ingest/unique-claims.ts';
import { probeValues } from '../ingest/unique-probe.ts';
import { BufferValues } from '../ingest/buffer-values.ts';
import { ownRowOf, type HeldValues } from '../ingest/unique-writes.ts';
import { deleteRows, recordFound } from '../ingest/write-rows.ts';
import type { Arbiters } from '../planner/arbiters.ts';
import type { Conflict } from '../planner/plan.ts';
import { OwnIndex } from '../storage/memory/own-index.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import { appendRow, newRowsOf, touchedTwice, type NewRows, type Update } from './conflict-rows.ts';
import { readOldRows, type OldRows } from './old-rows.ts';
import { checkSeen } from './seen-rows.ts';
import { contextOf, type WriteEnvironment } from './write-environment.ts';

const words: KeyWords = new Int32Array(4);

/**
 * Proposed rows become own rows, or replace others, or are left out; the new own rows are to be claimed yet.
 * @param from the statement's first own row
 */
export async function insertByValues(
  environment: WriteEnvironment,
  writes: TableWrites,
  conflict: Conflict,
  proposed: RowBuffer,
  from: number,
): Promise<void> {
  const { parts } = writes.claimed();
  const own = parts.filter(({ unique }) => conflict.arbiters.slots.includes(unique.index.slot));
  const marks = own.map(({ keys }) => keys.mark());
  const keyMark = writes.keys.mark();
  if (conflict.action === 'nothing') {
    await insertOthers(environment, writes, conflict.arbiters, own, proposed);
    writes.keys.giveBackUnused(keyMark);
  } else await new ValueUpsert(environment, writes, conflict, own[0]!, proposed, from).run();
  // a value that is there already was only looked at
  own.forEach(({ keys }, i) => keys.giveBackUnused(marks[i]!));
  environment.transaction.wake();
}

/** DO NOTHING. */
async function insertOthers(
  environment: WriteEnvironment,
  writes: TableWrites,
  arbiters: Arbiters,
  parts: readonly HeldValues[],
  proposed: RowBuffer,
): Promise<void> {
  const { transaction } = environment;
  const { table, inserted } = writes;
  const context = contextOf(environment);
  const found: Located[] = [];
  if (arbiters.key) found.push(await lockAndLocate(context, transaction, writes, keysOf(table, proposed)));
  for (const part of parts) found.push(await probeValues(context, transaction, writes, part, proposed));
  assertOpen(transaction);
  const values = parts.map(({ unique }) => new BufferValues(proposed, unique));
  const keys = arbiters.key ? new OwnIndex(0, table.keys, proposed) : null;
  const keyValues = new BufferValues(proposed, { columns: table.keyColumns });
  const isThere = (n: number): boolean => {
    for (const { units, positions } of found) {
      if (units[n] === NOWHERE) continue;
      checkSeen(environment, writes, units[n]!, positions[n]!);
      return true;
    }
    if (parts.some((part, i) => isNew(writes, part, values[i]!, n))) return true;
    if (keys === null) return false;
    const { vectors, row } = keyValues.at(n);
    if (keys.claim(table.keys.hashRow(vectors, row), vectors, row, n) >= 0) return true;
    noteAbsent(writes, vectors, row);
    return false;
  };
  for (let n = 0; n < proposed.rows; n++) {
    if (isThere(n)) continue;
    appendRow(proposed, n, inserted);
    parts.forEach((part, i) => note(part, values[i]!, n, inserted.rows - 1));
  }
}

/** Whether an own row that was proposed before has the values of proposal n. */
function isNew(writes: TableWrites, { unique }: HeldValues, values: BufferValues, n: number): boolean {
  const { vectors, row } = values.at(n);
  if (!unique.isWhole(vectors, row)) return false;
  unique.keys.encode(vectors, row, words);
  if (!unique.locks.find(words, unique.keys.hash(words))) return false;
  const own = ownRowOf(unique.locks.b);
  return own >= 0 && !writes.isDead(own);
}

function note(part: HeldValues, values: BufferValues, n: number, row: number): void {
  const at = values.at(n);
  if (part.unique.isWhole(at.vectors, at.row)) noteOwnRow(part, at, row);
}

/** DO UPDATE: rows by the values of one constraint. */
class ValueUpsert {
  readonly #environment: WriteEnvironment;
  readonly #writes: TableWrites;
  readonly #conflict: Update;
  readonly #part: HeldValues;
  readonly #proposed: RowBuffer;
  readonly #from: number;

  constructor(
    environment: WriteEnvironment,
    writes: TableWrites,
    conflict: Update,
    part: HeldValues,
    proposed: RowBuffer,
    from: number,
  ) {
    this.#environment = environment;
    this.#writes = writes;
    this.#conflict = conflict;
    this.#part = part;
    this.#proposed = proposed;
    this.#from = environment.transaction.statement?.firstRow(writes) ?? from;
  }

  async run(): Promise<void> {
    while (!(await this.#attempt()));
  }

  #probe(): Promise<Located> {
    const { transaction } = this.#environment;
    return probeValues(contextOf(this.#environment), transaction, this.#writes, this.#part, this.#proposed);
  }

  /** False: rows were changed by others since they were read, and nothing was done. */
  async #attempt(): Promise<boolean> {
    const { table } = this.#writes;
    const needed = [
      ...new Set([...this.#conflict.needed, ...table.nameColumns.map((column) => table.fieldIds[column]!)]),
    ];
    const old = await readOldRows(
      this.#environment,
      this.#writes,
      () => this.#probe(),
      await this.#probe(),
      needed,
      () => true,
    );
    try {
      return await this.#replace(old);
    } finally {
      old.rows.retire();
    }
  }

  async #replace(old: OldRows): Promise<boolean> {
    const { transaction } = this.#environment;
    const { table } = this.#writes;
    const { located } = old;
    for (const n of old.keys) {
      const [unit, position] = [located.units[n]!, located.positions[n]!];
      if (unit === this.#writes.unit && position >= this.#from) throw touchedTwice();
      checkSeen(this.#environment, this.#writes, unit, position);
    }
    const names = this.#namesOf(old);
    const found: SnapshotRows = { ...placesOf(old, located), names, seen: null };
    let fresh: NewRows | null = null;
    try {
      const context = contextOf(this.#environment);
      if (table.keyed && (await lockRows(context, transaction, this.#writes, found)).length > 0) return false;
      fresh = await newRowsOf(this.#environment, table, this.#conflict, this.#proposed, old);
      const dropped = new Set([...old.keys.keys()].filter((row) => fresh!.of[old.keys[row]!]! < 0));
      this.#refuseRepeats(located, fresh);
      if (table.keyed) {
        let now = located;
        while (now.version !== table.version) now = await this.#probe();
        assertOpen(transaction);
        recordFound(this.#writes, { ...found, ...placesOf(old, now), dropped });
      } else if (!(await this.#deletePlaces(found, dropped))) return false;
      this.#append(old, located, names, fresh);
      return true;
    } finally {
      names.retire();
      fresh?.rows.retire();
    }
  }

  #namesOf({ rows }: OldRows): RowBuffer {
    const { table } = this.#writes;
    const names = new RowBuffer(this.#environment.database.memory, table.namePhysicals);
    for (const { columns, rows: count } of rows.batches)
      names.append(
        table.nameColumns.map((column) => columns[column]!.vector()),
        0,
        count,
      );
    return names;
  }

  /** Of a table without a key, but for rows that stay as they are. */
  async #deletePlaces(found: SnapshotRows, dropped: ReadonlySet<number>): Promise<boolean> {
    const { database, transaction } = this.#environment;
    const names = new RowBuffer(database.memory, this.#writes.table.namePhysicals);
    try {
      const rows = [...Array(found.names.rows).keys()].filter((row) => !dropped.has(row));
      for (const row of rows) appendRow(found.names, row, names);
      const units = rows.map((row) => found.units[row]!);
      const positions = rows.map((row) => found.positions[row]!);
      const isDone = await deleteRows(contextOf(this.#environment), transaction, this.#writes, {
        units,
        positions,
        names,
      });
      if (!isDone && transaction.snapshot !== null) throw concurrentChange('update');
      return isDone;
    } finally {
      names.retire();
    }
  }

  /** Two proposed rows with the same values: the second would write what the first has written. @throws {SqlError} 21000 */
  #refuseRepeats({ units }: Located, { of }: NewRows): void {
    const { unique } = this.#part;
    const values = new BufferValues(this.#proposed, unique);
    const written = new Set<string>();
    for (let n = 0; n < this.#proposed.rows; n++) {
      const { vectors, row } = values.at(n);
      if (!unique.isWhole(vectors, row)) continue;
      unique.keys.encode(vectors, row, words);
      const value = words.join();
      if (written.has(value)) throw touchedTwice();
      if (units[n] === NOWHERE || of[n]! >= 0) written.add(value);
    }
  }

  /** New rows in the order in which they were proposed. All old ones are deleted. */
  #append({ keys }: OldRows, { units }: Located, names: RowBuffer, { rows, of }: NewRows): void {
    const { inserted, table } = this.#writes;
    const values = new BufferValues(this.#proposed, this.#part.unique);
    const oldRow = new Map([...keys].map((n, row) => [n, row]));
    for (let n = 0; n < this.#proposed.rows; n++) {
      if (units[n] === NOWHERE) {
        appendRow(this.#proposed, n, inserted);
        note(this.#part, values, n, inserted.rows - 1);
        continue;
      }
      if (of[n]! < 0) continue;
      appendRow(rows, of[n]!, inserted);
      if (!this.#conflict.renames || !table.keyed) continue;
      const old = oldRow.get(n)!;
      const index = names.batchOf(old);
      this.#writes.rename(names.batches[index]!.vectors(), old - names.batchStart(index), inserted.rows - 1);
    }
  }
}

/** Of old rows, in their order. */
function placesOf({ keys }: OldRows, located: Located): { readonly units: number[]; readonly positions: number[] } {
  return {
    units: Array.from(keys, (n) => located.units[n]!),
    positions: Array.from(keys, (n) => located.positions[n]!),
  };
}
