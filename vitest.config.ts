import { defineConfig } from 'vitest/config';

/** `npm test`: everything that needs nothing but npm packages. Outside clients and engines: vitest.compat.config.ts. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/compat/**', 'test/bench/**', 'node_modules/**'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // process.exitCode alone would let a hanging server keep the run alive for ever
    teardownTimeout: 10_000,
  },
});
