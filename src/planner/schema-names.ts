/** Schemas and relations by name: where things are made, which names are PostgreSQL's own, and the errors for those that are not there. */
import type { RangeVar } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { isTemporarySchema, type OnCommit, type TableDef } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';
import { at } from './ast.ts';
import type { CatalogView } from './plan.ts';

export const DATABASE = 'arka';

/** Schemas whose relations are views over Arka or PostgreSQL's catalogs; nobody creates or writes there. */
export function isSystemSchema(name: string): boolean {
  return name === 'arka' || name === 'information_schema' || name.startsWith('pg_');
}

/** Whether relations of the schema are PostgreSQL's own; those of a session's temporary schema are Arka's. */
export function hasSystemRelations(schema: string): boolean {
  return isSystemSchema(schema) && !isTemporarySchema(schema);
}

/** `database.` in front of a name must be this one. */
export function checkDatabase(relation: RangeVar): void {
  const database = relation.catalogname ?? '';
  if (database !== '' && database !== DATABASE) {
    throw notSupported(
      `a reference to another database: "${database}.${relation.schemaname}.${relation.relname}"`,
      at(relation.location),
    );
  }
}

/**
 * The schema in which CREATE TABLE puts a name: for what is temporary that of the session, whatever the search path, and for all
 * else, too, where the path begins with `pg_temp`.
 */
export function creationSchema(
  relation: RangeVar,
  view: CatalogView,
  kind: 'table' | 'view' | 'sequence' = 'table',
): string {
  const schema = schemaFor(relation, view, kind);
  if (relation.relpersistence === 'u' && isTemporarySchema(schema))
    throw new SqlError(
      SqlState.invalidTableDefinition,
      'only temporary relations may be created in temporary schemas',
      kind === 'sequence' ? {} : at(relation.location),
    );
  return schema;
}

function schemaFor(relation: RangeVar, view: CatalogView, kind: 'table' | 'view' | 'sequence'): string {
  checkDatabase(relation);
  const given = relation.schemaname ?? '';
  const { temporarySchema } = view;
  if (temporarySchema !== undefined && given === temporarySchema) return given;
  if (relation.relpersistence === 't') {
    if (given !== '')
      throw new SqlError(
        SqlState.invalidTableDefinition,
        'cannot create temporary relation in non-temporary schema',
        kind === 'view' ? {} : at(relation.location),
      );
    if (temporarySchema === undefined) throw notSupported('a temporary relation here', at(relation.location));
    return temporarySchema;
  }
  if (given !== '') {
    if (!isTemporarySchema(given)) refuseSystemSchema(given);
    else if (view.hasSchema(given))
      throw new SqlError(
        SqlState.invalidTableDefinition,
        'cannot create relations in temporary schemas of other sessions',
        at(relation.location),
      );
    if (!view.hasSchema(given))
      throw new SqlError(SqlState.invalidSchemaName, `schema "${given}" does not exist`, at(relation.location));
    return given;
  }
  if (view.createsTemporary === true && temporarySchema !== undefined) return temporarySchema;
  const schema = view.searchPath.find(
    (name) => name !== 'pg_catalog' && !isTemporarySchema(name) && view.hasSchema(name),
  );
  if (schema === undefined)
    throw new SqlError(SqlState.invalidSchemaName, 'no schema has been selected to create in', at(relation.location));
  refuseSystemSchema(schema);
  return schema;
}

export function refuseSystemSchema(name: string): void {
  if (isSystemSchema(name)) throw new SqlError(SqlState.insufficientPrivilege, `permission denied for schema ${name}`);
}

/** For the names of relations: those that are temporary lie in a schema of PostgreSQL's, too. */
export function refuseSystemRelation(schema: string): void {
  if (hasSystemRelations(schema)) refuseSystemSchema(schema);
}

/** What ON COMMIT says of a table in that schema. @throws {SqlError} 42P16 for one that is not temporary */
export function onCommitOf(action: string | undefined, schema: string): OnCommit | undefined {
  if (isTemporarySchema(schema))
    return action === 'ONCOMMIT_DROP' ? 'drop' : action === 'ONCOMMIT_DELETE_ROWS' ? 'delete' : 'preserve';
  if (action === undefined || action === 'ONCOMMIT_NOOP') return undefined;
  throw new SqlError(SqlState.invalidTableDefinition, 'ON COMMIT can only be used on temporary tables');
}

