/** Runs an operation under a lock, and releases the lock in any case. */
import { noProgress, type Progress } from '../../io/progress.ts';
import { lockOperation, type NoticeFacts, type OperationLock } from './lock.ts';
import { followProgress, ProgressMeter } from './progress-meter.ts';

/**
 * @param paths as for `lockOperation`
 * @param work is given the lock, and the meter for its progress, which `status` shows
 * @throws {BusyError} `BUSY` if another operation holds the lock of one of `paths`
 */
export async function withLock<Result>(
  paths: readonly string[],
  facts: NoticeFacts,
  work: (lock: OperationLock, progress: ProgressMeter) => Promise<Result>,
  progress: Progress = noProgress,
): Promise<Result> {
  const lock = lockOperation(paths, facts);
  const meter = new ProgressMeter(progress);
  const stopTelling = followProgress(meter, (now) => {
    lock.update({ progress: now });
  });
  try {
    return await work(lock, meter);
  } finally {
    stopTelling();
    lock.release();
  }
}
