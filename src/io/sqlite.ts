/**
 * SQLite, through better-sqlite3. No other file imports that package. Two versions with the same interface are in
 * use:
 *
 * - 13 uses Node-API and ships its binaries in the package, but needs Node-API 10 (Node 22.14 and later)
 * - 12 runs on older Nodes and must be compiled. From Node 24.19 on it sometimes aborts the process: its statements
 *   are `node::ObjectWrap`s, which register a cleanup hook that the garbage collector cannot remove
 *
 * The package `packages/node20` depends on 12; npm skips it on newer Nodes. Resolved from there, better-sqlite3 is
 * version 12; from anywhere else it is 13.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import type BetterSqlite3 from 'better-sqlite3';
import { SwingSnapError } from '../errors.ts';

/** An open database. The caller that opens it must keep it and close it: the garbage collector closes lost handles. */
export type Database = BetterSqlite3.Database;
export type Statement = BetterSqlite3.Statement;

export interface OpenDatabaseOptions {
  readonly readonly?: boolean;
  readonly fileMustExist?: boolean;
  /** Milliseconds to wait for a lock that another connection holds; 5000 if not given. */
  readonly timeout?: number;
}

/** Node-API version that better-sqlite3 13 needs. */
const NODE_API = 10;

const isNewer = Number(process.versions['napi']) >= NODE_API;

/** The module from which `better-sqlite3` resolves to the version for this Node. */
export const sqliteSeenFrom = isNewer
  ? import.meta.url
  : new URL('../../packages/node20/package.json', import.meta.url).href;

let loaded: typeof BetterSqlite3 | undefined;

/**
 * Opens the database at `path`, or creates it.
 * @throws {SwingSnapError} `SQLITE_UNAVAILABLE` if this Node's version of better-sqlite3 is not installed or does not
 *   load; SQLite errors, whose `code` begins with `SQLITE_`
 */
export function openDatabase(path: string, options: OpenDatabaseOptions = {}): Database {
  loaded ??= load();
  return new loaded(path, options);
}

/**
 * A file name for {@link makeDatabase} that no other user can know. SQLite resolves all symlinks in a path, even
 * those into a held directory, and uses names from then on. If another user replaces the directory, no file in the
 * new one has this name, so SQLite opens nothing, and neither reads nor removes a foreign journal.
 */
export function secretDatabaseName(): string {
  return `${randomBytes(16).toString('hex')}.sqlite`;
}

/**
 * Creates an empty database that only this user may read and write.
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
    // The package loads its binary when the first database is opened.
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
