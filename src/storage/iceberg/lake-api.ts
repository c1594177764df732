/**
 * The lake thread's functions: Iceberg metadata and catalog, object store, flush manifest. Implemented in
 * `storage/iceberg/` and `storage/disk/`, served by `src/threads/lake.ts`, called from main through `src/rpc.ts`.
 * All file and SQLite handles live there (H7). One committer lane per table: calls for a table take turns.
 *
 * LSNs are numbers here and decimal text in Iceberg properties; snapshot ids are bigint.
 */
import type { SqlState } from '../../errors.ts';
import type { StoredSequence } from '../../sequence-def.ts';
import type { IndexDef, Lsn, TableDef } from '../../table-def.ts';
import type { ViewDef } from '../../view-def.ts';
import type { DiskUsage } from '../disk/disk-usage.ts';
import type { CachedFile } from '../disk/file-cache.ts';
import type { PartsRequest } from '../disk/file-parts.ts';
import type { DueGarbage } from '../disk/flush-store.ts';
import type { FileColumnStats } from '../file-stats.ts';
import type { Checkpoint } from '../log/checkpoint.ts';
import type { FramesRead, FramesRequest } from '../log/logged-frames.ts';
import type { S3Settings } from './s3-client.ts';

export interface LakeSettings {
  readonly dataDir: string;
  /** `file:///…`, an absolute path or `s3://BUCKET/PREFIX`; tables live at WAREHOUSE/SCHEMA/NAME-UUID8. */
  readonly warehouse: string;
  readonly catalogName: string;
  readonly owner: string;
  readonly keepSnapshots: number;
  readonly maxSnapshotAgeMs: number;
  readonly fileGraceMs: number;
  /** Decoded manifests are kept up to about so much; left out: 36 MB. */
  readonly manifestBytesMax?: number;
  /** What the log says; null or left out: there is none beside this lake. */
  readonly log?: LogFacts | null;
  readonly s3?: S3Settings;
  /** A catalog that was lost gets its tables back as they were last seen; left out: opening fails. */
  readonly restoreCatalog?: boolean;
}

/** What the log knows of itself and of the tables when it is opened (C6). */
export interface LogFacts {
  readonly logId: string;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  readonly checkpoint: Checkpoint | null;
}

/** What the log is now for a table: the start knew an earlier one, of which it has been trimmed since to what is needed. */
export interface ReopenRequest {
  readonly tableUuid: string;
  readonly logFrom: Lsn;
  readonly logTo: Lsn;
  /** The first LSN of an operation that only the log has; 0: there is none. */
  readonly neededFrom: Lsn;
}

/** A Parquet data file, on disk (a staged segment) or in Iceberg. Its path in the warehouse is fixed when it is written. */
export interface DataFileInfo {
  /** Full location in the warehouse: where it is, or will be. Its unit is named by it. */
  readonly location: string;
  /** Where it is read on this machine: in place, or at its place in the disk cache, where it need not be yet. */
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly columns: readonly FileColumnStats[];
  /** One value per field of the partition spec, in the transform's result type; null is a null partition. bytes as Uint8Array, decimal as bigint unscaled. */
  readonly partition: readonly PartitionValue[];
  readonly specId: number;
}
export type PartitionValue = null | boolean | number | bigint | string | Uint8Array;

/** A staged segment with the LSNs of the cut that made it: its rows have LSNs in (lsnFrom, lsnTo]. */
export interface Segment extends DataFileInfo {
  readonly lsnFrom: Lsn;
  readonly lsnTo: Lsn;
}

/** Delete entries of one file unit in (lsnFrom, lsnTo], by its location. */
export interface Delta {
  readonly location: string;
  readonly lsnFrom: Lsn;
  readonly lsnTo: Lsn;
  readonly positions: Uint32Array;
  readonly lsns: Float64Array;
  /** Rows of a file of which none is left: all are deleted whose positions are not here. Such a delta has no file of its own. */
  readonly whole?: number;
}

