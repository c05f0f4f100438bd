/** What a state-sync snapshot is made of: its place, its chunks, and the error for damage. */
import { createReadStream, readdirSync, statSync, type Dirent } from 'node:fs';
import { join } from 'node:path';
import { VerificationError, type ErrorFacts } from '../../errors.ts';
import { isMissing } from '../../io/files/system-error.ts';

/** Location of a state-sync snapshot. The height is only a label: the AppHash does not cover it. */
export interface FoundStateSync {
  readonly kind: 'chunks' | 'archive';
  readonly path: string;
  readonly height: number;
  readonly format: number;
}

/** Names of chunks, formats and heights. */
export const NUMBER = /^(?:0|[1-9]\d{0,14})$/u;
/** Read size of chunks. The larger it is, the fewer pieces of the inflated stream share a buffer. */
const READ_BYTES = 4 * 1024 * 1024;

/**
 * The bytes of all chunks in a directory, in order.
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` if the numbers have a gap
 */
export async function* readChunkFiles(dir: string): AsyncGenerator<Uint8Array> {
  const numbers = readdirSync(dir)
    .filter((name) => NUMBER.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  for (const [expected, found] of numbers.entries()) {
    const path = join(dir, String(expected));
    if (found !== expected || !isFile(path)) {
      damaged('a chunk is missing', {
        path,
        expected: `chunk ${expected}`,
        found: `chunk ${found}`,
      });
    }
    yield* createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
  }
}

/** Bytes of the archive, or of all chunks. */
export function bytesOf({ kind, path }: FoundStateSync): number {
  if (kind === 'archive') return statSync(path).size;
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

/** What is in a directory: nothing if it is none, or gone because a node has removed an old snapshot. */
export function entriesIn(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The numbers of the chunks in a directory, in order: of regular files only. */
export function chunkNumbers(dir: string): number[] {
  return entriesIn(dir)
    .filter(({ name }) => NUMBER.test(name) && isFile(join(dir, name)))
    .map(({ name }) => Number(name))
    .sort((a, b) => a - b);
}

/** Accepts only regular files: opening a pipe blocks until it has a writer. */
export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** @throws {VerificationError} `STATE_SYNC_DAMAGED`, always */
export function damaged(message: string, facts: ErrorFacts): never {
  throw new VerificationError('STATE_SYNC_DAMAGED', message, {
    hint: 'get the state-sync snapshot again, or use another one',
    ...facts,
  });
}

/**
 * @param what ends: `the archive`
 * @param bytes how many there are
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`, always
 */
export function endsEarly(
  what: string,
  path: string,
  bytes: number,
  facts: {
    readonly expected?: string | number | undefined;
    readonly found?: string | number | undefined;
    readonly cause?: unknown;
  } = {},
): never {
  return damaged(`the state-sync snapshot ends early at byte ${bytes} of ${what}`, {
    path,
    hint: 'fetch it again: a part of it is missing',
    ...facts,
  });
}
