/**
 * What a statement asks of the rights of whoever gives it: 42501 where he has not got them.
 *
 * - P3 Tables are those of the plan, which are what is read and written: no name is resolved twice.
 * - P4 Of a table that is changed SELECT is asked as well where a column of it is read.
 * - P5 What a view reads is asked of the view's owner, and SELECT on the view of whoever names it. What one with
 *   security_invoker reads is asked of the current user, also where a view of somebody else names it. So is what a temporary view
 *   reads: it is the session's, whoever that is now; rights on columns do not count there.
 * - P6 Who lacks a right on a table and has it on columns may do it with these. Which a statement is about, PostgreSQL says (column-rights.ts),
 *   but for rows of values, which name theirs.
 */
import type { Node, RangeVar } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import { along, indexedTable, keyedTable, permanentSchema, type Relations } from '../ingest/relations.ts';
import { stringsOf, walk } from '../planner/ast.ts';
import { LockMode } from '../ingest/table-locks.ts';
import { parseSql } from '../planner/parse.ts';
import type { ParsedStatement, QualifiedName, QueryPlan, Statement } from '../planner/plan.ts';
import { commentedRelation } from '../planner/comment.ts';
import { qualifiedName } from '../planner/utility.ts';
import { viewQuery } from '../planner/views.ts';
import {
  columnKey,
  columnPrivilegesOf,
  DATABASE_KEY,
  denied,
  hasAll,
  isOwner,
  notOwner,
  privilegesOf,
  rightsOf,
  schemaKey,
  sequenceKey,
  tableKey,
  viewKey,
} from '../rights/acl.ts';
import { Privilege } from '../rights/privileges.ts';
import { type Role, roleOf } from '../rights/roles.ts';
import type { SequenceDef } from '../sequence-def.ts';
import type { TableDef } from '../table-def.ts';
import { isOn, type ViewDef } from '../view-def.ts';
import type { SessionAccess } from './session-access.ts';

type Vacuum = Extract<Statement, { kind: 'vacuum' }>;

export interface Asked {
  readonly access: SessionAccess;
  readonly relations: Relations;
  readonly searchPath: readonly string[];
}

type TableName = Pick<TableDef, 'uuid' | 'schema' | 'name'>;
interface Need {
  readonly def: TableName;
  bits: number;
  /** Those of them that no right on a column stands for. */
  whole: number;
  /** Columns by number, where they are known: the only ones that the statement does that with. */
  readonly columns: Map<number, readonly number[]>;
}
type Needs = Map<string, Need>;

interface Asks {
  readonly needs: Needs;
  /** Views that it names itself. */
  readonly views: readonly ViewDef[];
}

/** What a statement asks for, found once a plan. */
const asksOf = new WeakMap<Statement, Asks>();
/** The generation and session for which a plan was found to be allowed. */
const allowed = new WeakMap<Statement, { readonly access: SessionAccess; readonly generation: number }>();

/**
 * What PostgreSQL is to be asked yet (P6), in whose words; null: nothing.
 * @param parsed what the statement was planned from @throws {SqlError} 42501
 */
export function permit(asked: Asked, statement: Statement, parsed: ParsedStatement | null): ParsedStatement | null {
  const { access } = asked;
  if (access.superuser) return null;
  const before = allowed.get(statement);
  if (before?.access === access && before.generation === access.generation) return null;
  let asks = asksOf.get(statement);
  if (asks === undefined) {
    const node = (parsed?.node ?? null) as Node | null;
    const named = namedIn(asked, node);
    asks = { needs: new Map(), views: named.views };
    gather(statement, node, { needs: asks.needs, tables: named.views.length === 0 ? null : named.tables });
    asksOf.set(statement, asks);
  }
  let isOpen = false;
  for (const each of asks.needs.values()) if (!permitNeed(access, each)) isOpen = true;
  for (const view of asks.views) if (!permitView(asked, access.role, view)) isOpen = true;
  if (statement.kind === 'lockTable')
    for (const def of statement.defs) if (!mayLock(access, def, statement.mode)) throw denied('table', def.name);
  permitDefinition(asked, statement);
  if (isOpen && parsed === null) throw denied('table', [...asks.needs.values()][0]?.def.name ?? ''); // nothing to ask by
  if (isOpen) return parsed;
  isAllowed(access, statement);
  return null;
}

