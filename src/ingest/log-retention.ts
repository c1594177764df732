/**
 * How long the log is kept (H3), and the checkpoint frames that say why (C6).
 *
 * - V3 The log keeps what Iceberg does not hold: from the first such operation of any table on. Idle tables hold nothing.
 * - At `wal.max_size` it keeps what is not on disk: segments and flush manifest are as durable as the log. Nothing that is
 *   neither in Iceberg nor on disk ever leaves it: when flushing cannot shrink it, writes wait and then get 53100.
 * - `wal.keep_size` of the newest log stays for readers of changes, unless the log is at `wal.max_size` or the disk is full.
 * - A checkpoint frame is in the log before anything is trimmed by it. Each new segment begins with one, or soon has it: on a disk
 *   that the log alone has filled none can be appended, and only what lies before the newest can be dropped, and of that what a
 *   start does not miss, which has that checkpoint alone.
 */
import type { Clock } from '../clock.ts';
import { SqlError } from '../errors.ts';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  neededBy,
  type Checkpoint,
  type TableCheckpoint,
} from '../storage/log/checkpoint.ts';
import type { Log } from '../storage/log/log-api.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { Committer } from './committer.ts';
import { logFull, type FullLog, type LogHolder } from './log-full.ts';
import type { UnclaimedRows } from './unclaimed-rows.ts';
import { zoneOf, type Marks, type Signal, type Zone } from './pressure.ts';

/** Of wal.max_size. yellow: tables are flushed so that the log can be trimmed. red: writes wait. */
const MARKS: Marks = { yellow: 0.8, red: 1 };

/** The zone of a log whose segments take so many bytes. */
export function walZone(liveBytes: number, bytesMax: number): Zone {
  return zoneOf(liveBytes / bytesMax, MARKS);
}

/** The first LSN that the log must keep for a table, in each of the two ways; 0: none. */
export function neededFrom(table: Pick<Table, 'uncommittedFrom' | 'flushedLsn'>, beyondMax: boolean): Lsn {
  if (table.uncommittedFrom === 0) return 0;
  return beyondMax ? Math.max(table.uncommittedFrom, table.flushedLsn + 1) : table.uncommittedFrom;
}

/** That, but for a table that is being read again: of it the log keeps everything. */
function keptFrom(table: Table, beyondMax: boolean): Lsn {
  return table.logHeldFrom || neededFrom(table, beyondMax);
}

/** The last operation of a table that the log may have, for its checkpoint: of one that was not read only that it is in the log. */
function lastOf(table: Table, log: Log): Lsn {
  if (table.logHeldFrom > 0) return log.lastLsn;
  if (table.uncommittedFrom === 0) return 0;
  return table.detached === null ? table.appliedLsn : log.lastLsn;
}

interface Written {
  readonly lsn: Lsn;
  readonly entries: ReadonlyMap<string, TableCheckpoint>;
}

function written({ lsn, tables }: Checkpoint): Written {
  return { lsn, entries: new Map(tables.map((entry) => [entry.uuid, entry])) };
}

interface Owner {
  readonly clock: Clock;
  readonly log: Log;
  readonly committer: Committer;
  /** Full at `disk.limit`. */
  readonly disk: { readonly full: boolean };
  readonly tables: ReadonlyMap<string, Table>;
  /** Kept like tables that cannot be read. */
  readonly unclaimed: UnclaimedRows;
  flush(table: Table, trigger: string): Promise<void>;
  /** For a table that is on disk whole: its manifest says how far. */
  advanceFlushed(table: Table): Promise<void>;
  readonly warn: (error: unknown, where: string) => void;
}

