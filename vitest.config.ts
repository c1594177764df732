import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes a minute and more begins first: else one file alone makes the end of the run. In a clone of today nobody knows yet. */
const LONG = [
  'differential/statements-first',
  'differential/statements-second',
  'differential/statements-third',
  'model/model',
  'process/readers',
  'process/store-away',
  'process/large-copy',
  'ingest/rewrite',
  'ingest/recovery',
  'ingest/spilled',
];

/**
 * Files with a process of their own: long ones, those that put other modules, variables or functions in the place of the process's own, and
 * those that look at the memory of the process. All others share processes, and with them what they import: 1 s of CPU a file.
 */
const ALONE = [
  ...LONG.map((name) => `test/${name}.test.ts`),
  'test/sim/**/*.test.ts',
  'test/memory/**/*.test.ts',
  'test/disk/synced.test.ts',
  'test/federation/footers.test.ts',
  'test/iceberg/s3-store.test.ts',
  'test/ingest/resolver.test.ts',
  'test/wire/{socket-writer,wire}.test.ts',
];
const ELSEWHERE = ['test/compat/**', 'test/bench/**', 'node_modules/**'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      LONG.some((name) => moduleId.endsWith(`/${name}.test.ts`));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/** `npm test`: everything that needs nothing but npm packages. Outside clients and engines: vitest.compat.config.ts. */
export default defineConfig({
  test: {
    globalSetup: ['test/memory-folder.ts', 'test/temporary-folder.ts', 'test/compile-cache.ts'],
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // most tests wait for disks and servers of their own: as many workers as cores would leave a small machine idle
    maxWorkers: Math.max(3, availableParallelism() - 1),
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // process.exitCode alone would let a hanging server keep the run alive for ever
    teardownTimeout: 10_000,
    projects: [
      { extends: true, test: { name: 'alone', include: ALONE, exclude: ELSEWHERE } },
      {
        extends: true,
        test: { name: 'shared', isolate: false, include: ['test/**/*.test.ts'], exclude: [...ELSEWHERE, ...ALONE] },
      },
    ],
  },
});
