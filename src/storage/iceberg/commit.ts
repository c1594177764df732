/**
 * One attempt at a commit, built on one loaded head: manifests, manifest list and metadata of the next snapshot.
 * Nothing here is visible until the catalog's swap; what a failed attempt wrote is named for deletion.
 *
 * - K1 A data file that deletes are for must be live in the base or come with this commit, and one that leaves must be
 *   live: a delete of a file that a foreign rewrite removed would silently do nothing (C7).
 * - K2 A delete file carries the spec id and partition of its data files (M-17). One for a single data file holds all that
 *   is deleted there, replaces Arka's earlier one for it, and leaves with it, whoever wrote it; one for a partition leaves
 *   when a change names it. Of others' only those leave whose data file does (H12).
 * - K3 Manifests are carried as they are; of 20 of one size class one is made, so that their number stays
 *   logarithmic and each entry is rewritten a bounded number of times.
 */
import { invariant, SqlError, SqlState } from '../../errors.ts';
import type { Garbage } from '../disk/flush-store.ts';
import { isFileDeletes, isPartitionDeletes } from './delete-names.ts';
import type { DataFileInfo } from './lake-api.ts';
import {
  Content,
  deleteTarget,
  encodeManifest,
  encodeManifestList,
  EntryStatus,
  rawDataFile,
  rawDeleteFile,
  summarize,
  type ManifestEntry,
  type ManifestFile,
  type RawFile,
} from './manifest.ts';
import {
  currentSchema,
  currentSnapshot,
  encodeMetadata,
  expire,
  newSnapshotId,
  nextMetadataLocation,
  nextTimestamp,
  Property,
  stamp,
  withSnapshot,
  type Expiry,
  type LoadedTable,
  type Snapshot,
  type TableMetadata,
} from './metadata.ts';
import type { NewObject, ObjectStore } from './object-store.ts';
import { snapshotSummary } from './snapshot-summary.ts';
import { specsOf, type TableReader } from './table-reader.ts';

const MERGE_COUNT = 20;
/** Manifests of this size and more are left alone, as the reference implementation's target. */
const MANIFEST_BYTES_TARGET = 8 * 1024 * 1024;

export interface CommitContext {
  readonly store: ObjectStore;
  readonly reader: TableReader;
  readonly tableUuid: string;
  readonly expiry: Expiry;
  /** How long a file stays that no snapshot needs any more: readers of an expired one have time to end (H15). */
  readonly fileGraceMs: number;
  readonly owner: string;
  now(): number;
  /** Puts what was written in vain on the list of files to delete: the store may be away just now. */
  discard(locations: readonly string[]): void;
}

/** What the next snapshot changes; nothing: the commit moves properties and expires snapshots. */
export interface Change {
  readonly added: readonly DataFileInfo[];
  readonly deletes: readonly PlacedDelete[];
  /** Locations of the data files that `added` stand for: the snapshot replaces them. */
  readonly removed: ReadonlySet<string>;
  /** Of data files of which no row is left. */
  readonly dropped?: ReadonlySet<string>;
  /** Arka's delete files of partitions whose positions others hold now, or nobody needs any more. */
  readonly removedDeletes: ReadonlySet<string>;
  readonly properties: Readonly<Record<string, string>>;
  readonly trigger: string;
}

/** A delete file of the request at its place in the warehouse. */
export interface PlacedDelete {
  readonly targets: readonly string[];
  readonly scope: 'file' | 'partition';
  readonly location: string;
  readonly rows: number;
  readonly bytes: number;
}

export interface Attempt {
  readonly metadata: TableMetadata;
  readonly metadataLocation: string;
  readonly snapshotId: bigint | null;
  /** Written for this attempt only: to delete when it fails. */
  readonly written: readonly string[];
  /** To be put on the list when it succeeds. */
  readonly garbage: readonly Garbage[];
  readonly oldestSequence: bigint;
}

