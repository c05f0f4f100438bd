/** Durable files: the order in which bytes, names and directories reach the disk. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, linkSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { StorageError } from '../../errors.ts';
import { inDirectory } from './held-directory.ts';
import { TEMPORARY_PREFIX } from './scratch.ts';
import { naming, systemCode } from './system-error.ts';

/** A temporary name, for something that is not finished yet. */
export function temporaryName(of: string): string {
  return `${TEMPORARY_PREFIX}${randomBytes(6).toString('hex')}-${of}`;
}

/**
 * Publishes a file: a reader of `path` sees the old file, none, or all of the new one. Once this returns, the new
 * file survives a power loss.
 * @param content its bytes, or a function that writes them
 * @param workName how the name of the unfinished file ends, for a directory whose readers choose files by that
 */
export async function publishFile(
  path: string,
  content: Uint8Array | string | ((file: FileHandle) => Promise<void>),
  workName = basename(path).slice(0, 60),
): Promise<void> {
  await inDirectory(dirname(path), async (directory) => {
    const temporary = directory.at(temporaryName(workName));
    try {
      await writeDurably(temporary, content);
      await rename(temporary, directory.at(basename(path)));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(directory.path);
  });
}

/** Makes the file `path`, which must not exist. Its bytes are durable when this returns, but its name is not. */
export async function writeDurably(
  path: string,
  content: Uint8Array | string | ((file: FileHandle) => Promise<void>),
): Promise<void> {
  const file = await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o666);
  try {
    if (typeof content === 'function') {
      await content(file);
    } else {
      await naming(path, async () => file.writeFile(content));
      const expected = Buffer.byteLength(content);
      const { size } = await file.stat();
      if (size !== expected) {
        throw new StorageError('SHORT_WRITE', 'a file was written, but has the wrong length', {
          path,
          expected,
          found: size,
        });
      }
    }
    await naming(path, async () => file.sync());
  } finally {
    await file.close();
  }
}

/**
 * Gives a file another name, which nothing may have yet; as link(2), it never replaces. Where the file system has no hard
 * links, the file is renamed instead, behind an empty file that keeps others from the name.
 * @throws `EEXIST` if something has that name
 */
export function linkOrMove(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (!lacksHardLinks(error)) throw error;
    closeSync(openSync(to, 'wx'));
    try {
      renameSync(from, to);
    } catch (failure) {
      unlinkSync(to);
      throw failure;
    }
  }
}

/** Whether link(2) failed because this file system, or this file, allows no hard links. */
export function lacksHardLinks(error: unknown): boolean {
  const code = systemCode(error) ?? '';
  return ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code);
}

/** Makes the names in a directory durable. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes all of `bytes` after what was written through `file` before. */
export async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  await naming(file.fd, async () => {
    let offset = 0;
    while (offset < bytes.length) {
      const { bytesWritten } = await file.write(bytes, offset);
      offset += bytesWritten;
    }
  });
}