/** One flush of one table: written as one SQLite transaction after its files are fsynced (C5, C10). */
export interface FlushManifest {
  readonly tableUuid: string;
  readonly logId: string;
  /** The flush before it, as main knows it: this one has everything after that, also what a flush that went through unheard had. */
  readonly fromLsn: Lsn;
  readonly flushedLsn: Lsn;
  readonly baseSnapshotId: bigint | null;
  readonly segments: readonly Segment[];
  readonly deltas: readonly Delta[];
  /** Data files whose deletes the manifest shall not name any more: another writer has removed them. */
  readonly removed?: readonly string[];
}

export interface TableState {
  readonly def: TableDef;
  /** The table's own location, for data file locations (see paths.ts). */
  readonly location: string;
  readonly metadataLocation: string;
  readonly snapshotId: bigint | null;
  /** The spec that def.partition is: what new data files carry as specId (0 until another engine changes it). */
  readonly specId: number;
  /** Properties arka.log-id and arka.lsn; null and 0 when never committed by an Arka. */
  readonly logId: string | null;
  readonly committedLsn: Lsn;
  /** Live data files of the current snapshot. */
  readonly files: readonly DataFileInfo[];
  /** Live position-delete files (paths as those of data files): main has the engine read them. */
  readonly deletePaths: readonly string[];
  /** Those among the live ones that Arka wrote for a whole partition; `deletePaths` has the others. */
  readonly partitionDeletes: readonly PartitionDeletes[];
  /** Equality deletes of other writers; left out: there are none. */
  readonly equality?: EqualityDeletes;
}

/** Rows that another writer has deleted by values (H14): main has the engine find them. */
export interface EqualityDeletes {
  readonly files: readonly EqualityDeleteFile[];
  readonly targets: readonly EqualityTarget[];
}

/** Rows with these values of some columns are deleted from data files that were committed before. */
export interface EqualityDeleteFile {
  readonly location: string;
  readonly path: string;
  readonly bytes: number;
  readonly rows: number;
  readonly fieldIds: readonly number[];
  readonly sequence: number;
  /** Only those of one place are for the same data files. */
  readonly place: string;
}

/** A data file with its data sequence number, and the indexes of the delete files that may be of it. */
export interface EqualityTarget {
  readonly location: string;
  readonly sequence: number;
  readonly by: readonly number[];
}

/** A position-delete file that Arka wrote for several data files of one partition (H12). */
export interface PartitionDeletes {
  readonly location: string;
  readonly path: string;
  /** As `placeKey` names spec and partition. */
  readonly partitionKey: string;
}

/** What is known of a table at start: catalog and flush manifest, reconciled (C5): only what the catalog does not hold yet. */
export interface RecoveredTable extends TableState {
  /** null: no usable manifest; replay from committedLsn + 1. */
  readonly flush: {
    readonly logId: string;
    readonly flushedLsn: Lsn;
    readonly segments: readonly Segment[];
    readonly deltas: readonly Delta[];
    /** Data files that deltas name and another writer has removed, where the log has no more what was deleted. */
    readonly moved: readonly { readonly location: string; readonly path: string }[];
  } | null;
  /** No operation of the table below this LSN is missing here: replay may begin with it. */
  readonly neededFrom: Lsn;
  /** The same without the flush manifest: from here on the log is kept until Iceberg has the table's rows (V3, V6). */
  readonly uncommittedFrom: Lsn;
  /** The highest LSN of this log that anything here was known to reach (C2). */
  readonly lsnSeen: Lsn;
  /** Not null: the table is read-only, and this is why. */
  readonly detached: Detached | null;
  /** Left out: proven. */
  readonly uuidIs?: UuidSource;
}

/** How a table's uuid is known: guessed by folder or name, or made up, where its metadata cannot be read (U4 in `unreadable-table.ts`). */
export type UuidSource = 'proven' | 'guessed' | 'made';