/** As long as the rights are as they are. */
export function isAllowed(access: SessionAccess, statement: Statement): void {
  allowed.set(statement, { access, generation: access.generation });
}

/** False: it depends on the columns. */
function permitNeed(access: SessionAccess, { bits, columns, def, whole }: Need): boolean {
  if (access.isTemporary(def.schema)) return true;
  const { role, state } = access;
  permitSchema(access, def.schema, Privilege.usage);
  const key = tableKey(def.uuid);
  let missing = bits & ~privilegesOf(state, role, 'table', key);
  if (missing === 0) return true;
  if ((missing & whole) !== 0 || (missing & ~columnPrivilegesOf(state, role, key)) !== 0)
    throw denied('table', def.name);
  for (const [bit, attnums] of columns) {
    if ((missing & bit) === 0) continue;
    const mayDo = (attnum: number): boolean => hasAll(state, role, 'column', columnKey(key, attnum), bit);
    if (!attnums.every(mayDo)) throw denied('table', def.name);
    missing &= ~bit;
  }
  return missing === 0;
}

/** @throws {SqlError} 42501 */
export function permitTable(access: SessionAccess, { name, schema, uuid }: TableName, bits: number): void {
  if (access.isTemporary(schema)) return;
  const { role, state } = access;
  permitSchema(access, schema, Privilege.usage);
  if (!hasAll(state, role, 'table', tableKey(uuid), bits)) throw denied('table', name);
}

const WRITES = Privilege.update | Privilege.delete | Privilege.truncate;

/** To lock a table takes one of several rights. */
function mayLock(access: SessionAccess, { schema, uuid }: TableDef, mode: number): boolean {
  if (access.isTemporary(schema)) return true;
  const { role, state } = access;
  const bits =
    mode === LockMode.accessShare
      ? Privilege.select
      : mode === LockMode.rowExclusive
        ? Privilege.insert | WRITES
        : WRITES;
  return (privilegesOf(state, role, 'table', tableKey(uuid)) & bits) !== 0;
}

/** @throws {SqlError} 42501 */
export function permitSchema(access: SessionAccess, schema: string, bits: number): void {
  if (access.isTemporary(schema)) return;
  const { role, state } = access;
  if (!hasAll(state, role, 'schema', schemaKey(schema), bits)) throw denied('schema', schema);
}

/** Schemas of a path that the session may look into. */
export function usable(access: SessionAccess, searchPath: readonly string[]): readonly string[] {
  const { present: role, state } = access;
  if (role === null) return searchPath; // whatever it names is refused
  const isUsable = (schema: string): boolean =>
    access.isTemporary(schema) || hasAll(state, role, 'schema', schemaKey(schema), Privilege.usage);
  return searchPath.filter(isUsable);
}

interface Gathered {
  readonly needs: Needs;
  /** Tables that it names itself, where it names views, too: the others are the views' owners' to read. Null: all. */
  readonly tables: ReadonlySet<string> | null;
}

/** @param whole those of the rights that are asked of the whole table */
function need({ needs }: Gathered, def: TableName, bits: number, whole = 0): void {
  const held = needs.get(def.uuid);
  if (held === undefined) needs.set(def.uuid, { def, bits, whole, columns: new Map() });
  else {
    for (const bit of held.columns.keys()) if ((bits & bit) !== 0) held.columns.delete(bit); // it is about more than these
    held.bits |= bits;
    held.whole |= whole;
  }
}

/** A right that is used on some columns, by their field ids. */
function needColumns(gathered: Gathered, def: TableDef, bit: number, fieldIds: readonly number[]): void {
  const attnums = def.columns.filter(({ fieldId }) => fieldIds.includes(fieldId)).map(({ attnum }) => attnum);
  const isNew = !gathered.needs.has(def.uuid);
  need(gathered, def, bit);
  if (isNew) gathered.needs.get(def.uuid)!.columns.set(bit, attnums);
}

