import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseUnderPressure } from '../../src/ingest/choose-under-pressure.ts';
import {
  chooseMoves,
  type MigrationSettings,
  type Pressure,
  type TableFigures,
} from '../../src/ingest/migration-choice.ts';

const MB = 2 ** 20;
const settings: MigrationSettings = {
  memoryFraction: 0.8,
  memoryYellow: 0.6,
  partitionBytes: 128 * MB,
  flushAgeMs: 300_000,
  walLagMax: 100_000,
  cdcOperationsMax: 10_000,
  flushIntervalMinMs: 10_000,
  commitIntervalMs: 60_000,
  stagedBytesMax: 1024 * MB,
  pendingDeletesMax: 10_000,
  smallFilesMax: 10,
  targetFileBytes: 128 * MB,
  commitIntervalMinMs: 10_000,
};
const calm: Pressure = { memoryUse: 0.1, memoryBudgetBytes: 400 * MB, diskUse: 0.1 };
const quiet: TableFigures = {
  memoryBytes: 0,
  largestPartitionBytes: 0,
  smallCutFiles: 0,
  unflushedAge: null,
  uncommittedAgeMs: null,
  walLag: 0,
  cdcOperations: 0,
  sinceFlushMs: Number.POSITIVE_INFINITY,
  sinceCommitMs: Number.POSITIVE_INFINITY,
  stagedBytes: 0,
  pendingDeletes: 0,
  moving: false,
  rewrite: null,
  rewriting: false,
  sinceRewriteMs: Number.POSITIVE_INFINITY,
};
/** Some rows in memory, none of them old. */
const busy: TableFigures = { ...quiet, memoryBytes: 10 * MB, unflushedAge: 20_000, uncommittedAgeMs: 20_000 };

const movesOf = (tables: readonly Partial<TableFigures>[], pressure: Partial<Pressure> = {}): string[] =>
  chooseMoves(
    settings,
    { ...calm, ...pressure },
    tables.map((each) => ({ ...busy, ...each })),
  ).map(({ table, move, trigger }) => `${table} ${move} ${trigger}`);

describe('one table', () => {
  test.each<[string, Partial<TableFigures>, string[]]>([
    ['with nothing above its limits stays', {}, []],
    ['without any write stays', { ...quiet }, []],
    ['with a partition of partition_size is flushed', { largestPartitionBytes: 128 * MB }, ['0 flush partition_size']],
    [
      'whose oldest row is of max_age, committed shortly before, is flushed',
      { unflushedAge: 300_000, sinceCommitMs: 9000, uncommittedAgeMs: 300_000 },
      ['0 flush max_age'],
    ],
    ['with max_wal_lag LSNs is flushed', { walLag: 100_000 }, ['0 flush max_wal_lag']],
    ['with max_cdc_ops is flushed', { cdcOperations: 10_000 }, ['0 flush max_cdc_ops']],
    [
      'that passes several limits names the one passed by most',
      { walLag: 150_000, cdcOperations: 20_000 },
      ['0 flush max_cdc_ops'],
    ],
    ['H13: within min_interval of its last flush stays', { walLag: 900_000, sinceFlushMs: 9999 }, []],
    ['of commit_interval is committed', { uncommittedAgeMs: 60_000 }, ['0 commit commit_interval']],
    ['with a whole target file staged is committed', { stagedBytes: 128 * MB }, ['0 commit target_file_size']],
    ['with max_pending_deletes is committed', { pendingDeletes: 10_000 }, ['0 commit max_pending_deletes']],
    [
      'due for both is committed, which flushes first',
      { uncommittedAgeMs: 60_000, walLag: 900_000 },
      ['0 commit commit_interval'],
    ],
    ['H13: within min_interval of its last commit stays', { uncommittedAgeMs: 60_000, sinceCommitMs: 9999 }, []],
    ['that moves already stays', { uncommittedAgeMs: 60_000, moving: true }, []],
    [
      'whose cut would write more than 64 small files waits, for both',
      { uncommittedAgeMs: 500_000, walLag: 900_000, smallCutFiles: 65, sinceFlushMs: 599_999, sinceCommitMs: 599_999 },
      [],
    ],
    [
      'whose cut would write more than 64 small files waits ten minutes at most',
      { uncommittedAgeMs: 600_000, smallCutFiles: 65, sinceFlushMs: 600_000, sinceCommitMs: 600_000 },
      ['0 commit commit_interval'],
    ],
    [
      'whose cut would write 64 small files does not wait',
      { uncommittedAgeMs: 60_000, smallCutFiles: 64, sinceFlushMs: 11_000, sinceCommitMs: 11_000 },
      ['0 commit commit_interval'],
    ],
    ['with small files has them rewritten', { rewrite: 'max_small_files' }, ['0 rewrite max_small_files']],
    ['with files mostly deleted has them rewritten', { rewrite: 'deleted_rows' }, ['0 rewrite deleted_rows']],
    ['just rewritten waits for min_interval', { rewrite: 'max_small_files', sinceRewriteMs: 9999 }, []],
    [
      'is committed and rewritten side by side',
      { rewrite: 'max_small_files', uncommittedAgeMs: 60_000 },
      ['0 commit commit_interval', '0 rewrite max_small_files'],
    ],
  ])('%s', (_, figures, expected) => {
    expect(movesOf([figures])).toEqual(expected);
  });
});

