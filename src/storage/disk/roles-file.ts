/**
 * `DATA_DIR/roles`: roles, passwords' verifiers and rights, as one file that is replaced whole.
 *
 * File = `arka-roles 1 SHA-256 of what follows \n JSON`, readable by its owner alone.
 * - F1 After a crash it is the last one whose writing was answered, or the next. A damaged one is XX001 that names it: who
 *   may do what is not guessed.
 */
import { createHash } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { SqlError, SqlState } from '../../errors.ts';
import { ioError, syncFolder } from '../iceberg/local-store.ts';

const HEAD = 'arka-roles 1 ';
const OWNER_ONLY = 0o600;

const pathIn = (dataDir: string): string => join(dataDir, 'roles');
/** Of a text as the file has it. */
export const rolesSum = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Null: there is none yet. @throws {SqlError} XX001, 58030 */
export async function readRoles(dataDir: string): Promise<string | null> {
  const path = pathIn(dataDir);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw ioError(error, path);
  }
  const end = text.indexOf('\n');
  const body = text.slice(end + 1);
  if (end > 0 && text.slice(0, end) === HEAD + rolesSum(body)) return body;
  throw new SqlError(SqlState.dataCorrupted, `file "${path}" is damaged: its checksum does not fit`, {
    hint: 'Restore it from a backup; without the file the server starts with the superuser of its settings alone.',
  });
}

/** @throws {SqlError} 53100, 58030: then the file before is there */
export async function writeRoles(dataDir: string, text: string): Promise<void> {
  const path = pathIn(dataDir);
  const temporary = `${path}.tmp`;
  try {
    await using file = await open(temporary, 'w', OWNER_ONLY);
    await file.writeFile(`${HEAD}${rolesSum(text)}\n${text}`);
    await file.sync();
    await rename(temporary, path);
    await syncFolder(dataDir);
  } catch (error) {
    throw ioError(error, path);
  }
}
