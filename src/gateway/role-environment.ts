/** What statements about roles are carried out with, and whom they mean. */
import { SqlError, SqlState } from '../errors.ts';
import type { Relations } from '../ingest/relations.ts';
import type { RoleName } from '../planner/role-statements.ts';
import type { TimeContext } from '../types/datetime-input.ts';
import type { SessionAccess } from './session-access.ts';

export interface RoleEnvironment {
  readonly access: SessionAccess;
  readonly relations: Relations;
  readonly searchPath: readonly string[];
  readonly time: TimeContext;
  readonly notice: (code: string, message: string) => void;
  readonly warning: (code: string, message: string) => void;
}

/** @throws {SqlError} 42704 for PUBLIC, which is no role here */
export function named(access: SessionAccess, role: RoleName): string {
  if (role.kind === 'named') return role.name;
  if (role.kind === 'public') throw new SqlError(SqlState.undefinedObject, 'role "public" does not exist');
  return role.kind === 'current' ? access.currentUser : access.sessionUser;
}
