/** The last commit of a SwingStore at a glance. */
import { databasePath } from '../layout.ts';
import { tryPin } from './pin.ts';
import { heightOf, refuseUnreadable } from './pinned-store.ts';

/** What the host knows of the last commit. */
export interface StoreHead {
  readonly height: number;
  /**
   * Whether the store has what that block sent to the chain, so that the block can be replayed. A store has it of its own
   * commits; no export carries it.
   */
  readonly hasSends: boolean;
}

/**
 * Reads the last commit of the store in `stateDir`.
 * @returns undefined if the store cannot be read in place
 * @throws {NotFoundError} `STORE_MISSING`; {@link StorageError} `STORE_UNREADABLE`; {@link BusyError} `STORE_LOCKED`
 * @throws {VerificationError} `NOT_A_STORE`, `SIDE_FILE`, `SUPER_JOURNAL`, `HOST_HEIGHT`
 * @throws {SwingSnapError} `STORE_REPLACED`; `OTHER_NAME`
 */
export function readHead(stateDir: string): StoreHead | undefined {
  const path = databasePath(stateDir);
  refuseUnreadable(path);
  const pin = tryPin(path);
  if ('why' in pin) return undefined;
  try {
    const sends = pin.db.prepare(`SELECT 1 FROM kvStore WHERE key = 'host.chainSends'`).get();
    return { height: heightOf(pin.rawHeight, stateDir), hasSends: sends !== undefined };
  } finally {
    pin.close();
  }
}
