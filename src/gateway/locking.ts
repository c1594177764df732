/**
 * SELECT … FOR UPDATE and the like: rows are found in the statement's order, their keys locked one after another, until LIMIT is
 * reached; then the statement reads the locked rows, as they are now, in the place of the table. A share lock is exclusive here.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { lockKey } from '../ingest/key-claims.ts';
import { assertOpen, waitFor } from '../ingest/key-locks.ts';
import type { KeySet } from '../ingest/key-set.ts';
import { StaleRows } from '../ingest/stale-rows.ts';
import { concurrentChange } from '../ingest/snapshot.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { holderOf } from '../ingest/write-rows.ts';
import type { RowCount, RowLock } from '../planner/locking.ts';
import type { QueryPlan } from '../planner/plan.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { integerAt } from '../storage/memory/slice.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import { bufferUnit } from './buffer.ts';
import { findCopied, resortOf } from './copied-change.ts';
import { liveTable } from './cursor.ts';
import { QueryRun, type QueryEnvironment, type StandIn } from './query.ts';
import { contextOf, openVectors, parameterValues, type WriteEnvironment } from './write-environment.ts';

const key: KeyWords = new Int32Array(4);

/** A SELECT of rows that are locked now, all or those of its subqueries. */
export async function openBehind(
  standIn: StandIn,
  environment: WriteEnvironment,
  query: QueryEnvironment,
  plan: QueryPlan,
  columns: readonly ResultColumn[] | null,
  formats: readonly Format[],
): Promise<QueryRun> {
  try {
    const { parameters, parameterOids } = environment;
    return await QueryRun.open(query, plan, parameters, parameterOids, columns, formats, null, standIn);
  } catch (error) {
    standIn.release();
    throw error;
  }
}

/** Locks the rows of a statement; what stands for its table. @throws {SqlError} 55P03 with NOWAIT, 40001 in REPEATABLE READ */
export async function lockSelected(environment: WriteEnvironment, lock: RowLock): Promise<StandIn> {
  const { memory } = environment.database;
  const table = liveTable(environment.database, lock.def);
  const rows = new RowBuffer(memory, table.physicals);
  try {
    using stale = new StaleRows(table);
    await new Locking(environment, lock, environment.transaction.of(table), rows, stale).run();
    const unit = bufferUnit(memory, rows, table.fieldIds);
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      unit.release();
      rows.retire();
    };
    return { buffers: new Map([[lock.placeholder, unit.unit]]), release };
  } catch (error) {
    rows.retire();
    throw error;
  }
}

/** The rows that subqueries of a statement lock, standing for their tables while it runs. */
export async function lockNested(environment: WriteEnvironment, locks: readonly RowLock[]): Promise<StandIn> {
  const taken: StandIn[] = [];
  const release = (): void => taken.forEach((each) => each.release());
  try {
    for (const lock of locks) taken.push(await lockSelected(environment, lock));
  } catch (error) {
    release();
    const isOuter = error instanceof SqlError && OUTER_NAMES.has(error.code);
    throw isOuter ? notSupported('FOR UPDATE in a subquery that depends on the statement around it') : error;
  }
  return { buffers: new Map(taken.flatMap((each) => [...each.buffers])), release };
}

/** PostgreSQL has described the statement, so a name that the subquery alone does not know is one of the statement's. */
const OUTER_NAMES: ReadonlySet<string> = new Set([SqlState.undefinedColumn, SqlState.undefinedTable]);

/** A statement that writes, behind the locks of its subqueries. */
export async function behindLocks<T>(
  environment: WriteEnvironment,
  locks: readonly RowLock[] | undefined,
  work: (environment: WriteEnvironment) => Promise<T>,
): Promise<T> {
  if (locks === undefined) return work(environment);
  const { buffers, release } = await lockNested(environment, locks);
  try {
    return await work({ ...environment, buffers });
  } finally {
    release();
  }
}

class Locking {
  readonly #environment: WriteEnvironment;
  readonly #lock: RowLock;
  readonly #writes: TableWrites;
  readonly #rows: RowBuffer;
  readonly #want: number;
  /** Rows that were changed while their locks were waited for: they are looked for again. */
  readonly #stale: StaleRows;

  constructor(environment: WriteEnvironment, lock: RowLock, writes: TableWrites, rows: RowBuffer, stale: StaleRows) {
    this.#environment = environment;
    this.#lock = lock;
    this.#writes = writes;
    this.#rows = rows;
    this.#stale = stale;
    const limit = this.#countOf(lock.limit, 'LIMIT');
    this.#want = limit === null ? Number.POSITIVE_INFINITY : limit + (this.#countOf(lock.offset, 'OFFSET') ?? 0);
  }