export class LogRetention {
  readonly bytesMax: number;
  readonly #bytesKept: number;
  readonly #owner: Owner;
  #relieving: Promise<void> | null = null;
  /** What the last relief could trim to, and how many segments it left: while both stay there is nothing to drop. */
  #relievedTo: Lsn = 0;
  #relievedSegments = 0;
  #relievedShort = false;
  /** From where on a start replays by the newest checkpoint that was written; before the first one, from the log's beginning. */
  #checkpointed: Lsn = 0;
  /** That checkpoint: what a start will know. Null before the first one. */
  #written: Written | null = null;
  #checkpointBytes = 0;
  #segmentsSince = 0;
  /** Why the last flush that was to relieve the log failed, by table. */
  readonly #failures = new Map<string, string>();

  /** @param bytesKept of the newest log, for readers of changes; at most half of `bytesMax` counts */
  constructor(owner: Owner, bytesMax: number, bytesKept = 0) {
    this.#owner = owner;
    this.bytesMax = bytesMax;
    this.#bytesKept = Math.min(bytesKept, bytesMax / 2);
    owner.log.onSegment = () => this.#segmentBegun();
  }

  /** A disk that is full is a log that is too long: what is on disk need not wait in the log for Iceberg. */
  get zone(): Zone {
    return this.#owner.log.full ? 'red' : walZone(this.#owner.log.stats().liveBytes, this.bytesMax);
  }

