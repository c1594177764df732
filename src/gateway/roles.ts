/** Carries statements about roles and rights out: names become OIDs, passwords verifiers, objects keys; changes are the transaction's (P1). */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { along, ownedBy, type Relations } from '../ingest/relations.ts';
import type { QualifiedName, Statement } from '../planner/plan.ts';
import type { RightsTarget, RoleSettings, RoleStatement } from '../planner/role-statements.ts';
import {
  changeGrant,
  columnKey,
  columnOf,
  DATABASE_KEY,
  type Grant,
  hasAll,
  isOwner,
  notOwner,
  rightsOf,
  schemaKey,
  sequenceKey,
  tableKey,
  viewKey,
  withOwner,
} from '../rights/acl.ts';
import {
  addMember,
  alterRole,
  createRole,
  dropRole,
  mayBecome,
  removeMember,
  renameRole,
  type RoleOptions,
} from '../rights/change-roles.ts';
import { ALL_OF, type ObjectKind, Privilege, privilegeNamed } from '../rights/privileges.ts';
import { passwordText } from '../rights/rights.ts';
import { PUBLIC, type Role, roleNamed, type RoleState } from '../rights/roles.ts';
import { undefinedRelation } from './define.ts';
import { permitSchema } from './permission.ts';
import { named, type RoleEnvironment } from './role-environment.ts';
import { changeDefaultRights, reassignOwned, storeSetting } from './role-defaults.ts';
import { fixedTime } from './role-times.ts';
import type { SessionAccess } from './session-access.ts';

const KINDS: ReadonlySet<string> = new Set<RoleStatement['kind']>([
  'createRole',
  'alterRole',
  'renameRole',
  'dropRole',
  'grantRole',
  'grant',
  'owner',
  'roleSetting',
  'defaultRights',
  'reassignOwned',
]);

export const isAboutRoles = (statement: Statement): statement is Exclude<RoleStatement, { kind: 'dropOwned' }> =>
  KINDS.has(statement.kind);

/** The command tag. @throws {SqlError} PostgreSQL's codes */
export async function carryOutRole(
  environment: RoleEnvironment,
  statement: Exclude<RoleStatement, { kind: 'dropOwned' }>,
): Promise<string> {
  const { access } = environment;
  switch (statement.kind) {
    case 'createRole':
      await create(environment, statement);
      return 'CREATE ROLE';
    case 'alterRole': {
      const options = await optionsOf(environment, statement.settings);
      const by = access.role;
      const name = named(access, statement.role);
      access.change((state) => alterRole(state, by, name, options));
      return 'ALTER ROLE';
    }
    case 'renameRole': {
      const by = access.role;
      const session = access.sessionUser;
      access.change((state) => renameRole(state, by, session, statement.name, statement.newName));
      return 'ALTER ROLE';
    }
    case 'dropRole':
      drop(environment, statement.names, statement.ifExists);
      return 'DROP ROLE';
    case 'grantRole':
      grantRoles(environment, statement);
      return statement.isGrant ? 'GRANT ROLE' : 'REVOKE ROLE';
    case 'grant':
      grant(environment, statement);
      return statement.isGrant ? 'GRANT' : 'REVOKE';
    case 'roleSetting':
      return storeSetting(environment, statement);
    case 'defaultRights':
      return changeDefaultRights(environment, statement);
    case 'reassignOwned':
      return reassignOwned(environment, statement);
    default:
      return changeOwner(environment, statement);
  }
}

/** @throws {SqlError} 22007, 42501 */
async function optionsOf({ time }: RoleEnvironment, settings: RoleSettings): Promise<RoleOptions> {
  const { password, validUntil, ...rest } = settings;
  const options: { -readonly [K in keyof RoleOptions]: RoleOptions[K] } = { ...rest };
  if (validUntil !== undefined) options.validUntil = validUntil === null ? null : fixedTime(validUntil, time);
  if (password !== undefined)
    options.password = password === null || password === '' ? null : await passwordText(password);
  return options;
}