  #countOf(count: RowCount | null, clause: string): number | null {
    if (count === null) return null;
    const { parameters, parameterOids } = this.#environment;
    const text =
      count.kind === 'constant' ? count.value : parameterValues(parameters, parameterOids)[count.index - 1]?.text;
    if (text === null || text === undefined) return null;
    if (Number(text) >= 0) return Number(text);
    throw new SqlError(SqlState.invalidParameterValue, `${clause} must not be negative`);
  }

  async run(): Promise<void> {
    // Rows that others hold may come first; with fewer of them the engine need not sort all.
    const { locks, ownIndexes } = this.#writes.table;
    let most = this.#want + locks.size;
    for (const own of ownIndexes) most += own.size;
    const found = await this.#pass(null, most);
    if (found === most && this.#rows.rows + this.#stale.count < this.#want) {
      this.#rows.truncate(0);
      await this.#pass(null, Number.POSITIVE_INFINITY);
    }
    while (this.#stale.count > 0) await this.#pass(this.#stale.take(), Number.POSITIVE_INFINITY);
  }

  /** Finds rows, at most so many, of `only` these keys; how many there were. By the engine, or where it has no way by PostgreSQL itself. */
  async #pass(only: KeySet | null, most: number): Promise<number> {
    const before = this.#rows.rows;
    try {
      return await this.#search(only, most);
    } catch (error) {
      const resort = resortOf(this.#environment, this.#lock.copied, error);
      if (resort === null) throw error;
      this.#rows.truncate(before);
      let found = 0;
      const take = (vectors: readonly ColumnVector[], rows: number): Promise<void> => {
        found += rows;
        return this.#take(vectors, rows, only);
      };
      await findCopied(this.#environment, resort, take, () => {
        found = 0;
        this.#rows.truncate(before);
        this.#stale.forget();
      });
      return found;
    }
  }

  async #search(only: KeySet | null, most: number): Promise<number> {
    const { parameters, parameterOids } = this.#environment;
    const { finder } = this.#lock;
    const rendered = finder.render(parameterValues(parameters, parameterOids));
    const sql = Number.isFinite(most) ? `${rendered.sql} LIMIT ${most}` : rendered.sql;
    const cursor = await openVectors(this.#environment, { ...rendered, sql }, finder.tables);
    let found = 0;
    try {
      while (this.#rows.rows < this.#want) {
        const chunk = await cursor.next();
        if (chunk === null) break;
        found += chunk.rows;
        await this.#take(chunk.vectors!, chunk.rows, only);
      }
    } finally {
      await cursor.close();
    }
    return found;
  }

  /** Locks rows in their order, until there are as many as are wanted. */
  async #take(vectors: readonly ColumnVector[], rows: number, only: KeySet | null): Promise<void> {
    const width = this.#writes.table.keyColumns.length;
    const [keys, columns] = [vectors.slice(2, 2 + width), vectors.slice(2 + width)];
    for (let row = 0; row < rows && this.#rows.rows < this.#want; row++) {
      if (only !== null && !only.has(keys, row)) continue;
      if (!(await this.#lockRow(keys, row))) continue;
      if (this.#isThere(keys, row, integerAt(vectors[0]!, row), integerAt(vectors[1]!, row)))
        this.#rows.append(columns, row, row + 1);
    }
  }

  /** False: it is another's, and is left out. */
  async #lockRow(keys: readonly ColumnVector[], row: number): Promise<boolean> {
    const { transaction } = this.#environment;
    const { table } = this.#writes;
    for (;;) {
      table.encodeKey(keys, row, key);
      if (lockKey(transaction, this.#writes, key, keys, row)) return true;
      if (this.#lock.wait === 'skip') return false;
      if (this.#lock.wait === 'error')
        throw new SqlError(
          SqlState.lockNotAvailable,
          `could not obtain lock on row in relation "${this.#lock.def.name}"`,
        );
      const context = contextOf(this.#environment);
      const holder = holderOf(context, transaction, this.#writes, key, keys, row);
      if (holder !== null) await waitFor(context, transaction, holder);
    }
  }

  /** Whether a locked row is what was found; else it is looked for again. */
  #isThere(keys: readonly ColumnVector[], row: number, unit: number, position: number): boolean {
    const { transaction } = this.#environment;
    const { snapshot } = transaction;
    const { table } = this.#writes;
    assertOpen(transaction);
    if (this.#writes.isAlive(unit, unit === this.#writes.unit ? this.#writes.ownRow(position) : position)) return true;
    if (snapshot === null) {
      this.#stale.add(keys, row);
      return false;
    }
    table.encodeKey(keys, row, key);
    if (table.unit(unit) === undefined && table.changes?.since(snapshot.lsn, key) === false) return true; // it has moved
    throw concurrentChange('update'); // PostgreSQL's word here for a deletion, too
  }
}
