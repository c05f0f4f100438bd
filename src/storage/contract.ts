/**
 * A storage keeps snapshots: small named trees of files. Each snapshot appears at once and complete. The storage does
 * not interpret the files. Every storage passes `test/contract/storage.ts`.
 */

import { SwingSnapError } from '../errors.ts';
import type { Recipe } from '../io/threads/recipe.ts';

/** A snapshot name is one path segment that does not begin with a dot. The storage itself uses names that do. */
export interface SnapshotStorage {
  /** Where it is, for messages. */
  readonly location: string;
  /** Names of the snapshots, unordered; none begins with a dot. Empty if the storage does not exist yet. */
  list(): Promise<string[]>;
  /** @throws {NotFoundError} `SNAPSHOT_MISSING`; {@link SwingSnapError} `SNAPSHOT_NAME`, as all methods with a name */
  open(name: string): Promise<StoredSnapshot>;
  /** Starts a snapshot with this name. Nothing is visible before it is published. */
  stage(name: string): Promise<StagedSnapshot>;
  /** Removes a snapshot; readers stop seeing it at once. Succeeds if it does not exist. */
  remove(name: string): Promise<void>;
}

/** A storage that can be told from any other directory by its mark: bytes that it keeps beside the snapshots. */
export interface SnapshotPlace extends SnapshotStorage {
  /**
   * What is there, in no order; nothing if the storage does not exist yet. Of names that begin with a dot only unfinished
   * work is given, and `lost+found` is not. Memory does not grow with what is there.
   */
  contents(): AsyncIterable<PlaceContent>;
  /**
   * Looks at unfinished work.
   * @returns undefined if nothing of that name is unfinished work of a storage, or it has ended meanwhile
   */
  unfinished(name: string): Promise<UnfinishedWork | undefined>;
  /**
   * Removes unfinished work, unless a process holds it or it is not this user's. What a killed replacement has moved
   * away is put back first.
   * @returns whether it is gone
   */
  removeUnfinished(name: string): Promise<boolean>;
  /**
   * Takes over what killed processes of this user have written of snapshots that were not published, so that it can be
   * adopted. Staging a snapshot would remove it.
   */
  salvage(): Promise<Salvage>;
  /**
   * What is there. Names that begin with a dot, and `lost+found`, do not count as content.
   * @throws {StorageError} `LINK_TO_NOTHING`
   */
  occupancy(): Promise<'missing' | 'empty' | 'occupied'>;
  /**
   * The mark; undefined if there is none.
   * @throws {VerificationError} `FILE_TOO_LARGE`, `NOT_A_FILE` as {@link StoredSnapshot.read}
   */
  readMark(maxBytes: number): Promise<Uint8Array | undefined>;
  /** Writes the mark, or replaces it, durably. The storage must exist. */
  writeMark(bytes: Uint8Array): Promise<void>;
}

/** Something in a place. */
export interface PlaceContent {
  readonly name: string;
  /** `snapshot`: its name can be opened. `unfinished`: by its name; see {@link SnapshotPlace.unfinished}. */
  readonly kind: 'snapshot' | 'unfinished' | 'link' | 'other';
  /** What it is, for messages: `a regular file`. */
  readonly what: string;
}

/** A snapshot that was not published, or not removed to the end. */
export interface UnfinishedWork {
  /** When something in it last changed. */
  readonly changed: Date;
  /** Bytes of its files. */
  readonly size: number;
  /** Who may be at work in it: a live process, one that has ended, or another user, of whom nothing is known. */
  readonly holder: 'process' | 'ended process' | 'other user';
}

/** What was left of snapshots that were not published. Ended by one of its methods. */
export interface Salvage {
  /** Their files may be cut short, and their names are not known. */
  readonly snapshots: readonly StoredSnapshot[];
  /** Leaves it for the next salvage. */
  leave(): Promise<void>;
  discard(): Promise<void>;
}

/** There is nothing. */
export const nothingSalvaged: Salvage = {
  snapshots: [],
  leave: async () => undefined,
  discard: async () => undefined,
};

/** Whether a file may be copied if it cannot be linked. */
export type Adoption = 'link' | 'link or copy';

/** What is known of a file without reading it. */
export interface StoredFileFacts {
  /** In bytes. */
  readonly size: number;
  readonly modified: Date;
  /** How many names the bytes have; 1 if removing the file frees them. */
  readonly links: number;
  /** Names the bytes: files with equal ids are one. */
  readonly id: string;
}

