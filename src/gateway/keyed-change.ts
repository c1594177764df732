/**
 * UPDATE and DELETE of one row by its whole key, without a query: the key is locked, the row found through the index, the new row
 * computed from the old one. For a row in memory nothing is waited for.
 */
import { invariant } from '../errors.ts';
import {
  deleteLocated,
  giveBack,
  locate,
  lockAndLocate,
  NOWHERE,
  type KeyRows,
  type Located,
} from '../ingest/keyed-rows.ts';
import { isWritten } from '../planner/copied-query.ts';
import { assertOpen } from '../ingest/key-locks.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { isTaken } from '../ingest/resolver.ts';
import { holderOf, insertRows } from '../ingest/write-rows.ts';
import type { KeyCondition, NewRow, Returning, Statement } from '../planner/plan.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { putText } from '../types/parse-text-value.ts';
import { textInput } from '../types/text-input.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import { type BoundKey, boundKeyOf } from './bound-key.ts';
import { bufferUnit } from './buffer.ts';
import { liveTable } from './cursor.ts';
import { moveSome } from './bulk.ts';
import { hotRow, readOldRows } from './old-rows.ts';
import { sendWritten } from './returning.ts';
import { rowComputer } from './row-values.ts';
import { contextOf, drain, parameterValues, type WriteEnvironment } from './write-environment.ts';

const key: KeyWords = new Int32Array(4);

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** The command tag; null: the condition is no key, and a query must find the rows. */
export function changeByKey(
  environment: WriteEnvironment,
  statement: Of<'update' | 'delete'>,
): MaybePromise<string> | null {
  if (environment.transaction.snapshot !== null) return null; // what it sees decides, not what is there
  const { point } = statement;
  if (point === null) return null;
  const table = liveTable(environment.database, statement.def);
  const bound = boundKeyOf(point, table.def, environment.parameterOids);
  const key = bound === null ? keyByTexts(environment, table, point) : keyOf(environment, bound);
  if (key === null || (statement.kind === 'update' && isCopied(statement, environment))) return null;
  const { statement: seen, writes } = environment.transaction;
  const before = seen === null ? undefined : writes.get(table);
  if (before !== undefined && seen!.hasWritten(before)) return null; // a scan leaves out what other parts of the statement did
  return new KeyedChange(environment, table, statement, key).run();
}

/** Of a key with a NULL. */
const NO_KEY: readonly ColumnVector[] = [];

/** The key as vectors of one row. */
const keyOf = ({ parameters }: WriteEnvironment, bound: BoundKey): readonly ColumnVector[] =>
  bound.read(parameters) ? bound.vectors : NO_KEY;

/** The same by the texts of its values; null: they are not surely those of a key. */
function keyByTexts(
  { parameters, parameterOids, time }: WriteEnvironment,
  table: Table,
  point: KeyCondition,
): readonly ColumnVector[] | null {
  const texts = point.read(parameterValues(parameters, parameterOids))?.key ?? null;
  if (texts === null) return null;
  if (texts.includes(null)) return NO_KEY;
  return table.keyColumns.map((index, i) => {
    const builder = new VectorBuilder(table.physicals[index]!);
    putText(textInput(table.def.columns[index]!.type, time), texts[i]!, builder);
    return builder.vector();
  });
}

/** The new row is PostgreSQL's to work out (`copied-change.ts`). */
function isCopied({ byKey, copied }: Of<'update'>, { parameters, parameterOids }: WriteEnvironment): boolean {
  if (byKey === null || byKey.values !== null || copied === null) return false;
  return !isWritten(() => byKey.plan.render(parameterValues(parameters, parameterOids)));
}

class KeyedChange {
  readonly #environment: WriteEnvironment;
  readonly #writes: TableWrites;
  readonly #statement: Of<'update' | 'delete'>;
  readonly #keys: readonly KeyRows[];
  readonly #vectors: readonly ColumnVector[];

  constructor(
    environment: WriteEnvironment,
    table: Table,
    statement: Of<'update' | 'delete'>,
    vectors: readonly ColumnVector[],
  ) {
    this.#environment = environment;
    this.#writes = environment.transaction.of(table);
    this.#statement = statement;
    this.#vectors = vectors;
    this.#keys = [{ vectors, rows: 1 }];
  }