  /** The first LSN that the log must keep. */
  trimTo(beyondMax = this.zone === 'red'): Lsn {
    let to = this.#owner.committer.appliedLsn + 1;
    for (const table of this.#owner.tables.values()) {
      const from = keptFrom(table, beyondMax);
      if (from > 0) to = Math.min(to, from);
    }
    return Math.min(to, this.#owner.unclaimed.from || to);
  }

  /** Checkpoints take at most a sixteenth of the log. */
  #segmentBegun(): void {
    const { log } = this.#owner;
    const { liveBytes, segments } = log.stats();
    this.#segmentsSince++;
    if (log.full || this.#segmentsSince * (liveBytes / segments) < 16 * this.#checkpointBytes) return;
    this.checkpoint().catch((error: unknown) => this.#owner.warn(error, 'checkpoint of the log'));
  }

  /** Appends a checkpoint frame; the next trim writes it before it drops anything. */
  async checkpoint(): Promise<void> {
    const { committer, log, tables, unclaimed } = this.#owner;
    let from = this.#checkpointed;
    let next = this.#written;
    this.#segmentsSince = 0;
    const payload = (): Uint8Array | null => {
      from = this.trimTo(false);
      const all: TableCheckpoint[] = [...unclaimed.tables];
      for (const table of tables.values())
        // In the log it has another uuid.
        if (table.uuidIs !== 'made')
          all.push({
            uuid: table.def.uuid,
            committedLsn: table.committedLsn,
            neededFrom: keptFrom(table, false) || log.lastLsn + 1,
            lastLsn: lastOf(table, log),
            snapshotId: table.snapshotId,
            metadataLocation: table.metadataLocation,
          });
      const checkpoint = { lsn: log.lastLsn, tables: all };
      const bytes = encodeCheckpoint(checkpoint, log.frameBytesMax);
      next = written(checkpoint);
      this.#checkpointBytes = bytes?.length ?? 0;
      return bytes;
    };
    if (await committer.checkpoint(payload)) {
      this.#checkpointed = from;
      this.#written = next;
    } else
      this.#owner.warn(new Error(`${tables.size} tables do not fit a frame`), 'a checkpoint of the log is left out');
  }

  async trim(): Promise<void> {
    // With a full disk nothing can be appended until something is dropped: then by the checkpoint before.
    const { log } = this.#owner;
    const before = this.#checkpointed;
    if (!log.full) await this.checkpoint();
    // A start meets the streams' frames from where the last checkpoint that could be written lets it replay (H1).
    const confirmed = Math.min(this.trimTo(false), log.full ? before : this.#checkpointed);
    const to = Math.min(this.trimTo(), this.#startsFrom());
    // Where room is short, whoever reads what nobody else needs gives way.
    const short = this.#short;
    if (short) log.loosen(to);
    await log.trim(to, short ? 0 : this.#bytesKept, confirmed);
  }

  /** From where on a start looks into the log, which knows the newest checkpoint, the catalog and the flush manifests. */
  #startsFrom(): Lsn {
    const { log, tables, unclaimed } = this.#owner;
    if (this.#written === null && log.checkpoint === null) return Infinity; // a log without any misses nothing
    const newest = (this.#written ??= written(decodeCheckpoint(log.checkpoint!)));
    let from = unclaimed.from || Infinity;
    for (const { committedLsn, def, flushedLsn } of tables.values())
      from = Math.min(from, Math.max(neededBy(newest, newest.entries.get(def.uuid), committedLsn), flushedLsn + 1));
    return from;
  }

  /** Nothing stays in the log that only readers of changes want. */
  get #short(): boolean {
    return this.zone === 'red' || this.#owner.disk.full;
  }

  /** Looked at once a second, and by writers in red: flushes what holds the log, then trims. One at a time. */
  relieve(): Promise<void> {
    if (this.zone === 'green' && !this.#owner.disk.full) return Promise.resolve();
    this.#relieving ??= this.#relieve().finally(() => (this.#relieving = null));
    return this.#relieving;
  }

  async #relieve(): Promise<void> {
    const long = this.zone !== 'green';
    for (const uuid of this.#failures.keys()) if (!this.#owner.tables.has(uuid)) this.#failures.delete(uuid);
    for (const table of long ? [...this.#owner.tables.values()] : []) {
      // Rows on disk that Iceberg has not: the log is kept from there on, however idle the table is, unless the manifest goes on.
      const idle = table.unflushedFrom === 0;
      if (idle && (table.uncommittedFrom === 0 || this.zone !== 'red')) continue;
      try {
        await (idle ? this.#owner.advanceFlushed(table) : this.#owner.flush(table, 'wal_size'));
        this.#failures.delete(table.def.uuid);
      } catch (error) {
        this.#failures.set(table.def.uuid, error instanceof SqlError ? error.message : 'see the log of the server');
        this.#owner.warn(error, `flush of ${table.def.schema}.${table.def.name} for wal.max_size`);
      }
    }
    // A checkpoint frame before each trim: without something to drop they would be what fills the log.
    const { log } = this.#owner;
    const to = this.trimTo();
    const short = this.#short;
    if (to === this.#relievedTo && log.stats().segments === this.#relievedSegments && short === this.#relievedShort)
      return;
    this.#relievedShort = short;
    this.#relievedTo = log.full ? 0 : to; // with a full disk it is a trim without a new checkpoint, which may drop less
    await this.trim();
    this.#relievedSegments = log.stats().segments;
  }

  /** For writers (pressure.ts). Refused with 53100 when the log stays at wal.max_size. */
  get signal(): Signal {
    return {
      reason: 'wal',
      marks: MARKS,
      usage: () => this.#owner.log.stats().liveBytes / this.bytesMax,
      relieve: () => this.relieve().then(() => true),
      refused: () => this.refused('wal.max_size'),
    };
  }

  /** What writers are told while the log takes nothing: which table holds it, and why. */
  refused(why: FullLog['why'] = 'disk'): SqlError {
    const { log, tables } = this.#owner;
    const from = this.trimTo(true);
    const startsFrom = this.#startsFrom();
    const table = [...tables.values()].find((each) => keptFrom(each, true) === from);
    const holder: LogHolder | null =
      table === undefined
        ? this.#owner.unclaimed.holder(from)
        : {
            name: `"${table.def.schema}"."${table.def.name}"`,
            from,
            isGone: false,
            detached: table.detached,
            isReadAgain: table.logHeldFrom > 0,
            isUnflushed: table.unflushedFrom > 0,
            failure: this.#failures.get(table.def.uuid) ?? null,
          };
    const checkpointFrom = startsFrom < from ? startsFrom : null;
    return logFull({ why, bytes: log.stats().liveBytes, bytesMax: this.bytesMax, holder, checkpointFrom });
  }
}