/** @param but a table that is changed, and read by the plan for that once */
function reads(plan: QueryPlan, gathered: Gathered, but: string | null = null): void {
  let passed = but === null;
  for (const { def, feed } of plan.tables) {
    const of = feed?.table ?? def;
    if (of.uuid === '') continue; // what a part of WITH returns
    if (!passed && of.uuid === but) passed = true;
    else if (feed !== undefined) need(gathered, of, Privilege.select, Privilege.select);
    else if (gathered.tables === null || gathered.tables.has(of.uuid)) need(gathered, of, Privilege.select);
  }
  if (plan.calls !== undefined) reads(plan.calls.inner, gathered);
}

function gather(statement: Statement, node: Node | null, needs: Gathered): void {
  switch (statement.kind) {
    case 'with':
      for (const part of [...statement.before, ...statement.after]) gather(part.statement, null, needs);
      return gather(statement.main, node, needs);
    case 'query':
      reads(statement.plan, needs);
      for (const lock of [statement.lock, ...(statement.locks ?? [])])
        if (lock !== undefined) need(needs, lock.def, Privilege.select | Privilege.update);
      return;
    case 'insert': {
      const { conflict, def, returning, source } = statement;
      const isPlain = source.kind === 'values' && conflict === null && returning === null;
      if (isPlain) needColumns(needs, def, Privilege.insert, statement.fieldIds);
      else need(needs, def, Privilege.insert);
      if (def.onConflict === 'upsert') need(needs, def, Privilege.update, Privilege.update);
      if (source.kind === 'query') reads(source.plan, needs);
      if (returning !== null || (conflict !== null && conflictNames(node))) need(needs, def, Privilege.select);
      if (conflict?.action === 'update') need(needs, def, Privilege.update);
      if (conflict?.action === 'update' && conflictNames(node)) reads(conflict.plan, needs, def.uuid);
      if (returning !== null) reads(returning.plan, needs, def.uuid);
      break;
    }
    case 'update':
    case 'delete': {
      const { def, plan, returning } = statement;
      need(needs, def, statement.kind === 'update' ? Privilege.update : Privilege.delete);
      reads(plan, needs, def.uuid);
      if (returning !== null || readsTarget(node)) need(needs, def, Privilege.select);
      if (returning !== null) reads(returning.plan, needs, def.uuid);
      break;
    }
    case 'merge': {
      const { actions, def, plan } = statement;
      for (const action of actions) if (action !== 'nothing') need(needs, def, Privilege[action]);
      need(needs, def, Privilege.select);
      reads(plan, needs, def.uuid);
      break;
    }
    case 'truncate':
      for (const def of statement.defs) need(needs, def, Privilege.truncate);
      return;
    case 'copyFrom':
      needColumns(needs, statement.def, Privilege.insert, statement.fieldIds);
      if (statement.def.onConflict === 'upsert') need(needs, statement.def, Privilege.update, Privilege.update);
      return;
    case 'copyTo':
      return reads(statement.plan, needs);
    case 'createTable':
      for (const def of statement.likes ?? []) need(needs, def, Privilege.select, Privilege.select);
      return;
    case 'explain':
      return gather(statement.inner, explained(node), needs);
    default:
      return;
  }
  for (const lock of statement.locks ?? []) need(needs, lock.def, Privilege.select | Privilege.update);
}

/** A row into a table with `on_conflict = 'upsert'` may take the place of another. */
const insertBits = ({ onConflict }: Pick<TableDef, 'onConflict'>): number =>
  onConflict === 'upsert' ? Privilege.insert | Privilege.update : Privilege.insert;

function explained(node: Node | null): Node | null {
  return node !== null && 'ExplainStmt' in node ? (node.ExplainStmt.query ?? null) : null;
}

