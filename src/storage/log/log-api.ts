/**
 * The write-ahead log (T0) as main sees it. Its thread owns the files; frames reach it through a shared ring.
 *
 * - V3 A frame is durable when `durableLsn` has reached its last LSN: one fdatasync covers a group.
 * - V7 LSNs compare only inside one `logId`.
 * - LSNs are dense: `firstLsn` of a frame is the end of the one before; a transaction's frames lie side by side,
 *   and only a transaction whose last frame is intact exists (an unfinished one at the tail is cut).
 */
import type { Lsn } from '../../table-def.ts';
import type { Segment } from './log-reader.ts';

export interface LogOptions {
  readonly dir: string;
  /** Bytes of a segment file, preallocated and zeroed. */
  readonly segmentBytes: number;
  /** Bytes of the ring between main and the thread, at most a quarter of a segment (W3); a frame may take half of it. */
  readonly ringBytes: number;
}

/** What a frame is about. `checkpoint` (C6) has count 0 and is never an operation; `stream` (H1) commits what a LogStream took. */
export type FrameKind = 'data' | 'checkpoint' | 'stream';

export interface FrameHead {
  readonly kind: FrameKind;
  readonly firstLsn: Lsn;
  /** Row operations in the frame; its last LSN is firstLsn + count - 1. */
  readonly count: number;
  readonly transaction: number;
  /** The transaction's last frame: with it the transaction commits. */
  readonly last: boolean;
}

export interface RecoveredFrame extends FrameHead {
  readonly payload: Uint8Array;
}

/** A large transaction's rows on their way to the disk while it runs (H1): no LSNs yet, in a file of their own. */
export interface LogStream {
  /** Payload bytes before the sections, for the frame of kind `stream` that commits it: append it with count = rows + deletes. */
  readonly reference: Uint8Array;
  readonly rows: number;
  /** Takes a payload of `count` rows over. A promise: wait for it before the next, the disk is behind. */
  push(count: number, parts: readonly Uint8Array[]): Promise<void> | undefined;
  /** All of it is durable; nothing is pushed any more. @throws {SqlError} 53100, 58030: the file is gone */
  seal(): Promise<void>;
  /** The frame that names it has been appended; `lsn` is the transaction's last. */
  committed(lsn: Lsn): void;
  /** The transaction is rolled back. Idempotent. */
  discard(): void;
}

/** Where a reader beside the log's thread finds it: plain data, for any thread of the process. */
export interface LogPlace {
  readonly dir: string;
  readonly logId: string;
  /** Oldest first. The newest may have had successors since: each names the one before it. */
  readonly segments: readonly Segment[];
}

/** What is read of the log stays there from its LSN on. */
export interface LogHold {
  readonly place: LogPlace;
  /** False: what it held had to go. */
  readonly valid: boolean;
  /** What lies before `from` is not needed any more. */
  advance(from: Lsn): void;
  release(): void;
}

export interface LogStats {
  readonly segments: number;
  /** Of all files: spare segments and the streams of transactions under way, too. */
  readonly bytes: number;
  /** What `trim` can make less: segments, and streams of transactions that have committed. */
  readonly liveBytes: number;
  /** Of it, such streams. */
  readonly streamBytes: number;
  /** Streams of transactions under way. */
  readonly openBytes: number;
  /** Frames appended that the thread has not written yet. */
  readonly queueBytes: number;
}

export interface Log extends AsyncDisposable {
  /** Random, made with the first segment, the same for the life of the log (32 hex digits). */
  readonly logId: string;
  /** The last LSN found at open, later the last appended one. 0: none. */
  readonly lastLsn: Lsn;
  readonly durableLsn: Lsn;
  /** The lowest LSN still in the log; lastLsn + 1 when it is empty. */
  readonly firstLsn: Lsn;
  /** Payload of the newest checkpoint frame found at open, null when there was none. */
  readonly checkpoint: Uint8Array | null;
  /** What was cut off the log's end at open because it was not whole (C9), null when there was nothing. */
  readonly torn: { readonly name: string; readonly offset: number } | null;
  /** The disk is full: no data is taken, new writes should get 53100 until it is false again; what was appended has room. */
  readonly full: boolean;

  /**
   * Reads every whole transaction with an operation at or after `from`, in order, once, before the first append.
   * @throws {SqlError} XX001 naming file and offset, when a frame before the highest durable position is bad
   */
  replay(from: Lsn, onFrame: (frame: RecoveredFrame) => Promise<void> | void): Promise<void>;
  /** Ends replay: appends start here. `lsn` is at least lastLsn + 1 (LSNs of this log seen in manifests and catalogs count). */
  start(nextLsn: Lsn): Promise<void>;

  /** Set by who appends: one session alone commits at present, so a frame is written without a look at other sockets. */
  lone: boolean;
  /**
   * Copies the frame into the ring, or returns false when it has no room, or the disk has none for data: then wait for `room`
   * and try again. A checkpoint is taken on a full disk, too: it may be what a trim waits for.
   * `parts` are concatenated. LSNs must be dense (asserted).
   * @param awaited somebody waits for its sync (the default); else it may be written a little later, with others: `durable` hurries it
   * @param isReserved it is one of those for which `reserve` has made room
   */
  append(head: FrameHead, parts: readonly Uint8Array[], awaited?: boolean, isReserved?: boolean): boolean;
  /**
   * Makes sure of room for frames of so many payload bytes each, which are appended next, nothing between them. False: the disk
   * has none. Then nothing of them is in the log, and a smaller transaction may fit still.
   */
  reserve(frames: readonly number[]): Promise<boolean>;
  /** For the rows of a transaction that is larger than a frame should be. */
  stream(): LogStream;
  /** Bytes that streams have taken over and not yet written. */
  readonly streamingBytes: number;
  /**
   * Resolves when a frame of so many payload bytes would be taken; also when the disk turns out to be full meanwhile.
   * @param evenFull it is taken on a full disk, too: a checkpoint, or one that is reserved
   */
  room(bytes: number, evenFull?: boolean): Promise<void>;
  /** Largest payload of one frame. */
  readonly frameBytesMax: number;
  /** Resolves when `lsn` is durable; already so: at once. */
  durable(lsn: Lsn): Promise<void>;
  /** Called on main after each group, with the new durableLsn, before waiters of `durable` run. One listener. */
  onDurable: (lsn: Lsn) => void;
  /** Called on main when what is appended goes into a new segment; between `start` and close. One listener. */
  onSegment: () => void;
  /** Called once when an fsync or write failed: the process must end, nothing may be acknowledged after it. */
  onFatal: (error: Error) => void;

  /** For readers beside the log's thread (log-transactions.ts): what they read stays until they release it. */
  hold(from: Lsn): Promise<LogHold>;
  /** Whoever reads what lies before `to` must stop: it is trimmed next. */
  loosen(to: Lsn): void;

  /**
   * Segments that hold only operations below `to` are recycled or deleted. What was appended before is written first;
   * the newest segment stays, and the one with the newest checkpoint frame and all after it. So do the newest segments and
   * streams that take at most `keepBytes`, and what is held.
   * @param confirmed where it is less than `to`: a stream that ends at or after it stays as long as the frame that names it
   */
  trim(to: Lsn, keepBytes?: number, confirmed?: Lsn): Promise<void>;
  stats(): LogStats;
}
