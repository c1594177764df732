/** CREATE, ALTER and DROP ROLE, GRANT, REVOKE and OWNER TO → what they say. */
import type {
  AlterDefaultPrivilegesStmt,
  AlterOwnerStmt,
  AlterRoleStmt,
  AlterTableStmt,
  CreateRoleStmt,
  DropRoleStmt,
  GrantRoleStmt,
  GrantStmt,
  Node,
  RenameStmt,
  RoleSpec,
  VariableSetStmt,
} from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { at, defElemText, stringOf } from './ast.ts';
import type { QualifiedName, Statement } from './plan.ts';
import { planSet } from './settings.ts';
import { checkDatabase, refuseSystemRelation, refuseSystemSchema } from './schema-names.ts';
import type { RightsTarget, RoleName, RoleSettings } from './role-statements.ts';

/** Null: it is none of these. @throws {SqlError} 0A000, 22023, 42601, 42939 */
export function planRole(node: Node): Statement | null {
  if ('CreateRoleStmt' in node) return planCreate(node.CreateRoleStmt);
  if ('AlterRoleStmt' in node) return planAlter(node.AlterRoleStmt);
  if ('DropRoleStmt' in node) return planDrop(node.DropRoleStmt);
  if ('GrantRoleStmt' in node) return planGrantRole(node.GrantRoleStmt);
  if ('GrantStmt' in node) return planGrant(node.GrantStmt);
  if ('AlterRoleSetStmt' in node) {
    const { database = '', role, setstmt } = node.AlterRoleSetStmt;
    const of = role === undefined ? null : roleName(role);
    return settingOf('ALTER ROLE', of, database === '' ? null : database, setstmt);
  }
  if ('AlterDatabaseSetStmt' in node) {
    const { dbname = '', setstmt } = node.AlterDatabaseSetStmt;
    return settingOf('ALTER DATABASE', null, dbname, setstmt);
  }
  if ('AlterDefaultPrivilegesStmt' in node) return planDefaults(node.AlterDefaultPrivilegesStmt);
  if ('ReassignOwnedStmt' in node) {
    const { newrole = {}, roles } = node.ReassignOwnedStmt;
    return { kind: 'reassignOwned', roles: roleNames(roles), to: roleName(newrole) };
  }
  if ('DropOwnedStmt' in node) {
    const { behavior, roles } = node.DropOwnedStmt;
    return { kind: 'dropOwned', roles: roleNames(roles), cascade: behavior === 'DROP_CASCADE' };
  }
  if ('AlterOwnerStmt' in node) return planSchemaOwner(node.AlterOwnerStmt);
  if ('AlterTableStmt' in node) return planTableOwner(node.AlterTableStmt);
  if ('RenameStmt' in node && node.RenameStmt.renameType === 'OBJECT_ROLE') return planRename(node.RenameStmt);
  return null;
}

export function roleName({ roletype, rolename = '' }: RoleSpec): RoleName {
  switch (roletype) {
    case 'ROLESPEC_CURRENT_USER':
    case 'ROLESPEC_CURRENT_ROLE':
      return { kind: 'current' };
    case 'ROLESPEC_SESSION_USER':
      return { kind: 'session' };
    case 'ROLESPEC_PUBLIC':
      return { kind: 'public' };
    default:
      return { kind: 'named', name: rolename };
  }
}

const roleNames = (nodes: readonly Node[] | undefined): RoleName[] =>
  (nodes ?? []).flatMap((node) => ('RoleSpec' in node ? [roleName(node.RoleSpec)] : []));

function refuseReserved(name: string): void {
  if (name === 'public' || name === 'none')
    throw new SqlError(SqlState.reservedName, `role name "${name}" is reserved`);
  if (name.startsWith('pg_'))
    throw new SqlError(SqlState.reservedName, `role name "${name}" is reserved`, {
      detail: 'Role names starting with "pg_" are reserved.',
    });
}

const BOOLEANS: Readonly<Record<string, keyof RoleSettings>> = {
  superuser: 'superuser',
  inherit: 'inherit',
  createrole: 'createRole',
  createdb: 'createDb',
  canlogin: 'login',
  isreplication: 'replication',
  bypassrls: 'bypassRls',
};

interface Options {
  readonly settings: RoleSettings;
  readonly lists: ReadonlyMap<string, readonly RoleName[]>;
}

function optionsOf(nodes: readonly Node[] | undefined): Options {
  const settings: Record<string, unknown> = {};
  const lists = new Map<string, readonly RoleName[]>();
  const seen = new Set<string>();
  for (const node of nodes ?? []) {
    if (!('DefElem' in node)) continue;
    const { arg, defname = '', location } = node.DefElem;
    if (seen.has(defname)) throw new SqlError(SqlState.syntaxError, 'conflicting or redundant options', at(location));
    seen.add(defname);
    const flag = BOOLEANS[defname];
    if (flag !== undefined) settings[flag] = defElemText(arg) === 'true';
    else if (defname === 'password') settings['password'] = arg === undefined ? null : stringOf(arg);
    else if (defname === 'validUntil') settings['validUntil'] = arg === undefined ? null : stringOf(arg);
    else if (defname === 'connectionlimit') settings['connectionLimit'] = limitOf(arg);
    else if (arg !== undefined && 'List' in arg) lists.set(defname, roleNames(arg.List.items));
    else if (defname !== 'sysid') throw notSupported(`option ${defname} of a role`, at(location));
  }
  return { settings, lists };
}

