/** Carries out what is said of a role's future and of all that it has: ALTER ROLE … SET, ALTER DEFAULT PRIVILEGES, REASSIGN OWNED and DROP OWNED. */
import { SqlError, SqlState } from '../errors.ts';
import type { Relations } from '../ingest/relations.ts';
import type { RoleStatement } from '../planner/role-statements.ts';
import {
  DATABASE_KEY,
  isOwner,
  notOwner,
  rightsOf,
  schemaKey,
  sequenceKey,
  tableKey,
  viewKey,
  withOwner,
} from '../rights/acl.ts';
import { mayBecome } from '../rights/change-roles.ts';
import { ALL_OF, privilegeNamed } from '../rights/privileges.ts';
import { ALL_ROLES, changeDefaults, refuseInSchema, withoutGrantsTo, withSetting } from '../rights/role-defaults.ts';
import { FIRST_SUPERUSER, PUBLIC, type Role, roleNamed } from '../rights/roles.ts';
import type { Definition } from './define.ts';
import { qualified } from './define-view.ts';
import { named, type RoleEnvironment } from './role-environment.ts';
import type { SessionAccess } from './session-access.ts';
import { storedSetting } from './settings.ts';

type Of<K extends RoleStatement['kind']> = Extract<RoleStatement, { kind: K }>;

const denied = (message: string): SqlError => new SqlError(SqlState.insufficientPrivilege, message);

/** @throws {SqlError} 3D000, 42501, 42704, 22023, 55P02 */
export function storeSetting({ access }: RoleEnvironment, statement: Of<'roleSetting'>): string {
  const { change, database, tag } = statement;
  const role = statement.role === null ? null : roleNamed(access.state, named(access, statement.role));
  if (database !== null && database !== 'arka')
    throw new SqlError(SqlState.invalidCatalogName, `database "${database}" does not exist`);
  refuseSetting(access, role, database);
  const value = change?.value ?? null;
  const stored = change === null || value === null ? change : storedSetting(change.name, value);
  const oid = role?.oid ?? ALL_ROLES;
  access.change((state) => withSetting(state, oid, database !== null, stored));
  return tag;
}

function refuseSetting(access: SessionAccess, role: Role | null, database: string | null): void {
  const { role: by, state } = access;
  if (by.superuser) return;
  if (role === null) {
    if (database === null) throw denied('must be superuser to alter settings globally');
    if (!isOwner(state, by, DATABASE_KEY)) throw notOwner('database', database);
  } else if (role.superuser) throw denied('must be superuser to alter superusers');
  else if (!by.createRole && role.oid !== by.oid) throw denied('permission denied');
}

/** @throws {SqlError} 3F000, 42501, 42704, 0LP01, 2BP01 */
export function changeDefaultRights({ access, relations }: RoleEnvironment, statement: Of<'defaultRights'>): string {
  const { cascade, isGrant, on, option, privileges, schemas } = statement;
  refuseInSchema(on, schemas);
  const { role: by } = access;
  const grantees = statement.grantees.map((role) =>
    role.kind === 'public' ? PUBLIC : roleNamed(access.state, named(access, role)).oid,
  );
  const bits =
    privileges === null
      ? ALL_OF[on]
      : privileges.reduce((sum, each) => sum | privilegeNamed(each, on, on === 'table' ? 'relation' : on), 0);
  const roles = statement.roles.map((role) => roleNamed(access.state, named(access, role)));
  for (const role of roles.length === 0 ? [by] : roles) {
    if (!mayBecome(access.state, by.oid, role)) throw denied(`must be member of role "${role.name}"`);
    for (const schema of schemas.length === 0 ? [null] : schemas) {
      if (schema !== null && !relations.hasSchema(schema))
        throw new SqlError(SqlState.invalidSchemaName, `schema "${schema}" does not exist`);
      const change = { isGrant, privileges: bits, grantees, option, cascade, kind: on, role: role.oid, schema };
      access.change((state) => changeDefaults(state, change));
    }
  }
  return 'ALTER DEFAULT PRIVILEGES';
}