export async function buildAttempt(
  context: CommitContext,
  base: LoadedTable,
  change: Change,
  commitId: string,
): Promise<Attempt> {
  const now = nextTimestamp(base.metadata, context.now());
  const properties = { ...change.properties, [Property.commitId]: commitId, [Property.owner]: context.owner };
  const objects: NewObject[] = [];
  const written = (): string[] => objects.map(({ location }) => location);
  try {
    const changed =
      change.added.length + change.deletes.length + change.removed.size + change.removedDeletes.size > 0 ||
      (change.dropped?.size ?? 0) > 0
        ? await addSnapshot(context, base, change, { commitId, now, properties, objects })
        : { metadata: base.metadata, snapshotId: null, removed: [] as string[] };
    const { metadata: slim, expired } = expire(changed.metadata, now, context.expiry);
    const { metadata, dropped } = stamp(base, slim, now, properties);
    const metadataLocation = nextMetadataLocation(base, metadata.location);
    objects.push({ location: metadataLocation, bytes: encodeMetadata(metadata, metadataLocation) });
    await context.store.putAll(objects);
    const sequence = metadata['last-sequence-number'];
    const garbage = [
      ...changed.removed.map((location): Garbage => ({ location, removedSequence: sequence, dueMs: null })),
      ...[...dropped, ...expired.map((snapshot) => snapshot['manifest-list'])].map((location): Garbage => ({
        location,
        removedSequence: null,
        dueMs: context.now() + context.fileGraceMs,
      })),
    ];
    return {
      metadata,
      metadataLocation,
      snapshotId: changed.snapshotId,
      written: written(),
      // What lies elsewhere may be shared with a table that this one was registered from.
      garbage: garbage.filter(({ location }) => location.startsWith(`${metadata.location}/`)),
      oldestSequence: (metadata.snapshots ?? []).reduce(
        (oldest, snapshot) => (snapshot['sequence-number'] < oldest ? snapshot['sequence-number'] : oldest),
        sequence,
      ),
    };
  } catch (error) {
    context.discard(written());
    throw error;
  }
}

interface Making {
  readonly commitId: string;
  readonly now: number;
  readonly properties: Readonly<Record<string, string>>;
  /** To be put, before anything refers to them. */
  readonly objects: NewObject[];
}

/** A manifest to write: its spec, content and entries. */
interface Draft {
  readonly specId: number;
  readonly content: 'data' | 'deletes';
  readonly entries: readonly ManifestEntry[];
}

async function addSnapshot(
  context: CommitContext,
  base: LoadedTable,
  change: Change,
  making: Making,
): Promise<{
  metadata: TableMetadata;
  snapshotId: bigint;
  removed: string[];
}> {
  const { metadata } = base;
  const parent = currentSnapshot(metadata);
  const snapshotId = newSnapshotId(metadata);
  const sequence = metadata['last-sequence-number'] + 1n;
  const spec = specsOf(metadata);
  const sortOrder = metadata['default-sort-order-id'];
  const added = new Map(
    change.added.map((file) => [
      file.location,
      { specId: file.specId, file: rawDataFile(file, spec(file.specId), sortOrder) },
    ]),
  );
  const head = await context.reader.manifests(parent);
  const targets = await liveTargets(context.reader, base, head, added, change.deletes);
  const rewrite = await takeOut(context.reader, base, head, change, snapshotId);
  const drafts: Draft[] = [
    ...bySpec([...added.values()], 'data', snapshotId, rewrite.dataSequence),
    ...bySpec(
      change.deletes.map((placed) => {
        const files = placed.targets.map((target) => targets.get(target)!);
        const { specId } = files[0]!;
        invariant(
          files.every((file) => file.specId === specId),
          'K2 a delete file is of one spec',
        );
        const { location, rows, bytes } = placed;
        return {
          specId,
          file: rawDeleteFile(
            { location, rows, bytes },
            files.map(({ file }) => file),
          ),
        };
      }),
      'deletes',
      snapshotId,
      null,
    ),
    ...rewrite.drafts,
  ];
  const merged = await mergeManifests(context.reader, rewrite.kept, drafts);
  const manifests: ManifestFile[] = [];
  for (const [i, draft] of merged.drafts.entries()) {
    const bytes = encodeManifest(spec(draft.specId), currentSchema(metadata), draft.content, draft.entries);
    const location = `${metadata.location}/metadata/${making.commitId}-${snapshotId}-m${i}.avro`;
    making.objects.push({ location, bytes });
    manifests.push(
      summarize(spec(draft.specId), draft.content, draft.entries, {
        location,
        bytes: bytes.length,
        snapshotId,
        sequence,
      }),
    );
  }
  const listLocation = `${metadata.location}/metadata/snap-${snapshotId}-1-${making.commitId}.avro`;
  const list = { id: snapshotId, parent: parent === null ? null : parent['snapshot-id'], sequence };
  making.objects.push({
    location: listLocation,
    bytes: encodeManifestList([...manifests, ...merged.kept], list),
  });
  const summary = await snapshotSummary(context.reader, parent, head, {
    data: [...added.values()].map((entry) => entry.file),
    deletes: drafts
      .filter((draft) => draft.content === 'deletes')
      .flatMap((draft) =>
        draft.entries.filter((entry) => entry.status === EntryStatus.added).map((entry) => entry.file),
      ),
    isRewrite: change.removed.size > 0,
    removedData: rewrite.removed.filter((file) => file.content === Content.data),
    removedDeletes: rewrite.removed.filter((file) => file.content !== Content.data),
  });
  const snapshot: Snapshot = {
    'snapshot-id': snapshotId,
    ...(parent === null ? {} : { 'parent-snapshot-id': parent['snapshot-id'] }),
    'sequence-number': sequence,
    'timestamp-ms': making.now,
    'manifest-list': listLocation,
    summary: { ...summary, ...making.properties, 'arka.trigger': change.trigger },
    'schema-id': metadata['current-schema-id'],
  };
  const stillListed = new Set(merged.kept.map((manifest) => manifest.manifest_path));
  return {
    metadata: withSnapshot(metadata, snapshot),
    snapshotId,
    removed: [
      ...rewrite.removed.map((file) => file.file_path),
      ...head.map((manifest) => manifest.manifest_path).filter((path) => !stillListed.has(path)),
    ],
  };
}

