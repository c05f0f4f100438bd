/** Writing to stdout and stderr such that nothing is lost in a pipe when the process ends. */

import type { Writable } from 'node:stream';

/**
 * Writes the lines and resolves when the stream has handed them on. A reader that has gone away (`| head`) is not a
 * failure: what the command did is done.
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
 * A failed write is told to its writer by the callback above. The `error` event tells it a second time, where nobody
 * can catch it: without a listener, and with the one that oclif installs, it ends the process with a stack.
 */
export function leaveErrorsToWriters(stream: Writable): void {
  stream.removeAllListeners('error');
  stream.on('error', () => undefined);
}

function isBrokenPipe(error: Error): boolean {
  return 'code' in error && error.code === 'EPIPE';
}
