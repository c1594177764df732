/**
 * What clients do in one life: transactions of some statements over the tables; some of them large, with savepoints, rows that
 * go to the log's streams and to files of their own (H1); and definitions that change between them (D1 to D3).
 */
import { alterWithin } from '../../src/ingest/alter-within.ts';
import { spill } from '../../src/ingest/spill-rows.ts';
import { StreamedWrites } from '../../src/ingest/stream-writes.ts';
import { LockMode, type TableHold } from '../../src/ingest/table-locks.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import { truncate } from '../../src/ingest/truncation.ts';
import type { Table } from '../../src/storage/table.ts';
import type { TableDef } from '../../src/table-def.ts';
import { commitTruncation } from '../ingest/commit-truncation.ts';
import { inDefinitions } from '../ingest/define.ts';
import type { Life } from './life.ts';
import { FOREIGN, TRUNCATED, type Change, type Model } from './model.ts';
import type { Row } from './sim-engine.ts';
import type { World } from './world.ts';
import { uncancelled } from '../../src/running.ts';

/** Keys of statements; those of large transactions come after them. */
const KEYS = 24;
const LARGE_KEYS = 100_000;
/** Of column v where it is UNIQUE: those below are wanted often. */
const VALUES = 16;
const LOCK_TIMEOUT_MS = 5000;
/** As long as writers wait for the log (pressure.ts), and a little. */
const LOG_WAIT_MS = 40_000;
/** Two such statements fill the first batch of a transaction, 4 KB, which is what may leave memory. */
const LARGE_ROWS = 110;

/** What goes on over all lives of a seed. */
export interface Course {
  readonly world: World;
  readonly model: Model;
  readonly tables: readonly string[];
  /** Whether sessions truncate tables: seeds from before they did so go as they went. */
  readonly truncates: boolean;
  /** Whether column v is UNIQUE; its values are few then, so that sessions want the same ones. */
  readonly hasUniques: boolean;
  /** For rows and keys that were never there. */
  counter: number;
  /** What a table may have been made, or altered to; more than one after an alteration whose end is unknown. */
  readonly definitions: Map<string, readonly TableDef[]>;
}

/** What a large transaction does with its rows. */
interface Way {
  readonly streams: boolean;
  readonly spills: boolean;
}

export class Sessions {
  readonly #course: Course;
  readonly #life: Life;
  readonly #streaming = new Set<Transaction>();
  #streamedAt = Number.NEGATIVE_INFINITY;

  constructor(course: Course, life: Life) {
    this.#course = course;
    this.#life = life;
  }

  /** For as long as writers wait for room in the log a large transaction has held some of it by its stream. */
  get streamsHoldLog(): boolean {
    return this.#streaming.size > 0 || this.#course.world.clock.now() - this.#streamedAt < LOG_WAIT_MS;
  }

