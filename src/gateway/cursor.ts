/**
 * A running query of the engine as the session sees it: rows in turns, an end, a cancel. Holds the pin of its Version
 * until the engine is done with the units.
 */
import { canceled, notSupported, SqlError, SqlState } from '../errors.ts';
import type { EngineApi, OutputColumn, QueryOpened } from '../federation/engine-api.ts';
import type { Database } from '../ingest/database.ts';
import { snapshotTooOld } from '../ingest/snapshot.ts';
import type { Transaction } from '../ingest/transaction.ts';
import type { PlannedTable, RenderedQuery } from '../planner/plan.ts';
import { withMoments, type Times } from '../planner/duckdb/session-time.ts';
import type { Remote } from '../rpc.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { Table } from '../storage/table.ts';
import type { TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { CopyStyle } from '../types/copy-row.ts';
import type { Format } from '../types/result-column.ts';
import { FeedHolds } from './feeds.ts';
import { LocatedRows } from './located-rows.ts';
import { ScanBuilder, type BuiltScan } from './scan.ts';
import type { Running } from '../running.ts';

export interface CursorRequest {
  readonly rendered: RenderedQuery;
  readonly tables: readonly PlannedTable[];
  readonly transaction: Transaction | null;
  readonly columns: readonly OutputColumn[] | null;
  readonly formats: readonly Format[];
  readonly output: 'rows' | 'vectors';
  readonly copy?: CopyStyle;
  readonly timeZone: string;
  readonly times: Times;
  /** Rows that stand for a planned table, by its placeholder. */
  readonly buffers?: ReadonlyMap<string, MemoryUnit>;
}

let nextCursor = 1;

export class EngineCursor {
  readonly #engine: Remote<EngineApi>;
  readonly #id: number;
  readonly #release: () => void;
  readonly opened: QueryOpened;
  /** What had to go while it read: this explains any error that it led to. */
  readonly #gone: () => SqlError | null;
  readonly #reading: { now: boolean };
  #done = false;
  #cancelled = false;

  private constructor(
    engine: Remote<EngineApi>,
    id: number,
    release: () => void,
    opened: QueryOpened,
    gone: () => SqlError | null,
    reading: { now: boolean },
  ) {
    this.#gone = gone;
    this.#reading = reading;
    this.#engine = engine;
    this.#id = id;
    this.#release = release;
    this.opened = opened;
  }

  static async open(
    database: Database,
    engine: Remote<EngineApi>,
    request: CursorRequest,
    running: Running,
  ): Promise<EngineCursor> {
    // Who reads the log alone needs no Version and little memory, and may take its time.
    const onlyFeeds = request.tables.length > 0 && request.tables.every(({ feed }) => feed !== undefined);
    if (request.copy === undefined && request.tables.some(({ feed }) => feed?.follow === true))
      throw notSupported('follow => true outside COPY (SELECT …) TO STDOUT');
    const ended = onlyFeeds ? () => {} : await database.admitScan(running, chunkBytes(database, request.tables));
    const id = nextCursor++;
    const age = { tooOld: false };
    const tooOld = (): void => {
      age.tooOld = true;
      void engine.close(id).then(release, release);
    };
    /** The engine works for it; a client that takes its time does not count. */
    const reading = { now: true };
    const isBusy = (): boolean => reading.now;
    const pin = onlyFeeds ? null : database.memory.pins.acquire(tooOld, isBusy);
    const seen = request.transaction?.statement?.snapshot ?? request.transaction?.snapshot;
    const read = onlyFeeds ? undefined : seen?.read(tooOld, isBusy);
    const builder = new ScanBuilder(database.memory, request.transaction, request.timeZone);
    const located = new LocatedRows(database, request.timeZone);
    let feeds: FeedHolds | null = null;
    const release = (): void => {
      located.release();
      pin?.release();
      read?.();
      builder.release();
      feeds?.release();
      ended();
    };
    const gone = (): SqlError | null => (age.tooOld ? snapshotTooOld() : (feeds?.lost ?? null));
    try {
      feeds = await FeedHolds.open(database, request.tables, request.rendered);
      let scans = request.tables.map((planned, i) => {
        const buffer = request.buffers?.get(planned.placeholder);
        if (buffer !== undefined) return { ...planned, memory: [buffer], files: [] };
        if (planned.feed !== undefined) return feeds!.scan(planned);
        return buildScan(database, builder, request.rendered, planned, i).scan;
      });
      const lsn = database.committer.publishedLsn;
      if (scans.some((scan) => located.concerns(scan))) {
        const { filters } = request.rendered;
        scans = await located.narrowAll(scans, (i) => filters?.(i) ?? [], running);
      }
      const { rendered, tables: _tables, transaction: _transaction, buffers: _buffers, times, ...rest } = request;
      const query = engine.query({
        cursor: id,
        sql: withMoments(rendered.sql, times, lsn),
        scans,
        ...rest,
      });
      running(() => void engine.close(id).catch(() => undefined)); // its query hears of the thread's end
      const opened = await query;
      reading.now = false;
      const whole = (): void => pin?.releaseMemory();
      if (pin !== null) void engine.slabsRead(id).then(whole, () => undefined);
      return new EngineCursor(engine, id, release, opened, gone, reading);
    } catch (error) {
      release();
      throw gone() ?? error;
    }
  }

  /** The next rows, or null at the end. */
  async next(): Promise<{
    readonly rows: number;
    readonly messages: Uint8Array | null;
    readonly vectors: readonly ColumnVector[] | null;
  } | null> {
    if (this.#cancelled) throw canceled();
    const gone = this.#gone();
    if (gone !== null) throw gone;
    if (this.#done) return null;
    this.#reading.now = true;
    try {
      const chunk = await this.#engine.next(this.#id);
      if (chunk.done) this.#finish();
      return chunk.rows === 0 && chunk.done ? null : chunk;
    } catch (error) {
      this.#finish();
      throw this.#gone() ?? error;
    } finally {
      this.#reading.now = false;
    }
  }

  /** Ends it early; idempotent. */
  async close(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    await this.#engine.close(this.#id);
    this.#release();
  }

  cancel(): void {
    this.#cancelled = true;
    void this.close();
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#release();
  }
}

const CHUNK_ROWS = 2048;

/** About what one chunk of a query's widest table takes, were all columns read. */
function chunkBytes(database: Database, tables: readonly PlannedTable[]): number {
  let most = 0;
  for (const { def } of tables) {
    const table = database.tableOf(def.uuid);
    if (table === undefined) continue;
    let rows = 0;
    let bytes = 0;
    for (const slice of table.slices()) {
      rows += slice.rows;
      bytes += slice.bytes;
    }
    for (const { info } of table.files) {
      rows += info.rows;
      bytes += info.bytes;
    }
    if (rows > 0) most = Math.max(most, (bytes / rows) * Math.min(rows, CHUNK_ROWS));
  }
  return most;
}

/** The table a plan was made for. @throws {SqlError} 42P01 when it was dropped since */
export function liveTable(database: Database, def: TableDef): Table {
  const table = database.tableOf(def.uuid);
  if (table === undefined) throw new SqlError(SqlState.undefinedTable, `relation "${def.name}" does not exist`);
  return table;
}

function buildScan(
  database: Database,
  builder: ScanBuilder,
  rendered: RenderedQuery,
  planned: PlannedTable,
  place: number,
): BuiltScan {
  const table = liveTable(database, planned.def);
  return builder.build(table, planned, rendered.timeRanges[place] ?? null, rendered.filters?.(place));
}

/** What a query would read, for EXPLAIN; of no table: rows that a part of WITH returns. */
export function unitsOf(
  database: Database,
  request: Pick<CursorRequest, 'rendered' | 'tables' | 'transaction' | 'timeZone'>,
): readonly ({ readonly table: Table | null } & Pick<BuiltScan, 'units' | 'index'>)[] {
  const builder = new ScanBuilder(database.memory, request.transaction, request.timeZone);
  try {
    return request.tables.map((planned, i) => {
      if (planned.def.uuid === '') return { table: null, units: [], index: null };
      const table = liveTable(database, planned.def);
      if (planned.feed !== undefined) return { table, units: [], index: null };
      return { table, ...buildScan(database, builder, request.rendered, planned, i) };
    });
  } finally {
    builder.release();
  }
}
