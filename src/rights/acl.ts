/**
 * Access control lists as PostgreSQL has them (aclupdate, recursive_revoke, select_best_grantor): what a role may do with an
 * object, and what GRANT and REVOKE make of it.
 *
 * - C1 What is granted on by somebody who loses the option to is revoked with it, or the REVOKE fails (2BP01).
 * - C2 A role's rights are its own, those of PUBLIC, and those of the roles it is in and inherits from.
 */
import { SqlError, SqlState } from '../errors.ts';
import { ALL_OF, OF_PUBLIC, type ObjectKind, Privilege } from './privileges.ts';
import {
  type AclItem,
  type DefaultRights,
  FIRST_SUPERUSER,
  type ObjectRights,
  PUBLIC,
  type Role,
  roleOf,
  type RoleState,
  rolesOf,
} from './roles.ts';

export const tableKey = (uuid: string): string => `table ${uuid}`;
export const sequenceKey = (oid: number): string => `sequence ${oid}`;
export const viewKey = (oid: number): string => `view ${oid}`;
export const schemaKey = (name: string): string => `schema ${name}`;
export const DATABASE_KEY = 'database';
const PUBLIC_SCHEMA = schemaKey('public');

export function rightsOf(state: RoleState, key: string): ObjectRights {
  return state.objects.get(key) ?? { owner: FIRST_SUPERUSER, acl: null };
}

/** The list that an object has of which nothing was said. */
export function defaultAcl(kind: ObjectKind, owner: number, key = ''): readonly AclItem[] {
  const ofPublic = key === PUBLIC_SCHEMA ? Privilege.usage : OF_PUBLIC[kind];
  const own = { grantee: owner, grantor: owner, privileges: ALL_OF[kind], options: 0 };
  return ofPublic === 0 ? [own] : [{ grantee: PUBLIC, grantor: owner, privileges: ofPublic, options: 0 }, own];
}

export function aclOf(state: RoleState, kind: ObjectKind, key: string): readonly AclItem[] {
  const { acl, owner } = rightsOf(state, key);
  return acl ?? defaultAcl(kind, owner, key);
}

/** C2; superusers have all. */
export function privilegesOf(state: RoleState, role: Role, kind: ObjectKind, key: string): number {
  if (role.superuser) return ALL_OF[kind];
  const own = rolesOf(state, role.oid, true);
  let found = 0;
  for (const { grantee, privileges } of aclOf(state, kind, key))
    if (grantee === PUBLIC || own.has(grantee)) found |= privileges;
  return found;
}

/** Whether a role has all of some rights. */
export function hasAll(state: RoleState, role: Role, kind: ObjectKind, key: string, bits: number): boolean {
  return (privilegesOf(state, role, kind, key) & bits) === bits;
}

export function isOwner(state: RoleState, role: Role, key: string): boolean {
  return role.superuser || rolesOf(state, role.oid, true).has(rightsOf(state, key).owner);
}

/** Options of one role, of all that granted it some; the owner has them all. */
function optionsOf(acl: readonly AclItem[], kind: ObjectKind, owner: number, oid: number): number {
  let found = oid === owner ? ALL_OF[kind] : 0;
  for (const { grantee, options } of acl) if (grantee === oid) found |= options;
  return found;
}

/** Who grants, and what of it he may. */
function bestGrantor(
  state: RoleState,
  role: Role,
  kind: ObjectKind,
  key: string,
  wanted: number,
): { readonly grantor: number; readonly options: number } {
  const { owner } = rightsOf(state, key);
  const own = rolesOf(state, role.oid, true);
  if (role.superuser || own.has(owner)) return { grantor: owner, options: ALL_OF[kind] };
  const acl = aclOf(state, kind, key);
  const count = (bits: number): number => bits.toString(2).replaceAll('0', '').length;
  let best = { grantor: role.oid, options: 0 };
  for (const oid of own) {
    const options = optionsOf(acl, kind, owner, oid) & wanted;
    if (count(options) > count(best.options)) best = { grantor: oid, options };
  }
  return best;
}

export interface Grant {
  readonly kind: ObjectKind;
  readonly key: string;
  /** For messages. */
  readonly name: string;
  readonly isGrant: boolean;
  readonly privileges: number;
  /** ALL PRIVILEGES. */
  readonly all: boolean;
  readonly grantees: readonly number[];
  /** WITH GRANT OPTION, GRANT OPTION FOR. */
  readonly option: boolean;
  readonly cascade: boolean;
}

export interface Granted {
  readonly state: RoleState;
  readonly warning: { readonly code: string; readonly message: string } | null;
}

/** @throws {SqlError} 42501, 0LP01, 2BP01 */
export function changeGrant(state: RoleState, role: Role, grant: Grant): Granted {
  const { all, cascade, grantees, isGrant, key, kind, name, option, privileges } = grant;
  const { owner } = rightsOf(state, key);
  const { grantor, options } = bestGrantor(state, role, kind, key, privileges);
  if (options === 0 && privilegesOf(state, role, kind, key) === 0) throw denied(kind, name);
  const allowed = privileges & options;
  let acl = aclOf(state, kind, key);
  for (const grantee of grantees) {
    if (isGrant) acl = granted({ acl, kind, owner }, grantee, grantor, allowed, option);
    else acl = revoked({ acl, kind, owner }, grantee, grantor, allowed, option, cascade);
  }
  const objects = new Map(state.objects).set(key, { owner, acl });
  return { state: { ...state, objects }, warning: warningOf(isGrant, name, allowed, all ? allowed : privileges) };
}

