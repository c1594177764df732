/** A database over real threads in a folder of its own, and rows in and out without SQL text from clients. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { EngineCursor } from '../../src/gateway/cursor.ts';
import { RowWriter } from '../../src/ingest/row-writer.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import { lockRows } from '../../src/ingest/snapshot-writes.ts';
import { deleteRows, insertRows, recordFound, type WriteContext } from '../../src/ingest/write-rows.ts';
import { uncancelled, type Running } from '../../src/running.ts';
import { openTiers, type TierOptions, type Tiers } from '../../src/server-tiers.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { integerAt } from '../../src/storage/memory/slice.ts';
import type { Table } from '../../src/storage/table.ts';
import type { PartitionField, TableDef } from '../../src/table-def.ts';
import type { ColumnVector } from '../../src/types/column-vector.ts';
import { UTC } from '../../src/types/time-zone.ts';
import { createTable, dropTable } from './define.ts';

export const noPartition: readonly PartitionField[] = [];
/** Of tables by `tableDef`: three partitions that rows are scattered over. */
export const threeBuckets: readonly PartitionField[] = [
  { sourceId: 1, fieldId: 1000, name: 'id_bucket', transform: 'bucket', arg: 3 },
];

/** id bigint (primary key, unless it is to have none), v int, name text */
export function tableDef(name: string, partition: readonly PartitionField[], keyed = true): TableDef {
  const column = (index: number, columnName: string, oid: number, notNull: boolean) => ({
    name: columnName,
    fieldId: index,
    attnum: index,
    type: { oid, typmod: -1 },
    notNull,
    default: null,
  });
  return {
    uuid: '',
    oid: 0,
    schema: 'public',
    name,
    schemaId: 0,
    columns: [column(1, 'id', 20, true), column(2, 'v', 23, false), column(3, 'name', 25, false)],
    key: keyed ? [1] : [],
    keyName: keyed ? `${name}_pkey` : '',
    partition,
    sort: [],
    timeColumn: null,
    onConflict: 'error',
    indexes: [],
    options: {},
  };
}

export class TestDatabase {
  readonly dataDir: string;
  tiers!: Tiers;
  /** Ends the last wait for a key. */
  cancel: () => void = () => {};
  /** wal.max_size from the next `open` on. */
  logBytesMax = Number.POSITIVE_INFINITY;
  /** wal.keep_size from the next `open` on. */
  logBytesKept = 0;
  segmentBytes = 2 ** 20;
  #stack!: AsyncDisposableStack;

  readonly #memoryLimit: number;

  readonly #more: Partial<TierOptions>;

  private constructor(dataDir: string, memoryLimit: number, more: Partial<TierOptions>) {
    this.dataDir = dataDir;
    this.#memoryLimit = memoryLimit;
    this.#more = more;
  }

  /** @param dataDir one that is there already; null: a new one */
  static async create(
    memoryLimit = 2 ** 30,
    dataDir: string | null = null,
    more: Partial<TierOptions> = {},
  ): Promise<TestDatabase> {
    const made = new TestDatabase(dataDir ?? (await mkdtemp(join(tmpdir(), 'arka-test-'))), memoryLimit, more);
    await made.open();
    return made;
  }

  async open(memoryLimit = this.#memoryLimit): Promise<void> {
    this.#stack = new AsyncDisposableStack();
    const fail = (error: unknown): void => console.error(error);
    this.tiers = await openTiers(
      {
        dataDir: this.dataDir,
        warehouse: '',
        catalogName: 'arka',
        keepSnapshots: 20,
        maxSnapshotAgeMs: 1e9,
        fileGraceMs: 1e9,
        memoryLimit,
        segmentBytes: this.segmentBytes,
        logBytesMax: this.logBytesMax,
        logBytesKept: this.logBytesKept,
        clock: systemClock,
        warn: fail,
        fatal: fail,
        ...this.#more,
      },
      this.#stack,
    );
  }

  /** A clean stop and a start. */
  async restart(): Promise<void> {
    await this.#stack.disposeAsync();
    await this.open();
  }

