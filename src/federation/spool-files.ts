/**
 * Rows that cursors have put aside, one file a cursor, in a folder of their own. They are not kept over a start: what a killed
 * process left is removed when the folder is opened.
 */
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { invariant, SqlError, SqlState } from '../errors.ts';

export interface SpoolFiles {
  write(request: { spool: number; offset: number; bytes: Uint8Array }): Promise<void>;
  read(request: { spool: number; offset: number; length: number }): Promise<Uint8Array>;
  /** Removes it; idempotent. */
  close(spool: number): Promise<void>;
  closeAll(): Promise<void>;
}

export async function openSpoolFiles(dir: string): Promise<SpoolFiles> {
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const files = new Map<number, Promise<FileHandle>>();
  const pathOf = (spool: number): string => join(dir, `${spool}.rows`);

  async function close(spool: number): Promise<void> {
    const file = files.get(spool);
    if (file === undefined) return;
    files.delete(spool);
    await (await file).close();
    await rm(pathOf(spool), { force: true });
  }

  return {
    async write({ spool, offset, bytes }) {
      let file = files.get(spool);
      if (file === undefined) files.set(spool, (file = open(pathOf(spool), 'w+')));
      try {
        const { bytesWritten } = await (await file).write(bytes, 0, bytes.length, offset);
        if (bytesWritten < bytes.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      } catch (error) {
        const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
        throw new SqlError(full ? SqlState.diskFull : SqlState.ioError, 'could not put rows of a cursor aside', {
          cause: error,
        });
      }
    },
    async read({ spool, offset, length }) {
      const file = files.get(spool);
      invariant(file !== undefined, 'rows are read from a file that was written');
      const bytes = new Uint8Array(length);
      const { bytesRead } = await (await file).read(bytes, 0, length, offset);
      if (bytesRead !== length) throw new SqlError(SqlState.ioError, 'could not read rows of a cursor back');
      return bytes;
    },
    close,
    async closeAll() {
      await Promise.all([...files.keys()].map(close));
    },
  };
}
