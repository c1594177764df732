/**
 * The files of a commit on their way to their places in the warehouse: staged segments and position deletes.
 *
 * A segment of a remote warehouse goes up once, however often its commit is tried, and its local file becomes the cached
 * copy of its object.
 */
import { rm } from 'node:fs/promises';
import { sideBySide } from '../../side-by-side.ts';
import { blockSums } from '../disk/file-sums.ts';
import type { Lake } from './lake.ts';
import type { DeleteFile, Segment } from './lake-api.ts';
import type { CommitContext, PlacedDelete } from './commit.ts';
import { deleteFileLocation } from './delete-names.ts';
import { uuidText } from './metadata.ts';
import { isRemote } from './paths.ts';

type Stores = Pick<Lake, 'store' | 'cache' | 'flush' | 'uploaded'>;

/** Segments of one commit that go up side by side. */
const UPLOADS_MAX = 4;

/** Brings files to their places in the warehouse. What is there already, from an attempt before a crash, is replaced. */
export async function place(
  lake: Stores,
  context: CommitContext,
  segments: readonly Segment[],
  files: readonly DeleteFile[],
  commitId: string,
): Promise<PlacedDelete[]> {
  const { sums } = lake.flush;
  for (const { location, path } of segments)
    if (sums.of(location) === null) sums.note(context.tableUuid, location, await blockSums(path));
  await placeSegments(lake, segments);
  const deletes: PlacedDelete[] = [];
  try {
    for (const [i, { path, targets, scope, rows, bytes }] of files.entries()) {
      const location = deleteFileLocation(targets[0]!, scope, i === 0 ? commitId : uuidText());
      deletes.push({ targets, scope, location, rows, bytes });
      sums.note(context.tableUuid, location, await blockSums(path));
      await lake.store.putFile(location, path);
    }
  } catch (error) {
    context.discard(deletes.map((placed) => placed.location));
    throw error;
  }
  return deletes;
}

async function placeSegment(lake: Stores, { location, path }: Segment): Promise<void> {
  if (lake.cache.pathOf(location) === path) return;
  if (!isRemote(location)) return lake.store.putFile(location, path);
  let sent = lake.uploaded.get(location);
  if (sent === undefined) {
    sent = lake.store.putFile(location, path).then(() => lake.cache.keep(location, path));
    lake.uploaded.set(location, sent);
    sent.catch(() => lake.uploaded.delete(location));
  }
  await sent;
}

/** A few side by side: over a network the way there and back is what takes time. */
export async function placeSegments(lake: Stores, segments: readonly Segment[]): Promise<void> {
  await sideBySide(segments, UPLOADS_MAX, (segment) => placeSegment(lake, segment));
}

/** Takes back what was placed and will not be committed. */
export async function abandon(lake: Stores, locations: readonly string[]): Promise<void> {
  for (const location of locations.filter(isRemote)) {
    lake.uploaded.delete(location);
    await rm(lake.cache.pathOf(location), { force: true });
  }
  lake.flush.forgetSums(locations);
  await lake.store.delete(locations);
}