export function displayName(relation: RangeVar): string {
  const schema = relation.schemaname ?? '';
  return schema === '' ? (relation.relname ?? '') : `${schema}.${relation.relname}`;
}

/** The table along the search path, if it is one of Arka's. */
export function findTable(relation: RangeVar, view: CatalogView): TableDef | undefined {
  checkDatabase(relation);
  const schema = relation.schemaname ?? '';
  if (schema !== '' && hasSystemRelations(schema)) return undefined;
  return view.table(schema === '' ? null : schema, relation.relname ?? '');
}

/** The view that a name stands for, along the search path. */
export function findView(relation: RangeVar, view: CatalogView): ViewDef | undefined {
  if (view.view === undefined) return undefined;
  checkDatabase(relation);
  const schema = relation.schemaname ?? '';
  if (schema !== '' && hasSystemRelations(schema)) return undefined;
  return view.view(schema === '' ? null : schema, relation.relname ?? '');
}

/** A relation of PostgreSQL's catalogs or a view of schema arka, by name alone: PGlite knows whether it is there. */
export function isCatalogRelation(relation: RangeVar, view: CatalogView): boolean {
  const schema = relation.schemaname ?? '';
  if (schema !== '') return hasSystemRelations(schema);
  return (
    (relation.relname ?? '').startsWith('pg_') ||
    view.searchPath.some((name) => name !== 'pg_catalog' && hasSystemRelations(name))
  );
}

export function undefinedTable(relation: RangeVar): SqlError {
  return new SqlError(
    SqlState.undefinedTable,
    `relation "${displayName(relation)}" does not exist`,
    at(relation.location),
  );
}

/**
 * The target of INSERT, UPDATE, DELETE or COPY.
 * @throws {SqlError} 42P01; 42809 and 42501 for views of schema arka and PostgreSQL's catalogs
 */
export function targetTable(relation: RangeVar, view: CatalogView, verb: string): TableDef {
  const def = findTable(relation, view);
  if (def !== undefined) return def;
  const other = findView(relation, view);
  if (other !== undefined) throw viewAsTarget(other, verb, relation);
  if (!isCatalogRelation(relation, view)) throw undefinedTable(relation);
  if (relation.schemaname === 'arka' || relation.schemaname === 'information_schema') {
    throw new SqlError(SqlState.wrongObjectType, `cannot ${verb} view "${relation.relname}"`);
  }
  throw new SqlError(SqlState.insufficientPrivilege, `permission denied for table ${relation.relname}`);
}

/** Why a statement cannot have a view as its target; `verb` as targetTable has it. */
export function viewAsTarget({ name }: ViewDef, verb: string, relation: RangeVar): SqlError {
  const wrongType = (message: string, more: { detail?: string; hint?: string } = {}): SqlError =>
    new SqlError(SqlState.wrongObjectType, message, more);
  switch (verb) {
    case 'copy to':
      return wrongType(`cannot copy to view "${name}"`, {
        hint: 'To enable copying to a view, provide an INSTEAD OF INSERT trigger.',
      });
    case 'copy from':
      return wrongType(`cannot copy from view "${name}"`, { hint: 'Try the COPY (SELECT ...) TO variant.' });
    case 'create index on':
      return wrongType(`cannot create index on relation "${name}"`, {
        detail: 'This operation is not supported for views.',
      });
    case 'merge into':
      return new SqlError(SqlState.featureNotSupported, `cannot execute MERGE on relation "${name}"`, {
        detail: 'This operation is not supported for views.',
      });
    case 'insert into':
    case 'update':
    case 'delete from':
      return new SqlError(SqlState.featureNotSupported, `${verb.toUpperCase()} a view is not supported`, {
        ...at(relation.location),
        hint: 'Write to its table.',
      });
    default:
      return wrongType(`"${name}" is not a table`);
  }
}
