/** What the exit codes mean. The root help has all of them, and each command's help those that it exits with. */

import { EXIT_CODES } from '../../errors.ts';

type Meaning = keyof typeof EXIT_CODES;

const MEANINGS: Readonly<Record<Meaning, string>> = {
  done: 'done',
  failed: 'any other failure',
  usage: 'wrong usage',
  verification: 'content does not match its hashes, records or names',
  busy: 'another operation is in progress',
  notFound: 'a named file, directory or snapshot does not exist',
  storage: 'no space, no permission, or storage unreachable',
  timeout: 'a time limit passed, or the newest snapshot is too old',
  interrupted: 'stopped by SIGINT',
  terminated: 'stopped by SIGTERM',
};

/** @param without what a command never exits with */
export function exitCodeRows(without: readonly Meaning[] = []): string[] {
  return Object.entries(MEANINGS).flatMap(([name, meaning]) => {
    if (without.includes(name as Meaning)) return [];
    return [`${EXIT_CODES[name as Meaning].toString().padEnd(5)}${meaning}`];
  });
}

/** A command's description, followed by its exit codes. */
export function withExitCodes(description: string, without: readonly Meaning[] = []): string {
  return [description, '', 'Exit codes:', ...exitCodeRows(without)].join('\n');
}
