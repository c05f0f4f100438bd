/** Byte codes that are received: put into a directory, compared with one, or only verified. */
import { createHash } from 'node:crypto';
import { link, open, rm, stat, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { VerificationError } from '../../errors.ts';
import { makeDirectory, unmakeDirectories, type MadeDirectory } from '../../io/made-directory.ts';
import { noProgress } from '../../io/progress.ts';
import { syncDirectory, writeFully } from '../../io/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../io/scratch.ts';
import { WorkDirectory } from '../../io/work-directory.ts';
import type { InstalledState } from '../contract.ts';
import { differences, type Differences } from '../differences.ts';
import { checksumsIn, hasByteCode } from './read.ts';
import { refuseOtherChecksum } from './layout.ts';

/** What becomes of byte codes, which come one at a time. */
export interface ByteCodeTarget {
  begin(checksum: string): Promise<ByteCodeWriter>;
  /** All have come: what was written is durable. @throws {VerificationError} if the target is not right */
  done(): Promise<void>;
  install(): Promise<InstalledState>;
  /** Leaves nothing; may be called again. */
  abort(): Promise<void>;
}

export interface ByteCodeWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** @throws {VerificationError} `WASM_CHECKSUM` if what was written is not what the checksum says */
  finish(): Promise<void>;
}

/** Keeps nothing. */
export function verifyByteCodes(): ByteCodeTarget {
  return {
    begin: async (checksum) => verifying(checksum),
    done: async () => undefined,
    install: async () => ({ path: undefined, undo: async () => undefined }),
    abort: async () => undefined,
  };
}

/** Looks whether `dir` has each of them; others may be there too, since a chain's byte codes only become more. */
export function compareByteCodes(dir: string): ByteCodeTarget {
  const found = differences(resolve(dir));
  return {
    ...verifyByteCodes(),
    begin: async (checksum) =>
      verifying(checksum, async () => {
        await compare(dir, checksum, found);
      }),
    done: async () => {
      const here = await checksumsIn(dir, { progress: noProgress });
      found.countThere(here.length);
      found.refuse('the directory does not hold these byte codes');
    },
    install: async () => ({
      path: resolve(dir),
      compared: found.counts(),
      undo: async () => undefined,
    }),
  };
}

async function compare(dir: string, checksum: string, found: Differences): Promise<void> {
  try {
    if (await hasByteCode(dir, checksum)) found.equal();
    else found.differs(`${checksum} is missing`);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    found.differs(`${checksum} differs: ${error.message}`);
  }
}

function verifying(
  checksum: string,
  verified: () => Promise<void> = async () => undefined,
): ByteCodeWriter {
  const hash = createHash('sha256');
  return {
    write: async (bytes) => {
      hash.update(bytes);
    },
    finish: async () => {
      refuseOtherChecksum(checksum, checksum, hash.digest('hex'));
      await verified();
    },
  };
}

const WORK_PREFIX = `${TEMPORARY_PREFIX}wasm-`;

/**
 * Puts them into `dir`, which is made if it is missing: written beside the others under temporary names, and linked to
 * their own names when all are there. One that `dir` has already is left as it is.
 */
export async function installByteCodes(dir: string): Promise<ByteCodeTarget> {
  const path = resolve(dir);
  const made = await makeDirectory(path, { ownedAsAbove: true });
  try {
    return new InstalledByteCodes(path, made, WorkDirectory.make(path, WORK_PREFIX));
  } catch (error) {
    await unmakeDirectories(made);
    throw error;
  }
}

class InstalledByteCodes implements ByteCodeTarget {
  readonly #dir: string;
  readonly #made: readonly MadeDirectory[];
  readonly #work: WorkDirectory;
  readonly #written: string[] = [];
  #open: FileHandle | undefined;
  #isInstalled = false;

  constructor(dir: string, made: readonly MadeDirectory[], work: WorkDirectory) {
    this.#dir = dir;
    this.#made = made;
    this.#work = work;
  }

  async begin(checksum: string): Promise<ByteCodeWriter> {
    // Told before the rest is read: a byte code that is there and wrong is nothing to be replaced in passing.
    if (await hasByteCode(this.#dir, checksum)) return verifying(checksum);
    const file = await open(join(this.#work.path, checksum), 'wx');
    this.#open = file;
    const verifier = verifying(checksum);
    return {
      write: async (bytes) => {
        await verifier.write(bytes);
        await writeFully(file, bytes);
      },
      finish: async () => {
        await verifier.finish();
        await this.#own(file);
        await file.sync();
        this.#open = undefined;
        await file.close();
        this.#written.push(checksum);
      },
    };
  }

  /** With the owner of the directory, and read rights for all whom it lets in. */
  async #own(file: FileHandle): Promise<void> {
    const { uid, gid, mode } = await stat(this.#dir);
    await file.chmod(0o644 & (mode | 0o200));
    const own = await file.stat();
    if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid);
  }

  async done(): Promise<void> {
    await syncDirectory(this.#work.path);
  }

  async install(): Promise<InstalledState> {
    const linked: string[] = [];
    const undo = async (): Promise<void> => {
      for (const checksum of linked) await rm(join(this.#dir, checksum), { force: true });
      this.#work.remove();
      await unmakeDirectories(this.#made);
    };
    try {
      for (const checksum of this.#written) {
        // Unlike a rename, a link never replaces a file that came meanwhile.
        if (await this.#link(checksum)) linked.push(checksum);
      }
      await syncDirectory(this.#dir);
    } catch (error) {
      await undo();
      throw error;
    }
    this.#isInstalled = true;
    this.#work.remove();
    return { path: this.#dir, undo };
  }

  /** @returns false if another has brought it meanwhile */
  async #link(checksum: string): Promise<boolean> {
    try {
      await link(join(this.#work.path, checksum), join(this.#dir, checksum));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await hasByteCode(this.#dir, checksum);
      return false;
    }
  }

  async abort(): Promise<void> {
    if (this.#isInstalled) return;
    const file = this.#open;
    this.#open = undefined;
    await file?.close();
    this.#work.remove();
    await unmakeDirectories(this.#made);
  }
}