async function create(
  environment: RoleEnvironment,
  { admins, inRoles, members, name, settings }: Extract<RoleStatement, { kind: 'createRole' }>,
): Promise<void> {
  const { access } = environment;
  const by = access.role;
  const options = await optionsOf(environment, settings);
  const oid = access.takeOid();
  const changes: ((state: RoleState) => RoleState)[] = [(state) => createRole(state, by, name, oid, options)];
  const joins = (role: string, member: string, admin: boolean): void => {
    changes.push((state) => addMember(state, by, { role, member, admin }, () => {}));
  };
  for (const role of inRoles) joins(named(access, role), name, false);
  for (const member of members) joins(name, named(access, member), false);
  for (const member of admins) joins(name, named(access, member), true);
  access.change((state) => changes.reduce((before, change) => change(before), state));
}

function drop({ access, notice, relations }: RoleEnvironment, names: readonly string[], ifExists: boolean): void {
  const by = access.role;
  const session = access.sessionUser;
  const shown = (key: string): string | null => shownObject(relations, key);
  for (const name of names) {
    if (ifExists && (by.superuser || by.createRole) && !access.state.roles.has(name)) {
      notice('00000', `role "${name}" does not exist, skipping`);
      continue;
    }
    access.change((state) => dropRole(state, by, session, name, shown));
  }
}

function grantRoles(
  { access, notice, warning }: RoleEnvironment,
  { admin, isGrant, members, roles }: Extract<RoleStatement, { kind: 'grantRole' }>,
): void {
  const by = access.role;
  for (const role of roles) {
    for (const member of members.map((each) => named(access, each))) {
      const change = { role, member, admin };
      // said once, not again at COMMIT
      if (isGrant) addMember(access.state, by, change, (message) => notice('00000', message));
      else removeMember(access.state, by, change, (message) => warning(SqlState.warning, message));
      access.change((state) =>
        isGrant ? addMember(state, by, change, () => {}) : removeMember(state, by, change, () => {}),
      );
    }
  }
}

interface Target {
  readonly kind: ObjectKind;
  readonly isView?: boolean;
  /** Of one that was named. */
  readonly tableUuid?: string;
  readonly key: string;
  readonly name: string;
}

function grant(environment: RoleEnvironment, statement: Extract<RoleStatement, { kind: 'grant' }>): void {
  const { access, warning } = environment;
  const { cascade, isGrant, option, privileges } = statement;
  const grantees = statement.grantees.map((role) =>
    role.kind === 'public' ? PUBLIC : roleNamed(access.state, named(access, role)).oid,
  );
  const by = access.role;
  const carryOut = (change: Grant): void => {
    const said = changeGrant(access.state, by, change).warning;
    access.change((state) => changeGrant(state, by, change).state);
    if (said !== null) warning(said.code, said.message);
  };
  const rest = { isGrant, grantees, option, cascade };
  for (const target of targetsOf(environment, statement.target)) {
    const { key, kind, name } = target;
    const bits =
      privileges === null ? ALL_OF[kind] : privileges.reduce((sum, each) => sum | privilegeNamed(each, kind), 0);
    if (privileges === null || privileges.length > 0)
      carryOut({ ...rest, kind, key, name, privileges: bits, all: privileges === null });
    for (const [{ attnum, name: column }, ofColumn] of columnsGiven(environment.relations, target, statement.columns)) {
      const called = `"${column}" of relation "${name}"`;
      carryOut({
        ...rest,
        kind: 'column',
        key: columnKey(key, attnum),
        name: called,
        privileges: ofColumn,
        all: false,
      });
    }
  }
}

interface Column {
  readonly attnum: number;
  readonly name: string;
}

