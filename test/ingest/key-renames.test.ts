/** Rows that got another key are followed while somebody searches, in the order of commits. */
import { expect, test } from 'vitest';
import { KeyRenames, RenamedRows } from '../../src/storage/key-renames.ts';

const key = (value: number): Int32Array<ArrayBuffer> => Int32Array.of(value, 0, 0, value);
function renamed(...pairs: readonly (readonly [number, number])[]): RenamedRows {
  const rows = new RenamedRows();
  pairs.forEach(([before, after], row) => rows.add(key(before), key(after), row));
  return rows;
}
function followed(renames: KeyRenames, since: number, ...values: readonly number[]): number[] {
  const keys = Int32Array.from(values.flatMap((value) => [...key(value)]));
  renames.follow(keys, since);
  return values.map((_, i) => keys[i * 4]!);
}

test('F1: a row is followed from key to key in the order of commits, from where the search began', () => {
  const renames = new KeyRenames();
  const first = renames.enter();
  renames.note(renamed([1, 10], [10, 100], [2, 20]));
  const second = renames.enter();
  renames.note(renamed([20, 1], [1, 2]));
  expect(followed(renames, first, 1, 2, 3, 1)).toEqual([100, 2, 3, 100]);
  expect(followed(renames, second, 1, 20, 100)).toEqual([2, 2, 100]);
});

test('F2: what is committed while nobody searches is not kept', () => {
  const renames = new KeyRenames();
  renames.note(renamed([1, 2]));
  expect(renames.count).toBe(0);
  renames.enter();
  renames.enter();
  renames.note(renamed([1, 2]));
  renames.leave();
  expect(renames.count).toBe(1);
  renames.leave();
  expect(renames.count).toBe(0);
  expect(followed(renames, renames.enter(), 1)).toEqual([1]);
});

test('a key that a savepoint took back is not a key that a row got', () => {
  const rows = renamed([1, 2], [3, 4], [5, 6]);
  rows.truncate(1);
  const renames = new KeyRenames();
  const since = renames.enter();
  renames.note(rows);
  expect(followed(renames, since, 1, 3, 5)).toEqual([2, 3, 5]);
});
