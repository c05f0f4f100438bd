/** Opens a copy of a LevelDB database, through classic-level. No other file imports that package. */
import type { ClassicLevel } from 'classic-level';

export type LevelDbEntry = readonly [key: Uint8Array, value: Uint8Array];

export interface LevelDbRequest {
  /** The only entry to read; by default, all. */
  readonly key?: Uint8Array | undefined;
  /** How large all entries together may be. */
  readonly maxBytes: number;
}

export type LevelDbRead =
  | { readonly type: 'entries'; readonly entries: LevelDbEntry[] }
  | { readonly type: 'damaged' | 'unavailable'; readonly found: string }
  | { readonly type: 'too large' };

/** Characters of a message. */
const MAX_MESSAGE = 200;

/** Reads the database in the directory `path`, and writes to it. Does not throw. */
export async function readOpened(
  path: string,
  { key, maxBytes }: LevelDbRequest,
): Promise<LevelDbRead> {
  let db: ClassicLevel<Uint8Array, Uint8Array>;
  try {
    const { ClassicLevel } = await import('classic-level');
    db = new ClassicLevel(path, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      createIfMissing: false,
    });
  } catch (error) {
    return { type: 'unavailable', found: messageOf(error) };
  }
  try {
    await db.open();
    const range = key === undefined ? {} : { gte: key, lte: key };
    const entries: LevelDbEntry[] = [];
    let bytes = 0;
    for await (const [name, value] of db.iterator(range)) {
      bytes += name.length + value.length;
      if (bytes > maxBytes) return { type: 'too large' };
      entries.push([name, value]);
    }
    return { type: 'entries', entries };
  } catch (error) {
    return { type: 'damaged', found: messageOf(error) };
  } finally {
    await db.close().catch(() => undefined);
  }
}

/** What LevelDB says is the cause of what classic-level says. It may quote the database. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message } = error.cause instanceof Error ? error.cause : error;
  return message.slice(0, MAX_MESSAGE);
}
