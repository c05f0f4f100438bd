/** Closes a test run with `N passed, N failed`, alone on the last line, for those who read only that. */

import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  /** A file that cannot be loaded, and an error outside any test, count as failed: the line must not look green. */
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandled.length;
    for (const module of modules) {
      const before = failed;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed += 1;
        if (state === 'failed') failed += 1;
      }
      if (!module.ok() && failed === before) failed += 1;
    }
    if (passed === 0) process.exitCode = 1;
    process.once('exit', () => {
      process.stdout.write(`${passed} passed, ${failed} failed\n`);
    });
  }
}
