/** Entry point of the binary: finds the command and runs it. */

// First, because what follows throws at its import for a user without a home.
import './without-home.ts';
// Loaded early, because it adds the stdout listener that `main` replaces.
import '@oclif/core/command';
import { ExitError } from '@oclif/core/errors';
import type { LoadOptions } from '@oclif/core/interfaces';
import { run } from '@oclif/core/run';
import { NotFoundError } from '../errors.ts';
import { askedBy } from './asked.ts';
import { COMMANDS } from './command-names.ts';
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
    refuseNoWorkingDirectory();
    await run(argv, options);
  } catch (error) {
    if (error instanceof ExitError) {
      process.exitCode = error.oclif.exit ?? 0;
      return;
    }
    await tellError(error, { command: 'swingsnap', asked: askedBy(argv), names: COMMANDS });
  }
}

/** A relative path would mean nothing, and oclif ends with a stack. @throws {NotFoundError} `NO_WORKING_DIRECTORY` */
function refuseNoWorkingDirectory(): void {
  try {
    process.cwd();
  } catch (cause) {
    throw new NotFoundError('NO_WORKING_DIRECTORY', 'the working directory is no longer there', {
      path: process.env['PWD'],
      hint: 'change to another directory, and run the command again: cd /',
      cause,
    });
  }
}
