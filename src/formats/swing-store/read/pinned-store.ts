/**
 * A SwingStore's database, opened for reading and pinned at one commit, without changing a byte of it.
 */
import { accessSync, constants } from 'node:fs';
import { NotFoundError, StorageError, SwingSnapError, VerificationError } from '../../../errors.ts';
import { statIfThere } from '../../../io/files/stat-if-there.ts';
import type { Database } from '../../../io/sqlite.ts';
import { databasePath } from '../layout.ts';
import { isDatabaseLocked } from '../open-handles.ts';
import { copyStore, type CopiedStore } from './copied-store.ts';
import { KVReaders } from './kv-readers.ts';
import { haveOpened, idAt, lookAt } from './open-files.ts';
import {
  beginAtHeight,
  CONNECTIONS,
  hasJournal,
  notAStore,
  replaced,
  tryPin,
  type Pin,
} from './pin.ts';

export interface PinOptions {
  /** The height that the store must be at. */
  readonly height?: number | undefined;
  /** Where a store that cannot be opened in place is copied to. */
  readonly scratchDir: string;
  /** Told, as one line each, what an operator should know. */
  readonly note: (message: string) => void;
}

/**
 * A read transaction on a SwingStore. SQLite pins a view at the first read, so `host.height` is that read. The
 * object owns the database handle: better-sqlite3 closes a handle that nothing references.
 */
export class PinnedStore {
  readonly stateDir: string;
  readonly #pin: Pin;
  #height: number;
  #readers: KVReaders | undefined;
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
    this.#copy = copy;
    this.#note = note;
  }

  /**
   * Opens and pins the store in `stateDir`. A store that SQLite cannot open there without writing (it must make a
   * `-shm` file in the directory, or roll a journal back) is copied to the scratch directory first, which is said.
   * @throws {NotFoundError} `STORE_MISSING`
   * @throws {StorageError} `STORE_UNREADABLE`
   * @throws {BusyError} `STORE_LOCKED` if a process keeps every reader out
   * @throws {VerificationError} `NOT_A_STORE`, `SIDE_FILE`, `SUPER_JOURNAL`
   * @throws {SwingSnapError} `HEIGHT` if it is at another height than asked; `STORE_REPLACED`; `OTHER_NAME`
   */
  static async open(stateDir: string, options: PinOptions): Promise<PinnedStore> {
    const path = databasePath(stateDir);
    refuseUnreadable(path);
    const inPlace = tryPin(path);
    if (!(inPlace instanceof Error))
      return PinnedStore.#checked(stateDir, inPlace, undefined, options);

    const { scratchDir, note } = options;
    const copy = await copyStore(stateDir, scratchDir, note, hasJournal(inPlace));
    try {
      // Who opens a database first rolls its journal back, which is to write.
      const readonly = !copy.hasJournal;
      const pinned = tryPin(copy.databasePath, { reportedAs: path, readonly });
      if (pinned instanceof Error) {
        throw new StorageError('STORE_UNREADABLE', 'cannot open the SwingStore', {
          path,
          found: pinned.message,
          cause: pinned,
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
        throw new SwingSnapError('HEIGHT', 'the SwingStore is at another height', {
          path: databasePath(stateDir),
          expected: options.height,
          found: height,
          hint: 'leave out --height, or name the height that the store is at',
        });
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

  /** Height of the commit that is pinned, or was last. */
  get height(): number {
    return this.#height;
  }

  /** Whether this is a scratch copy, which no node writes to. */
  get isCopy(): boolean {
    return this.#copy !== undefined;
  }

  /** A number that changes when somebody commits; while pinned, that of the pinned commit. */
  dataVersion(): unknown {
    return this.db.pragma('data_version', { simple: true });
  }

  /** Lets go of the view, so that the node's `-wal` may shrink. */
  unpin(): void {
    this.db.exec('ROLLBACK');
  }

  /**
   * Pins the newest commit.
   * @throws {VerificationError} `NOT_A_STORE`; {@link SwingSnapError} `STORE_REPLACED`
   */
  pin(): void {
    if (this.isReplaced) throw replaced(databasePath(this.stateDir));
    this.#pin.commits.begin();
    this.#height = heightOf(beginAtHeight(this.db, databasePath(this.stateDir)), this.stateDir);
  }

  /** Whether another file stands where the database was: this one is then no node's any more. */
  get isReplaced(): boolean {
    const path = this.#copy === undefined ? databasePath(this.stateDir) : this.#pin.database;
    return idAt(path) !== this.#pin.sight.files.get('');
  }

  /**
   * Starts threads that read the pinned commit too. There are none if somebody has committed since it was pinned,
   * since nobody else can pin that commit any more; and none when this is run from the sources, which threads cannot load.
   * @throws {SwingSnapError} `STORE_REPLACED` if what they have opened is another store
   */
  async startReaders(count: number): Promise<void> {
    if (import.meta.url.endsWith('.ts')) return;
    const { database, commits, before } = this.#pin;
    const readers = await KVReaders.start(database, count).catch((error: unknown) => {
      throw this.isReplaced ? replaced(databasePath(this.stateDir), error) : error;
    });
    if (!haveOpened(CONNECTIONS + count, before, lookAt(database))) {
      await readers.close();
      throw replaced(databasePath(this.stateDir));
    }
    if (commits.sinceBegin()) await readers.close();
    else this.#readers = readers;
  }

  /** Those that {@link startReaders} has started. */
  get readers(): KVReaders | undefined {
    return this.#readers;
  }

  /** Bytes of the database's `-wal`, which cannot shrink while we hold a view. */
  walBytes(): number {
    return statIfThere(`${this.#pin.database}-wal`)?.size ?? 0;
  }

  async close(): Promise<void> {
    if (!this.db.open) return;
    await this.#readers?.close();
    this.#pin.close();
    this.#copy?.remove();
    if (this.#copy === undefined) this.#tellOfWal();
  }

  /** A reader cannot empty the `-wal`, as the last handle of a node would have done. */
  #tellOfWal(): void {
    const { database } = this.#pin;
    if (statIfThere(database) === undefined || isDatabaseLocked(database)) return;
    const bytes = this.walBytes();
    if (bytes === 0) return;
    this.#note(
      `swingstore.sqlite-wal holds ${bytes} bytes of commits, and no process has the store open: ` +
        `whoever copies swingstore.sqlite must copy it too`,
    );
  }
}

function refuseUnreadable(path: string): void {
  const stat = statIfThere(path);
  if (stat?.isFile() !== true) {
    throw new NotFoundError('STORE_MISSING', 'no SwingStore there', {
      path,
      hint: 'name the directory that holds swingstore.sqlite with --state-dir, or the node with --home',
    });
  }
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new StorageError('STORE_UNREADABLE', 'no right to read the SwingStore', {
      path,
      hint: 'run as the user that owns the node, or ask for read rights',
      cause,
    });
  }
  // SQLite, even as a reader, deletes the -wal and the -journal beside a database file of no bytes.
  if (stat.size === 0) throw notAStore(path, 'an empty file');
}

/** The reference's `Number(host.height) || 0`, of which no block height is negative or fractional. */
function heightOf(raw: unknown, stateDir: string): number {
  const height = Number(raw) || 0;
  if (Number.isSafeInteger(height) && height >= 0) return height;
  throw new VerificationError('HEIGHT', 'host.height of the SwingStore is no block height', {
    path: databasePath(stateDir),
    expected: 'a whole number from 0 on',
    found: String(raw).slice(0, 100),
    hint: 'the store is damaged: bring one back with: swingsnap restore SOURCE --state-dir <dir> --replace',
  });
}