/** Why a table cannot be written: what 55000 says (C6); or cannot be read either, which its statements say with `code`. */
export interface Detached {
  /** catalog: it shows less than was committed. rows: operations are missing. unreadable: a file of it is damaged or away. */
  readonly reason: 'catalog' | 'rows' | 'unreadable';
  /** Of an unreadable one: XX001, 58030 or 0A000. */
  readonly code?: SqlState;
  readonly message: string;
  readonly detail: string;
  readonly hint: string;
  /** What this server had committed last, or the LSN from which on it has everything. */
  readonly last: { readonly lsn: Lsn; readonly snapshotId: bigint | null; readonly metadataLocation: string };
}

/** Of a table that the catalog does not have under its name any more. */
export type GoneTable =
  | { readonly kind: 'gone' }
  | { readonly kind: 'renamed'; readonly schema: string; readonly name: string };

/** A table that is gone from the catalog, not by this server (M-4). */
export interface LostTable {
  readonly uuid: string;
  /** Null when nothing was remembered of it. */
  readonly def: TableDef | null;
  /** Operations up to it were on disk, and are in the folder now if Iceberg did not have them. */
  readonly flushedLsn: Lsn;
  readonly folder: string;
  readonly files: number;
  readonly rows: number;
}

export interface LakeState {
  readonly schemas: readonly string[];
  readonly sequences: readonly StoredSequence[];
  readonly views: readonly ViewDef[];
  readonly comments: readonly (readonly [string, string])[];
  readonly tables: readonly RecoveredTable[];
  readonly lost: readonly LostTable[];
  /** Copies of remote files that are here and whole. */
  readonly cached: readonly CachedFile[];
}

/**
 * A position-delete file on local disk. Scope `file`: of one data file, with all its deleted positions; it replaces the
 * earlier one. Scope `partition`: of data files of one spec and partition.
 */
export interface DeleteFile {
  readonly targets: readonly string[];
  readonly scope: 'file' | 'partition';
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
}

export interface CommitRequest {
  readonly tableUuid: string;
  readonly logId: string;
  /** Everything ≤ lsn is in this commit or earlier ones (V4); a flush boundary, durable (V7). */
  readonly lsn: Lsn;
  /** Staged segments to put into the warehouse and append. */
  readonly segments: readonly Segment[];
  readonly deletes: readonly DeleteFile[];
  /**
   * Data files of which no row is left; left out: none. With an LSN it was staged, and may be in Iceberg alone by a commit up to that LSN
   * which nobody has heard of.
   */
  readonly dropped?: readonly { readonly location: string; readonly lsnTo: Lsn | null }[];
  /** Locations of Arka's delete files of partitions that are not needed beside `deletes`. */
  readonly removedDeletes: readonly string[];
  readonly trigger: string;
}

export interface CommitResult {
  readonly metadataLocation: string;
  readonly snapshotId: bigint;
  readonly files: number;
  readonly rows: number;
  readonly deletes: number;
  readonly bytes: number;
  readonly retries: number;
  /** Where the committed segments can be read now. */
  readonly paths: readonly { readonly location: string; readonly path: string }[];
  /** Where the delete files of the request are now, in its order; empty when an earlier request had committed the same. */
  readonly deleteLocations: readonly string[];
  /** Set when another writer changed the table in between: the whole state after our commit. */
  readonly foreign: TableState | null;
}

/** Data files that stand for others from now on, with the same rows: a `replace` snapshot. */
export interface RewriteRequest {
  readonly tableUuid: string;
  /** Up to which metadata main knows what other writers deleted from the inputs. */
  readonly metadataLocation: string;
  /** Locations of the inputs. */
  readonly removed: readonly string[];
  readonly added: readonly Segment[];
  /** Of rows of `added` that were deleted, and committed, while they were written. */
  readonly deletes: readonly DeleteFile[];
  readonly removedDeletes: readonly string[];
  /** New for each rewrite: after 08007 the same request is asked again, and finds by it what became of the first. */
  readonly commitId: string;
  readonly trigger: string;
}

export interface IndexesRequest {
  readonly tableUuid: string;
  /** All that the table has from now on. */
  readonly indexes: readonly IndexDef[];
}