/** Tables by uuid, and views, that the text names: also what WITH hides, so rather too many. */
function namedIn(
  { relations, searchPath }: Pick<Asked, 'relations' | 'searchPath'>,
  node: unknown,
): { readonly tables: ReadonlySet<string>; readonly views: readonly ViewDef[] } {
  const tables = new Set<string>();
  const views = new Set<ViewDef>();
  walk({ node }, (tag, body) => {
    if (tag !== 'RangeVar') return;
    const { relname = '', schemaname = '' } = body as RangeVar;
    for (const schema of schemaname === '' ? searchPath : [schemaname]) {
      const table = relations.table(schema, relname);
      const view = relations.view(schema, relname);
      if (table !== undefined) tables.add(table.def.uuid);
      if (view !== undefined) views.add(view);
      if (table !== undefined || view !== undefined) return;
    }
  });
  return { tables, views: [...views] };
}

/** P5; false: it depends on the columns. @throws {SqlError} 42501 */
function permitView(asked: Asked, role: Role, view: ViewDef): boolean {
  const { state } = asked.access;
  const key = viewKey(view.oid);
  const isTemporary = asked.access.isTemporary(view.schema);
  if (!isTemporary && !hasAll(state, role, 'schema', schemaKey(view.schema), Privilege.usage))
    throw denied('schema', view.schema);
  let isWhole = isTemporary || hasAll(state, role, 'table', key, Privilege.select);
  if (!isWhole && (columnPrivilegesOf(state, role, key) & Privilege.select) === 0)
    throw new SqlError(SqlState.insufficientPrivilege, `permission denied for view ${view.name}`);
  const isInvokers = isTemporary || isOn(view, 'security_invoker');
  const reader = isInvokers ? asked.access.role : roleOf(state, rightsOf(state, key).owner);
  if (reader === undefined) throw notOwner('view', view.name); // nobody's: who could read for it?
  const { tables, views } = namedIn({ relations: asked.relations, searchPath: [] }, viewQuery(view));
  for (const uuid of tables) {
    const table = tableKey(uuid);
    if (isOwnTable(asked, uuid) || hasAll(state, reader, 'table', table, Privilege.select)) continue;
    if (isTemporary || (columnPrivilegesOf(state, reader, table) & Privilege.select) === 0)
      throw denied('table', nameOfTable(asked.relations, uuid));
    isWhole = false;
  }
  for (const inner of views) if (!permitView(asked, reader, inner)) isWhole = false;
  return isWhole;
}

/** A temporary one of the session's. */
function isOwnTable({ access, relations }: Asked, uuid: string): boolean {
  for (const { def } of relations.tables) if (def.uuid === uuid) return access.isTemporary(def.schema);
  return false;
}

function nameOfTable(relations: Relations, uuid: string): string {
  for (const table of relations.tables) if (table.def.uuid === uuid) return table.def.name;
  return uuid;
}

/** CREATE, ALTER, DROP VIEW and COMMENT ON one, as they are written. */
function permitViews({ access, relations, searchPath }: Asked, sql: string): void {
  const node = parseSql(sql)[0]?.node as Node;
  const viewNamed = ({ name, schema }: QualifiedName): void => {
    const view = along(searchPath, schema, (each) => relations.view(each, name));
    if (view !== undefined) permitOwner(access, viewKey(view.oid), 'view', name, view.schema);
  };
  if ('DropStmt' in node) return (node.DropStmt.objects ?? []).map(qualifiedName).forEach(viewNamed);
  if ('CommentStmt' in node) return viewNamed(commentedRelation(node.CommentStmt));
  const of = (relation: RangeVar | undefined): QualifiedName => ({
    schema: relation?.schemaname ?? null,
    name: relation?.relname ?? '',
  });
  if ('ViewStmt' in node) {
    const named = of(node.ViewStmt.view);
    const schema = named.schema ?? permanentSchema(relations, searchPath);
    if (schema !== undefined) permitSchema(access, schema, Privilege.create);
    return viewNamed({ ...named, schema: schema ?? null });
  }
  if ('RenameStmt' in node) return viewNamed(of(node.RenameStmt.relation));
  if ('AlterObjectSchemaStmt' in node) {
    permitSchema(access, node.AlterObjectSchemaStmt.newschema ?? '', Privilege.create);
    return viewNamed(of(node.AlterObjectSchemaStmt.relation));
  }
  if ('AlterTableStmt' in node) viewNamed(of(node.AlterTableStmt.relation));
}