  /** One transaction, from its beginning to its end. */
  async transaction(): Promise<void> {
    const { world } = this.#course;
    const { database } = this.#life;
    if (database.pressed) await database.admit();
    const transaction = database.begin(world.chance(0.8));
    const hold = database.locks.open(() => transaction);
    try {
      const changes = world.chance(0.06)
        ? await this.#large(transaction, hold)
        : await this.#statements(transaction, hold);
      if (world.chance(0.1)) {
        transaction.finish();
        return;
      }
      this.#life.changes.set(transaction.id, changes);
      const { operations } = transaction;
      await commitTruncation(database, transaction);
      if (operations > 0) this.#life.acknowledge(transaction);
    } finally {
      if (transaction.state !== 'done') transaction.finish();
      database.locks.close(hold);
      if (this.#streaming.delete(transaction)) this.#streamedAt = this.#course.world.clock.now();
    }
  }

  async #statements(transaction: Transaction, hold: TableHold): Promise<Change[]> {
    const { world } = this.#course;
    const changes: Change[] = [];
    const touched = new Set<string>(); // `visible` does not know a transaction's own writes
    const fresh = (name: string, key: number): boolean => touched.size < touched.add(`${name} ${key}`).size;
    for (let statements = 1 + world.below(3); statements > 0; statements--) {
      const table = await this.#table(hold);
      if (table === null) continue;
      const { name } = table.def;
      const kind = world.random();
      if (this.#course.truncates && world.chance(0.08)) {
        changes.push(await this.#truncate(transaction, hold, table));
        touched.add(name);
      } else if (kind < 0.35) {
        if (touched.has(name)) continue;
        const key = this.#someKey(table);
        if (fresh(name, key) && (await this.#life.delete(transaction, table, key)))
          changes.push({ table: name, key, row: null });
      } else {
        const keys = new Set(
          Array.from({ length: 1 + world.below(4) }, () =>
            table.keyed ? world.below(KEYS) : ++this.#course.counter,
          ).filter((key) => fresh(name, key)),
        );
        const rows = [...keys].map((key) => this.row(key));
        await this.#life.insert(transaction, table, rows, table.keyed && kind < 0.85);
        for (const row of rows) changes.push({ table: name, key: row[0], row });
      }
      if (world.chance(0.3)) await world.turn('a session');
    }
    if (world.chance(0.1)) await this.#stream(transaction);
    return changes;
  }

  /** TRUNCATE, which waits for all others at the table; sometimes between savepoints that take it back at once. */
  async #truncate(transaction: Transaction, hold: TableHold, table: Table): Promise<Change> {
    const { database } = this.#life;
    const { uuid, name } = table.def;
    await database.locks.lock(hold, uuid, LockMode.accessExclusive, this.#patience, null);
    if (this.#course.world.chance(0.2)) {
      transaction.savepoint();
      truncate(database.memory, transaction, table);
      transaction.rollbackTo(0);
      transaction.releaseTo(0);
    }
    truncate(database.memory, transaction, table);
    return { table: name, key: TRUNCATED, row: null, truncated: new Set() };
  }

  /** Many rows of one table in some statements, between savepoints. */
  async #large(transaction: Transaction, hold: TableHold): Promise<Change[]> {
    const { world } = this.#course;
    const table = await this.#table(hold);
    let changes: Change[] = [];
    if (table === null) return changes;
    const way = { streams: world.chance(0.6), spills: world.chance(0.7) };
    let own: number[] = [];
    for (let statements = 2 + world.below(2); statements > 0; statements--) {
      const before = { changes, own };
      const savepoint = world.chance(0.3);
      if (savepoint) transaction.savepoint();
      const again = table.keyed && own.length > 0 && world.chance(0.4);
      const keys = new Set(
        Array.from({ length: LARGE_ROWS }, () =>
          again && world.chance(0.3) ? own[world.below(own.length)]! : LARGE_KEYS + ++this.#course.counter,
        ),
      );
      const rows = [...keys].map((key) => this.row(key, 5));
      await this.#life.insert(transaction, table, rows, again);
      own = [...own, ...keys];
      changes = [...changes, ...rows.map((row): Change => ({ table: table.def.name, key: row[0], row }))];
      await this.#moveRows(transaction, table, way);
      if (!savepoint) continue;
      if (world.chance(0.5)) {
        transaction.rollbackTo(0);
        ({ changes, own } = before);
      }
      transaction.releaseTo(0);
    }
    return changes;
  }

  /** As after a statement of many rows (gateway/bulk.ts), whatever the sizes. */
  async #moveRows(transaction: Transaction, table: Table, way: Way): Promise<void> {
    const { database } = this.#life;
    const writes = transaction.of(table);
    if (way.streams && !transaction.isSpilled) this.#streaming.add(transaction);
    if (way.streams && !transaction.isSpilled) transaction.streamed ??= new StreamedWrites(database.log.stream());
    await transaction.streamed?.send(writes, false);
    if (way.spills && writes.inserted.batches.length > 1 && !writes.mayRevive && writes.uniques === null) {
      await spill(database, transaction, writes, writes.inserted.rows);
      this.#course.world.trace(`a transaction has ${writes.spilled.size} files of ${table.def.name}`);
    }
    await this.#course.world.turn('a session');
  }

  /** As if the transaction were large: its rows go to the log in a stream of its own, before the commit or with it (H1). */
  async #stream(transaction: Transaction): Promise<void> {
    const { world } = this.#course;
    if (![...transaction.writes.values()].some((writes) => writes.inserted.rows > 0)) return;
    this.#streaming.add(transaction);
    transaction.streamed = new StreamedWrites(this.#life.log.stream());
    if (world.chance(0.5)) return;
    for (const writes of transaction.writes.values()) await transaction.streamed.send(writes, true);
    await world.turn('a session');
  }

  /** Another sort order, or another name of a column: the first is another shape of rows, and ends what is in memory (D2). */
  async alter(): Promise<void> {
    const { world, tables, definitions } = this.#course;
    const { database } = this.#life;
    const table = database.table('public', tables[world.below(tables.length)]!);
    if (table === undefined) return;
    const sorts = world.chance(0.5);
    const change = (def: TableDef): TableDef => {
      if (sorts)
        return { ...def, sort: def.sort.length > 0 ? [] : [{ sourceId: 1, descending: false, nullsFirst: false }] };
      const columns = def.columns.map((column) =>
        column.fieldId === 3 ? { ...column, name: column.name === 'name' ? 'label' : 'name' } : column,
      );
      return { ...def, columns };
    };
    const { name } = table.def;
    const before = table.def;
    if (table.detached === null) definitions.set(name, [before, change(before)]); // else nobody knows its columns, and it is refused
    await inDefinitions(database, async (changes) => {
      const given = { database, changes, patience: this.#patience };
      await alterWithin(
        given,
        table,
        (def) => ({ def: change(def), removed: [] }),
        () => Promise.resolve([]),
      );
    });
    definitions.set(name, [table.def]);
    world.trace(`altered ${name}: ${sorts ? `sort ${table.def.sort.length}` : table.def.columns[2]!.name}`);
  }

  get #patience() {
    const { clock } = this.#course.world;
    return { lockWait: (expired: () => void) => clock.after(LOCK_TIMEOUT_MS, expired), running: uncancelled };
  }

  /** Some table, held as statements hold it; null: it is not there. */
  async #table(hold: TableHold): Promise<Table | null> {
    const { world, tables } = this.#course;
    const { database } = this.#life;
    const name = tables[world.below(tables.length)]!;
    for (;;) {
      const table = database.table('public', name);
      if (table === undefined || table.detached !== null) return null;
      const wait = database.locks.share(hold, [table.def.uuid], this.#patience);
      if (wait === null) return table;
      await wait;
    }
  }

  row(key: number, length = this.#course.world.chance(0.1) ? 400 : 5): Row {
    const n = ++this.#course.counter;
    return [
      key,
      this.#value(n, key >= LARGE_KEYS),
      this.#course.world.chance(0.2) ? null : `n${n}`.padEnd(length, '.'),
    ];
  }

  /** Of one row of many it is seldom one that others want. */
  #value(n: number, isOfMany: boolean): number | null {
    const { world, hasUniques } = this.#course;
    if (!hasUniques) return n;
    if (world.chance(0.1)) return null;
    return world.chance(isOfMany ? 0.002 : 0.5) ? world.below(VALUES) : VALUES + n;
  }

  /** Of a row that may be there. Without a key, one that was seen: by its image a row is never inserted twice (model.ts knows keys only). */
  #someKey(table: Table): number {
    const { world, model } = this.#course;
    if (table.keyed && world.chance(0.8)) return world.below(KEYS);
    const keys = [...model.at(table.def.name, Infinity).keys()].filter((key) => key < FOREIGN);
    return keys[world.below(keys.length)] ?? 0;
  }
}
