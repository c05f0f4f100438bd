/** Paths as operators write them: in flags, arguments and the environment. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CLIError } from '@oclif/core/errors';
import { EXIT_CODES } from '../../errors.ts';
import { NO_HOME } from '../without-home.ts';

/**
 * Expands a leading `~/`, which a shell leaves as it is in `--home=~/.agoric`, and systemd in a unit file.
 * @param name of the environment variable that holds it; undefined for a flag or an argument, which oclif names
 * @throws {CLIError} for an empty path, since an unset variable in a script must not mean the current directory; for
 *   `~user`, since that would be a directory of this name in the current one
 */
export function givenPath(input: string, name?: string): string {
  const found = name === undefined ? input : `${input} in ${name}`;
  if (input === '') throw wrong('expected a path, found nothing');
  if (!input.startsWith('~')) return input;
  if (input === '~' || input.startsWith('~/')) return join(homeFor(found), input.slice(1));
  throw wrong(
    `expected a path, or ~/ and a path in your home, found ${found} (a file of this name is ./${input})`,
  );
}

/** {@link givenPath} as oclif calls it. */
export async function parsePath(input: string): Promise<string> {
  return givenPath(input);
}

function homeFor(found: string): string {
  const home = homedir();
  if (home !== NO_HOME) return home;
  throw wrong(`found ${found}, but this user has no home: write the whole path`);
}

function wrong(message: string): CLIError {
  return new CLIError(message, { exit: EXIT_CODES.usage });
}
