/** Keeps the record of a running operation up to date. */
import type { OperationLock } from './lock.ts';
import { followProgress, type ProgressMeter } from './progress-meter.ts';
import { writeRecord, type OperationRecord } from './record.ts';

export class RecordKeeper {
  #record: OperationRecord;
  readonly #lock: OperationLock;
  readonly #dir: string | undefined;
  #writing: Promise<void> = Promise.resolve();
  #stop: (() => void) | undefined;

  /** @param dir the path by which the export directory is reached */
  constructor(record: OperationRecord, lock: OperationLock, dir?: string) {
    this.#record = record;
    this.#lock = lock;
    this.#dir = dir;
  }

  /** Writes a change to the record, durably. Changes are written one after another. */
  async write(change: Partial<OperationRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    const record = this.#record;
    const before = this.#writing;
    this.#writing = (async () => {
      await before.catch(() => undefined);
      await writeRecord(record, this.#dir);
    })();
    return this.#writing;
  }

  /** Writes the progress at intervals, to the record and to the lock's notice. */
  follow(meter: ProgressMeter): void {
    this.#stop = followProgress(meter, (progress) => {
      this.#lock.update({ progress });
      // A full disk fails the operation where it writes its output, not here.
      this.write({ progress }).catch(() => undefined);
    });
  }

  /** No more progress is written once this has returned. */
  async stopFollowing(): Promise<void> {
    this.#stop?.();
    await this.#writing.catch(() => undefined);
  }
}
