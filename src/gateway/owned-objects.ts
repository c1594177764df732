/** Who makes an object owns it, and what is gone has no rights any more: after a definition, as a change of its transaction (P1). */
import { along, ownedBy, type Relations } from '../ingest/relations.ts';
import type { QualifiedName, Statement } from '../planner/plan.ts';
import {
  columnKey,
  columnOf,
  rightsOf,
  schemaKey,
  sequenceKey,
  tableKey,
  viewKey,
  withoutObjects,
  withRenamed,
} from '../rights/acl.ts';
import type { ObjectKind } from '../rights/privileges.ts';
import { withMade } from '../rights/role-defaults.ts';
import { FIRST_SUPERUSER, roleNamed, type RoleState } from '../rights/roles.ts';
import type { SessionAccess } from './session-access.ts';
import { isTemporarySchema } from '../table-def.ts';

const MAKING: ReadonlySet<Statement['kind']> = new Set([
  'createTable',
  'createTableAs',
  'createSequence',
  'createSchema',
  'defineView',
  'alterTable',
]);
const REMOVING: ReadonlySet<Statement['kind']> = new Set([
  'dropTable',
  'dropSequence',
  'dropSchema',
  'alterTable',
  'defineView',
]);

interface Made {
  readonly key: string;
  readonly kind: ObjectKind;
  readonly owner: number;
  readonly schema: string | null;
}

export class OwnedObjects {
  readonly #access: SessionAccess;
  readonly #relations: () => Relations;
  readonly #searchPath: readonly string[];
  readonly #statement: Statement;
  readonly #owner: number;
  /** What there was before; null: nothing is to be done. */
  #before: ReadonlySet<string> | null;

  /** Before the definition is carried out. */
  constructor(access: SessionAccess, relations: () => Relations, searchPath: readonly string[], statement: Statement) {
    this.#access = access;
    this.#relations = relations;
    this.#searchPath = searchPath;
    this.#statement = statement;
    this.#owner = ownerOf(access, statement);
    const { kind } = statement;
    const isPlain = this.#owner === FIRST_SUPERUSER && access.state.defaults.length === 0;
    const makes = MAKING.has(kind) && (!isPlain || kind === 'alterTable');
    const removes = REMOVING.has(kind) || kind === 'renameSchema';
    const { defaults, objects } = access.state;
    const matters = makes || (removes && objects.size + defaults.length > 0);
    this.#before = matters ? keysOf(relations()) : null;
  }

  /** When it has been, or has made what it fills next. */
  settle(): void {
    const before = this.#before;
    if (before === null) return;
    this.#before = null;
    const relations = this.#relations();
    const statement = this.#statement;
    if (statement.kind === 'renameSchema')
      this.#access.change((state) => withRenamed(state, statement.name, statement.to));
    if (REMOVING.has(statement.kind)) {
      const after = keysOf(relations);
      const gone = [...before].filter((key) => !after.has(key));
      const columns = goneColumns(this.#access.state, relations);
      this.#access.change((state) => withoutObjects(state, [...gone, ...columns]));
    }
    const isNew = this.#made(relations).filter(({ key }) => !before.has(key));
    for (const made of isNew)
      if (made.owner !== FIRST_SUPERUSER || this.#access.state.defaults.length > 0)
        this.#access.change((state) => withMade(state, made));
  }

  /** What the statement names, and whose it is to be. */
  #made(relations: Relations): Made[] {
    const statement = this.#statement;
    const owner = this.#owner;
    switch (statement.kind) {
      case 'createSchema':
        return [{ key: schemaKey(statement.name), kind: 'schema', owner, schema: null }];
      case 'createSequence': {
        const sequence = relations.sequence(statement.schema, statement.name);
        const { schema } = statement;
        if (sequence === undefined || isTemporarySchema(schema)) return [];
        return [{ key: sequenceKey(sequence.def.oid), kind: 'sequence', owner, schema }];
      }
      case 'createTable':
        return this.#table(relations, statement.draft, owner);
      case 'createTableAs':
        return this.#table(relations, statement, owner);
      case 'alterTable':
        return this.#table(relations, statement.table, null);
      case 'defineView': // a transaction's own, so that no other session made one meanwhile
        return [...relations.views]
          .filter(({ schema }) => !isTemporarySchema(schema))
          .map(({ oid, schema }) => ({ key: viewKey(oid), kind: 'table', owner, schema }));
      default:
        return [];
    }
  }

  /** A table and its columns' sequences. @param owner null: its own */
  #table(relations: Relations, { name, schema }: QualifiedName, owner: number | null): Made[] {
    const table = along(this.#searchPath, schema, (each) => relations.table(each, name));
    if (table === undefined) return [];
    const key = tableKey(table.def.uuid);
    const whose = owner ?? rightsOf(this.#access.state, key).owner;
    const sequences = ownedBy(relations, table.def.uuid);
    const of = relations.definition(table).schema;
    if (table.temporary) return []; // its session's, while there is one
    return [
      { key, kind: 'table', owner: whose, schema: of },
      ...sequences.map(({ def }): Made => ({ key: sequenceKey(def.oid), kind: 'sequence', owner: whose, schema: of })),
    ];
  }
}

/** @throws {SqlError} 42704 for an AUTHORIZATION that nobody has */
function ownerOf(access: SessionAccess, statement: Statement): number {
  if (statement.kind !== 'createSchema' || statement.owner === null || statement.owner.kind === 'public')
    return access.role.oid;
  const { owner } = statement;
  const name = owner.kind === 'named' ? owner.name : owner.kind === 'current' ? access.currentUser : access.sessionUser;
  return roleNamed(access.state, name).oid;
}

/** Columns that have a list, and are no more. */
function goneColumns(state: RoleState, relations: Relations): string[] {
  const held = [...state.objects.keys()].filter((key) => columnOf(key) !== null);
  if (held.length === 0) return held;
  const there = new Set<string>();
  for (const table of relations.tables) {
    const { columns, uuid } = relations.definition(table);
    for (const { attnum } of columns) there.add(columnKey(tableKey(uuid), attnum));
  }
  for (const { columns, oid } of relations.views) columns.forEach((_, i) => there.add(columnKey(viewKey(oid), i + 1)));
  return held.filter((key) => !there.has(key));
}

function keysOf(relations: Relations): Set<string> {
  const keys = new Set<string>();
  for (const schema of relations.schemas) keys.add(schemaKey(schema));
  for (const table of relations.tables) keys.add(tableKey(table.def.uuid));
  for (const { def } of relations.sequences) keys.add(sequenceKey(def.oid));
  for (const { oid } of relations.views) keys.add(viewKey(oid));
  return keys;
}
