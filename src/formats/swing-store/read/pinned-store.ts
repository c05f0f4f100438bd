/**
 * Opens a SwingStore's database for reading, pinned at one commit, without changing a byte of it.
 */
import { accessSync, constants } from 'node:fs';
import { NotFoundError, StorageError, VerificationError } from '../../../errors.ts';
import { kindOf, statIfThere } from '../../../io/files/stat-if-there.ts';
import type { Database } from '../../../io/sqlite.ts';
import type { WorkerPool } from '../../../io/threads/pool.ts';
import { databasePath } from '../layout.ts';
import { isDatabaseLocked } from '../open-handles.ts';
import { copyStore, type CopiedStore } from './copied-store.ts';
import { haveOpened, idAt, lookAt } from './open-files.ts';
import { beginAtHeight, CONNECTIONS, notAStore, replaced, tryPin, type Pin } from './pin.ts';
import { StoreReaders } from './store-readers.ts';
import { bytesOf, growthSince, type WalExtent } from './wal-file.ts';

export interface PinOptions {
  /** The height that the store must be at. */
  readonly height?: number | undefined;
  /** Directory for a copy of a store that cannot be opened in place. */
  readonly scratchDir: string;
  /** Receives notes for the operator, one line each. */
  readonly note: (message: string) => void;
}

/**
 * A read transaction on a SwingStore. The object owns the database handle: better-sqlite3 closes a handle that
 * nothing references.
 */
export class PinnedStore {
  readonly stateDir: string;
  readonly #pin: Pin;
  #height: number;
  /** Of the `-wal` when the view was pinned. */
  #walExtent: WalExtent | undefined;
  #readers: StoreReaders | undefined;
  readonly #copy: CopiedStore | undefined;
  readonly #note: (message: string) => void;

  private constructor(
    stateDir: string,
    pin: Pin,
    height: number,
    copy: CopiedStore | undefined,
    note: (message: string) => void,
  ) {
    this.stateDir = stateDir;
    this.#pin = pin;
    this.#height = height;
    this.#walExtent = pin.wal?.extent();
    this.#copy = copy;
    this.#note = note;
  }

  /**
   * Opens and pins the store in `stateDir`. If SQLite cannot open it without writing (it must make a `-shm` file, or
   * roll back a journal), or would leave side files that the owner cannot write, the store is copied to the scratch
   * directory first, with a note.
   * @throws {NotFoundError} `STORE_MISSING`
   * @throws {StorageError} `STORE_UNREADABLE`
   * @throws {BusyError} `STORE_LOCKED` if a process locks out all readers
   * @throws {VerificationError} `NOT_A_STORE`, `SIDE_FILE`, `SUPER_JOURNAL`
   * @throws {NotFoundError} `HEIGHT` if it is not at the requested height
   * @throws {SwingSnapError} `STORE_REPLACED`; `OTHER_NAME`
   */
  static async open(stateDir: string, options: PinOptions): Promise<PinnedStore> {
    const path = databasePath(stateDir);
    refuseUnreadable(path);
    const inPlace = tryPin(path);
    if (!('why' in inPlace)) return PinnedStore.#checked(stateDir, inPlace, undefined, options);

    const { scratchDir, note } = options;
    const copy = await copyStore(stateDir, scratchDir, note, inPlace.why);
    try {
      // The first connection rolls the journal back, so it must be able to write.
      const readonly = !copy.hasJournal;
      const pinned = tryPin(copy.databasePath, { reportedAs: path, readonly });
      if ('why' in pinned) {
        throw new StorageError('STORE_UNREADABLE', 'cannot open the SwingStore', {
          path,
          found: pinned.cause?.message,
          cause: pinned.cause,
        });
      }
      return PinnedStore.#checked(stateDir, pinned, copy, options);
    } catch (error) {
      copy.remove();
      throw error;
    }
  }

