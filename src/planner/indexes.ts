/**
 * CREATE INDEX: a B-tree, PostgreSQL's default, or a hash; and REINDEX. What PostgreSQL has beyond that says 0A000; what it refuses
 * itself is refused in its words.
 *
 * An index must be of use (`hashed-columns.ts`), so its first column has a type whose values can be hashed.
 */
import type { IndexElem, IndexStmt, Node, ReindexStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import type { ColumnDef, IndexColumn, IndexDef, TableDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { isHashable, Oid } from '../types/pg-type.ts';
import { at, defElemBoolean, stringOf, stringsOf } from './ast.ts';
import { SYSTEM_COLUMNS } from './create-table.ts';
import { indexOptions } from './index-options.ts';
import { isDefaultClass, operatorClass } from './operator-classes.ts';
import type { CatalogView, Statement } from './plan.ts';
import { truncated } from './truncated-name.ts';
import { refuseValues } from './unique-constraints.ts';
import { DATABASE, refuseSystemRelation, targetTable } from './schema-names.ts';

const METHODS: ReadonlySet<string> = new Set(['btree', 'hash', 'gist', 'gin', 'spgist', 'brin']);
const COLUMNS_MAX = 32;

type Method = IndexDef['method'];

/** @throws {SqlError} 0A000, 22023, 42804, 42P01, 42P17, 42703, 42704, 54011 */
export function planCreateIndex(statement: IndexStmt, view: CatalogView): Statement {
  // PostgreSQL names no place in the statement here.
  const { location: _, ...relation } = statement.relation ?? {};
  const def = targetTable(relation, view, 'create index on');
  const method = methodOf(statement);
  const elements = elementsOf(statement.indexParams);
  const others = elementsOf(statement.indexIncludingParams);
  if (method === 'hash' && others.length > 0) throw lacks('included columns');
  if (elements.length + others.length > COLUMNS_MAX)
    throw new SqlError(SqlState.tooManyColumns, `cannot use more than ${COLUMNS_MAX} columns in an index`);
  if (method === 'hash' && elements.length > 1) throw lacks('multicolumn indexes');
  const tablespace = statement.tableSpace ?? '';
  if (tablespace !== '' && tablespace !== 'pg_default')
    throw new SqlError(SqlState.undefinedObject, `tablespace "${tablespace}" does not exist`);
  if (statement.whereClause !== undefined)
    throw notSupported('a partial index', { hint: 'Leave WHERE out: the index then has all rows.' });
  const columns = elements.map((element) => keyColumn(element, def, method));
  const included = others.map((element) => includedColumn(element, def));
  refuseUseless(columns[0]!, def);
  const isUnique = statement.unique === true;
  if (isUnique) for (const { fieldId } of columns) refuseValues(def.columns.find((each) => each.fieldId === fieldId)!);
  if (statement.nulls_not_distinct === true) throw notSupported('NULLS NOT DISTINCT');
  const options = indexOptions(statement.options ?? [], method);
  const name = truncated(statement.idxname ?? '');
  return {
    kind: 'createIndex',
    draft: {
      tableUuid: def.uuid,
      name: name === '' ? null : name,
      index: { method, columns, included, options, ...(isUnique ? { unique: 'index' } : {}) },
    },
    ifNotExists: statement.if_not_exists === true,
  };
}

function methodOf({ accessMethod, unique }: IndexStmt): Method {
  const method = accessMethod ?? 'btree';
  if (!METHODS.has(method)) throw new SqlError(SqlState.undefinedObject, `access method "${method}" does not exist`);
  if (unique === true && method === 'hash') throw lacks('unique indexes');
  if (method === 'btree' || method === 'hash') return method;
  throw notSupported(`an index with access method ${method}`, {
    hint: 'A B-tree, the default, or a hash answers equality. Ranges are pruned by the options partition_by and sort_by of CREATE TABLE.',
  });
}

const lacks = (what: string): SqlError =>
  new SqlError(SqlState.featureNotSupported, `access method "hash" does not support ${what}`);

const elementsOf = (nodes: readonly Node[] | undefined): readonly IndexElem[] =>
  (nodes ?? []).map((node) => ('IndexElem' in node ? node.IndexElem : {}));

function columnOf({ name = '' }: IndexElem, def: TableDef): ColumnDef {
  const column = def.columns.find((each) => each.name === name);
  if (column !== undefined) return column;
  if (SYSTEM_COLUMNS.has(name))
    throw new SqlError(SqlState.featureNotSupported, 'index creation on system columns is not supported');
  throw new SqlError(SqlState.undefinedColumn, `column "${name}" does not exist`);
}

function keyColumn(element: IndexElem, def: TableDef, method: Method): IndexColumn {
  if (element.expr !== undefined) throw notSupported('an index on an expression', { hint: 'Index a column.' });
  const column = columnOf(element, def);
  const { fieldId, type } = column;
  const isOrdered = element.ordering !== undefined && element.ordering !== 'SORTBY_DEFAULT';
  const placesNulls = element.nulls_ordering !== undefined && element.nulls_ordering !== 'SORTBY_NULLS_DEFAULT';
  if (method === 'hash' && isOrdered) throw lacks('ASC/DESC options');
  if (method === 'hash' && placesNulls) throw lacks('NULLS FIRST/LAST options');
  const descending = element.ordering === 'SORTBY_DESC';
  const nullsFirst = placesNulls ? element.nulls_ordering === 'SORTBY_NULLS_FIRST' : descending;
  const collation = collationOf(element, type.oid);
  if ((element.opclassopts ?? []).length > 0)
    throw new SqlError(
      SqlState.invalidParameterValue,
      `operator class ${stringsOf(element.opclass).at(-1)} has no options`,
    );
  const given = element.opclass ?? [];
  if (given.length === 0 && type.oid === Oid.json)
    throw new SqlError(
      SqlState.undefinedObject,
      `data type json has no default operator class for access method "${method}"`,
      {
        hint: 'You must specify an operator class for the index or define a default operator class for the data type.',
      },
    );
  const named = given.length === 0 ? null : operatorClass(stringsOf(given), column.type, method);
  return {
    fieldId,
    descending,
    nullsFirst,
    ...(named === null || isDefaultClass(named, type.oid) ? {} : { operatorClass: named }),
    ...(collation === null ? {} : { collation }),
  };
}

const COLLATABLE: ReadonlySet<number> = new Set([Oid.text, Oid.varchar, Oid.bpchar, Oid.name]);
/** Of bytes: nothing that is asked of an index here depends on another order. */
const COLLATIONS: ReadonlySet<string> = new Set(['C', 'POSIX', 'ucs_basic', 'default']);

function collationOf({ collation = [] }: IndexElem, oid: number): string | null {
  if (collation.length === 0) return null;
  const name = stringOf(collation.at(-1));
  if (!COLLATABLE.has(oid))
    throw new SqlError(
      SqlState.datatypeMismatch,
      `collations are not supported by type ${formatType({ oid, typmod: -1 })}`,
    );
  if (!COLLATIONS.has(name))
    throw notSupported(`collation "${name}"`, { hint: 'Text is ordered by its bytes: COLLATE "C".' });
  return name;
}

function includedColumn(element: IndexElem, def: TableDef): number {
  const refuse = (what: string): SqlError =>
    new SqlError(SqlState.invalidObjectDefinition, `including column does not support ${what}`);
  if (element.expr !== undefined)
    throw notSupported('an expression among included columns', { hint: 'Include a column.' });
  if ((element.collation ?? []).length > 0) throw refuse('a collation');
  if ((element.opclass ?? []).length > 0) throw refuse('an operator class');
  if (element.ordering !== undefined && element.ordering !== 'SORTBY_DEFAULT') throw refuse('ASC/DESC options');
  if (element.nulls_ordering !== undefined && element.nulls_ordering !== 'SORTBY_NULLS_DEFAULT')
    throw refuse('NULLS FIRST/LAST options');
  return columnOf(element, def).fieldId;
}

function refuseUseless({ fieldId }: IndexColumn, def: TableDef): void {
  const { type } = def.columns.find((each) => each.fieldId === fieldId)!;
  if (isHashable(type)) return;
  throw notSupported(`an index whose first column is of type ${formatType(type)}`, {
    hint: 'Put a column of another type first, or leave the index out: answers are the same without it.',
  });
}

/** @throws {SqlError} 0A000, 42601 */
export function planReindex({ kind, name = '', params, relation }: ReindexStmt): Statement {
  let concurrently = false;
  for (const option of params ?? []) {
    if (!('DefElem' in option)) continue;
    const { arg, defname = '', location } = option.DefElem;
    if (defname === 'tablespace') throw notSupported('REINDEX (TABLESPACE)', at(location));
    if (defname !== 'concurrently' && defname !== 'verbose')
      throw new SqlError(SqlState.syntaxError, `unrecognized REINDEX option "${defname}"`, at(location));
    const isOn = defElemBoolean(defname, arg);
    if (defname === 'concurrently') concurrently = isOn;
  }
  switch (kind) {
    case 'REINDEX_OBJECT_INDEX':
    case 'REINDEX_OBJECT_TABLE': {
      const { relname = '', schemaname = '' } = relation ?? {};
      if (schemaname !== '') refuseSystemRelation(schemaname);
      const what = kind === 'REINDEX_OBJECT_INDEX' ? 'index' : 'table';
      const named = { schema: schemaname === '' ? null : schemaname, name: relname };
      return { kind: 'reindex', what, named, concurrently };
    }
    case 'REINDEX_OBJECT_SCHEMA':
      return { kind: 'reindexAll', schema: name };
    default:
      if (name !== '' && name !== DATABASE)
        throw new SqlError(SqlState.featureNotSupported, 'can only reindex the currently open database');
      return { kind: 'reindexAll', schema: null };
  }
}
