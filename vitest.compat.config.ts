import { defineConfig } from 'vitest/config';

/** `npm run test:compat`: psql, PyIceberg and DuckDB's Iceberg extension against a real server; a full disk. */
export default defineConfig({
  test: {
    include: ['test/compat/**/*.it.test.ts'],
    globalSetup: ['test/temporary-folder.ts', 'test/compile-cache.ts'],
    pool: 'forks',
    // each has servers of its own and waits for them and for outside programs most of the time
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
  },
});
