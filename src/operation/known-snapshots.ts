/**
 * Records which snapshots this user has made or fully verified: one empty file for each, named by the SHA-256 of its
 * manifest, in the user's own state directory. A snapshot dir cannot record that, since others may write to it.
 */
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  rmSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeOneDirectory } from '../io/files/made-directory.ts';
import { othersMayWrite } from '../io/files/other-users.ts';
import { userStateDir } from '../io/files/user-state.ts';

const DIR = 'believed';
/** How many records are kept. Beyond that, the least recently used are removed. */
const MAX_RECORDS = 1000;

export class KnownSnapshots {
  readonly #dir: string | undefined;

  private constructor(dir: string | undefined) {
    this.#dir = dir;
  }

  /** Those of the effective user. None are known without a directory that no other user can write. */
  static open(env: NodeJS.ProcessEnv = process.env): KnownSnapshots {
    const stateDir = userStateDir(env);
    if (stateDir === undefined) return new KnownSnapshots(undefined);
    const dir = join(stateDir, DIR);
    try {
      makeOneDirectory(dir, 0o700);
      const stat = lstatSync(dir);
      const isOwn = stat.isDirectory() && stat.uid === process.geteuid?.() && !othersMayWrite(stat);
      return new KnownSnapshots(isOwn ? dir : undefined);
    } catch {
      return new KnownSnapshots(undefined);
    }
  }

  /** @param manifestSha256 of the manifest's bytes, in hex */
  has(manifestSha256: string): boolean {
    if (this.#dir === undefined) return false;
    try {
      const path = join(this.#dir, manifestSha256);
      if (!lstatSync(path).isFile()) return false;
      touch(path);
      return true;
    } catch {
      return false;
    }
  }

  /** Adds a snapshot. A failure to do so is ignored: the snapshot is then verified again another time. */
  add(manifestSha256: string): void {
    if (this.#dir === undefined) return;
    try {
      make(join(this.#dir, manifestSha256));
      prune(this.#dir);
    } catch {
      // The directory is read-only, full, or of a user that this process does not run as at the moment.
    }
  }
}

function make(path: string): void {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  try {
    closeSync(openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    touch(path);
  }
}

function touch(path: string): void {
  const now = new Date();
  utimesSync(path, now, now);
}

function prune(dir: string): void {
  const names = readdirSync(dir);
  if (names.length <= MAX_RECORDS) return;
  const aged = names.map((name) => ({ name, used: lstatSync(join(dir, name)).mtimeMs }));
  aged.sort((a, b) => b.used - a.used);
  for (const { name } of aged.slice(MAX_RECORDS)) rmSync(join(dir, name), { force: true });
}
