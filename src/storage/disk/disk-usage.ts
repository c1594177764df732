/**
 * Bytes of the data directory by what they are for, as far as main does not know them from its own books.
 *
 * - B1 The calls are synchronous, for what they ask is in the kernel's memory: an eighth of the CPU of the same through libuv's
 *   threads, which was 3 % of a core with 200 tables. Others have their turns between folders.
 */
import { readdirSync, statSync, type Dirent } from 'node:fs';
import { join } from 'node:path';

export interface DiskUsage {
  /** Delta files and the flush manifest. */
  readonly deltas: number;
  readonly index: number;
  /** What queries and rewrites have put aside; of cursors main's books say it. */
  readonly spill: number;
  /** Of it, what DuckDB has of queries. */
  readonly queries: number;
  /** Of it, what DuckDB has of the sorts of flushes and rewrites. */
  readonly sorts: number;
  /** The local catalog, and rows of tables that are gone. */
  readonly rest: number;
}

export const NO_USAGE: DiskUsage = { deltas: 0, index: 0, spill: 0, queries: 0, sorts: 0, rest: 0 };

/** Files and folders between two turns of others: about a millisecond. */
const TURN_ENTRIES = 256;

export async function diskUsage(dataDir: string): Promise<DiskUsage> {
  const usage = { ...NO_USAGE };
  await eachFile(join(dataDir, 'disk'), (name, bytes) => {
    if (name.endsWith('.delta') || name.endsWith('.db')) usage.deltas += bytes();
  });
  await eachFile(join(dataDir, 'index'), (_, bytes) => void (usage.index += bytes()));
  const [queries, sorts, cursors] = ['queries', 'chores', 'cursors'].map((part) => join(dataDir, 'tmp', part, '/'));
  await eachFile(join(dataDir, 'tmp'), (_, bytes, path) => {
    if (path.startsWith(cursors!)) return;
    const size = bytes();
    usage.spill += size;
    if (path.startsWith(queries!)) usage.queries += size;
    if (path.startsWith(sorts!)) usage.sorts += size;
  });
  usage.rest = sizeOf(join(dataDir, 'catalog.db'));
  await eachFile(join(dataDir, 'lost'), (_, bytes) => void (usage.rest += bytes()));
  return usage;
}

async function eachFile(dir: string, visit: (name: string, bytes: () => number, path: string) => void): Promise<void> {
  const folders = [dir];
  let entries = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of entriesOf(folder)) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile()) visit(entry.name, () => sizeOf(path), path);
      entries++;
    }
    if (entries < TURN_ENTRIES) continue;
    entries = 0;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

// Files and folders come and go while they are counted.
function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