/** Columns of a table or view that a GRANT names, and what it says of them. @throws {SqlError} 42703, 0LP01, 0A000 */
function columnsGiven(
  relations: Relations,
  { key, kind, name: of }: Target,
  given: Extract<RoleStatement, { kind: 'grant' }>['columns'],
): ReadonlyMap<Column, number> {
  const found = new Map<Column, number>();
  if (given.length === 0) return found;
  if (kind !== 'table') throw notSupported('GRANT and REVOKE of a sequence’s columns');
  const all = columnsOfRelation(relations, key);
  for (const { names, privilege } of given) {
    const bits = privilege === null ? ALL_OF.column : privilegeNamed(privilege, 'column');
    for (const name of names) {
      const column = all.find((each) => each.name === name);
      if (column === undefined)
        throw new SqlError(SqlState.undefinedColumn, `column "${name}" of relation "${of}" does not exist`);
      found.set(column, (found.get(column) ?? 0) | bits);
    }
  }
  return found;
}

function columnsOfRelation(relations: Relations, key: string): readonly Column[] {
  for (const table of relations.tables)
    if (tableKey(table.def.uuid) === key) return relations.definition(table).columns;
  for (const view of relations.views)
    if (viewKey(view.oid) === key) return view.columns.map(({ name }, i) => ({ attnum: i + 1, name }));
  return [];
}

/** @throws {SqlError} 3D000, 3F000, 42P01, 42501 */
function targetsOf({ access, relations, searchPath }: RoleEnvironment, target: RightsTarget): readonly Target[] {
  if ('allIn' in target) {
    return target.allIn.flatMap((schema) => {
      if (!relations.hasSchema(schema))
        throw new SqlError(SqlState.invalidSchemaName, `schema "${schema}" does not exist`);
      if (!access.superuser) permitSchema(access, schema, Privilege.usage);
      return target.kind === 'table' ? tablesIn(relations, schema) : sequencesIn(relations, schema);
    });
  }
  return target.names.map((each): Target => {
    const { name, schema } = each;
    switch (target.kind) {
      case 'schema':
        if (!relations.hasSchema(name))
          throw new SqlError(SqlState.invalidSchemaName, `schema "${name}" does not exist`);
        return { kind: 'schema', key: schemaKey(name), name };
      case 'database':
        if (name !== 'arka') throw new SqlError(SqlState.invalidCatalogName, `database "${name}" does not exist`);
        return { kind: 'database', key: DATABASE_KEY, name };
      default: {
        const found = relationTarget(relations, searchPath, each);
        if (found === null || (target.kind === 'sequence' && found.kind === 'table')) throw missing(each, found);
        if (schema !== null && !access.superuser) permitSchema(access, schema, Privilege.usage);
        return found;
      }
    }
  });
}

function missing(named: QualifiedName, found: Target | null): SqlError {
  if (found !== null) return new SqlError(SqlState.wrongObjectType, `"${named.name}" is not a sequence`);
  return undefinedRelation(named);
}

function relationTarget(
  relations: Relations,
  searchPath: readonly string[],
  { name, schema }: QualifiedName,
): Target | null {
  const found = along(searchPath, schema, (each): Target | undefined => {
    const table = relations.table(each, name);
    if (table !== undefined) return { kind: 'table', tableUuid: table.def.uuid, key: tableKey(table.def.uuid), name };
    const view = relations.view(each, name);
    if (view !== undefined) return { kind: 'table', isView: true, key: viewKey(view.oid), name };
    const sequence = relations.sequence(each, name);
    return sequence === undefined ? undefined : { kind: 'sequence', key: sequenceKey(sequence.def.oid), name };
  });
  return found ?? null;
}

function tablesIn(relations: Relations, schema: string): Target[] {
  const views = [...relations.views].flatMap((view): Target[] =>
    view.schema === schema ? [{ kind: 'table', isView: true, key: viewKey(view.oid), name: view.name }] : [],
  );
  const tables = [...relations.tables].flatMap((table): Target[] => {
    const def = relations.definition(table);
    return def.schema === schema ? [{ kind: 'table', key: tableKey(def.uuid), name: def.name }] : [];
  });
  return [...tables, ...views];
}

