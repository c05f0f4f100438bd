/** Entry point of the binary: finds the command and runs it. */

// First, because what follows throws at its import for a user without a home.
import './without-home.ts';
// Loaded early, because it adds the stdout listener that `main` replaces.
import '@oclif/core/command';
import { ExitError } from '@oclif/core/errors';
import type { LoadOptions } from '@oclif/core/interfaces';
import { run } from '@oclif/core/run';
import { tellError } from './exit/tell-error.ts';
import { leaveErrorsToWriters } from './text/output.ts';

/**
 * Runs one command line. Sets `process.exitCode` and returns, so that pipes drain. A command reports its own errors;
 * errors before that (an unknown command) are reported here.
 * @param argv the words after the program's name
 */
export async function main(argv: string[], options: LoadOptions): Promise<void> {
  leaveErrorsToWriters(process.stdout);
  leaveErrorsToWriters(process.stderr);
  try {
    await run(argv, options);
  } catch (error) {
    if (error instanceof ExitError) {
      process.exitCode = error.oclif.exit ?? 0;
      return;
    }
    await tellError(error, { command: 'swingsnap', json: argv.includes('--json') });
  }
}
