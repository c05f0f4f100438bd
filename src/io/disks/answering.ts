/**
 * File systems that do not answer, such as one of a file server that is gone. A call of ours that waits for one cannot
 * be ended: it blocks its thread, and Node waits for its threads before it exits. So another process calls first.
 */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { StorageError } from '../../errors.ts';

/** In milliseconds. A disk that has to spin up answers within some ten seconds. */
const PATIENCE_MS = 15_000;

/**
 * Whether the file system of `path` answers within `patience` milliseconds, if only to say that nothing is there. Without
 * a program `test`, it is taken to answer.
 */
export async function answers(path: string, patience = PATIENCE_MS): Promise<boolean> {
  const child = spawn('test', ['-e', path], { stdio: 'ignore' });
  return new Promise((tell) => {
    const timer = setTimeout(() => {
      // It may be beyond the reach of signals: nothing here waits for it any more.
      child.kill('SIGKILL');
      child.unref();
      tell(false);
    }, patience);
    const answered = (): void => {
      clearTimeout(timer);
      tell(true);
    };
    child.once('exit', answered);
    child.once('error', answered);
  });
}

/**
 * Waits until the file system of `path` answers.
 * @throws {StorageError} `NO_ANSWER` if it does not within `patience` milliseconds
 */
export async function refuseSilent(path: string, patience = PATIENCE_MS): Promise<void> {
  if (await answers(path, patience)) return;
  throw new StorageError('NO_ANSWER', 'the file system does not answer', {
    path: resolve(path),
    expected: `an answer within ${patience / 1000} seconds`,
    hint: 'check the disk or the file server that is mounted there, then run it again',
  });
}
