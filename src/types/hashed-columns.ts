/**
 * Which columns' values the indexes of a table hash together, to answer equality from memory: of an index of several columns the
 * first one alone, and all of them. Indexes that have such a list in common share one structure.
 */
import type { TableDef } from '../table-def.ts';
import { isHashable } from './pg-type.ts';

/** `index` is the first that has it. `fieldIds` are in rising order. */
export interface HashedColumns {
  readonly index: string;
  readonly fieldIds: readonly number[];
}

/** The longest lists first: who has values for all of one finds fewer rows. A column that cannot be hashed ends its index's list. */
export function hashedColumns({ columns, indexes }: Pick<TableDef, 'columns' | 'indexes'>): readonly HashedColumns[] {
  const lists: HashedColumns[] = [];
  const add = (index: string, fieldIds: readonly number[]): void => {
    if (fieldIds.length > 0 && !lists.some((each) => isSameList(each.fieldIds, fieldIds)))
      lists.push({ index, fieldIds });
  };
  for (const { name, columns: key } of indexes) {
    const fieldIds = key.map(({ fieldId }) => fieldId);
    const end = fieldIds.findIndex((fieldId) => {
      const column = columns.find((each) => each.fieldId === fieldId);
      return column === undefined || !isHashable(column.type);
    });
    const hashable = end < 0 ? fieldIds : fieldIds.slice(0, end);
    add(name, hashable.slice(0, 1));
    add(
      name,
      [...new Set(hashable)].toSorted((a, b) => a - b),
    );
  }
  return lists.toSorted((a, b) => b.fieldIds.length - a.fieldIds.length);
}

export const isSameList = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((each, i) => each === b[i]);
