/** The table of exit codes that every command's help ends with. */

import { EXIT_CODES } from '../../errors.ts';

const MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, string>> = {
  done: 'done',
  failed: 'failed for a reason that has no code of its own',
  usage: 'wrong usage',
  verification: 'content does not match its hashes, records or names',
  busy: 'another operation is in progress',
  notFound: 'what was named is not there',
  storage: 'no space, no rights, or storage unreachable',
  timeout: 'a time limit passed',
  interrupted: 'stopped by SIGINT',
  terminated: 'stopped by SIGTERM',
};

/** A command's description, followed by what its exit codes mean. */
export function withExitCodes(description: string): string {
  const rows = Object.entries(MEANINGS).map(([name, meaning]) => {
    const code = EXIT_CODES[name as keyof typeof EXIT_CODES];
    return `${code.toString().padEnd(5)}${meaning}`;
  });
  return [description, '', 'Exit codes:', ...rows].join('\n');
}
