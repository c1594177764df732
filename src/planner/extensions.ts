/** CREATE and DROP EXTENSION: schemas of applications begin with them. There is plpgsql, as everywhere, and Arka's own; no other can be had. */
import type { CreateExtensionStmt, DropStmt } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { stringOf } from './ast.ts';
import type { Statement } from './plan.ts';

const THERE: ReadonlySet<string> = new Set(['plpgsql', 'arka']);

/** Functions of theirs that PostgreSQL has by itself. */
const INSTEAD: Readonly<Record<string, string>> = {
  'uuid-ossp': 'gen_random_uuid() needs no extension.',
  pgcrypto: 'gen_random_uuid(), sha256() and md5() need no extension.',
};

/** @throws {SqlError} 42710; 0A000 for what is not there, as PostgreSQL */
export function planCreateExtension({ extname = '', if_not_exists: ifNotExists }: CreateExtensionStmt): Statement {
  if (!THERE.has(extname)) {
    const hint = INSTEAD[extname];
    const message = `extension "${extname}" is not available`;
    throw new SqlError(SqlState.featureNotSupported, message, hint === undefined ? {} : { hint });
  }
  const message = `extension "${extname}" already exists`;
  if (ifNotExists !== true) throw new SqlError(SqlState.duplicateObject, message);
  const notice = { code: SqlState.duplicateObject, message: `${message}, skipping` };
  return { kind: 'accepted', tag: 'CREATE EXTENSION', notices: [notice] };
}

/** @throws {SqlError} 42704; 0A000 for those that are there */
export function planDropExtension({ objects = [], missing_ok: ifExists }: DropStmt): Statement {
  const notices = objects.map(stringOf).map((name) => {
    if (THERE.has(name)) throw notSupported(`DROP EXTENSION ${name}`);
    const message = `extension "${name}" does not exist`;
    if (ifExists !== true) throw new SqlError(SqlState.undefinedObject, message);
    return { code: '00000', message: `${message}, skipping` };
  });
  return { kind: 'accepted', tag: 'DROP EXTENSION', notices };
}
