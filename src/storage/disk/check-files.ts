/** Whether files are as they were written (C1, C2 in file-sums.ts); a copy of a remote file that is not is fetched anew. */
import { rm } from 'node:fs/promises';
import { SqlError, SqlState } from '../../errors.ts';
import { sideBySide } from '../../side-by-side.ts';
import type { DamagedFile } from '../iceberg/lake-api.ts';
import { isRemote } from '../iceberg/paths.ts';
import type { FileCache } from './file-cache.ts';
import type { FlushStore } from './flush-store.ts';

const CHECKS_MAX = 4;

interface Stores {
  readonly cache: FileCache;
  readonly flush: FlushStore;
}

export async function checkFiles({ cache, flush }: Stores, paths: readonly string[]): Promise<readonly DamagedFile[]> {
  const checked = await sideBySide(paths, CHECKS_MAX, async (path): Promise<readonly DamagedFile[]> => {
    const location = cache.locationOf(path);
    try {
      await flush.sums.check(path, location);
      return [];
    } catch (error) {
      if (!(error instanceof SqlError) || error.code !== SqlState.dataCorrupted) throw error;
      if (!isRemote(location)) return [{ path, message: error.message, hint: error.fields.hint ?? '' }];
      process.emitWarning(`${error.message}; its copy is fetched anew`, 'ArkaLake');
      await rm(path, { force: true });
      await cache.fetch(path);
      return [];
    }
  });
  return checked.flat();
}
