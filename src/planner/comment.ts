/** COMMENT ON: of what, and what a table's definition becomes by it. Those of views PostgreSQL tries (define-view.ts). */
import type { CommentStmt } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { uniqueConstraint, type TableDef } from '../table-def.ts';
import { stringOf } from './ast.ts';
import type { AlterCommand, AlterTable } from './alter-command.ts';
import type { CatalogView, QualifiedName, Statement } from './plan.ts';
import { findView, refuseSystemRelation } from './schema-names.ts';
import { qualifiedName } from './utility.ts';

type CommentCommand = Extract<AlterCommand, { kind: 'comment' }>;

/** @throws {SqlError} 0A000 for what carries no comment here; 42501 */
export function planComment(statement: CommentStmt, text: string, view: CatalogView): Statement {
  const { objtype = '' } = statement;
  const comment = (statement.comment ?? '') === '' ? null : statement.comment!;
  const object = statement.object!;
  const parts = 'List' in object ? (object.List.items ?? []).map(stringOf) : [stringOf(object)];
  const on = (table: QualifiedName, command: CommentCommand): Statement => {
    if (table.schema !== null) refuseSystemRelation(table.schema);
    return { kind: 'comment', statement: alter(table, command) };
  };
  const whole: CommentCommand = { kind: 'comment', of: 'table', name: '', comment };
  switch (objtype) {
    case 'OBJECT_VIEW':
      return { kind: 'defineView', tag: 'COMMENT', sql: text };
    case 'OBJECT_TABLE':
      return on(qualifiedName(object), whole);
    case 'OBJECT_COLUMN':
    case 'OBJECT_TABCONSTRAINT': {
      const name = parts.pop()!;
      if (parts.length === 0) throw new SqlError(SqlState.syntaxError, 'column name must be qualified');
      const table = { schema: parts.at(-2) ?? null, name: parts.at(-1)! };
      const relation = { relname: table.name, ...(table.schema === null ? {} : { schemaname: table.schema }) };
      if (findView(relation, view) !== undefined) return { kind: 'defineView', tag: 'COMMENT', sql: text };
      return on(table, { ...whole, of: objtype === 'OBJECT_COLUMN' ? 'column' : 'constraint', name });
    }
    case 'OBJECT_INDEX':
      return { kind: 'commentOnIndex', index: qualifiedName(object), comment };
    case 'OBJECT_SCHEMA':
    case 'OBJECT_DATABASE':
    case 'OBJECT_ROLE': {
      const of = objtype.replace('OBJECT_', '').toLowerCase();
      return { kind: 'commentOnShared', key: `${of} ${parts[0]}`, comment, sql: text };
    }
    default:
      throw notSupported(`COMMENT ON ${objtype.replace('OBJECT_', '').replaceAll('_', ' ')}`);
  }
}

/** What COMMENT ON VIEW, or ON COLUMN of one, names. */
export function commentedRelation({ object, objtype }: CommentStmt): QualifiedName {
  const parts = object !== undefined && 'List' in object ? (object.List.items ?? []).map(stringOf) : [];
  if (objtype === 'OBJECT_COLUMN') parts.pop();
  return { schema: parts.at(-2) ?? null, name: parts.at(-1) ?? '' };
}

const alter = (table: QualifiedName, command: AlterCommand): AlterTable => ({
  kind: 'alterTable',
  table,
  ifExists: false,
  commands: [command],
});

/** COMMENT ON INDEX, of a table that is known by now. */
export function commentOnIndex({ schema, name }: TableDef, index: string, comment: string | null): AlterTable {
  return alter({ schema, name }, { kind: 'comment', of: 'index', name: index, comment });
}

/** @throws {SqlError} 42703, 42704 */
export function commented(def: TableDef, { of, name, comment }: CommentCommand): TableDef {
  if (of === 'table') {
    const { comment: _, ...rest } = def;
    return comment === null ? rest : { ...rest, comment };
  }
  if (of === 'column') {
    const column = def.columns.find((each) => each.name === name);
    if (column === undefined)
      throw new SqlError(SqlState.undefinedColumn, `column "${name}" of relation "${def.name}" does not exist`);
    const { comment: _, ...rest } = column;
    const next = comment === null ? rest : { ...rest, comment };
    return { ...def, columns: def.columns.map((each) => (each === column ? next : each)) };
  }
  const isOther = def.checks?.some((each) => each.name === name) === true || uniqueConstraint(def, name) !== undefined;
  const isThere = def.keyName === name || isOther;
  if (of === 'constraint' && !isThere)
    throw new SqlError(SqlState.undefinedObject, `constraint "${name}" for table "${def.name}" does not exist`);
  const { [`${of} ${name}`]: _, ...others } = def.comments ?? {};
  return { ...def, comments: comment === null ? others : { ...others, [`${of} ${name}`]: comment } };
}

/** Comments of constraints and indexes that are there, under the name that a constraint has now. */
export function commentsKept(
  { comments = {}, keyName, indexes, checks = [] }: TableDef,
  renamed: { readonly from: string; readonly to: string } | null,
): Pick<TableDef, 'comments'> {
  const names = new Set([keyName, ...checks.map(({ name }) => name), ...indexes.map(({ name }) => name)]);
  const kept = Object.entries(comments).flatMap(([key, comment]) => {
    const [of, name] = [key.slice(0, key.indexOf(' ')), key.slice(key.indexOf(' ') + 1)];
    const now = name === renamed?.from ? renamed.to : name;
    return names.has(now) ? [[`${of} ${now}`, comment] as const] : [];
  });
  return kept.length === 0 ? {} : { comments: Object.fromEntries(kept) };
}
