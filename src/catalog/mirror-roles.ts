/**
 * Roles and rights as rows of PostgreSQL's catalogs, so that pg_roles, has_table_privilege() and psql's \du and \dp say what
 * Arka acts by.
 *
 * - M1 They are written as rows, not by CREATE ROLE and GRANT: OIDs, grantors and lists are Arka's, as they are.
 */
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import { columnOf, DATABASE_KEY, schemaKey, sequenceKey, tableKey, viewKey } from '../rights/acl.ts';
import { privilegeLetters } from '../rights/privileges.ts';
import {
  type AclItem,
  FIRST_ROLE_OID,
  FIRST_SUPERUSER,
  PUBLIC,
  type Role,
  roleOf,
  type RoleState,
} from '../rights/roles.ts';
import { isTemporarySchema } from '../table-def.ts';
import type { CatalogContents } from './catalog-api.ts';

/** Rows of pg_auth_members have OIDs of their own, which nobody asks for. */
const FIRST_MEMBER_OID = 2 ** 30;

/** Schema public while nobody has said anything of it: a dump then says nothing either. */
const PUBLIC_AS_IT_WAS = `UPDATE pg_catalog.pg_namespace SET nspowner = 'pg_database_owner'::regrole, nspacl = (
  SELECT initprivs FROM pg_catalog.pg_init_privs WHERE objoid = 'public'::regnamespace
    AND classoid = 'pg_catalog.pg_namespace'::regclass) WHERE nspname = 'public'`;

export function rolesSql(state: RoleState): readonly string[] {
  const first = roleOf(state, FIRST_SUPERUSER)!;
  const others = [...state.roles.values()].filter(({ oid }) => oid !== FIRST_SUPERUSER);
  const members = state.memberships.map(
    ({ admin, grantor, member, role }, i) =>
      `(${FIRST_MEMBER_OID + i}, ${role}, ${member}, ${grantor}, ${admin}, ${roleOf(state, member)?.inherit !== false}, true)`,
  );
  return [
    ...settingsSql(state),
    `DELETE FROM pg_catalog.pg_auth_members WHERE oid >= ${FIRST_MEMBER_OID}`,
    `DELETE FROM pg_catalog.pg_authid WHERE oid >= ${FIRST_ROLE_OID}`,
    `UPDATE pg_catalog.pg_authid SET rolname = ${quoteLiteral(first.name)}, rolpassword = ${textOf(first.password)}, ` +
      `rolconnlimit = ${first.connectionLimit}, rolvaliduntil = ${timeOf(first.validUntil)} WHERE oid = ${FIRST_SUPERUSER}`,
    ...(others.length === 0
      ? []
      : [
          'INSERT INTO pg_catalog.pg_authid (oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, ' +
            `rolreplication, rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil) VALUES ${others.map(roleRow).join(', ')}`,
        ]),
    ...(members.length === 0
      ? []
      : [
          'INSERT INTO pg_catalog.pg_auth_members (oid, roleid, member, grantor, admin_option, inherit_option, set_option) ' +
            `VALUES ${members.join(', ')}`,
        ]),
  ];
}

function roleRow(role: Role): string {
  const { bypassRls, connectionLimit, createDb, createRole, inherit, login, name, oid, replication, superuser } = role;
  const flags = [superuser, inherit, createRole, createDb, login, replication, bypassRls].join(', ');
  const password = textOf(role.password);
  return `(${oid}, ${quoteLiteral(name)}, ${flags}, ${connectionLimit}, ${password}, ${timeOf(role.validUntil)})`;
}

const textOf = (text: string | null): string => (text === null ? 'NULL' : quoteLiteral(text));
const timeOf = (milliseconds: number | null): string =>
  milliseconds === null ? 'NULL' : `pg_catalog.to_timestamp(${milliseconds / 1000})`;

/** Owners and lists of everything in the contents. */
export function rightsSql(
  state: RoleState,
  { schemas, sequences = [], tables, views = [] }: CatalogContents,
): readonly string[] {
  const relations = [
    ...tables.map(({ oid, schema, uuid }) => ({ oid, schema, key: tableKey(uuid) })),
    ...sequences.map(({ oid, schema }) => ({ oid, schema, key: sequenceKey(oid) })),
    ...views.map(({ oid, schema }) => ({ oid, schema, key: viewKey(oid) })),
  ].filter(({ oid }) => oid > 0);
  const rows = relations.map(({ key, oid, schema }) => {
    const values = isTemporarySchema(schema)
      ? `${FIRST_SUPERUSER}::oid, ${openTo(state, 'arwdDxtU')}`
      : valuesOf(state, key);
    return `(${oid}::oid, ${values})`;
  });
  return [
    ...(rows.length === 0
      ? []
      : [
          `UPDATE pg_catalog.pg_class c SET relowner = r.owner, relacl = r.acl FROM (VALUES ${rows.join(', ')}) ` +
            'AS r(oid, owner, acl) WHERE c.oid = r.oid AND (c.relowner, c.relacl::text) IS DISTINCT FROM (r.owner, r.acl::text)',
          // Indexes are their tables' owners'.
          'UPDATE pg_catalog.pg_class i SET relowner = t.relowner FROM pg_catalog.pg_index x, pg_catalog.pg_class t ' +
            'WHERE x.indexrelid = i.oid AND x.indrelid = t.oid AND i.relowner <> t.relowner',
        ]),
    ...columnsSql(state, new Map(relations.map(({ key, oid }) => [key, oid]))),
    ...schemas.map((name) => {
      const key = schemaKey(name);
      if (name === 'public' && !state.objects.has(key)) return PUBLIC_AS_IT_WAS;
      const acl = isTemporarySchema(name) ? openTo(state, 'UC') : aclOf(state, key);
      return `UPDATE pg_catalog.pg_namespace SET nspowner = ${ownerOf(state, key)}, nspacl = ${acl} WHERE nspname = ${quoteLiteral(name)}`;
    }),
    ...defaultsSql(state),
    `UPDATE pg_catalog.pg_database SET datdba = ${ownerOf(state, DATABASE_KEY)}, datacl = ${aclOf(state, DATABASE_KEY)} ` +
      "WHERE datname = 'arka'",
  ];
}