/** COMMENT ON a schema, the database or a role. */
function permitComment({ access }: Asked, key: string): void {
  const space = key.indexOf(' ');
  const [kind, name] = [key.slice(0, space), key.slice(space + 1)];
  if (kind === 'schema') permitOwner(access, schemaKey(name), 'schema', name);
  else if (kind === 'database') permitOwner(access, DATABASE_KEY, 'database', name);
  else if (!access.role.createRole)
    throw new SqlError(SqlState.insufficientPrivilege, `must have CREATEROLE privilege`);
}

/** ON CONFLICT that names columns or a constraint reads them. */
function conflictNames(node: Node | null): boolean {
  return node === null || ('InsertStmt' in node && node.InsertStmt.onConflictClause?.infer !== undefined);
}

/** Whether an UPDATE or DELETE reads a column of the table that it changes: one that may be another table's counts, too. */
function readsTarget(node: Node | null): boolean {
  const body =
    node === null ? null : 'UpdateStmt' in node ? node.UpdateStmt : 'DeleteStmt' in node ? node.DeleteStmt : null;
  if (body === null) return true;
  const { relation = {}, ...rest } = body;
  const target = relation.alias?.aliasname ?? relation.relname ?? '';
  let found = false;
  walk(rest, (tag, inner) => {
    if (tag !== 'ColumnRef') return;
    const names = stringsOf(inner['fields'] as Node[] | undefined).filter((name) => name !== '');
    if (names.length < 2 || names.at(-2) === target) found = true;
  });
  return found;
}

function permitDefinition(asked: Asked, statement: Statement): void {
  const { access, relations, searchPath } = asked;
  const tableNamed = ({ name, schema }: QualifiedName): void => {
    const table = along(searchPath, schema, (each) => relations.table(each, name));
    if (table === undefined) return;
    permitOwner(access, tableKey(table.def.uuid), 'table', name, relations.definition(table).schema);
  };
  const sequenceNamed = ({ name, schema }: QualifiedName): void => {
    const found = along(searchPath, schema, (each) => relations.sequence(each, name));
    if (found === undefined) return;
    permitOwner(access, sequenceKey(found.def.oid), 'sequence', name, relations.sequenceDefinition(found).schema);
  };
  const indexNamed = ({ name, schema }: QualifiedName): void => {
    for (const each of schema === null ? searchPath : [schema]) {
      const table = indexedTable(relations, each, name) ?? keyedTable(relations, each, name);
      if (table !== undefined) permitOwner(access, tableKey(table.def.uuid), 'index', name, each);
    }
  };
  switch (statement.kind) {
    case 'createTable':
      return permitCreation(access, statement.draft.schema);
    case 'createTableAs':
    case 'createSequence':
      return permitCreation(access, statement.schema);
    case 'createIndex': {
      for (const table of relations.tables)
        if (table.def.uuid === statement.draft.tableUuid)
          permitOwner(access, tableKey(table.def.uuid), 'table', table.def.name, table.def.schema);
      return;
    }
    case 'createSchema':
      return permitDatabase(access);
    case 'defineView':
      if (statement.temporary !== undefined) return permitCreation(access, statement.temporary.schema);
      return permitViews(asked, statement.sql);
    case 'comment':
      return tableNamed(statement.statement.table);
    case 'renameIndex':
      tableNamed(statement.index);
      return indexNamed(statement.index);
    case 'commentOnIndex':
      return indexNamed(statement.index);
    case 'commentOnShared':
      return permitComment(asked, statement.key);
    case 'dropTable':
      return statement.names.forEach(tableNamed);
    case 'alterTable':
      return tableNamed(statement.table);
    case 'renameTable':
      tableNamed(statement.table);
      if (statement.to.schema !== undefined) permitSchema(access, statement.to.schema, Privilege.create);
      return;
    case 'dropIndex':
      return statement.names.forEach(indexNamed);
    case 'reindex':
      return (statement.what === 'table' ? tableNamed : indexNamed)(statement.named);
    case 'reindexAll': {
      const { schema } = statement;
      if (schema === null) return permitOwner(access, DATABASE_KEY, 'database', 'arka');
      if (relations.hasSchema(schema)) permitOwner(access, schemaKey(schema), 'schema', schema);
      return;
    }
    case 'alterSequence':
      return sequenceNamed(statement.name);
    case 'renameSequence':
      sequenceNamed(statement.name);
      if (statement.to.schema !== undefined) permitSchema(access, statement.to.schema, Privilege.create);
      return;
    case 'renameSchema':
      if (relations.hasSchema(statement.name)) permitOwner(access, schemaKey(statement.name), 'schema', statement.name);
      return permitDatabase(access);
    case 'dropSequence':
      return statement.names.forEach(sequenceNamed);
    case 'dropSchema':
      for (const name of statement.names)
        if (relations.hasSchema(name)) permitOwner(access, schemaKey(name), 'schema', name);
      return;
    case 'call':
      return permitOwner(access, tableKey(statement.def.uuid), 'table', statement.def.name);
    case 'checkpoint':
      throw new SqlError(
        SqlState.insufficientPrivilege,
        'must be superuser or have privileges of pg_checkpoint to do CHECKPOINT',
      );
    default:
  }
}