function warningOf(isGrant: boolean, name: string, allowed: number, asked: number): Granted['warning'] {
  const code = isGrant ? SqlState.privilegeNotGranted : SqlState.privilegeNotRevoked;
  const what = isGrant ? 'were granted' : 'could be revoked';
  if (allowed === 0) return { code, message: `no privileges ${what} for "${name}"` };
  return allowed === asked ? null : { code, message: `not all privileges ${what} for "${name}"` };
}

interface List {
  readonly acl: readonly AclItem[];
  readonly kind: ObjectKind;
  readonly owner: number;
}

export function granted(
  list: List,
  grantee: number,
  grantor: number,
  privileges: number,
  option: boolean,
): readonly AclItem[] {
  if (option) {
    if (grantee === PUBLIC)
      throw new SqlError(SqlState.invalidGrantOperation, 'grant options can only be granted to roles');
    refuseCircle(list, grantee, grantor, privileges);
  }
  return withItem(list.acl, grantee, grantor, (item) => ({
    ...item,
    privileges: item.privileges | privileges,
    options: option ? item.options | privileges : item.options,
  }));
}

/** Whoever grants an option must have it without the grantee's help. @throws {SqlError} 0LP01 */
function refuseCircle(list: List, grantee: number, grantor: number, options: number): void {
  const { acl, kind, owner } = list;
  if (grantor === owner || grantee === owner) return;
  let without = acl;
  for (const item of acl)
    if (item.grantee === grantee)
      without = revoked({ acl: without, kind, owner }, grantee, item.grantor, ALL_OF[kind], true, true);
  if ((optionsOf(without, kind, owner, grantor) & options) !== options)
    throw new SqlError(SqlState.invalidGrantOperation, 'grant options cannot be granted back to your own grantor');
}

export function revoked(
  { acl, kind, owner }: List,
  grantee: number,
  grantor: number,
  privileges: number,
  optionOnly: boolean,
  cascade: boolean,
): readonly AclItem[] {
  const before = optionsOf(acl, kind, owner, grantee);
  let next = withItem(acl, grantee, grantor, (item) => ({
    ...item,
    privileges: optionOnly ? item.privileges : item.privileges & ~privileges,
    options: item.options & ~privileges,
  }));
  // C1
  const lost = before & ~optionsOf(next, kind, owner, grantee);
  if (lost === 0 || grantee === PUBLIC) return next;
  for (const item of next.filter((each) => each.grantor === grantee && (each.privileges & lost) !== 0)) {
    if (!cascade) {
      throw new SqlError(SqlState.dependentObjectsStillExist, 'dependent privileges exist', {
        hint: 'Use CASCADE to revoke them too.',
      });
    }
    next = revoked({ acl: next, kind, owner }, item.grantee, grantee, lost, false, true);
  }
  return next;
}

export function withItem(
  acl: readonly AclItem[],
  grantee: number,
  grantor: number,
  change: (item: AclItem) => AclItem,
): readonly AclItem[] {
  const index = acl.findIndex((item) => item.grantee === grantee && item.grantor === grantor);
  const item = change(acl[index] ?? { grantee, grantor, privileges: 0, options: 0 });
  const rest = index < 0 ? [...acl, item] : acl.with(index, item);
  return rest.filter(({ options, privileges }) => (privileges | options) !== 0);
}

/** Another owner: what the old one had and gave is the new one's. */
export function withOwner(state: RoleState, key: string, owner: number): RoleState {
  const before = rightsOf(state, key);
  const moved = (oid: number): number => (oid === before.owner ? owner : oid);
  let acl: readonly AclItem[] | null = null;
  for (const item of before.acl ?? []) {
    const { options, privileges } = item;
    acl = withItem(acl ?? [], moved(item.grantee), moved(item.grantor), (held) => ({
      ...held,
      privileges: held.privileges | privileges,
      options: held.options | options,
    }));
  }
  return {
    ...state,
    objects: new Map(state.objects).set(key, { owner, acl: before.acl === null ? null : (acl ?? []) }),
  };
}

/** A schema by its new name. */
export function withRenamed(state: RoleState, name: string, to: string): RoleState {
  const held = state.objects.get(schemaKey(name));
  const objects = new Map(state.objects);
  objects.delete(schemaKey(name));
  if (held !== undefined) objects.set(schemaKey(to), held);
  const defaults = state.defaults.map((each) => (each.schema === name ? { ...each, schema: to } : each));
  return { ...state, objects, defaults };
}

/** What is gone has no rights. */
export function withoutObjects(state: RoleState, keys: readonly string[]): RoleState {
  const isGone = ({ schema }: DefaultRights): boolean => schema !== null && keys.includes(schemaKey(schema));
  if (!keys.some((key) => state.objects.has(key)) && !state.defaults.some(isGone)) return state;
  const objects = new Map(state.objects);
  for (const key of keys) objects.delete(key);
  return { ...state, objects, defaults: state.defaults.filter((each) => !isGone(each)) };
}

export function denied(kind: ObjectKind, name: string): SqlError {
  return new SqlError(SqlState.insufficientPrivilege, `permission denied for ${kind} ${name}`);
}

export function notOwner(what: string, name: string): SqlError {
  return new SqlError(SqlState.insufficientPrivilege, `must be owner of ${what} ${name}`);
}

/** The name of a role that an object's rights speak of. */
export const nameOfRole = (state: RoleState, oid: number): string => roleOf(state, oid)?.name ?? String(oid);
