/** Writes to stdout and stderr so that nothing is lost in a pipe when the process ends. */

import type { Writable } from 'node:stream';

/**
 * Writes the lines and resolves when the stream has flushed them. A closed reader (`| head`) is not a failure: the
 * command has done its work.
 * @throws the stream's own error, `ENOSPC` for instance
 */
export async function writeLines(stream: Writable, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await new Promise<void>((resolve, reject) => {
    stream.write(`${lines.join('\n')}\n`, 'utf8', (error) => {
      if (error === undefined || error === null || isBrokenPipe(error)) resolve();
      else reject(error);
    });
  });
}

/**
 * Leaves write errors to the callback above. The stream also emits an `error` event, which no caller can catch: without
 * a listener, and with the listener that oclif installs, it ends the process with a stack.
 */
export function leaveErrorsToWriters(stream: Writable): void {
  stream.removeAllListeners('error');
  stream.on('error', () => undefined);
}

function isBrokenPipe(error: Error): boolean {
  return 'code' in error && error.code === 'EPIPE';
}
