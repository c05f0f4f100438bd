/** Keeps an operation's record true while it runs. */
import type { OperationLock } from './lock.ts';
import { followProgress, type ProgressMeter } from './progress-meter.ts';
import { writeRecord, type OperationRecord } from './record.ts';

export class RecordKeeper {
  #record: OperationRecord;
  readonly #lock: OperationLock;
  readonly #dir: string | undefined;
  #writing: Promise<void> = Promise.resolve();
  #stop: (() => void) | undefined;

  /** @param dir the export directory, as it is reached */
  constructor(record: OperationRecord, lock: OperationLock, dir?: string) {
    this.#record = record;
    this.#lock = lock;
    this.#dir = dir;
  }

  /** Writes a change of the record, durably; changes are written one after another. */
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

  /** Writes the progress now and then, here and in the lock's notice. */
  follow(meter: ProgressMeter): void {
    this.#stop = followProgress(meter, (progress) => {
      this.#lock.update({ progress });
      // A full disk ends the operation where it writes, not here.
      this.write({ progress }).catch(() => undefined);
    });
  }

  /** No more progress is written once this has returned. */
  async stopFollowing(): Promise<void> {
    this.#stop?.();
    await this.#writing.catch(() => undefined);
  }
}
