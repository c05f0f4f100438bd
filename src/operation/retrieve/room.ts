/** How much space a snapshot will take. It is only guessed: compression and reuse are not known before. */
import { resolve } from 'node:path';
import { databasePath } from '../../formats/swing-store/layout.ts';
import { freeBytes, refuseNoSpace } from '../../io/disks/free-space.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import { heightsAmong } from '../../snapshot/layout.ts';
import type { Source } from '../../source/source.ts';
import type { SnapshotStorage } from '../../storage/contract.ts';
import type { RetrieveSource } from './read-source.ts';

/** How many raw bytes one byte of a snapshot usually holds, and holds at most. */
const [USUAL_RATIO, HIGHEST_RATIO] = [4, 40];

export interface RoomOptions {
  readonly from: RetrieveSource;
  readonly source: Source;
  readonly snapshotDir: string;
  readonly storage: SnapshotStorage;
  readonly note: (message: string) => void;
}

/**
 * Refuses a first snapshot that cannot fit. One that may share chunks with another height can be of any size.
 * @returns about how many bytes a first snapshot needs; undefined for a further one
 * @throws {StorageError} `NO_SPACE`
 */
export async function refuseNoRoom(options: RoomOptions): Promise<number | undefined> {
  const { snapshotDir, storage, note } = options;
  if (heightsAmong(await storage.list()).length > 0) return undefined;
  const dir = resolve(snapshotDir);
  const raw = rawBytes(options);
  refuseNoSpace(dir, Math.floor(raw / HIGHEST_RATIO), 'the snapshot', '--snapshot-dir');
  const needed = Math.floor(raw / USUAL_RATIO);
  if (freeBytes(dir) < needed) {
    note(`the snapshot may need about ${needed} bytes, but fewer are free at ${dir}`);
  }
  return needed;
}

function rawBytes({ from, source }: RoomOptions): number {
  if ('stateDir' in from) return statIfThere(databasePath(from.stateDir))?.size ?? 0;
  return (['export data', 'artifacts'] as const)
    .map((part) => source.swingset.estimate(part).bytes ?? 0)
    .reduce((a, b) => a + b);
}