  /** A clean stop; the folder stays. */
  async close(): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async destroy(): Promise<void> {
    await this.#stack.disposeAsync();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** After a test: nothing is locked, and when no table is left nothing takes memory. */
  async dropAll(): Promise<void> {
    const { database } = this.tiers;
    await database.close();
    for (const table of [...database.tables.values()]) {
      expect(table.locks.size).toBe(0);
      expect(table.ownIndexes).toEqual([]);
      expect(table.spilledFiles).toEqual([]);
      await dropTable(database, table);
    }
    expect(database.memory.pool.usedBytes).toBe(0);
  }

  table(name: string): Table {
    return this.tiers.database.table('public', name)!;
  }

  get context(): WriteContext {
    const { database } = this.tiers;
    const running: Running = (cancel) => {
      this.cancel = cancel;
      return () => {};
    };
    return { memory: database.memory, engine: database.engine, transaction: (id) => database.transaction(id), running };
  }

  #made = 0;

  /** A table by `tableDef`, with a name of its own. */
  async newTable(partitioned = false, keyed = true): Promise<Table> {
    const def = tableDef(`t${this.#made++}`, partitioned ? threeBuckets : noPartition, keyed);
    return (await createTable(this.tiers.database, def))!;
  }

  /** A transaction whose commit waits for the disk. */
  begin(): Transaction {
    return this.tiers.database.begin(true);
  }

  commit(transaction: Transaction): Promise<void> {
    return this.tiers.database.committer.commit(transaction);
  }

  /** Commits what `work` does; nothing of it is left when that fails. */
  async transact(work: (transaction: Transaction) => Promise<void>): Promise<void> {
    const transaction = this.begin();
    try {
      await work(transaction);
      await this.commit(transaction);
    } catch (error) {
      if (transaction.state !== 'done') transaction.finish();
      throw error;
    }
  }

  async insert(
    transaction: Transaction,
    table: Table,
    rows: readonly (readonly [number, number | null, string | null])[],
    upsert = false,
  ): Promise<void> {
    const writes = transaction.of(table);
    const from = writes.inserted.rows;
    const writer = new RowWriter(table.def, table.fieldIds, writes.inserted, { timeZone: UTC, now: () => 0 });
    for (const row of rows) {
      row.forEach((value, i) => (value === null ? writer.nullField(i) : writer.text(i, String(value))));
      writer.endRow();
    }
    await insertRows(this.context, transaction, writes, from, upsert);
  }

  /** `seen` gets the rows found by the run that deleted them, as `rows` gives them. */
  async delete(
    transaction: Transaction,
    table: Table,
    where: string,
    seen: (rows: readonly string[]) => void = () => {},
  ): Promise<number> {
    for (;;) {
      const texts: string[] = [];
      const found = {
        units: [] as number[],
        positions: [] as number[],
        names: new RowBuffer(this.context.memory, table.namePhysicals),
      };
      try {
        const cursor = await this.#cursor(
          table,
          `SELECT __unit, __position, id, v, name FROM "scan" AS t WHERE ${where}`,
          'vectors',
          true,
          transaction,
        );
        for (let chunk = await cursor.next(); chunk !== null; chunk = await cursor.next()) {
          const [units, positions, ids] = chunk.vectors!;
          for (let row = 0; row < chunk.rows; row++) {
            found.units.push(integerAt(units!, row));
            found.positions.push(integerAt(positions!, row));
          }
          found.names.append(table.keyed ? [ids!] : chunk.vectors!.slice(2), 0, chunk.rows);
          texts.push(...textsOf(chunk.vectors!.slice(2), chunk.rows));
        }
        const rows = { ...found, seen: null };
        const writes = transaction.of(table);
        const done = table.keyed
          ? (await lockRows(this.context, transaction, writes, rows)).length === 0
          : await deleteRows(this.context, transaction, writes, rows);
        if (done) {
          if (table.keyed) recordFound(writes, rows);
          seen(texts);
          return found.units.length;
        }
      } finally {
        found.names.retire();
      }
    }
  }

  /** All rows by the engine, as `id|v|name` texts in id order. */
  async rows(table: Table, transaction: Transaction | null = null, columns = 'id, v, name'): Promise<string[]> {
    const sql = `SELECT ${columns} FROM "scan" AS t ORDER BY id`;
    const cursor = await this.#cursor(table, sql, 'vectors', false, transaction);
    const out: string[] = [];
    for (let chunk = await cursor.next(); chunk !== null; chunk = await cursor.next()) {
      out.push(...textsOf(chunk.vectors!, chunk.rows));
    }
    return out;
  }

  #cursor(
    table: Table,
    sql: string,
    output: 'vectors',
    positions: boolean,
    transaction: Transaction | null,
  ): Promise<EngineCursor> {
    const placeholder = `__arka_scan_test`;
    const request = {
      rendered: {
        sql: sql.replace('"scan"', `"${placeholder}"`),
        timeRanges: [null],
        point: null,
        indexed: null,
      },
      tables: [{ def: table.def, placeholder, positions }],
      transaction,
      columns: null,
      formats: [],
      output,
      times: { transaction: 0, statement: 0 },
      timeZone: 'UTC',
    };
    return EngineCursor.open(this.tiers.database, this.tiers.engine, request, uncancelled);
  }
}

/** `id|v|name` of each row. */
function textsOf([ids, values, names]: readonly ColumnVector[], rows: number): string[] {
  const valid = (bits: Uint8Array | null, row: number): boolean =>
    bits === null || (bits[row >> 3]! & (1 << (row & 7))) !== 0;
  return Array.from({ length: rows }, (_, row) => {
    const v = valid(values!.validity, row) ? String(values!.words[row]) : 'null';
    const name = valid(names!.validity, row)
      ? Buffer.from(names!.heap.subarray(names!.starts[row], names!.ends[row])).toString()
      : 'null';
    return `${integerAt(ids!, row)}|${v}|${name}`;
  });
}