/** What makes a schema. @throws {SqlError} 42501 */
function permitDatabase({ role, state }: SessionAccess): void {
  if (!hasAll(state, role, 'database', DATABASE_KEY, Privilege.create)) throw denied('database', 'arka');
}

/** In a schema CREATE, in the session's own TEMPORARY on the database. @throws {SqlError} 42501 */
function permitCreation(access: SessionAccess, schema: string): void {
  if (!access.isTemporary(schema)) return permitSchema(access, schema, Privilege.create);
  if (hasAll(access.state, access.role, 'database', DATABASE_KEY, Privilege.temporary)) return;
  throw new SqlError(SqlState.insufficientPrivilege, 'permission denied to create temporary tables in database "arka"');
}

/** The owner of a schema may drop what is in it. */
function permitOwner(access: SessionAccess, key: string, what: string, name: string, schema?: string): void {
  const { role, state } = access;
  if (isOwner(state, role, key) || (schema !== undefined && access.isTemporary(schema))) return;
  if (schema !== undefined) permitSchema(access, schema, Privilege.usage);
  throw notOwner(what, name);
}

/** @throws {SqlError} 42501 unless the session has one of the privileges */
export function permitSequence(access: SessionAccess, { name, oid, schema }: SequenceDef, bits: number): void {
  if (access.superuser || access.isTemporary(schema)) return;
  permitSchema(access, schema, Privilege.usage);
  if ((privilegesOf(access.state, access.role, 'sequence', sequenceKey(oid)) & bits) === 0)
    throw denied('sequence', name);
}

/** For rows that come without a plan. @param conflict with ON CONFLICT */
export function mayInsert(access: SessionAccess, { onConflict, schema, uuid }: TableDef, conflict: boolean): boolean {
  if (access.superuser || access.isTemporary(schema)) return true;
  const { role, state } = access;
  let bits = insertBits({ onConflict });
  if (conflict) bits |= Privilege.select | Privilege.update;
  return (
    hasAll(state, role, 'schema', schemaKey(schema), Privilege.usage) &&
    hasAll(state, role, 'table', tableKey(uuid), bits)
  );
}

/** VACUUM takes what the session owns, and warns of what it was to take beside that. */
export function ownTables(
  access: SessionAccess,
  database: Database,
  statement: Vacuum,
  warning: (code: string, message: string) => void,
): Vacuum {
  if (access.superuser) return statement;
  const all = statement.defs ?? [...database.tables.values()].map(({ def }) => def);
  const defs = all.filter((def) => {
    if (access.isTemporary(def.schema) || isOwner(access.state, access.role, tableKey(def.uuid))) return true;
    if (statement.defs !== null) warning(SqlState.warning, `permission denied to vacuum "${def.name}", skipping it`);
    return false;
  });
  return { ...statement, defs };
}
