/**
 * A storage keeps snapshots: small trees of files under a name, each of which appears at once and whole. It knows
 * nothing of what is in the files. Every storage passes `test/contract/storage.ts`.
 */

import { SwingSnapError } from '../errors.ts';

/** Snapshots are called by one path segment that does not begin with a dot: names that do are a storage's own. */
export interface SnapshotStorage {
  /** Where it is, for messages. */
  readonly location: string;
  /** Names of the snapshots that are there, in no order; none begins with a dot. A storage that does not exist yet holds none. */
  list(): Promise<string[]>;
  /** @throws {NotFoundError} `SNAPSHOT_MISSING`; {@link SwingSnapError} `SNAPSHOT_NAME` as all that take a name */
  open(name: string): Promise<StoredSnapshot>;
  /** Starts a snapshot that will be called `name`; nothing is visible before it is published. */
  stage(name: string): Promise<StagedSnapshot>;
  /** Removes a snapshot; it is gone to readers at once. Not there is success. */
  remove(name: string): Promise<void>;
}

/** A snapshot that can be read. File names are relative, with `/` between their parts. */
export interface StoredSnapshot {
  readonly location: string;
  /** What it is called where it is. */
  readonly name: string;
  /**
   * A whole file.
   * @throws {NotFoundError} `FILE_MISSING`
   * @throws {VerificationError} `FILE_TOO_LARGE` if it has more than `maxBytes`, before it is read; `NOT_A_FILE` if
   *   something else is there under its name
   */
  read(file: string, maxBytes: number): Promise<Uint8Array>;
  /** The size of a file in bytes, which is not read. Throws `FILE_MISSING` and `NOT_A_FILE` as {@link read}. */
  size(file: string): Promise<number>;
  /** A file in pieces of bounded size. Throws as {@link read}, on the first piece. */
  stream(file: string): AsyncIterable<Uint8Array>;
}

/** A file to be looked at: where it is, if it can be read there, so that another thread may do that; or its bytes. */
export type ShownFile = { readonly path: string } | { readonly bytes: Uint8Array };

/** A snapshot that is being written. */
export interface StagedSnapshot {
  /**
   * Adds a file; it is durable once {@link publish} has returned.
   * @throws {SwingSnapError} `FILE_EXISTS` if there is one of that name
   */
  put(file: string, bytes: Uint8Array): Promise<void>;
  /**
   * Adds a file that another snapshot of the same storage has, without writing its bytes again where that can be. Where
   * another user could change the file, it is a copy: neither changes with the other.
   * @param accept is shown it, if it has at most `maxBytes`, and says whether it is what it should be; undefined takes it
   *   as it is
   * @returns its size in bytes; undefined if it is not there (any more) or not accepted, and nothing was added
   * @throws {SwingSnapError} `FILE_EXISTS` as {@link put}
   */
  adopt(
    file: string,
    from: StoredSnapshot,
    maxBytes: number,
    accept: ((shown: ShownFile) => Promise<boolean>) | undefined,
  ): Promise<number | undefined>;
  /** Adds a file piece by piece; as durable as with {@link put}, and throws as that. */
  create(file: string): Promise<StagedFile>;
  /**
   * Makes the snapshot visible under its name, durably.
   * @param replace whether one of that name may be there; it is then gone
   * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if one is there and `replace` is false
   */
  publish(replace: boolean): Promise<void>;
  /** Leaves nothing. May be called at any time before {@link publish} has succeeded. */
  discard(): Promise<void>;
}

/** A file of a staged snapshot, as it grows. */
export interface StagedFile {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** @throws {SwingSnapError} `SNAPSHOT_NAME` if a snapshot cannot be called `name` */
export function checkSnapshotName(name: string): void {
  if (/^[^./\\\0][^/\\\0]*$/u.test(name)) return;
  throw new SwingSnapError('SNAPSHOT_NAME', 'no name for a snapshot', {
    expected: 'one path segment that does not begin with a dot',
    found: JSON.stringify(name),
  });
}

/** What a staged snapshot throws instead of writing a file twice. */
export function fileExists(path: string, cause?: unknown): SwingSnapError {
  return new SwingSnapError('FILE_EXISTS', 'a file of the snapshot is there already', {
    path,
    cause,
  });
}