interface Target {
  readonly specId: number;
  readonly file: RawFile;
}

function gone(base: LoadedTable, location: string, what: string): SqlError {
  return new SqlError(
    SqlState.serializationFailure,
    `data file "${location}" of table "${base.name}" was removed by another writer while ${what}`,
    {
      detail: `Metadata file "${base.metadataLocation}" does not have it.`,
      hint: 'Refresh the table and find the rows again.',
    },
  );
}

/** K1: the entries of the data files that the deletes are for. */
async function liveTargets(
  reader: TableReader,
  base: LoadedTable,
  head: readonly ManifestFile[],
  added: ReadonlyMap<string, Target>,
  deletes: readonly PlacedDelete[],
): Promise<Map<string, Target>> {
  const targets = new Map<string, Target>();
  const missing = new Set<string>();
  for (const target of deletes.flatMap((placed) => placed.targets)) {
    const own = added.get(target);
    if (own === undefined) missing.add(target);
    else targets.set(target, own);
  }
  for (const manifest of head) {
    if (missing.size === 0) break;
    if (manifest.content !== 0) continue;
    for (const entry of await reader.entries(manifest)) {
      if (entry.status === EntryStatus.deleted || !missing.delete(entry.file.file_path)) continue;
      targets.set(entry.file.file_path, { specId: manifest.partition_spec_id, file: entry.file });
    }
  }
  for (const location of missing) throw gone(base, location, 'rows of it were deleted');
  return targets;
}

/** What leaves the head, with its manifests to be written anew. */
interface TakenOut {
  readonly kept: ManifestFile[];
  readonly drafts: Draft[];
  readonly removed: RawFile[];
  /** The newest data sequence number of the data files that leave: deletes above it are for the rows in their new file, too. */
  readonly dataSequence: bigint | null;
}