  run(): MaybePromise<string> {
    if (this.#vectors === NO_KEY) return this.#tag(0);
    const { transaction } = this.#environment;
    this.#writes.table.encodeKey(this.#vectors, 0, key);
    const context = contextOf(this.#environment);
    if (holderOf(context, transaction, this.#writes, key, this.#vectors, 0) !== null) return this.#behind();
    const located = lockAndLocate(context, transaction, this.#writes, this.#keys);
    return located instanceof Promise ? located.then((found) => this.#change(found)) : this.#change(located);
  }

  /** Another transaction holds the key: for a row that nobody sees yet there is no wait. */
  async #behind(): Promise<string> {
    const { table } = this.#writes;
    const { transaction } = this.#environment;
    const context = contextOf(this.#environment);
    if (!(await isTaken(context, table, this.#vectors, 0))) return this.#tag(0);
    return this.#change(await lockAndLocate(context, transaction, this.#writes, this.#keys));
  }

  #tag(rows: number): string {
    return `${this.#statement.kind === 'update' ? 'UPDATE' : 'DELETE'} ${rows}`;
  }

  #change(located: Located): MaybePromise<string> {
    const unit = located.units[0]!;
    if (unit !== NOWHERE && located.version !== this.#writes.table.version) return this.#again();
    if (unit === NOWHERE) {
      giveBack(this.#environment.transaction, this.#writes, this.#vectors, 0);
      return this.#tag(0);
    }
    if (this.#statement.kind === 'delete' && this.#statement.returning === null) return this.#delete(located);
    const hot = hotRow(this.#writes, unit, located.positions[0]!);
    const { byKey, returning } =
      this.#statement.kind === 'update' ? this.#statement : { ...this.#statement, byKey: null };
    if (hot === null || (byKey !== null && byKey.values === null)) return this.#changeSlowly(located, byKey, returning);
    if (byKey !== null) return this.#replace(located, byKey, hot.vectors, hot.row, returning);
    return this.#changeSlowly(located, byKey, returning);
  }

  /** The row may have moved before this turn. */
  async #again(): Promise<string> {
    const { transaction } = this.#environment;
    const located = await locate(contextOf(this.#environment), transaction, this.#writes, this.#keys);
    return this.#change(located);
  }

  #delete({ units, positions }: Located): string {
    const deleted = deleteLocated(this.#writes, this.#vectors, 0, units[0]!, positions[0]!);
    invariant(deleted, 'a located row is alive');
    return this.#tag(1);
  }

  /** The new row in the place of the old one, which lies in vectors of the table's columns. */
  #replace(
    located: Located,
    { values }: NewRow,
    old: readonly ColumnVector[],
    oldRow: number,
    returning: Returning | null,
  ): MaybePromise<string> {
    const { inserted, table } = this.#writes;
    const from = inserted.rows;
    const source = { old, oldRow, excluded: [], excludedRow: 0 };
    rowComputer(this.#environment, table.def, values!, inserted).add(source);
    this.#delete(located);
    return this.#claim(from, returning);
  }

  #claim(from: number, returning: Returning | null): MaybePromise<string> {
    const { transaction } = this.#environment;
    const { inserted, table } = this.#writes;
    if (this.#statement.kind === 'update' && this.#statement.renames) this.#writes.rename(this.#vectors, 0, from);
    const kept = this.#statement.kind === 'update' ? this.#statement.kept : undefined;
    const claimed = insertRows(contextOf(this.#environment), transaction, this.#writes, from, false, kept);
    const send = (): MaybePromise<void> =>
      sendWritten(this.#environment, returning, { def: table.def, buffer: inserted, from });
    const sent = claimed === null ? send() : claimed.then(send);
    const move = (): MaybePromise<void> => moveSome(this.#environment, this.#writes);
    const moved = sent === undefined ? move() : sent.then(move);
    return moved === undefined ? this.#tag(1) : moved.then(() => this.#tag(1));
  }

  /** With the old row in a buffer of its own. */
  async #changeSlowly(given: Located, byKey: NewRow | null, returning: Returning | null): Promise<string> {
    const writes = this.#writes;
    const { table } = writes;
    const { database, transaction } = this.#environment;
    const needed = byKey?.needed ?? table.fieldIds;
    const again = (): Located | Promise<Located> =>
      lockAndLocate(contextOf(this.#environment), transaction, writes, this.#keys);
    const old = await readOldRows(this.#environment, writes, again, given, needed, () => true);
    const fresh = new RowBuffer(database.memory, table.physicals);
    try {
      if (byKey !== null && byKey.values === null) await this.#compute(byKey, old.rows, fresh);
      let located = given;
      while (located.version !== table.version)
        located = await locate(contextOf(this.#environment), transaction, writes, this.#keys);
      assertOpen(transaction);
      const vectors = old.rows.batches[0]!.vectors();
      if (byKey === null) {
        this.#delete(located);
        await sendWritten(this.#environment, returning, { def: table.def, buffer: old.rows, from: 0 });
        return this.#tag(1);
      }
      if (byKey.values !== null) return await this.#replace(located, byKey, vectors, 0, returning);
      this.#delete(located);
      const from = writes.inserted.rows;
      writes.inserted.append(fresh.batches[0]!.vectors(), 0, 1);
      return await this.#claim(from, returning);
    } finally {
      fresh.retire();
      old.rows.retire();
    }
  }

  /** The new row by a query over the old one. */
  async #compute(byKey: NewRow, old: RowBuffer, fresh: RowBuffer): Promise<void> {
    const { database, time } = this.#environment;
    const { table } = this.#writes;
    const { unit, release } = bufferUnit(database.memory, old, table.fieldIds);
    try {
      const writer = new RowWriter(table.def, table.fieldIds, fresh, time);
      const take = (vectors: readonly ColumnVector[], rows: number): void =>
        writer.appendVectors(vectors.slice(1), rows);
      await drain(this.#environment, byKey.plan, take, new Map([[byKey.old, unit]]));
    } finally {
      release();
    }
  }
}
