/**
 * The data directory belongs to one server at a time. The lock is an exclusively locked SQLite file: it dies with the
 * process, however that ends, and works wherever SQLite's locks do. The process id beside it is for the message only.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SqlError, SqlState } from '../../errors.ts';
import { ioError } from '../iceberg/local-store.ts';

/** @throws {SqlError} 55000 when another process has it, 58030 when it cannot be written */
export function lockDataDir(dataDir: string): () => void {
  const pidFile = join(dataDir, 'arka.pid');
  let db: DatabaseSync;
  try {
    mkdirSync(dataDir, { recursive: true });
    db = new DatabaseSync(join(dataDir, 'arka.lock'), { timeout: 0 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SQLITE_ERROR') throw ioError(error, dataDir);
    throw new SqlError(SqlState.ioError, `could not write data directory "${dataDir}": ${(error as Error).message}`, {
      cause: error,
    });
  }
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if ((error as { errcode?: number }).errcode !== 5) {
      throw new SqlError(SqlState.ioError, `could not write data directory "${dataDir}": ${(error as Error).message}`, {
        cause: error,
      });
    }
    throw new SqlError(
      SqlState.objectNotInPrerequisiteState,
      `data directory "${dataDir}" is in use by process ${readPid(pidFile)}`,
      {
        hint: 'Stop that server, or give this one a data directory of its own.',
        cause: error,
      },
    );
  }
  try {
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    db.close();
    throw ioError(error, dataDir);
  }
  return () => db.close();
}

function readPid(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
