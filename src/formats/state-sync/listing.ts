/**
 * `metadata.db`, in which a node lists the state-sync snapshots beside it once they are complete. Each key is `01`, then
 * height and format, big endian; each value is a `Snapshot`.
 *
 * Source: cosmos-sdk `snapshots/store.go`.
 */
import { join } from 'node:path';
import { SwingSnapError } from '../../errors.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import { isMissing, isNotPermitted, systemCode } from '../../io/files/system-error.ts';
import type { LevelDbEntry } from '../../io/level-db-copy.ts';
import { readLevelDb } from '../../io/level-db.ts';
import { damaged } from './layout.ts';
import { decodeDescription, type Description } from './stream/description.ts';

/** The name of the database, beside the heights. */
export const LISTING = 'metadata.db';

const KEY_BYTES = 13;
const KEY_PREFIX = 1;

export type ListedSnapshot = Pick<Description, 'height' | 'format' | 'chunks'>;

/** The directory of a snapshot, below that of all: `1000/3`. */
export function nameOf({ height, format }: Pick<ListedSnapshot, 'height' | 'format'>): string {
  return `${height}/${format}`;
}

export interface Listing {
  /** The complete snapshots by {@link nameOf}; undefined if that is not known. */
  readonly listed?: ReadonlyMap<string, ListedSnapshot>;
  /** Why the database cannot be read; undefined also if there is none. */
  readonly why?: string;
}

/**
 * Reads the listing in a directory of heights, through a copy in `scratchDir`. The node may run. A database that cannot
 * be read is no error.
 * @throws system errors of the scratch directory
 */
export async function readListing(place: string, scratchDir: string): Promise<Listing> {
  const path = join(place, LISTING);
  try {
    if (statIfThere(path) === undefined) return {};
    const entries = await readLevelDb(path, scratchDir);
    const snapshots = entries.filter(isOfSnapshot).map((entry) => decodeEntry(entry, path));
    return { listed: new Map(snapshots.map((each) => [nameOf(each), each])) };
  } catch (error) {
    if (error instanceof SwingSnapError) {
      const file = error.path?.startsWith(path) === true ? error.path.slice(path.length + 1) : '';
      const facts = [error.message, file, error.found];
      return { why: facts.filter((fact) => fact !== undefined && fact !== '').join(': ') };
    }
    if (!isNotPermitted(error) && !isMissing(error)) throw error;
    return { why: systemCode(error) ?? '' };
  }
}

function isOfSnapshot([key]: LevelDbEntry): boolean {
  return key.length === KEY_BYTES && key[0] === KEY_PREFIX;
}

function decodeEntry([key, value]: LevelDbEntry, path: string): ListedSnapshot {
  const { height, format, chunks } = decodeDescription(bufferOf(value), path);
  const name = bufferOf(key);
  const isOfKey = name.readBigUInt64BE(1) === BigInt(height) && name.readUInt32BE(9) === format;
  if (isOfKey) return { height, format, chunks };
  return damaged('an entry describes another snapshot than its key names', { path });
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