/** Lists of columns. @param relations OIDs by key */
function columnsSql(state: RoleState, relations: ReadonlyMap<string, number>): readonly string[] {
  const rows: string[] = [];
  for (const [key, { acl }] of state.objects) {
    const column = columnOf(key);
    const oid = column === null ? undefined : relations.get(column.relation);
    if (oid !== undefined) rows.push(`(${oid}::oid, ${column!.attnum}::int2, ${aclText(state, acl ?? [])})`);
  }
  return [
    'UPDATE pg_catalog.pg_attribute SET attacl = NULL WHERE attrelid >= 16384 AND attacl IS NOT NULL',
    ...(rows.length === 0
      ? []
      : [
          `UPDATE pg_catalog.pg_attribute a SET attacl = r.acl FROM (VALUES ${rows.join(', ')}) AS r(oid, number, acl) ` +
            'WHERE a.attrelid = r.oid AND a.attnum = r.number AND NOT a.attisdropped',
        ]),
  ];
}

const THE_DATABASE = "(SELECT oid FROM pg_catalog.pg_database WHERE datname = 'arka')";

function settingsSql({ settings }: RoleState): readonly string[] {
  const rows = settings.map(({ inDatabase, role, values }) => {
    const items = values.map(([name, value]) => quoteLiteral(`${name}=${value}`)).join(', ');
    return `(${inDatabase ? THE_DATABASE : 0}, ${role}, ARRAY[${items}]::text[])`;
  });
  return [
    'DELETE FROM pg_catalog.pg_db_role_setting',
    ...(rows.length === 0
      ? []
      : [`INSERT INTO pg_catalog.pg_db_role_setting (setdatabase, setrole, setconfig) VALUES ${rows.join(', ')}`]),
  ];
}

const OBJECT_TYPES = { table: 'r', column: '', sequence: 'S', schema: 'n', database: '' } as const;

function defaultsSql(state: RoleState): readonly string[] {
  const rows = state.defaults.map(({ acl, kind, role, schema }, i) => {
    const namespace =
      schema === null ? 0 : `(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ${quoteLiteral(schema)})`;
    return `(${FIRST_MEMBER_OID + i}, ${role}, ${namespace}, '${OBJECT_TYPES[kind]}', ${aclText(state, acl)})`;
  });
  return [
    'DELETE FROM pg_catalog.pg_default_acl',
    ...(rows.length === 0
      ? []
      : [
          'INSERT INTO pg_catalog.pg_default_acl (oid, defaclrole, defaclnamespace, defaclobjtype, defaclacl) ' +
            `VALUES ${rows.join(', ')}`,
        ]),
  ];
}

const ownerOf = (state: RoleState, key: string): number => state.objects.get(key)?.owner ?? FIRST_SUPERUSER;
const valuesOf = (state: RoleState, key: string): string => `${ownerOf(state, key)}::oid, ${aclOf(state, key)}`;

/** What is temporary only its session names: who that is now has no say here. */
function openTo(state: RoleState, letters: string): string {
  const owner = quoteIdentifier(roleOf(state, FIRST_SUPERUSER)!.name);
  return `ARRAY[${quoteLiteral(`=${letters}/${owner}`)}]::aclitem[]`;
}

function aclOf(state: RoleState, key: string): string {
  const acl = state.objects.get(key)?.acl ?? null;
  return acl === null ? 'NULL::aclitem[]' : aclText(state, acl);
}

function aclText(state: RoleState, acl: readonly AclItem[]): string {
  const named = (oid: number): string =>
    oid === PUBLIC ? '' : quoteIdentifier(roleOf(state, oid)?.name ?? String(oid));
  const items = acl.map(({ grantee, grantor, options, privileges }) =>
    quoteLiteral(`${named(grantee)}=${privilegeLetters(privileges, options)}/${named(grantor)}`),
  );
  return `ARRAY[${items.join(', ')}]::aclitem[]`;
}
