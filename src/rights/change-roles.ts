/** CREATE, ALTER and DROP ROLE and membership, as changes of the state, with what PostgreSQL 15 asks of whoever makes them. */
import { SqlError, SqlState } from '../errors.ts';
import { defaultsNaming } from './role-defaults.ts';
import {
  FIRST_SUPERUSER,
  type Membership,
  PLAIN_ROLE,
  type Role,
  roleNamed,
  roleOf,
  type RoleState,
  rolesOf,
} from './roles.ts';

/** What a statement says of a role; what it leaves out stays. */
export type RoleOptions = Partial<Omit<Role, 'oid' | 'name'>>;

const denied = (message: string): SqlError => new SqlError(SqlState.insufficientPrivilege, message);

/** @throws {SqlError} 42501, 42710 */
export function createRole(state: RoleState, by: Role, name: string, oid: number, options: RoleOptions): RoleState {
  if (!by.superuser) {
    if (options.superuser === true) throw denied('must be superuser to create superusers');
    if (options.replication === true) throw denied('must be superuser to create replication users');
    if (options.bypassRls === true) throw denied('must be superuser to create bypassrls users');
    if (!by.createRole) throw denied('permission denied to create role');
  }
  if (state.roles.has(name)) throw new SqlError(SqlState.duplicateObject, `role "${name}" already exists`);
  const role: Role = { ...PLAIN_ROLE, ...options, oid, name };
  return { ...state, nextOid: Math.max(state.nextOid, oid + 1), roles: new Map(state.roles).set(name, role) };
}

/** @throws {SqlError} 42501, 42704 */
export function alterRole(state: RoleState, by: Role, name: string, options: RoleOptions): RoleState {
  const role = roleNamed(state, name);
  if (!by.superuser) {
    if (role.superuser || options.superuser !== undefined)
      throw denied('must be superuser to alter superuser roles or change superuser attribute');
    if (role.replication || options.replication !== undefined)
      throw denied('must be superuser to alter replication roles or change replication attribute');
    if (options.bypassRls !== undefined) throw denied('must be superuser to change bypassrls attribute');
    const ownPassword = role.oid === by.oid && Object.keys(options).every((key) => key === 'password');
    if (!by.createRole && !ownPassword) throw denied('permission denied');
  }
  if (role.oid === FIRST_SUPERUSER && (options.superuser === false || options.login === false))
    throw new SqlError(SqlState.featureNotSupported, `role "${name}" is the superuser of the settings and stays one`);
  return { ...state, roles: new Map(state.roles).set(name, { ...role, ...options }) };
}

/** @throws {SqlError} 42501, 42704, 42710, 0A000 */
export function renameRole(state: RoleState, by: Role, session: string, name: string, to: string): RoleState {
  const role = roleNamed(state, name);
  if (name === session) throw new SqlError(SqlState.featureNotSupported, 'session user cannot be renamed');
  if (name === by.name) throw new SqlError(SqlState.featureNotSupported, 'current user cannot be renamed');
  if (state.roles.has(to)) throw new SqlError(SqlState.duplicateObject, `role "${to}" already exists`);
  if (role.superuser && !by.superuser) throw denied('must be superuser to rename superusers');
  if (!by.createRole && !by.superuser) throw denied('permission denied to rename role');
  if (role.oid === FIRST_SUPERUSER)
    throw new SqlError(SqlState.featureNotSupported, `role "${name}" has its name from the settings`);
  const roles = new Map(
    [...state.roles].map(([key, each]) => (key === name ? [to, { ...each, name: to }] : [key, each])),
  );
  return { ...state, roles };
}

