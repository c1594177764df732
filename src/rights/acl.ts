/**
 * Access control lists as PostgreSQL has them (aclupdate, recursive_revoke, select_best_grantor): what a role may do with an
 * object, and what GRANT and REVOKE make of it.
 *
 * - C1 What is granted on by somebody who loses the option to is revoked with it, or the REVOKE fails (2BP01).
 * - C2 A role's rights are its own, those of PUBLIC, and those of the roles it is in and inherits from.
 * - C3 A column has a list of its own beside its relation's, and its owner: who may do something with all may do it with each. What is
 *   revoked of a relation is revoked of its columns.
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
/** Of a table or view, by the column's number. */
export const columnKey = (relation: string, attnum: number): string => `column ${attnum} of ${relation}`;
export const schemaKey = (name: string): string => `schema ${name}`;
export const DATABASE_KEY = 'database';
const PUBLIC_SCHEMA = schemaKey('public');

/** A column's number and its relation's key; null: it is another object's. */
export function columnOf(key: string): { readonly attnum: number; readonly relation: string } | null {
  if (!key.startsWith('column ')) return null;
  const [, attnum, , ...relation] = key.split(' ');
  return { attnum: Number(attnum), relation: relation.join(' ') };
}

/** Columns of which something was said. */
export function columnsOf(state: RoleState, relation: string): { readonly key: string; readonly attnum: number }[] {
  const found: { key: string; attnum: number }[] = [];
  for (const key of state.objects.keys()) {
    const column = columnOf(key);
    if (column?.relation === relation) found.push({ key, attnum: column.attnum });
  }
  return found;
}

export function rightsOf(state: RoleState, key: string): ObjectRights {
  const column = columnOf(key);
  const held = state.objects.get(key);
  if (column !== null) return { owner: rightsOf(state, column.relation).owner, acl: held?.acl ?? null };
  return held ?? { owner: FIRST_SUPERUSER, acl: null };
}

/** The list that an object has of which nothing was said. */
export function defaultAcl(kind: ObjectKind, owner: number, key = ''): readonly AclItem[] {
  if (kind === 'column') return [];
  const ofPublic = key === PUBLIC_SCHEMA ? Privilege.usage : OF_PUBLIC[kind];
  const own = { grantee: owner, grantor: owner, privileges: ALL_OF[kind], options: 0 };
  return ofPublic === 0 ? [own] : [{ grantee: PUBLIC, grantor: owner, privileges: ofPublic, options: 0 }, own];
}

export function aclOf(state: RoleState, kind: ObjectKind, key: string): readonly AclItem[] {
  const { acl, owner } = rightsOf(state, key);
  return acl ?? defaultAcl(kind, owner, key);
}

/** Its own list, and for a column that of its relation before it (C3). */
function heldAcl(state: RoleState, kind: ObjectKind, key: string): readonly AclItem[] {
  const own = aclOf(state, kind, key);
  const column = columnOf(key);
  return column === null ? own : [...aclOf(state, 'table', column.relation), ...own];
}

/** C2, C3; superusers have all. */
export function privilegesOf(state: RoleState, role: Role, kind: ObjectKind, key: string): number {
  if (role.superuser) return ALL_OF[kind];
  const own = rolesOf(state, role.oid, true);
  let found = 0;
  for (const { grantee, privileges } of heldAcl(state, kind, key))
    if (grantee === PUBLIC || own.has(grantee)) found |= privileges;
  return found & ALL_OF[kind];
}

/** Whether a role has all of some rights. */
export function hasAll(state: RoleState, role: Role, kind: ObjectKind, key: string, bits: number): boolean {
  return (privilegesOf(state, role, kind, key) & bits) === bits;
}

export function isOwner(state: RoleState, role: Role, key: string): boolean {
  return role.superuser || rolesOf(state, role.oid, true).has(rightsOf(state, key).owner);
}

/** What a role may do with some column at least. */
export function columnPrivilegesOf(state: RoleState, role: Role, relation: string): number {
  return columnsOf(state, relation).reduce((bits, { key }) => bits | privilegesOf(state, role, 'column', key), 0);
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
  const acl = heldAcl(state, kind, key);
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
  let next = withAcl(state, key, acl);
  if (kind === 'table' && !isGrant)
    for (const { key: column } of columnsOf(state, key)) next = ofColumn(next, role, grant, column);
  return { state: next, warning: warningOf(grant, allowed, all ? allowed : privileges) };
}

/** C3: the same REVOKE. */
function ofColumn(state: RoleState, role: Role, grant: Grant, key: string): RoleState {
  const privileges = grant.privileges & ALL_OF.column;
  return privileges === 0 ? state : changeGrant(state, role, { ...grant, kind: 'column', key, privileges }).state;
}

/** A column of which nothing is said has no list. */
export function withAcl(state: RoleState, key: string, acl: readonly AclItem[]): RoleState {
  const objects = new Map(state.objects);
  if (columnOf(key) !== null && acl.length === 0) objects.delete(key);
  else objects.set(key, { owner: columnOf(key) === null ? rightsOf(state, key).owner : 0, acl });
  return { ...state, objects };
}

function warningOf({ isGrant, kind, name }: Grant, allowed: number, asked: number): Granted['warning'] {
  const code = isGrant ? SqlState.privilegeNotGranted : SqlState.privilegeNotRevoked;
  const what = isGrant ? 'were granted' : 'could be revoked';
  const of = kind === 'column' ? `column ${name}` : `"${name}"`;
  if (allowed === 0) return { code, message: `no privileges ${what} for ${of}` };
  return allowed === asked ? null : { code, message: `not all privileges ${what} for ${of}` };
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
  const moved = (given: readonly AclItem[]): readonly AclItem[] => movedAcl(given, before.owner, owner);
  const acl = before.acl === null ? null : moved(before.acl);
  let next: RoleState = { ...state, objects: new Map(state.objects).set(key, { owner, acl }) };
  for (const { key: column } of columnsOf(state, key))
    next = withAcl(next, column, moved(rightsOf(state, column).acl ?? []));
  return next;
}

function movedAcl(given: readonly AclItem[], from: number, to: number): readonly AclItem[] {
  const moved = (oid: number): number => (oid === from ? to : oid);
  let acl: readonly AclItem[] = [];
  for (const { grantee, grantor, options, privileges } of given)
    acl = withItem(acl, moved(grantee), moved(grantor), (held) => ({
      ...held,
      privileges: held.privileges | privileges,
      options: held.options | options,
    }));
  return acl;
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
  const gone = new Set(keys);
  const objects = new Map(
    [...state.objects].filter(([key]) => !gone.has(key) && !gone.has(columnOf(key)?.relation ?? '')),
  );
  if (objects.size === state.objects.size && !state.defaults.some(isGone)) return state;
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