/** Another definition of a table. */
export interface AlterRequest {
  /** All of it; the lake gives partition fields their ids. */
  readonly def: TableDef;
  /** What main knows, as are the schema id of `def` and this spec: it is changed there, or not at all. */
  readonly metadataLocation: string;
  readonly specId: number;
  /** Names of properties that are to go. */
  readonly removed: readonly string[];
  /** Data files that stand for others from now on, with the same rows and more columns; of nothing deleted meanwhile. */
  readonly files?: {
    readonly removed: readonly string[];
    readonly added: readonly Segment[];
    readonly removedDeletes: readonly string[];
  };
}

export interface AlteredTable {
  readonly def: TableDef;
  readonly specId: number;
  readonly metadataLocation: string;
  readonly snapshotId: bigint | null;
  /** Where added files can be read. */
  readonly paths: CommitResult['paths'];
}

export interface RenameRequest {
  readonly tableUuid: string;
  readonly schema: string;
  readonly name: string;
}

/** All that a transaction has defined. */
export interface DefinitionsRequest {
  readonly newSchemas: readonly string[];
  readonly droppedSchemas: readonly string[];
  /** Each is among the new and the dropped ones, too: what else the catalog says of it goes along. */
  readonly renamedSchemas: readonly { readonly name: string; readonly to: string }[];
  readonly newTables: readonly { readonly def: TableDef; readonly location: string }[];
  readonly alteredTables: readonly AlterRequest[];
  readonly renamedTables: readonly RenameRequest[];
  /** Their uuids. */
  readonly droppedTables: readonly string[];
  /** A mark that was further stays until `storeSequence` says otherwise. */
  readonly storedSequences: readonly StoredSequence[];
  readonly removedSequences: readonly { readonly schema: string; readonly name: string }[];
  readonly storedViews: readonly ViewDef[];
  readonly removedViews: readonly { readonly schema: string; readonly name: string }[];
  /** Of schemas, the database and roles; null: none any more. */
  readonly comments: readonly (readonly [string, string | null])[];
  /** Roles and rights, where they change with it; null: they stay. */
  readonly roles: string | null;
}

/** To be filled. */
export const NO_DEFINITIONS: DefinitionsRequest = {
  newSchemas: [],
  droppedSchemas: [],
  renamedSchemas: [],
  newTables: [],
  alteredTables: [],
  renamedTables: [],
  droppedTables: [],
  storedSequences: [],
  removedSequences: [],
  storedViews: [],
  removedViews: [],
  comments: [],
  roles: null,
};

export interface DefinitionsResult {
  /** In the order of the request. */
  readonly created: readonly TableState[];
  readonly altered: readonly AlteredTable[];
}

export interface VacuumResult {
  readonly metadataLocation: string;
  readonly expiredSnapshots: number;
  readonly orphanFiles: number;
}

/** A file whose checksum is another than when it was written. */
export interface DamagedFile {
  readonly path: string;
  readonly message: string;
  readonly hint: string;
}

