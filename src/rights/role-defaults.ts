/**
 * What a role has waiting for it: settings that its sessions begin with (pg_db_role_setting), and rights on what it will make
 * (pg_default_acl).
 *
 * - D1 A setting of the role in this database goes before one of the role, that before the database's, that before all roles'.
 * - D2 Default rights without a schema stand in the place of an object's built-in list; those of a schema come on top.
 */
import { SqlError, SqlState } from '../errors.ts';
import { defaultAcl, granted, revoked, rightsOf, type Grant, withItem } from './acl.ts';
import { ALL_OF, type ObjectKind } from './privileges.ts';
import type { AclItem, DefaultRights, RoleState, StoredSettings } from './roles.ts';

export const ALL_ROLES = 0;

/** Where a setting of a session comes from, as pg_settings says it, the weakest first. */
const SOURCES = [
  { source: 'global', ofRole: false, inDatabase: false },
  { source: 'database', ofRole: false, inDatabase: true },
  { source: 'user', ofRole: true, inDatabase: false },
  { source: 'database user', ofRole: true, inDatabase: true },
] as const;

export interface SessionDefault {
  readonly name: string;
  readonly value: string;
  readonly source: (typeof SOURCES)[number]['source'];
}

/** D1, the weakest first. */
export function sessionDefaults(state: RoleState, oid: number): SessionDefault[] {
  return SOURCES.flatMap(({ inDatabase, ofRole, source }) =>
    state.settings
      .filter((each) => each.inDatabase === inDatabase && each.role === (ofRole ? oid : ALL_ROLES))
      .flatMap(({ values }) => values.map(([name, value]) => ({ name, value, source }))),
  );
}

/** @param change null: none any more; `value` null: not this one any more */
export function withSetting(
  state: RoleState,
  role: number,
  inDatabase: boolean,
  change: { readonly name: string; readonly value: string | null } | null,
): RoleState {
  const isIt = (each: StoredSettings): boolean => each.role === role && each.inDatabase === inDatabase;
  const before = state.settings.find(isIt)?.values ?? [];
  const at = before.findIndex(([name]) => name === change?.name);
  let values: StoredSettings['values'] = [];
  if (change?.value === null) values = before.filter((_, index) => index !== at);
  else if (change !== null) {
    const item = [change.name, change.value] as const;
    values = at < 0 ? [...before, item] : before.with(at, item);
  }
  const others = state.settings.filter((each) => !isIt(each));
  return { ...state, settings: values.length === 0 ? others : [...others, { role, inDatabase, values }] };
}

export interface DefaultsChange extends Pick<Grant, 'isGrant' | 'privileges' | 'grantees' | 'option' | 'cascade'> {
  readonly kind: ObjectKind;
  /** Whose objects. */
  readonly role: number;
  /** Null: whatever schema they are in. */
  readonly schema: string | null;
}

/** ALTER DEFAULT PRIVILEGES. @throws {SqlError} 0LP01, 2BP01 */
export function changeDefaults(state: RoleState, change: DefaultsChange): RoleState {
  const { cascade, grantees, isGrant, kind, option, privileges, role, schema } = change;
  const isIt = (each: DefaultRights): boolean => each.role === role && each.schema === schema && each.kind === kind;
  const builtIn = schema === null ? defaultAcl(kind, role) : [];
  let acl = state.defaults.find(isIt)?.acl ?? builtIn;
  for (const grantee of grantees) {
    const list = { acl, kind, owner: role };
    acl = isGrant
      ? granted(list, grantee, role, privileges, option)
      : revoked(list, grantee, role, privileges, option, cascade);
  }
  const others = state.defaults.filter((each) => !isIt(each));
  return { ...state, defaults: isSame(acl, builtIn) ? others : [...others, { role, schema, kind, acl }] };
}

function isSame(a: readonly AclItem[], b: readonly AclItem[]): boolean {
  const texts = (acl: readonly AclItem[]): string =>
    acl
      .map(({ grantee, grantor, options, privileges }) => `${grantee} ${grantor} ${privileges} ${options}`)
      .sort()
      .join();
  return texts(a) === texts(b);
}

/** An object that was just made, with its maker's default rights (D2). */
export function withMade(
  state: RoleState,
  { key, kind, owner, schema }: { key: string; kind: ObjectKind; owner: number; schema: string | null },
): RoleState {
  const builtIn = defaultAcl(kind, owner);
  const of = (name: string | null): readonly AclItem[] | undefined =>
    state.defaults.find((each) => each.role === owner && each.kind === kind && each.schema === name)?.acl;
  let acl = of(null) ?? builtIn;
  for (const item of schema === null ? [] : (of(schema) ?? []))
    acl = withItem(acl, item.grantee, item.grantor, (held) => ({
      ...held,
      privileges: held.privileges | item.privileges,
      options: held.options | item.options,
    }));
  const rights = { owner, acl: isSame(acl, builtIn) ? null : acl };
  return { ...state, objects: new Map(state.objects).set(key, rights) };
}

/** What was granted to a role is revoked, of objects and of default rights; default rights on what it makes are none any more. */
export function withoutGrantsTo(state: RoleState, oid: number): RoleState {
  const without = (acl: readonly AclItem[], kind: ObjectKind, owner: number): readonly AclItem[] => {
    let left = acl;
    for (const { grantee, grantor } of acl)
      if (grantee === oid) left = revoked({ acl: left, kind, owner }, oid, grantor, ALL_OF[kind], false, true);
    return left;
  };
  const objects = new Map(state.objects);
  for (const [key, held] of state.objects) {
    const { acl, owner } = rightsOf(state, key);
    if (acl === null || owner === oid) continue;
    const left = without(acl, kindOf(key), owner);
    if (left.length === 0 && kindOf(key) === 'column') objects.delete(key);
    else objects.set(key, { ...held, acl: left });
  }
  const defaults = state.defaults.flatMap((each) => {
    if (each.role === oid) return [];
    const acl = without(each.acl, each.kind, each.role);
    const builtIn = each.schema === null ? defaultAcl(each.kind, each.role) : [];
    return isSame(acl, builtIn) ? [] : [{ ...each, acl }];
  });
  return { ...state, objects, defaults };
}

function kindOf(key: string): ObjectKind {
  const kind = key.split(' ')[0]!;
  return kind === 'view' ? 'table' : (kind as ObjectKind);
}

const PLURALS: Readonly<Record<ObjectKind, string>> = {
  table: 'relations',
  column: 'columns',
  sequence: 'sequences',
  schema: 'schemas',
  database: 'databases',
};

/** As PostgreSQL says what keeps a role from being dropped. @param nameOf of a role */
export function defaultsNaming(state: RoleState, oid: number, nameOf: (oid: number) => string): string[] {
  return state.defaults.flatMap(({ acl, kind, role, schema }) => {
    const where = schema === null ? '' : ` in schema ${schema}`;
    const what = `default privileges on new ${PLURALS[kind]} belonging to role ${nameOf(role)}${where}`;
    if (role === oid) return [`owner of ${what}`];
    return acl.some(({ grantee }) => grantee === oid) ? [`privileges for ${what}`] : [];
  });
}

/** @throws {SqlError} 0LP01 */
export function refuseInSchema(kind: ObjectKind, schemas: readonly string[]): void {
  if (kind === 'schema' && schemas.length > 0)
    throw new SqlError(
      SqlState.invalidGrantOperation,
      'cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS',
    );
}