function limitOf(arg: Node | undefined): number {
  const limit = Number(defElemText(arg));
  if (limit < -1) throw new SqlError(SqlState.invalidParameterValue, `invalid connection limit: ${limit}`);
  return limit;
}

function planCreate({ options, role: name = '', stmt_type }: CreateRoleStmt): Statement {
  refuseReserved(name);
  const { lists, settings } = optionsOf(options);
  const login = stmt_type === 'ROLESTMT_USER' ? { login: true } : {};
  return {
    kind: 'createRole',
    name,
    settings: { ...login, ...settings },
    inRoles: lists.get('addroleto') ?? [],
    members: lists.get('rolemembers') ?? [],
    admins: lists.get('adminmembers') ?? [],
  };
}

function planAlter({ action, options, role = {} }: AlterRoleStmt): Statement {
  const { lists, settings } = optionsOf(options);
  const members = lists.get('rolemembers');
  if (members === undefined) return { kind: 'alterRole', role: roleName(role), settings };
  // ALTER GROUP … ADD USER, DROP USER
  return { kind: 'grantRole', isGrant: action !== -1, roles: [role.rolename ?? ''], members, admin: false };
}

function planRename({ newname = '', subname = '' }: RenameStmt): Statement {
  refuseReserved(newname);
  return { kind: 'renameRole', name: subname, newName: newname };
}

function planDrop({ missing_ok, roles }: DropRoleStmt): Statement {
  const names = roleNames(roles).map((role) => {
    if (role.kind === 'named') return role.name;
    throw new SqlError(SqlState.invalidParameterValue, 'cannot use special role specifier in DROP ROLE');
  });
  return { kind: 'dropRole', names, ifExists: missing_ok === true };
}

function planGrantRole({ grantee_roles, granted_roles, grantor, is_grant, opt }: GrantRoleStmt): Statement {
  refuseGrantor(grantor);
  let admin = false;
  for (const node of opt ?? []) {
    if (!('DefElem' in node)) continue;
    const { arg, defname = '', location } = node.DefElem;
    if (defname !== 'admin') throw notSupported(`GRANT role WITH ${defname.toUpperCase()}`, at(location));
    admin = is_grant !== true || defElemText(arg) === 'true';
  }
  const roles = (granted_roles ?? []).map((node) => {
    if (!('AccessPriv' in node)) return '';
    if ((node.AccessPriv.cols ?? []).length > 0)
      throw new SqlError(SqlState.syntaxError, 'column names cannot be included in GRANT/REVOKE ROLE');
    return node.AccessPriv.priv_name ?? '';
  });
  return { kind: 'grantRole', isGrant: is_grant === true, roles, members: roleNames(grantee_roles), admin };
}

function refuseGrantor(grantor: RoleSpec | undefined): void {
  if (grantor !== undefined && roleName(grantor).kind !== 'current')
    throw notSupported('GRANTED BY another than the current user', at(grantor.location));
}

const KINDS: Readonly<Record<string, RightsTarget['kind']>> = {
  OBJECT_TABLE: 'table',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_SCHEMA: 'schema',
  OBJECT_DATABASE: 'database',
};

function planGrant(statement: GrantStmt): Statement {
  const { behavior, grant_option, grantees, grantor, is_grant, objtype = '', privileges, targtype } = statement;
  refuseGrantor(grantor);
  const kind = KINDS[objtype];
  if (kind === undefined)
    throw notSupported(
      `${is_grant === true ? 'GRANT' : 'REVOKE'} on a ${objtype.replace('OBJECT_', '').replaceAll('_', ' ').toLowerCase()}`,
    );
  const objects = statement.objects ?? [];
  const target: RightsTarget =
    targtype === 'ACL_TARGET_ALL_IN_SCHEMA' && (kind === 'table' || kind === 'sequence')
      ? { kind, allIn: objects.map(stringOf) }
      : ({ kind, names: objects.map(objectName) } as RightsTarget);
  return {
    kind: 'grant',
    isGrant: is_grant === true,
    target,
    ...privilegesOf(privileges, kind),
    grantees: roleNames(grantees),
    option: grant_option === true,
    cascade: behavior === 'DROP_CASCADE',
  };
}