describe('under pressure', () => {
  test.each<[string, Partial<Pressure>, Partial<TableFigures>[], string[]]>([
    ['green memory moves nothing', { memoryUse: 0.59 }, [{}, {}], []],
    [
      'yellow memory flushes early, and only what brings it back to green',
      { memoryUse: 0.65 },
      [{ memoryBytes: 10 * MB }, { memoryBytes: 100 * MB }],
      ['1 flush memory_yellow'],
    ],
    [
      'memory does not wait for min_interval',
      { memoryUse: 0.65 },
      [{ memoryBytes: 100 * MB, sinceFlushMs: 0, sinceCommitMs: 0 }],
      ['0 flush memory_yellow'],
    ],
    [
      'memory does not wait for fuller files',
      { memoryUse: 0.65 },
      [{ memoryBytes: 100 * MB, smallCutFiles: 1000, sinceFlushMs: 0 }],
      ['0 flush memory_yellow'],
    ],
    [
      'beyond memory_fraction the largest go first, as many as it takes',
      { memoryUse: 0.9 },
      [{ memoryBytes: 80 * MB }, { memoryBytes: 20 * MB }, { memoryBytes: 120 * MB }, { memoryBytes: 90 * MB }],
      ['2 flush memory_fraction', '3 flush memory_fraction'],
    ],
    [
      'what moves already counts as freed',
      { memoryUse: 0.7 },
      [{ memoryBytes: 60 * MB, moving: true }, { memoryBytes: 60 * MB }],
      [],
    ],
    [
      'what moves already and does not free enough is helped',
      { memoryUse: 0.9 },
      [{ memoryBytes: 60 * MB, moving: true }, { memoryBytes: 80 * MB }, { memoryBytes: 1 * MB }],
      ['1 flush memory_fraction'],
    ],
    [
      'a table that is due for a commit keeps its reason, and goes with those that memory asks for',
      { memoryUse: 0.7 },
      [
        { memoryBytes: 30 * MB, uncommittedAgeMs: 61_000 },
        { memoryBytes: 200 * MB, uncommittedAgeMs: 61_000 },
      ],
      ['1 commit commit_interval', '0 commit commit_interval'],
    ],
    [
      'at the edge of yellow an old table goes before a slightly larger new one',
      { memoryUse: 0.61 },
      [
        { memoryBytes: 50 * MB, unflushedAge: 1000 },
        { memoryBytes: 40 * MB, unflushedAge: 200_000 },
      ],
      ['1 flush memory_yellow'],
    ],
    [
      'near the budget only size counts',
      { memoryUse: 0.99 },
      [
        { memoryBytes: 160 * MB, unflushedAge: 1000 },
        { memoryBytes: 150 * MB, unflushedAge: 200_000 },
      ],
      ['0 flush memory_fraction'],
    ],
    [
      'files are not rewritten while memory is yellow',
      { memoryUse: 0.65 },
      [{ ...quiet, rewrite: 'deleted_rows' }],
      [],
    ],
    [
      'a disk that fills commits what is staged or will be, min_interval or not',
      { diskUse: 0.8 },
      [
        { stagedBytes: 5 * MB, sinceCommitMs: 0 },
        { stagedBytes: 900 * MB, sinceCommitMs: 0 },
        { sinceCommitMs: 0 },
        { memoryBytes: 0, sinceCommitMs: 0 },
      ],
      ['1 commit disk', '0 commit disk', '2 commit disk'],
    ],
  ])('%s', (_, pressure, tables, expected) => {
    expect(movesOf(tables, pressure)).toEqual(expected);
  });
});

describe('several tables', () => {
  test.each<[string, Partial<TableFigures>[], string[]]>([
    [
      'the one that passed its limit by most goes first',
      [{ uncommittedAgeMs: 61_000 }, { uncommittedAgeMs: 400_000 }, { walLag: 250_000 }],
      ['1 commit commit_interval', '2 flush max_wal_lag', '0 commit commit_interval'],
    ],
    [
      'one at a time is rewritten: the one that has waited longest',
      [
        { rewrite: 'max_small_files', sinceRewriteMs: 20_000 },
        { rewrite: 'deleted_rows', sinceRewriteMs: 90_000 },
      ],
      ['1 rewrite deleted_rows'],
    ],
    ['none is rewritten beside another', [{ rewrite: 'max_small_files' }, { rewriting: true }], []],
  ])('%s', (_, tables, expected) => {
    expect(movesOf(tables)).toEqual(expected);
  });
});

test('tables chosen under pressure free what is wanted or all there is, and none is chosen in vain', () => {
  const table = fc.record({
    memoryBytes: fc.nat(1000),
    unflushedAge: fc.option(fc.nat(1_000_000)),
    moving: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(table),
      fc.nat(5000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (tables, wanted, pressure) => {
        const chosen = chooseUnderPressure(tables, wanted, pressure);
        expect(new Set(chosen).size).toBe(chosen.length);
        expect(chosen.every((i) => !tables[i]!.moving && tables[i]!.memoryBytes > 0)).toBe(true);
        const moving = tables.reduce((sum, each) => sum + (each.moving ? each.memoryBytes : 0), 0);
        const freed = (indexes: readonly number[]): number =>
          indexes.reduce((sum, i) => sum + tables[i]!.memoryBytes, moving);
        const all = tables.reduce((sum, each) => sum + each.memoryBytes, 0);
        expect(freed(chosen)).toBeGreaterThanOrEqual(Math.min(wanted, all));
        if (chosen.length > 0) expect(freed(chosen.slice(0, -1))).toBeLessThan(wanted);
      },
    ),
  );
});
