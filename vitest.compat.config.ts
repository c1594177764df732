import { defineConfig } from 'vitest/config';

/** `npm run test:compat`: psql, PyIceberg and DuckDB's Iceberg extension against a real server; a full disk. */
export default defineConfig({
  test: {
    include: ['test/compat/**/*.it.test.ts'],
    globalSetup: ['test/temporary-folder.ts', 'test/compile-cache.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
  },
});
