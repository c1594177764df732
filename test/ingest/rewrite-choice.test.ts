import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseRewrite, type RewriteFile, type RewriteLimits } from '../../src/ingest/rewrite-choice.ts';

const MB = 2 ** 20;
const limits: RewriteLimits = {
  targetFileBytes: 128 * MB,
  smallFilesMax: 3,
  mergedRowsMax: 4_000_000,
  rowsMax: 10_000_000,
};
const file = (megabytes: number, more: Partial<RewriteFile> = {}): RewriteFile => ({
  bytes: megabytes * MB,
  rows: 1000,
  deleted: 0,
  timeMin: 0,
  ...more,
});
const many = (count: number, megabytes: number): RewriteFile[] => Array.from({ length: count }, () => file(megabytes));

test.each<[string, RewriteFile[], boolean, [string, number[][]] | null]>([
  ['no file', [], false, null],
  ['files of the target size', many(20, 128), false, null],
  ['fewer small files than max_small_files', many(2, 1), false, null],
  ['max_small_files', many(3, 1), false, ['max_small_files', [[0, 1, 2]]]],
  ['small files beside large ones', [...many(3, 1), ...many(5, 120)], false, ['max_small_files', [[0, 1, 2]]]],
  ['tiny files are alike, however small', [file(0.001), file(1), file(2)], false, ['max_small_files', [[0, 1, 2]]]],
  ['a merged file waits for as much again', [...many(2, 3), file(40)], false, null],
  [
    'a merged file goes with as much again',
    [...many(7, 3), file(40)],
    false,
    ['max_small_files', [[0, 1, 2, 3, 4, 5, 6, 7]]],
  ],
  [
    'few tiny files do not keep larger ones from being merged',
    [file(0.1), ...many(3, 20)],
    false,
    ['max_small_files', [[1, 2, 3]]],
  ],
  [
    'more than one target file together',
    many(4, 60),
    false,
    [
      'max_small_files',
      [
        [0, 1],
        [2, 3],
      ],
    ],
  ],
  [
    'neighbours in time go together',
    [file(60, { timeMin: 3 }), file(60, { timeMin: 1 }), file(60, { timeMin: 4 }), file(60, { timeMin: 2 })],
    false,
    [
      'max_small_files',
      [
        [1, 3],
        [0, 2],
      ],
    ],
  ],
  ['30 % deleted is still fine', [file(128, { deleted: 300 })], false, null],
  ['more than 30 % deleted', [file(128, { deleted: 301 })], false, ['deleted_rows', [[0]]]],
  [
    'half-deleted files of half the size each',
    [file(128, { deleted: 500 }), file(128, { deleted: 500 })],
    false,
    ['deleted_rows', [[0, 1]]],
  ],
  ['more rows than may be held in memory', [file(128, { rows: 20_000_000, deleted: 9_000_000 })], false, null],
  [
    'all rows deleted, however many',
    [file(128, { rows: 20_000_000, deleted: 20_000_000 })],
    false,
    ['deleted_rows', [[0]]],
  ],
  [
    'files of as many rows as are merged, in few bytes',
    many(5, 1).map((each) => ({ ...each, rows: 3_500_000 })),
    false,
    null,
  ],
  [
    'no more rows together than are merged, in however few bytes',
    many(4, 1).map((each) => ({ ...each, rows: 1_500_000 })),
    false,
    [
      'max_small_files',
      [
        [0, 1],
        [2, 3],
      ],
    ],
  ],
  [
    'a file of more rows than are merged, of which many are deleted',
    [file(1, { rows: 13_000_000, deleted: 4_000_000 })],
    false,
    ['deleted_rows', [[0]]],
  ],
  ['full: two small files', many(2, 1), true, ['max_small_files', [[0, 1]]]],
  ['full: one small file without deletes', many(1, 1), true, null],
  ['full: one deleted row', [file(128, { deleted: 1 }), file(128)], true, ['deleted_rows', [[0]]]],
])('%s', (_, files, full, expected) => {
  const choice = chooseRewrite(limits, files, full);
  expect(choice === null ? null : [choice.trigger, choice.groups]).toEqual(expected);
});

test('groups hold each file once, stay below the target, and none is rewritten for nothing', () => {
  const anyFile = fc.record({
    bytes: fc.integer({ min: 1, max: 200 * MB }),
    rows: fc.constant(1000),
    deleted: fc.oneof(fc.constant(0), fc.nat(1000)),
    timeMin: fc.nat(100),
  });
  fc.assert(
    fc.property(fc.array(anyFile, { maxLength: 60 }), fc.boolean(), (files, full) => {
      const groups = chooseRewrite(limits, files, full)?.groups ?? [];
      const members = groups.flat();
      expect(new Set(members).size).toBe(members.length);
      for (const group of groups) {
        const bytes = group.reduce((sum, i) => sum + (files[i]!.bytes * (1000 - files[i]!.deleted)) / 1000, 0);
        if (group.length > 1) expect(bytes).toBeLessThanOrEqual(limits.targetFileBytes + 1);
        else expect(files[group[0]!]!.deleted).toBeGreaterThan(0);
      }
    }),
  );
});

test('however many files of one size come one after another, few are left, and each byte is rewritten a few times', () => {
  let files: RewriteFile[] = [];
  let written = 0;
  const own = { ...limits, smallFilesMax: 10 };
  for (let i = 0; i < 2000; i++) {
    files.push(file(1));
    const choice = chooseRewrite(own, files, false);
    if (choice === null) continue;
    const gone = new Set(choice.groups.flat());
    const merged = choice.groups.map((group) => file(group.reduce((sum, k) => sum + files[k]!.bytes, 0) / MB));
    written += merged.reduce((sum, each) => sum + each.bytes, 0) / MB;
    files = [...files.filter((_, k) => !gone.has(k)), ...merged];
  }
  expect(files.reduce((sum, each) => sum + each.bytes, 0)).toBe(2000 * MB);
  expect(files.filter(({ bytes }) => bytes < 96 * MB).length).toBeLessThan(10 + 8);
  expect(written / 2000).toBeLessThan(6);
});