export type LakeApi = {
  /** May come first: takes the data directory for this process, before its log is opened. @throws 55000 in use, 58030 unwritable */
  lock(dataDir: string): Promise<void>;
  /** Opens catalogs, reads every table. @throws 55000 data directory in use, 58030 unwritable */
  open(settings: LakeSettings): Promise<LakeState>;
  /** Where a table that is to be will lie. */
  newLocation(def: TableDef): Promise<string>;
  /**
   * Carries out all that a transaction has defined, or nothing of it. A new Iceberg table has a schema with field ids, identifier
   * fields, spec, sort order, and properties with the whole def; one that is dropped loses its files and its rows in the manifest, too.
   * @throws 42P07, 2BP01, 42P01, 40001 when another writer has changed a table, 08007 when nobody knows
   */
  define(request: DefinitionsRequest): Promise<DefinitionsResult>;
  /** Durable when it resolves: the sequence is there, with this definition and mark. */
  storeSequence(stored: StoredSequence): Promise<void>;
  removeSequence(name: { readonly schema: string; readonly name: string }): Promise<void>;
  /** Writes delta files, fsyncs, then the manifest transaction. */
  writeFlush(manifest: FlushManifest): Promise<void>;
  /** Puts staged segments into a remote warehouse ahead of their commit, outside the table's lane: flushes go on meanwhile. */
  upload(segments: readonly Segment[]): Promise<void>;
  /** One Iceberg snapshot; then the manifest's rows ≤ lsn are dropped. A commit without segments or deletes moves only the properties. */
  commit(request: CommitRequest): Promise<CommitResult>;
  /**
   * Swaps rewritten files in (C7). Null: another writer has deleted from an input since `metadataLocation`: refresh, carry over, ask again.
   * @throws 40001 when an input is gone, 08007 when nobody knows: ask again
   */
  rewrite(request: RewriteRequest): Promise<CommitResult | null>;
  /** Deletes rewritten files that were never swapped in. */
  abandon(locations: readonly string[]): Promise<void>;
  /** The table's property of its indexes. The metadata's new location; null: a refresh tells it, with another writer's changes. */
  setIndexes(request: IndexesRequest): Promise<string | null>;
  /** Lets snapshots expire, and deletes files below the table's location that no metadata names (H15). */
  vacuum(tableUuid: string): Promise<VacuumResult>;
  /**
   * Deletes files whose grace has ended; how many. Null: all of all tables, while nobody reads. Else those of a table that
   * were due before a time: when every reader of this server has begun after it, none can name them any more.
   */
  collectGarbage(due: DueGarbage | null): Promise<number>;
  /** Null while the catalog still shows the metadata location given. */
  refresh(request: { readonly tableUuid: string; readonly metadataLocation: string }): Promise<TableState | null>;
  /** Removes local files no longer referenced (staged copies of committed segments, delete files sent). */
  removeFiles(paths: readonly string[]): Promise<void>;
  /** Of a table that was answered with 42P01: whether it has another name. One that is gone is forgotten. */
  whereIs(tableUuid: string): Promise<GoneTable>;
  /** The table that another client has put under a name; null: it is known here, or there is none. */
  adoptNew(request: { readonly schema: string; readonly name: string }): Promise<TableState | null>;
  /** A table is gone from the catalog: its staged files go to DATA_DIR/lost (M-4). */
  rescue(tableUuid: string): Promise<LostTable>;
  /**
   * Ends the state of a detached table: `repoint` gives the catalog the metadata file that was committed last, `accept` takes
   * what the catalog has as the truth, with nothing up to the last LSN to be replayed. @throws 55000 when that cannot be
   */
  reattach(request: { readonly tableUuid: string; readonly how: 'repoint' | 'accept' }): Promise<void>;
  /** Brings a file of the disk cache here. @throws {SqlError} 58030, 53100, 57014 after `cancelFetch` */
  fetchFile(path: string): Promise<CachedFile>;
  cancelFetch(path: string): void;
  /** Byte ranges of a remote file into a file with holes; how many bytes were fetched. @throws {SqlError} 58030, 53100, XX001 */
  fetchParts(request: PartsRequest): Promise<number>;
  /**
   * A table that could not be read, once more, as at a start; `detached` says if it still cannot.
   * @throws 42P01 when the catalog has another one under its name
   */
  reopen(request: ReopenRequest): Promise<RecoveredTable>;
  /**
   * The uuid of a table that is known by one that is not proven; from now on it is known by this one.
   * @throws {SqlError} 42P01 as above; XX001, 58030 while its metadata cannot be read
   */
  identify(uuid: string): Promise<string>;
  /** What the log has of it meanwhile, piece by piece. @throws {SqlError} XX001, 55000 */
  logFrames(request: FramesRequest): Promise<FramesRead>;
  /** Those of the files that are not as they were written; copies of remote files are fetched anew instead. @throws {SqlError} 58030 */
  checkFiles(paths: readonly string[]): Promise<readonly DamagedFile[]>;
  /** Roles and rights as text; null: none were stored yet. @throws XX001 */
  readRoles(argument: null): Promise<string | null>;
  /** Durable when it resolves. */
  writeRoles(text: string): Promise<void>;
  /** Bytes of the data directory that main does not count itself. */
  diskUsage(argument: null): Promise<DiskUsage>;
  shutdown(argument: null): Promise<void>;
};
