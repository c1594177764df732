/** UNIQUE constraints of CREATE TABLE and ALTER TABLE, and what the columns of a unique index must be like. */
import type { Constraint } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, IndexShape, IndexToMake } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { isHashable } from '../types/pg-type.ts';
import { at, stringsOf, unsupported } from './ast.ts';
import { truncated } from './truncated-name.ts';
import { FLOATS } from '../types/type-kinds.ts';

/** A constraint as it was written, whose columns may come later in the statement. */
export interface WrittenUnique {
  /** '': PostgreSQL chooses one. */
  readonly name: string;
  readonly columns: readonly string[];
  readonly location: number | undefined;
}

/** @param column its own, where it is a column's constraint @throws {SqlError} 0A000 */
export function writtenUnique(constraint: Constraint, column: string | null): WrittenUnique {
  const { conname = '', keys = [], location } = constraint;
  const refuse = (what: string): SqlError => notSupported(what, at(location));
  if (constraint.deferrable === true) throw unsupported('DEFERRABLE').with(at(location));
  if (constraint.nulls_not_distinct === true) throw refuse('UNIQUE NULLS NOT DISTINCT');
  if ((constraint.including ?? []).length > 0) throw refuse('INCLUDE of a UNIQUE constraint');
  if (constraint.without_overlaps === true) throw refuse('WITHOUT OVERLAPS');
  if ((constraint.options ?? []).length > 0) throw refuse('WITH of a UNIQUE constraint');
  if ((constraint.indexspace ?? '') !== '') throw refuse('USING INDEX TABLESPACE');
  return {
    name: truncated(conname),
    columns: column === null ? stringsOf(keys).map(truncated) : [column],
    location,
  };
}

/**
 * The indexes of a statement's UNIQUE constraints. Of two over the same columns one is made, none where the key is that.
 * @throws {SqlError} 42703, 42701, 0A000
 */
export function uniqueIndexes(
  written: readonly WrittenUnique[],
  columns: readonly ColumnDef[],
  key: readonly number[],
): readonly IndexToMake[] {
  const made: IndexToMake[] = [];
  for (const each of written) {
    const index = uniqueShape(each, columns);
    const list = fieldsOf(index);
    if (list === key.join()) continue;
    const same = made.findIndex((other) => fieldsOf(other.index) === list);
    if (same < 0) made.push({ name: each.name === '' ? null : each.name, index });
    else if (made[same]!.name === null && each.name !== '') made[same] = { ...made[same]!, name: each.name };
    else if (each.name !== '' && made[same]!.name !== each.name) made.push({ name: each.name, index });
  }
  return made;
}

/** The name that a key gets which has none, from a UNIQUE constraint over the same columns; null: there is none. */
export function nameForKey(
  written: readonly WrittenUnique[],
  columns: readonly ColumnDef[],
  key: readonly number[],
): string | null {
  const same = written.find((each) => each.name !== '' && fieldsOf(uniqueShape(each, columns)) === key.join());
  return same?.name ?? null;
}

const fieldsOf = ({ columns }: IndexShape): string => columns.map(({ fieldId }) => fieldId).join();

/** @throws {SqlError} 42703, 42701, 0A000 */
export function uniqueShape({ columns: names, location }: WrittenUnique, columns: readonly ColumnDef[]): IndexShape {
  const where = at(location);
  const fields = names.map((name, i) => {
    const column = columns.find((each) => each.name === name);
    if (column === undefined)
      throw new SqlError(SqlState.undefinedColumn, `column "${name}" named in key does not exist`, where);
    if (names.indexOf(name) !== i)
      throw new SqlError(SqlState.duplicateColumn, `column "${name}" appears twice in unique constraint`, where);
    refuseValues(column, location);
    return { fieldId: column.fieldId, descending: false, nullsFirst: false };
  });
  return { method: 'btree', columns: fields, included: [], options: {}, unique: 'constraint' };
}

/** NaN and -0 are equal to others, in memory and in files otherwise. @throws {SqlError} 0A000 */
export function refuseValues({ type }: ColumnDef, location?: number): void {
  if (!isHashable(type) || FLOATS.has(type.oid))
    throw notSupported(`UNIQUE over a column of type ${formatType(type)}`, at(location));
}
