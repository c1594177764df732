/**
 * Roles, who is a member of whom, and what each may do: one value that never changes, so that a transaction has its own and
 * a check needs no lock. Objects are named by keys (`tableKey` …), roles by OIDs; OID 0 is PUBLIC.
 *
 * - R1 There is always the role that the settings name, with OID 10: a superuser, and the owner of what says no other.
 * - R2 Passwords are verifiers (`src/scram.ts`): no clear text is kept.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ObjectKind } from './privileges.ts';

export const PUBLIC = 0;
/** PostgreSQL's BOOTSTRAP_SUPERUSERID. */
export const FIRST_SUPERUSER = 10;
export const FIRST_ROLE_OID = 16_384;

export interface Role {
  readonly oid: number;
  readonly name: string;
  readonly superuser: boolean;
  readonly inherit: boolean;
  readonly createRole: boolean;
  readonly createDb: boolean;
  readonly login: boolean;
  readonly replication: boolean;
  readonly bypassRls: boolean;
  /** -1: none. */
  readonly connectionLimit: number;
  /** The text of a verifier; null: nobody can log in by password. */
  readonly password: string | null;
  /** Milliseconds since the epoch; null: for ever. */
  readonly validUntil: number | null;
}

export interface Membership {
  readonly role: number;
  readonly member: number;
  readonly admin: boolean;
  readonly grantor: number;
}

/** What a grantor has given to one grantee: sets of privileges as bits (`privileges.ts`). */
export interface AclItem {
  readonly grantee: number;
  readonly grantor: number;
  readonly privileges: number;
  readonly options: number;
}

export interface ObjectRights {
  readonly owner: number;
  /** Null: what an object of its kind has by default. */
  readonly acl: readonly AclItem[] | null;
}

/** ALTER ROLE … SET and ALTER DATABASE … SET. `role` 0: of all. */
export interface StoredSettings {
  readonly role: number;
  readonly inDatabase: boolean;
  readonly values: readonly (readonly [name: string, value: string])[];
}

/** ALTER DEFAULT PRIVILEGES of what `role` will make; `schema` null: anywhere. */
export interface DefaultRights {
  readonly role: number;
  readonly schema: string | null;
  readonly kind: ObjectKind;
  readonly acl: readonly AclItem[];
}

export interface RoleState {
  /** For the salts of names that nobody has (A2), base64. */
  readonly secret: string;
  readonly nextOid: number;
  readonly roles: ReadonlyMap<string, Role>;
  readonly memberships: readonly Membership[];
  readonly objects: ReadonlyMap<string, ObjectRights>;
  readonly settings: readonly StoredSettings[];
  readonly defaults: readonly DefaultRights[];
}

export const PLAIN_ROLE: Omit<Role, 'oid' | 'name'> = {
  superuser: false,
  inherit: true,
  createRole: false,
  createDb: false,
  login: false,
  replication: false,
  bypassRls: false,
  connectionLimit: -1,
  password: null,
  validUntil: null,
};

export function newState(user: string, secret: string): RoleState {
  const first: Role = {
    ...PLAIN_ROLE,
    oid: FIRST_SUPERUSER,
    name: user,
    superuser: true,
    createRole: true,
    createDb: true,
    login: true,
    replication: true,
    bypassRls: true,
  };
  return {
    secret,
    nextOid: FIRST_ROLE_OID,
    roles: new Map([[user, first]]),
    memberships: [],
    objects: new Map(),
    settings: [],
    defaults: [],
  };
}

/** @throws {SqlError} 42704 */
export function roleNamed(state: RoleState, name: string): Role {
  const role = state.roles.get(name);
  if (role !== undefined) return role;
  throw new SqlError(SqlState.undefinedObject, `role "${name}" does not exist`);
}

export function roleOf(state: RoleState, oid: number): Role | undefined {
  for (const role of state.roles.values()) if (role.oid === oid) return role;
  return undefined;
}

/** The role itself and all that it is a member of, through others. `inherited`: only those whose rights it has without SET ROLE. */
export function rolesOf(state: RoleState, oid: number, inherited: boolean): ReadonlySet<number> {
  const found = new Set([oid]);
  for (const each of found) {
    if (inherited && roleOf(state, each)?.inherit === false) continue;
    for (const { member, role } of state.memberships) if (member === each) found.add(role);
  }
  return found;
}

export function toJson(state: RoleState): string {
  return JSON.stringify({ ...state, roles: [...state.roles.values()], objects: [...state.objects] });
}

const texts = new WeakMap<RoleState, string>();

/** The same, made once a state. */
export function rolesText(state: RoleState): string {
  let text = texts.get(state);
  if (text === undefined) {
    text = toJson(state);
    texts.set(state, text);
  }
  return text;
}

/** Settings and defaults are missing in what an older version has written. */
interface Stored extends Omit<RoleState, 'roles' | 'objects' | 'settings' | 'defaults'> {
  readonly settings?: RoleState['settings'];
  readonly defaults?: RoleState['defaults'];
  readonly roles: readonly Role[];
  readonly objects: readonly (readonly [string, ObjectRights])[];
}

export function fromJson(text: string): RoleState {
  const { defaults = [], objects, roles, settings = [], ...rest } = JSON.parse(text) as Stored;
  return {
    ...rest,
    defaults,
    settings,
    roles: new Map(roles.map((role) => [role.name, role])),
    objects: new Map(objects),
  };
}
