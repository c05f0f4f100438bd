import { defineConfig } from 'vitest/config';

/** Tests that act as other users of the machine: they need root, and are a step of their own. */
const ATTACKS = 'test/attacks/**/*.test.ts';

export default defineConfig({
  test: {
    globalSetup: './test/own-state-dir.ts',
    reporters: ['default', './test/reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A command that gives way to all else would be waited for in vain while other tests run.
    env: { SWINGSNAP_NICE: '0' },
    // Native modules (SQLite) and tests that watch memory or handles want processes of their own.
    pool: 'forks',
    execArgv: ['--expose-gc'],
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: 'tests', include: ['test/**/*.test.ts'], exclude: [ATTACKS] },
      },
      { extends: true, test: { name: 'attacks', include: [ATTACKS] } },
    ],
  },
});
