/** Bytes of the data directory by what they are for, as far as main does not know them from its own books. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface DiskUsage {
  /** Delta files and the flush manifest. */
  readonly deltas: number;
  readonly index: number;
  /** What queries, rewrites and cursors have put aside. */
  readonly spill: number;
  /** Of it, what DuckDB has of queries. */
  readonly queries: number;
}

export async function diskUsage(dataDir: string): Promise<DiskUsage> {
  const [disk, index, spill, queries] = await Promise.all(
    ['disk', 'index', 'tmp', 'tmp/queries'].map((name) =>
      bytesIn(join(dataDir, name), name === 'disk' ? /\.(delta|db)$/ : /./),
    ),
  );
  return { deltas: disk!, index: index!, spill: spill!, queries: queries! };
}

async function bytesIn(dir: string, name: RegExp): Promise<number> {
  let entries;
  try {
    entries = await readdir(dir, { recursive: true, withFileTypes: true });
  } catch {
    return 0; // not there yet
  }
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile() || !name.test(entry.name)) continue;
    // files come and go while they are counted
    bytes += await stat(join(entry.parentPath, entry.name)).then(
      (info) => info.size,
      () => 0,
    );
  }
  return bytes;
}