/** @param shown what an object that depends on it is called, by its key @throws {SqlError} 42501, 42704, 55006, 2BP01 */
export function dropRole(
  state: RoleState,
  by: Role,
  session: string,
  name: string,
  shown: (key: string) => string | null,
): RoleState {
  if (!by.superuser && !by.createRole) throw denied('permission denied to drop role');
  const role = roleNamed(state, name);
  if (role.oid === by.oid) throw new SqlError(SqlState.objectInUse, 'current user cannot be dropped');
  if (name === session) throw new SqlError(SqlState.objectInUse, 'session user cannot be dropped');
  if (role.superuser && !by.superuser) throw denied('must be superuser to drop superusers');
  if (role.oid === FIRST_SUPERUSER)
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `cannot drop role ${name} because it is required by the database system`,
    );
  const lines: string[] = [];
  const objects = new Map(state.objects);
  for (const [key, { acl, owner }] of state.objects) {
    const owns = owner === role.oid;
    if (!owns && acl?.some(({ grantee, grantor }) => grantee === role.oid || grantor === role.oid) !== true) continue;
    const what = shown(key);
    if (what === null) objects.delete(key); // of something that is gone
    else lines.push(`${owns ? 'owner of' : 'privileges for'} ${what}`);
  }
  lines.push(...defaultsNaming(state, role.oid, (oid) => roleOf(state, oid)?.name ?? String(oid)));
  if (lines.length > 0) {
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `role "${name}" cannot be dropped because some objects depend on it`,
      { detail: lines.join('\n') },
    );
  }
  const roles = new Map(state.roles);
  roles.delete(name);
  const memberships = state.memberships.filter((each) => each.role !== role.oid && each.member !== role.oid);
  const settings = state.settings.filter((each) => each.role !== role.oid);
  return { ...state, settings, roles, memberships, objects };
}

/** Whether somebody may make others members of the role. @throws {SqlError} 42501 */
function refuseAdministration(state: RoleState, by: Role, role: Role): void {
  if (by.superuser) return;
  // A member of a superuser may become one, and so may the member's members.
  for (const oid of rolesOf(state, role.oid, false))
    if (roleOf(state, oid)?.superuser === true) throw denied('must be superuser to alter superusers');
  const own = rolesOf(state, by.oid, false);
  const admin = state.memberships.some((each) => each.role === role.oid && each.admin && own.has(each.member));
  if (!by.createRole && !admin) throw denied(`must have admin option on role "${role.name}"`);
}

export interface MembershipChange {
  readonly role: string;
  readonly member: string;
  /** WITH ADMIN OPTION, ADMIN OPTION FOR. */
  readonly admin: boolean;
}

/** @param notice told of what is so already @throws {SqlError} 42501, 42704, 0LP01 */
export function addMember(
  state: RoleState,
  by: Role,
  { admin, member: memberName, role: name }: MembershipChange,
  notice: (message: string) => void,
): RoleState {
  const role = roleNamed(state, name);
  const member = roleNamed(state, memberName);
  refuseAdministration(state, by, role);
  if (rolesOf(state, role.oid, false).has(member.oid))
    throw new SqlError(SqlState.invalidGrantOperation, `role "${name}" is a member of role "${memberName}"`);
  const index = state.memberships.findIndex((each) => each.role === role.oid && each.member === member.oid);
  const held = state.memberships[index];
  if (held !== undefined && (held.admin || !admin)) {
    notice(`role "${memberName}" is already a member of role "${name}"`);
    return state;
  }
  const made: Membership = { role: role.oid, member: member.oid, admin, grantor: by.oid };
  return { ...state, memberships: index < 0 ? [...state.memberships, made] : state.memberships.with(index, made) };
}

/** @param warning told where there is nothing to do @throws {SqlError} 42501, 42704 */
export function removeMember(
  state: RoleState,
  by: Role,
  { admin, member: memberName, role: name }: MembershipChange,
  warning: (message: string) => void,
): RoleState {
  const role = roleNamed(state, name);
  const member = roleNamed(state, memberName);
  refuseAdministration(state, by, role);
  const index = state.memberships.findIndex((each) => each.role === role.oid && each.member === member.oid);
  const held = state.memberships[index];
  if (held === undefined) {
    warning(`role "${memberName}" is not a member of role "${name}"`);
    return state;
  }
  const memberships = admin
    ? state.memberships.with(index, { ...held, admin: false })
    : state.memberships.toSpliced(index, 1);
  return { ...state, memberships };
}

/** May `oid` take the role on by SET ROLE. */
export const mayBecome = (state: RoleState, oid: number, role: Role): boolean =>
  roleOf(state, oid)?.superuser === true || rolesOf(state, oid, false).has(role.oid);
