/** Whether rows that are there let a primary key, a UNIQUE constraint or a unique index be made over them. */
import { SqlError, SqlState } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import type { IndexDef, TableDef } from '../table-def.ts';
import type { DefineEnvironment } from './define.ts';

/** @throws {SqlError} 23505 for two rows with the same values, none of them NULL */
export async function checkUnique(
  { firstRow }: Pick<DefineEnvironment, 'firstRow'>,
  def: TableDef,
  name: string,
  fieldIds: readonly number[],
): Promise<void> {
  const names = fieldIds.map((id) => def.columns.find(({ fieldId }) => fieldId === id)!.name);
  const keys = names.map(quoteIdentifier).join(', ');
  const present = names.map((each) => `${quoteIdentifier(each)} IS NOT NULL`).join(' AND ');
  const from = `${quoteIdentifier(def.schema)}.${quoteIdentifier(def.name)}`;
  const twice = await firstRow(
    `SELECT ${keys} FROM ${from} WHERE ${present} GROUP BY ${keys} HAVING count(*) > 1 ORDER BY ${keys} LIMIT 1`,
  );
  if (twice === null) return;
  throw new SqlError(SqlState.uniqueViolation, `could not create unique index "${name}"`, {
    detail: `Key (${names.join(', ')})=(${twice.join(', ')}) is duplicated.`,
    schema: def.schema,
    table: def.name,
    constraint: name,
  });
}

/** Of a unique index; rows have NULL in a column that is not there yet. */
export async function checkIndex(
  environment: Pick<DefineEnvironment, 'firstRow'>,
  before: TableDef,
  { name, columns }: Pick<IndexDef, 'name' | 'columns'>,
): Promise<void> {
  const fieldIds = columns.map(({ fieldId }) => fieldId);
  if (fieldIds.some((id) => !before.columns.some(({ fieldId }) => fieldId === id))) return;
  await checkUnique(environment, before, name, fieldIds);
}
