/** Receives byte codes: installs them in a directory, compares them with one, or only verifies them. */
import { createHash } from 'node:crypto';
import { lstatSync, unlinkSync, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { VerificationError } from '../../errors.ts';
import { HeldDirectory, inDirectory, isSame } from '../../io/files/held-directory.ts';
import {
  makeDirectory,
  unmakeDirectories,
  type MadeDirectory,
} from '../../io/files/made-directory.ts';
import { linkOrMove, syncDirectory, writeFully } from '../../io/files/publish-file.ts';
import { TEMPORARY_PREFIX } from '../../io/files/scratch.ts';
import { WorkDirectory } from '../../io/files/work-directory.ts';
import { noProgress } from '../../io/progress.ts';
import type { InstalledState } from '../../snapshot/module-contract.ts';
import { differences, type Differences } from '../kit/differences.ts';
import { refuseOtherChecksum } from './layout.ts';
import { checksumsIn, hasByteCode } from './read.ts';

/** Destination of byte codes, which come one at a time. */
export interface ByteCodeTarget {
  begin(checksum: string): Promise<ByteCodeWriter>;
  /** All have come: makes them durable. @throws {VerificationError} if the target differs */
  done(): Promise<void>;
  install(): Promise<InstalledState>;
  /** Leaves nothing behind; may be called again. */
  abort(): Promise<void>;
}

export interface ByteCodeWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** @throws {VerificationError} `WASM_CHECKSUM` if the bytes written do not match the checksum */
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

/** Checks that `dir` has each of them. It may hold others too, since a chain's byte codes only increase. */
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
      found.refuse('the directory differs from these byte codes');
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
 * Installs them in `dir`, and makes that directory if it is missing. They are written under temporary names, and
 * given their own names when all have come. Existing byte codes stay as they are.
 */
export async function installByteCodes(dir: string): Promise<ByteCodeTarget> {
  const path = resolve(dir);
  const made = await makeDirectory(path, { ownedAsAbove: true });
  let place: HeldDirectory | undefined;
  try {
    place = HeldDirectory.openLinked(path);
    const work = WorkDirectory.make(place.path, WORK_PREFIX);
    return new InstalledByteCodes(path, { place, work, made });
  } catch (error) {
    place?.close();
    await unmakeDirectories(made);
    throw error;
  }
}

/** Where byte codes are written. */
interface Site {
  /** The directory of byte codes. */
  readonly place: HeldDirectory;
  readonly work: WorkDirectory;
  readonly made: readonly MadeDirectory[];
}

class InstalledByteCodes implements ByteCodeTarget {
  readonly #dir: string;
  readonly #site: Site;
  readonly #written: string[] = [];
  #open: FileHandle | undefined;
  #isInstalled = false;

  constructor(dir: string, site: Site) {
    this.#dir = dir;
    this.#site = site;
  }

  async begin(checksum: string): Promise<ByteCodeWriter> {
    // Fails before the rest is read if an existing byte code is wrong: it must not be replaced silently.
    if (await hasByteCode(this.#site.place.path, checksum)) return verifying(checksum);
    const file = await open(join(this.#site.work.path, checksum), 'wx');
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

  /** Sets the owner of the directory, and read rights for every user that the directory admits. */
  async #own(file: FileHandle): Promise<void> {
    const { uid, gid, mode } = this.#site.place.stat;
    await file.chmod(0o644 & (mode | 0o200));
    const own = await file.stat();
    if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid);
  }

  async done(): Promise<void> {
    await syncDirectory(this.#site.work.path);
  }

  async install(): Promise<InstalledState> {
    const { place, work } = this.#site;
    const linked = new Map<string, Stats>();
    try {
      for (const checksum of this.#written) {
        const found = await this.#link(checksum);
        if (found !== undefined) linked.set(checksum, found);
      }
      await syncDirectory(place.path);
    } catch (error) {
      unlink(place, linked);
      throw error;
    }
    this.#isInstalled = true;
    work.remove();
    place.close();
    return { path: this.#dir, undo: async () => this.#undo(linked) };
  }

  async #undo(linked: ReadonlyMap<string, Stats>): Promise<void> {
    await inDirectory(this.#dir, async (place) => {
      unlink(place, linked);
    });
    await unmakeDirectories(this.#site.made);
  }

  /** @returns the linked file; undefined if another process has installed it in the meantime */
  async #link(checksum: string): Promise<Stats | undefined> {
    const { place, work } = this.#site;
    const file = join(work.path, checksum);
    try {
      linkOrMove(file, place.at(checksum));
      return lstatSync(place.at(checksum));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await hasByteCode(place.path, checksum);
      return undefined;
    }
  }

  async abort(): Promise<void> {
    if (this.#isInstalled) return;
    const file = this.#open;
    this.#open = undefined;
    await file?.close();
    this.#site.work.remove();
    this.#site.place.close();
    await unmakeDirectories(this.#site.made);
  }
}

/** Removes files that were linked into a directory, unless they have been replaced since. */
function unlink(place: HeldDirectory, linked: ReadonlyMap<string, Stats>): void {
  for (const [name, file] of linked) {
    const path = place.at(name);
    if (isSame(lstatSync(path, { throwIfNoEntry: false }), file)) unlinkSync(path);
  }
}
