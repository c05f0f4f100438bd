/**
 * SQLite, by better-sqlite3; nothing else in the project names that package. Two versions of it are in use, of one
 * interface:
 *
 * - 13 is written with Node-API and carries its binaries in the package, but needs Node-API 10 (Node 22.14 and later)
 * - 12 runs before that, and must be compiled. From Node 24.19 on it aborts the process now and then: its statements are
 *   `node::ObjectWrap`s, which register a cleanup hook that the garbage collector cannot remove
 *
 * The package `packages/node20` depends on 12 and is left out by npm where Node is newer. Seen from there,
 * better-sqlite3 is 12; seen from anywhere else, it is 13.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { createRequire } from 'node:module';
// The one place that may name it.
import type BetterSqlite3 from 'better-sqlite3';
import { SwingSnapError } from '../errors.ts';

/** An open database. Who opens it closes it: a handle that nothing references is closed by the garbage collector. */
export type Database = BetterSqlite3.Database;
export type Statement = BetterSqlite3.Statement;

export interface OpenDatabaseOptions {
  readonly readonly?: boolean;
  readonly fileMustExist?: boolean;
  /** Milliseconds to wait for a lock that another connection holds; 5000 if not given. */
  readonly timeout?: number;
}

/** Node-API that better-sqlite3 13 was built for. */
const NODE_API = 10;

const isNewer = Number(process.versions['napi']) >= NODE_API;

/** The module whose view of `better-sqlite3` is the version for this Node. */
export const sqliteSeenFrom = isNewer
  ? import.meta.url
  : new URL('../../packages/node20/package.json', import.meta.url).href;

let loaded: typeof BetterSqlite3 | undefined;

/**
 * Opens the database at `path`, or makes it.
 * @throws {SwingSnapError} `SQLITE_UNAVAILABLE` if this Node's version of better-sqlite3 is not installed or does not
 *   load; and errors of SQLite, whose `code` begins with `SQLITE_`
 */
export function openDatabase(path: string, options: OpenDatabaseOptions = {}): Database {
  loaded ??= load();
  return new loaded(path, options);
}

/**
 * A name for {@link makeDatabase} that no other user can know. SQLite takes all links out of a path, also those that lead
 * into a held directory, and from then on goes by names. Where another user can exchange the directory for another one,
 * no file in that has this name: SQLite then opens nothing, and neither reads nor removes a journal of others.
 */
export function secretDatabaseName(): string {
  return `${randomBytes(16).toString('hex')}.sqlite`;
}

/**
 * Makes an empty database, which its user alone may read and write.
 * @param path ends with a {@link secretDatabaseName}
 */
export function makeDatabase(path: string): Database {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
  closeSync(openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, 0o600));
  return openDatabase(path, { fileMustExist: true });
}

function load(): typeof BetterSqlite3 {
  try {
    const Sqlite = createRequire(sqliteSeenFrom)('better-sqlite3') as typeof BetterSqlite3;
    // The package loads its binary with the first database.
    new Sqlite(':memory:').close();
    return Sqlite;
  } catch (cause) {
    const { version, platform, arch } = process;
    throw new SwingSnapError('SQLITE_UNAVAILABLE', 'SQLite does not load on this Node', {
      found: `Node ${version} on ${platform} ${arch}: ${firstLineOf(cause)}`,
      hint: isNewer
        ? 'run npm install where swingsnap is installed, with this Node'
        : 'use Node 22.15 or later; or install it again with this Node, a C++ compiler and scripts allowed (with --global: --allow-scripts=better-sqlite3)',
      cause,
    });
  }
}

function firstLineOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}
