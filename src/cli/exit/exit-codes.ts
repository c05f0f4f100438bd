/** The table of exit codes that every command's help ends with. */

import { EXIT_CODES } from '../../errors.ts';

const MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, string>> = {
  done: 'done',
  failed: 'any other failure',
  usage: 'wrong usage',
  verification: 'content does not match its hashes, records or names',
  busy: 'another operation is in progress',
  notFound: 'a named file, directory or snapshot does not exist',
  storage: 'no space, no permission, or storage unreachable',
  timeout: 'a time limit passed',
  interrupted: 'stopped by SIGINT',
  terminated: 'stopped by SIGTERM',
};

/** A command's description, followed by the table of exit codes. */
export function withExitCodes(description: string): string {
  const rows = Object.entries(MEANINGS).map(([name, meaning]) => {
    const code = EXIT_CODES[name as keyof typeof EXIT_CODES];
    return `${code.toString().padEnd(5)}${meaning}`;
  });
  return [description, '', 'Exit codes:', ...rows].join('\n');
}
