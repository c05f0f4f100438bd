import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './test/reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Native modules (SQLite) and tests that watch memory or handles want processes of their own.
    pool: 'forks',
    execArgv: ['--expose-gc'],
    maxWorkers: 2,
  },
});