  static #checked(
    stateDir: string,
    pin: Pin,
    copy: CopiedStore | undefined,
    options: PinOptions,
  ): PinnedStore {
    try {
      const height = heightOf(pin.rawHeight, stateDir);
      if (options.height !== undefined && height !== options.height) {
        throw new NotFoundError('HEIGHT', 'the SwingStore is at another height', {
          path: databasePath(stateDir),
          expected: options.height,
          found: height,
          hint: 'leave out --height, or name the height of the store',
        });
      }
      if (pin.missingTables.length > 0) {
        const names = pin.missingTables.join(', ');
        options.note(`swingstore.sqlite has no table ${names} (an older schema): read as empty`);
      }
      return new PinnedStore(stateDir, pin, height, copy, options.note);
    } catch (error) {
      pin.close();
      throw error;
    }
  }

  get db(): Database {
    return this.#pin.db;
  }

  /** Height of the commit that is, or was last, pinned. */
  get height(): number {
    return this.#height;
  }

  /** Whether this is a scratch copy, to which no node writes. */
  get isCopy(): boolean {
    return this.#copy !== undefined;
  }

  /** A number that changes with each commit of another connection; while pinned, the number of the pinned commit. */
  dataVersion(): unknown {
    return this.db.pragma('data_version', { simple: true });
  }

  /** Releases the view, so that the node's `-wal` may shrink. */
  unpin(): void {
    // Not a rollback, which would end the tables that stand in for missing ones.
    this.db.exec('COMMIT');
  }

  /**
   * Pins the newest commit.
   * @throws {VerificationError} `NOT_A_STORE`; {@link SwingSnapError} `STORE_REPLACED`
   */
  pin(): void {
    if (this.isReplaced) throw replaced(databasePath(this.stateDir));
    this.#pin.commits.begin();
    const { rawHeight } = beginAtHeight(this.db, databasePath(this.stateDir));
    this.#height = heightOf(rawHeight, this.stateDir);
    this.#walExtent = this.#pin.wal?.extent();
  }

  /** Whether another file has replaced the database: no node uses this one any more. */
  get isReplaced(): boolean {
    const path = this.#copy === undefined ? databasePath(this.stateDir) : this.#pin.database;
    return idAt(path) !== this.#pin.sight.files.get('');
  }

  /**
   * Lets the threads of a pool read the pinned commit too; the pool must end after the store is closed. Lets none if
   * there was a commit since, because no other connection can pin the old commit any more, and none if the store is
   * small.
   * @throws {SwingSnapError} `STORE_REPLACED` if the threads have opened another store
   */
  async startReaders(pool: WorkerPool): Promise<void> {
    const { database, commits, before, wal } = this.#pin;
    const size =
      (statIfThere(database)?.size ?? 0) + (wal === undefined ? 0 : bytesOf(wal.extent()));
    const readers = await StoreReaders.start(pool, database, size).catch((error: unknown) => {
      throw this.isReplaced ? replaced(databasePath(this.stateDir), error) : error;
    });
    if (readers === undefined) return;
    if (!haveOpened(CONNECTIONS + readers.count, before, lookAt(database, wal?.descriptor))) {
      await readers.close();
      throw replaced(databasePath(this.stateDir));
    }
    if (commits.sinceBegin()) await readers.close();
    else this.#readers = readers;
  }

  /** The threads that {@link startReaders} has won. */
  get readers(): StoreReaders | undefined {
    return this.#readers;
  }

  /** Bytes of the frames that were written to the `-wal` since the view was pinned. */
  walGrowth(): number {
    const now = this.#pin.wal?.extent();
    return now === undefined || this.#walExtent === undefined
      ? 0
      : growthSince(this.#walExtent, now);
  }

  async close(): Promise<void> {
    if (!this.db.open) return;
    await this.#readers?.close();
    let extent: WalExtent | undefined;
    try {
      extent = this.#pin.wal?.extent();
    } finally {
      this.#pin.close();
      this.#copy?.remove();
    }
    if (this.#copy === undefined && extent !== undefined) this.#tellOfWal(bytesOf(extent));
  }

  /** Unlike the last handle of a node, a reader does not empty the `-wal` when it closes. */
  #tellOfWal(bytes: number): void {
    const { database, wal } = this.#pin;
    if (bytes === 0 || idAt(`${database}-wal`) !== wal?.id) return;
    if (statIfThere(database) === undefined || isDatabaseLocked(database)) return;
    this.#note(
      `swingstore.sqlite-wal holds ${bytes} bytes of commits, and no process has the store open: ` +
        `a copy of swingstore.sqlite must include it`,
    );
  }
}

export function refuseUnreadable(path: string): void {
  const stat = statIfThere(path);
  if (stat?.isFile() !== true) {
    throw new NotFoundError('STORE_MISSING', 'no SwingStore there', {
      path,
      found: stat && kindOf(stat),
      hint: 'name the directory that holds swingstore.sqlite with --state-dir, or the node with --home',
    });
  }
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new StorageError('STORE_UNREADABLE', 'no permission to read the SwingStore', {
      path,
      hint: 'run as the user that owns the node, or ask for read permission',
      cause,
    });
  }
  // Even as a reader, SQLite deletes the -wal and the -journal next to an empty database file.
  if (stat.size === 0) throw notAStore(path, 'an empty file');
}

/** The reference's `Number(host.height) || 0`, limited to whole numbers from 0 on. */
export function heightOf(raw: unknown, stateDir: string): number {
  const height = Number(raw) || 0;
  if (Number.isSafeInteger(height) && height >= 0) return height;
  throw new VerificationError(
    'HOST_HEIGHT',
    'host.height of the SwingStore is not a block height',
    {
      path: databasePath(stateDir),
      expected: 'a whole number from 0 on',
      found: String(raw).slice(0, 100),
      hint: 'the store is damaged; restore it with: swingsnap restore SOURCE --state-dir <dir> --replace',
    },
  );
}