function sequencesIn(relations: Relations, schema: string): Target[] {
  return [...relations.sequences].flatMap((sequence): Target[] => {
    const def = relations.sequenceDefinition(sequence);
    return def.schema === schema ? [{ kind: 'sequence', key: sequenceKey(def.oid), name: def.name }] : [];
  });
}

/** What an object is called in a message; null: it is gone. */
function shownObject(relations: Relations, key: string): string | null {
  if (key === DATABASE_KEY) return 'database arka';
  const column = columnOf(key);
  if (column !== null) {
    const of = shownObject(relations, column.relation);
    const found = columnsOfRelation(relations, column.relation).find(({ attnum }) => attnum === column.attnum);
    return of === null || found === undefined ? null : `column ${found.name} of ${of}`;
  }
  const named = ({ name, schema }: { readonly name: string; readonly schema: string }): string =>
    schema === 'public' ? name : `${schema}.${name}`;
  for (const schema of relations.schemas) if (schemaKey(schema) === key) return `schema ${schema}`;
  for (const table of relations.tables) {
    const def = relations.definition(table);
    if (tableKey(def.uuid) === key) return `table ${named(def)}`;
  }
  for (const view of relations.views) if (viewKey(view.oid) === key) return `view ${named(view)}`;
  for (const sequence of relations.sequences)
    if (sequenceKey(sequence.def.oid) === key) return `sequence ${named(relations.sequenceDefinition(sequence))}`;
  return null;
}

function changeOwner(
  environment: RoleEnvironment,
  { ifExists, name, object, owner }: Extract<RoleStatement, { kind: 'owner' }>,
): string {
  const { access, notice, relations, searchPath } = environment;
  const tag = `ALTER ${object.toUpperCase()}`;
  const to = roleNamed(access.state, named(access, owner));
  if (object === 'schema') {
    if (!relations.hasSchema(name.name))
      throw new SqlError(SqlState.invalidSchemaName, `schema "${name.name}" does not exist`);
    refuseOwner(access, { kind: 'schema', key: schemaKey(name.name), name: name.name }, to);
    access.change((state) => withOwner(state, schemaKey(name.name), to.oid));
    return tag;
  }
  const found = relationTarget(relations, searchPath, name);
  if (found === null) {
    if (!ifExists) throw missing(name, null);
    notice('00000', `relation "${name.name}" does not exist, skipping`);
    return tag;
  }
  const kind = found.isView === true ? 'view' : found.kind;
  // ALTER TABLE is taken for what is none, as pg_dump writes it.
  if (kind !== object && object !== 'table')
    throw new SqlError(SqlState.wrongObjectType, `"${name.name}" is not a ${object}`);
  refuseOwner(access, found, to);
  access.change((state) => withOwner(state, found.key, to.oid));
  const sequences = found.tableUuid === undefined ? [] : ownedBy(relations, found.tableUuid);
  for (const { def } of sequences) access.change((state) => withOwner(state, sequenceKey(def.oid), to.oid));
  return tag;
}

/** @throws {SqlError} 42501 */
function refuseOwner(access: SessionAccess, { isView, key, kind, name }: Target, to: Role): void {
  const { role, state } = access;
  if (role.superuser || rightsOf(state, key).owner === to.oid) return;
  if (!isOwner(state, role, key)) throw notOwner(isView === true ? 'view' : kind, name);
  if (!mayBecome(state, role.oid, to))
    throw new SqlError(SqlState.insufficientPrivilege, `must be member of role "${to.name}"`);
  if (kind === 'schema' && !hasAll(state, role, 'database', DATABASE_KEY, Privilege.create))
    throw new SqlError(SqlState.insufficientPrivilege, 'permission denied for database arka');
}
