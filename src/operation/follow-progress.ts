import type { OperationProgress } from './notice.ts';
import type { ProgressMeter } from './progress-meter.ts';

const TELL_EVERY_MS = 2000;

/**
 * Tells the progress of an operation every two seconds, to whom `status` will ask.
 * @returns ends it
 */
export function followProgress(
  meter: ProgressMeter,
  tell: (progress: OperationProgress) => void,
): () => void {
  const timer = setInterval(() => {
    tell(meter.now);
  }, TELL_EVERY_MS);
  return () => {
    clearInterval(timer);
  };
}