/** K1, K2: replaced and dropped data files leave with their delete files, Arka's earlier ones of data files that get new ones, and those named. */
async function takeOut(
  reader: TableReader,
  base: LoadedTable,
  head: readonly ManifestFile[],
  { deletes, removed, dropped, removedDeletes }: Change,
  snapshotId: bigint,
): Promise<TakenOut> {
  const replaced = dropped === undefined ? removed : new Set([...removed, ...dropped]);
  const targets = new Set(deletes.flatMap((placed) => (placed.scope === 'file' ? placed.targets : [])));
  const leaves = ({ status, file }: ManifestEntry): boolean => {
    if (status === EntryStatus.deleted) return false;
    if (file.content === Content.data) return replaced.has(file.file_path);
    if (file.content !== Content.positionDeletes) return false;
    if (isPartitionDeletes(file.file_path) && removedDeletes.has(file.file_path)) return true;
    const target = deleteTarget(file);
    if (target === null) return false;
    return replaced.has(target) || (isFileDeletes(file.file_path) && targets.has(target));
  };
  const kept: ManifestFile[] = [];
  const drafts: Draft[] = [];
  let dataSequence: bigint | null = null;
  const rewrites = removed.size > 0;
  const taken: RawFile[] = [];
  for (const manifest of head) {
    const concerned = replaced.size > 0 || (manifest.content === 1 && targets.size + removedDeletes.size > 0);
    const entries = concerned ? await reader.entries(manifest) : [];
    if (!entries.some(leaves)) {
      // A manifest without live files says nothing to a reader of this snapshot.
      if (manifest.added_files_count + manifest.existing_files_count > 0 || manifest.added_snapshot_id === snapshotId)
        kept.push(manifest);
      continue;
    }
    drafts.push({
      specId: manifest.partition_spec_id,
      content: manifest.content === 0 ? 'data' : 'deletes',
      entries: entries.flatMap((entry): ManifestEntry[] => {
        if (entry.status === EntryStatus.deleted) return [];
        if (!leaves(entry)) return [{ ...entry, status: EntryStatus.existing }];
        taken.push(entry.file);
        if (
          rewrites &&
          entry.file.content === Content.data &&
          (dataSequence === null || (entry.sequence ?? 0n) > dataSequence)
        )
          dataSequence = entry.sequence ?? 0n;
        return [{ ...entry, status: EntryStatus.deleted, snapshotId }];
      }),
    });
  }
  const left = new Set(taken.map((file) => file.file_path));
  for (const location of replaced)
    if (!left.has(location)) throw gone(base, location, rewrites ? 'it was rewritten' : 'its rows were deleted');
  return { kept, drafts, removed: taken, dataSequence };
}

function bySpec(
  files: readonly Target[],
  content: Draft['content'],
  snapshotId: bigint,
  sequence: bigint | null,
): Draft[] {
  const specs = new Map<number, ManifestEntry[]>();
  for (const { specId, file } of files) {
    const entries = specs.get(specId) ?? [];
    entries.push({ status: EntryStatus.added, snapshotId, sequence, fileSequence: null, file });
    specs.set(specId, entries);
  }
  return [...specs].map(([specId, entries]) => ({ specId, content, entries }));
}

/** K3. New drafts of a spec and content first become one; then the largest size class with enough members is joined to it. */
async function mergeManifests(
  reader: TableReader,
  kept: readonly ManifestFile[],
  drafts: readonly Draft[],
): Promise<{ kept: ManifestFile[]; drafts: Draft[] }> {
  const joined = new Map<string, { specId: number; content: Draft['content']; entries: ManifestEntry[] }>();
  for (const draft of drafts) {
    const key = `${draft.content} ${draft.specId}`;
    const one = joined.get(key);
    if (one === undefined) joined.set(key, { ...draft, entries: [...draft.entries] });
    else one.entries.push(...draft.entries);
  }
  const gone = new Set<ManifestFile>();
  for (const draft of joined.values()) {
    const classes = new Map<number, ManifestFile[]>();
    for (const manifest of kept) {
      if (
        manifest.partition_spec_id !== draft.specId ||
        (manifest.content === 0) !== (draft.content === 'data') ||
        manifest.manifest_length >= BigInt(MANIFEST_BYTES_TARGET)
      )
        continue;
      const files = manifest.added_files_count + manifest.existing_files_count;
      const tier = Math.floor(Math.log(Math.max(1, files)) / Math.log(MERGE_COUNT) + 1e-9);
      classes.set(tier, [...(classes.get(tier) ?? []), manifest]);
    }
    const full = [...classes.values()].find((members) => members.length >= MERGE_COUNT - 1);
    for (const manifest of full ?? []) {
      gone.add(manifest);
      for (const entry of await reader.entries(manifest)) {
        if (entry.status !== EntryStatus.deleted) draft.entries.push({ ...entry, status: EntryStatus.existing });
      }
    }
  }
  return { kept: kept.filter((manifest) => !gone.has(manifest)), drafts: [...joined.values()] };
}