/** @throws {SqlError} 0A000 for what no session begins with */
function settingOf(
  tag: 'ALTER ROLE' | 'ALTER DATABASE',
  role: RoleName | null,
  database: string | null,
  set: VariableSetStmt = {},
): Statement {
  const planned = planSet(set);
  if (planned.kind === 'resetAll') return { kind: 'roleSetting', tag, role, database, change: null };
  if (planned.kind !== 'set') throw notSupported(`${tag} … SET TRANSACTION`);
  const { name, value } = planned;
  if (name === 'role' || name === 'session_authorization') throw notSupported(`${tag} … SET ${name}`);
  return { kind: 'roleSetting', tag, role, database, change: { name, value } };
}

const DEFAULT_KINDS: Readonly<Record<string, 'table' | 'sequence' | 'schema'>> = {
  OBJECT_TABLE: 'table',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_SCHEMA: 'schema',
};

/** @throws {SqlError} 0A000, 42601 */
function planDefaults({ action = {}, options }: AlterDefaultPrivilegesStmt): Statement {
  const { behavior, grant_option, grantees, is_grant, objtype = '', privileges } = action;
  const on = DEFAULT_KINDS[objtype];
  if (on === undefined)
    throw notSupported(`ALTER DEFAULT PRIVILEGES of ${objtype.replace('OBJECT_', '').toLowerCase()}s`, {
      hint: 'Leave it out: no role makes any here.',
    });
  const lists = new Map<string, readonly Node[]>();
  for (const node of options ?? []) {
    if (!('DefElem' in node)) continue;
    const { arg, defname = '', location } = node.DefElem;
    if (lists.has(defname)) throw new SqlError(SqlState.syntaxError, 'conflicting or redundant options', at(location));
    lists.set(defname, arg !== undefined && 'List' in arg ? (arg.List.items ?? []) : []);
  }
  return {
    kind: 'defaultRights',
    isGrant: is_grant === true,
    on,
    roles: roleNames(lists.get('roles')),
    schemas: (lists.get('schemas') ?? []).map(stringOf),
    privileges: privilegesOf(privileges, null).privileges,
    grantees: roleNames(grantees),
    option: grant_option === true,
    cascade: behavior === 'DROP_CASCADE',
  };
}

type Privileges = Pick<Extract<Statement, { kind: 'grant' }>, 'privileges' | 'columns'>;

/** @param kind null: defaults for what is to come @throws {SqlError} 0LP01 for columns of what has none */
function privilegesOf(nodes: readonly Node[] | undefined, kind: RightsTarget['kind'] | null): Privileges {
  const privileges: string[] = [];
  const columns: { privilege: string | null; names: readonly string[] }[] = [];
  for (const node of nodes ?? []) {
    if (!('AccessPriv' in node)) continue;
    const { cols = [], priv_name: privilege } = node.AccessPriv;
    if (cols.length > 0) columns.push({ privilege: privilege ?? null, names: cols.map(stringOf) });
    else privileges.push(privilege ?? '');
  }
  if (columns.length > 0 && kind !== 'table')
    throw new SqlError(
      SqlState.invalidGrantOperation,
      kind === null ? 'default privileges cannot be set for columns' : 'column privileges are only valid for relations',
    );
  return { privileges: (nodes ?? []).length === 0 ? null : privileges, columns };
}

function objectName(node: Node): QualifiedName {
  if (!('RangeVar' in node)) return { schema: null, name: stringOf(node) };
  checkDatabase(node.RangeVar);
  const schema = node.RangeVar.schemaname ?? '';
  if (schema !== '') refuseSystemRelation(schema);
  return { schema: schema === '' ? null : schema, name: node.RangeVar.relname ?? '' };
}

function planSchemaOwner({ newowner = {}, object, objectType }: AlterOwnerStmt): Statement | null {
  if (objectType !== 'OBJECT_SCHEMA') return null;
  const name = stringOf(object);
  refuseSystemSchema(name);
  return { kind: 'owner', object: 'schema', name: { schema: null, name }, ifExists: false, owner: roleName(newowner) };
}

const RELATIONS: Readonly<Record<string, 'table' | 'view' | 'sequence'>> = {
  OBJECT_TABLE: 'table',
  OBJECT_VIEW: 'view',
  OBJECT_SEQUENCE: 'sequence',
};

/** ALTER TABLE, ALTER VIEW and ALTER SEQUENCE … OWNER TO, alone; null: another ALTER TABLE. */
function planTableOwner({ cmds = [], missing_ok, objtype, relation = {} }: AlterTableStmt): Statement | null {
  const [first, ...rest] = cmds;
  if (first === undefined || !('AlterTableCmd' in first) || first.AlterTableCmd.subtype !== 'AT_ChangeOwner')
    return null;
  if (rest.length > 0) throw notSupported('OWNER TO beside other actions of ALTER TABLE');
  const object = RELATIONS[objtype ?? ''];
  if (object === undefined) return null;
  return {
    kind: 'owner',
    object,
    name: objectName({ RangeVar: relation }),
    ifExists: missing_ok === true,
    owner: roleName(first.AlterTableCmd.newowner ?? {}),
  };
}
