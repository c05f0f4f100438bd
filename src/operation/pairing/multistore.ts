/**
 * The height of a node's Cosmos multistore. The Cosmos SDK keeps it in `data/application.db`, as the protobuf
 * `Int64Value` of the key `s/latest`, which it writes together with the commit of each block.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { SwingSnapError } from '../../errors.ts';
import { defaultScratchDir } from '../../io/files/scratch.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import { systemCode } from '../../io/files/system-error.ts';
import { userStateDir } from '../../io/files/user-state.ts';
import { readLevelDbEntry } from '../../io/level-db-links.ts';

const LATEST = Buffer.from('s/latest');
/** Field 1, a varint. */
const FIELD = 0x08;
const MAX_VARINT_BYTES = 10;

/** The committed height, or why there is none to tell. */
export type MultistoreHeight =
  | { readonly height: number }
  /** There is none. */
  | { readonly none: string }
  | { readonly unknown: string };

export function multistorePath(home: string): string {
  return join(home, 'data', 'application.db');
}

/**
 * Reads the last committed height of the multistore in `home`, also while the node runs. Nothing in its directory is
 * changed. What cannot be read is unknown, and no error.
 * @param scratchDir where scratch files are preferred
 */
export async function readMultistoreHeight(
  home: string,
  scratchDir?: string,
): Promise<MultistoreHeight> {
  const path = multistorePath(home);
  const found = statIfThere(path);
  if (found === undefined) return { none: 'there is no data/application.db' };
  if (!found.isDirectory()) return { unknown: 'data/application.db is no directory' };
  try {
    const value = await readLevelDbEntry(path, scratchDirsFor(home, scratchDir), LATEST);
    if (value === undefined) return { none: 'data/application.db has no committed height' };
    const height = decodeHeight(value);
    if (height === undefined) return { unknown: 'its value of s/latest is no height' };
    return height === 0 ? { none: 'data/application.db has no committed height' } : { height };
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    return { unknown: reason };
  }
}

/** Those that exist and can be written, the one beside the node's data last. */
function scratchDirsFor(home: string, scratchDir: string | undefined): string[] {
  const candidates = [scratchDir, usualScratchDir(), userStateDir(), join(home, 'data')];
  return candidates.filter((dir): dir is string => dir !== undefined && isWritable(dir));
}

function usualScratchDir(): string | undefined {
  try {
    return defaultScratchDir();
  } catch {
    return undefined;
  }
}

function isWritable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @returns undefined if it is not the fault of the database, or of the rights to read it */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof SwingSnapError) {
    const { message, path, found, hint } = error;
    const facts = [path, found].filter((fact) => fact !== undefined).join(': ');
    return `${message} (${facts})${hint === undefined ? '' : `; ${hint}`}`;
  }
  return systemCode(error) === undefined ? undefined : (error as Error).message;
}

/** @returns undefined if it is not the message, or no height */
function decodeHeight(value: Uint8Array): number | undefined {
  // A zero is left out.
  if (value.length === 0) return 0;
  if (value[0] !== FIELD || value.length > 1 + MAX_VARINT_BYTES) return undefined;
  let height = 0;
  for (const [at, byte] of value.subarray(1).entries()) {
    height += (byte & 0x7f) * 128 ** at;
    const isLast = at === value.length - 2;
    if (byte < 0x80 !== isLast) return undefined;
  }
  return value.length > 1 && Number.isSafeInteger(height) ? height : undefined;
}
