/** How a worker that was asked to stop, and does not, is ended. */
import { StorageError } from '../../errors.ts';

/** Milliseconds. A worker that is not done with its clean-up by then kills itself. */
export const CLEAN_UP_MS = 10_000;
/** Milliseconds until the one that asked kills it: a worker whose main thread waits for a disk cannot kill itself. */
export const KILL_AFTER_MS = 15_000;
/** Milliseconds that the kernel may take to end a killed process. */
export const GONE_AFTER_MS = 5_000;

/** A process that the kernel does not let go, even when it is killed. */
export function workerStuck(pid: number, exportDir: string): StorageError {
  return new StorageError('WORKER_STUCK', 'the worker of the export was killed, and does not end', {
    path: exportDir,
    found: `process ${pid}, which waits for a disk or a file server`,
    hint: `it ends when the file system answers, or is unmounted with: umount -f; look with: ps -o pid,stat,wchan,args -p ${pid}`,
  });
}