/** @throws {SqlError} 42501, 42704, 2BP01 */
export function reassignOwned({ access, relations }: RoleEnvironment, statement: Of<'reassignOwned'>): string {
  const from = statement.roles.map((role) => roleNamed(access.state, named(access, role)));
  for (const role of from) refuseOwned(access, role, 'reassign objects', 'reassign ownership of objects');
  const to = roleNamed(access.state, named(access, statement.to));
  if (!mayUse(access, to)) throw denied('permission denied to reassign objects');
  const owners = new Set(from.map(({ oid }) => oid));
  for (const { key } of objectsOf(relations))
    if (owners.has(rightsOf(access.state, key).owner)) access.change((state) => withOwner(state, key, to.oid));
  return 'REASSIGN OWNED';
}

/** What DROP OWNED drops, in this order. @throws {SqlError} 42501, 42704, 2BP01 */
export function dropsOfOwned(
  { access, relations }: Pick<RoleEnvironment, 'access' | 'relations'>,
  statement: Of<'dropOwned'>,
): Definition[] {
  const from = statement.roles.map((role) => roleNamed(access.state, named(access, role)));
  for (const role of from) refuseOwned(access, role, 'drop objects', 'drop objects');
  const owners = new Set(from.map(({ oid }) => oid));
  const owned = [...objectsOf(relations)].filter(({ key }) => owners.has(rightsOf(access.state, key).owner));
  const namesOf = (kind: Owned['kind']): readonly RelationName[] =>
    owned.flatMap((each) => (each.kind === kind && each.name !== null ? [each.name] : []));
  const { cascade } = statement;
  const [views, tables, sequences] = [namesOf('view'), namesOf('table'), namesOf('sequence')];
  const schemas = namesOf('schema').map(({ schema }) => schema);
  const dropViews = `DROP VIEW ${views.map(qualified).join(', ')} ${cascade ? 'CASCADE' : 'RESTRICT'}`;
  const drop = { ifExists: false, cascade };
  return [
    ...(views.length === 0 ? [] : [{ kind: 'defineView', tag: 'DROP VIEW', sql: dropViews } as const]),
    ...(tables.length === 0 ? [] : [{ kind: 'dropTable', names: tables, ...drop } as const]),
    ...(sequences.length === 0 ? [] : [{ kind: 'dropSequence', names: sequences, ...drop } as const]),
    ...(schemas.length === 0 ? [] : [{ kind: 'dropSchema', names: schemas, ...drop } as const]),
  ];
}

/** When what it owns is dropped. */
export function forgetGrants(access: SessionAccess, statement: Of<'dropOwned'>): void {
  for (const role of statement.roles) {
    const { oid } = roleNamed(access.state, named(access, role));
    access.change((state) => withoutGrantsTo(state, oid));
  }
}

function refuseOwned(access: SessionAccess, role: Role, denial: string, what: string): void {
  if (!mayUse(access, role)) throw denied(`permission denied to ${denial}`);
  if (role.oid === FIRST_SUPERUSER)
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `cannot ${what} owned by role ${role.name} because they are required by the database system`,
    );
}

const mayUse = ({ role, state }: SessionAccess, other: Role): boolean => mayBecome(state, role.oid, other);

interface RelationName {
  readonly schema: string;
  readonly name: string;
}

interface Owned {
  readonly key: string;
  readonly kind: 'view' | 'table' | 'sequence' | 'schema' | 'database';
  /** Null: it is never dropped by itself. */
  readonly name: RelationName | null;
}

function* objectsOf(relations: Relations): Iterable<Owned> {
  for (const view of relations.views) yield { key: viewKey(view.oid), kind: 'view', name: view };
  for (const table of relations.tables)
    yield { key: tableKey(table.def.uuid), kind: 'table', name: relations.definition(table) };
  for (const sequence of relations.sequences) {
    const def = relations.sequenceDefinition(sequence);
    yield { key: sequenceKey(def.oid), kind: 'sequence', name: def.owner === null ? def : null };
  }
  for (const name of relations.schemas) yield { key: schemaKey(name), kind: 'schema', name: { schema: name, name } };
  yield { key: DATABASE_KEY, kind: 'database', name: null };
}