/** A snapshot that can be read. File names are relative, with `/` as separator. */
export interface StoredSnapshot {
  readonly location: string;
  /** Its name in its storage. */
  readonly name: string;
  /**
   * Reads a whole file.
   * @throws {NotFoundError} `FILE_MISSING`
   * @throws {VerificationError} `FILE_TOO_LARGE` if it has more than `maxBytes`, before it is read; `NOT_A_FILE` if
   *   it is not a regular file
   */
  read(file: string, maxBytes: number): Promise<Uint8Array>;
  /**
   * How any thread can get the pieces of a file. Following it throws as {@link read}. A storage that other threads cannot
   * use has none.
   */
  recipe?(file: string, maxBytes: number): Recipe<Pieces>;
  /**
   * The size in bytes of a file that can be read, without reading it. Throws `FILE_MISSING` and `NOT_A_FILE` as
   * {@link read}, and the system's error if this user may not read the file.
   */
  size(file: string): Promise<number>;
  /** What is known of a file that can be read, without reading it. Throws as {@link size}. */
  facts(file: string): Promise<StoredFileFacts>;
  /** A file in pieces of bounded size. Throws as {@link read}, on the first piece. */
  stream(file: string): AsyncIterable<Uint8Array>;
}

/** A snapshot that is being written. */
export interface StagedSnapshot {
  /**
   * Adds a file; it is durable once {@link publish} has returned.
   * @param modified when it was last modified; by default now
   * @throws {SwingSnapError} `FILE_EXISTS` if the name is taken
   */
  put(file: string, bytes: Uint8Array, modified?: Date): Promise<void>;
  /**
   * Adds a file of another snapshot, without writing its bytes again if possible. If another user
   * could change the file, it is copied, so that neither changes with the other.
   * @param accept checks the file, if it has at most `maxBytes`, and returns whether it is the expected one; if
   *   undefined, the file is not checked. The recipe gives its bytes
   * @param how by default `link or copy`
   * @returns its size in bytes; undefined if it is missing, not readable, not accepted or may not be copied, and nothing
   *   was added
   * @throws {SwingSnapError} `FILE_EXISTS` as {@link put}
   */
  adopt(
    file: string,
    from: StoredSnapshot,
    maxBytes: number,
    accept: ((file: Recipe<Pieces>) => Promise<boolean>) | undefined,
    how?: Adoption,
  ): Promise<number | undefined>;
  /** What is known of a file that was added. Throws as {@link StoredSnapshot.facts}. */
  facts(file: string): Promise<StoredFileFacts>;
  /** Removes a file that was put or adopted. */
  remove(file: string): Promise<void>;
  /** Adds a file piece by piece. As durable as {@link put}, with the same errors. */
  create(file: string): Promise<StagedFile>;
  /** Where any thread can write a file. A storage that other threads cannot use has none. */
  spot?(): StagedSpot;
  /**
   * Makes the snapshot visible under its name, durably.
   * @param replace whether to replace an existing snapshot of that name
   * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if one exists and `replace` is false
   */
  publish(replace: boolean): Promise<void>;
  /** Removes everything that was written. May be called at any time before {@link publish} has succeeded. */
  discard(): Promise<void>;
  /** Ends as a killed process would, in place of {@link discard}: what was written can be salvaged. */
  leave(): Promise<void>;
}

/** A growing file of a staged snapshot. */
export interface StagedFile {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** A file that another thread writes, and that gets its name when it is written. */
export interface StagedSpot {
  /** Gives the file to the thread that follows it. */
  readonly writer: Recipe<StagedFile>;
  /**
   * Names the file; it is durable once {@link StagedSnapshot.publish} has returned.
   * @throws {SwingSnapError} `FILE_EXISTS` if the name is taken
   */
  name(file: string): Promise<void>;
  /** Removes the file. */
  remove(): Promise<void>;
}

/** The bytes of a file, in order. */
export type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** @throws {SwingSnapError} `SNAPSHOT_NAME` if a snapshot cannot have this name */
export function checkSnapshotName(name: string): void {
  if (/^[^./\\\0][^/\\\0]*$/u.test(name)) return;
  throw new SwingSnapError('SNAPSHOT_NAME', 'the name is not a valid snapshot name', {
    expected: 'one path segment that does not begin with a dot',
    found: JSON.stringify(name),
  });
}

/** The error of a staged snapshot that would write a file twice. */
export function fileExists(path: string, cause?: unknown): SwingSnapError {
  return new SwingSnapError('FILE_EXISTS', 'a file of the snapshot already exists', {
    path,
    cause,
  });
}
