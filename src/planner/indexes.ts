/** CREATE INDEX … USING hash (column). What PostgreSQL has beyond that says 0A000, in its words where it refuses it itself. */
import type { IndexElem, IndexStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { isHashable, Oid } from '../types/pg-type.ts';
import { formatType } from '../types/format-type.ts';
import type { TableDef } from '../table-def.ts';
import { truncated } from './create-table.ts';
import type { CatalogView, Statement } from './plan.ts';
import { targetTable } from './schema-names.ts';

const METHODS: ReadonlySet<string> = new Set(['btree', 'hash', 'gist', 'gin', 'spgist', 'brin']);

/** @throws {SqlError} 0A000, 42P01, 42703, 42704 */
export function planCreateIndex(statement: IndexStmt, view: CatalogView): Statement {
  const def = targetTable(statement.relation ?? {}, view, 'create index on');
  checkMethod(statement);
  if ((statement.tableSpace ?? '') !== '') throw notSupported('TABLESPACE');
  if ((statement.options ?? []).length > 0) throw notSupported('WITH (…) of an index');
  if (statement.whereClause !== undefined) throw notSupported('a partial index');
  const [first, ...rest] = statement.indexParams ?? [];
  if (rest.length > 0) throw lacks('multicolumn indexes');
  if ((statement.indexIncludingParams ?? []).length > 0) throw lacks('included columns');
  const element = first !== undefined && 'IndexElem' in first ? first.IndexElem : {};
  const { fieldId } = indexedColumn(element, def);
  const name = truncated(statement.idxname ?? '');
  return {
    kind: 'createIndex',
    draft: { tableUuid: def.uuid, name: name === '' ? null : name, fieldId },
    ifNotExists: statement.if_not_exists === true,
  };
}

function checkMethod(statement: IndexStmt): void {
  const method = statement.accessMethod ?? 'btree';
  if (!METHODS.has(method)) throw new SqlError(SqlState.undefinedObject, `access method "${method}" does not exist`);
  if (statement.unique === true) {
    const hint = 'A PRIMARY KEY in CREATE TABLE keeps rows unique.';
    throw method === 'hash' ? lacks('unique indexes').with({ hint }) : notSupported('CREATE UNIQUE INDEX', { hint });
  }
  if (method === 'hash') return;
  throw notSupported(`an index with access method ${method}`, {
    hint: 'Write USING hash (column) for equality. Ranges are pruned by the options partition_by and sort_by of CREATE TABLE.',
  });
}

const lacks = (what: string): SqlError =>
  new SqlError(SqlState.featureNotSupported, `access method "hash" does not support ${what}`);

function indexedColumn(element: IndexElem, def: TableDef): TableDef['columns'][number] {
  if (element.expr !== undefined) throw notSupported('an index on an expression', { hint: 'Index a column.' });
  const column = def.columns.find((each) => each.name === element.name);
  if (column === undefined)
    throw new SqlError(SqlState.undefinedColumn, `column "${element.name ?? ''}" does not exist`);
  if ((element.opclass ?? []).length > 0) throw notSupported('an operator class');
  if ((element.collation ?? []).length > 0) throw notSupported('COLLATE of an index');
  if (element.ordering !== undefined && element.ordering !== 'SORTBY_DEFAULT') throw lacks('ASC/DESC options');
  if (element.nulls_ordering !== undefined && element.nulls_ordering !== 'SORTBY_NULLS_DEFAULT')
    throw lacks('NULLS FIRST/LAST options');
  if (column.type.oid === Oid.json)
    throw new SqlError(
      SqlState.undefinedObject,
      'data type json has no default operator class for access method "hash"',
      {
        hint: 'You must specify an operator class for the index or define a default operator class for the data type.',
      },
    );
  if (!isHashable(column.type)) throw notSupported(`an index on a column of type ${formatType(column.type)}`);
  return column;
}
