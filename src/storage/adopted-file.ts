/** Makes a file of one snapshot a file of another, without writing its bytes again if possible. */
import { constants, linkSync, lstatSync, unlinkSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { othersMayWrite } from '../io/files/other-users.ts';
import { writeDurably, writeFully } from '../io/files/publish-file.ts';
import { SourceFile } from '../io/files/source-file.ts';
import { systemCode } from '../io/files/system-error.ts';
import type { Adoption } from './contract.ts';

const PIECE_BYTES = 1024 * 1024;

/**
 * Hard-links the file at `from` to `to`. Copies it instead if its file system or its owner does not allow a link, or
 * if another user could later change both.
 * @param to in a directory of ours, where no other user can replace it
 * @returns its size in bytes; undefined if `from` is not a file of at most `maxBytes`, or may not be copied
 * @throws system errors: `ENOENT` if `from` does not exist, `EEXIST` if `to` exists
 */
export async function adoptFile(
  from: string,
  to: string,
  maxBytes: number,
  how: Adoption,
): Promise<number | undefined> {
  const copyInstead = async (): Promise<number | undefined> =>
    how === 'link' ? undefined : copy(from, to, maxBytes);
  // Check the file under its new name: `from` may be another file by then.
  const linked = link(from, to);
  if (linked === undefined) return copyInstead();
  if (linked.isFile() && linked.size <= maxBytes && isOwnAlone(linked, to)) return linked.size;
  unlinkSync(to);
  return copyInstead();
}

/** @returns undefined if a hard link is not possible */
function link(from: string, to: string): Stats | undefined {
  try {
    linkSync(from, to);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EEXIST') throw error;
    return undefined;
  }
  return lstatSync(to);
}

/** Whether only its owner may write it, and files that we make there have that owner (some file systems choose it). */
function isOwnAlone(file: Stats, path: string): boolean {
  return file.uid === lstatSync(dirname(path)).uid && !othersMayWrite(file);
}

async function copy(from: string, to: string, maxBytes: number): Promise<number | undefined> {
  const file = openFile(from);
  if (file === undefined) return undefined;
  try {
    if (!file.stats.isFile() || file.stats.size > maxBytes) return undefined;
    let size = 0;
    await writeDurably(to, async (copied) => {
      for await (const piece of file.pieces(PIECE_BYTES)) {
        size += piece.length;
        if (size <= maxBytes) await writeFully(copied, piece);
      }
    });
    // It has grown meanwhile.
    if (size <= maxBytes) return size;
    unlinkSync(to);
    return undefined;
  } finally {
    file.close();
  }
}

/** @returns undefined for a symlink */
function openFile(path: string): SourceFile | undefined {
  try {
    return SourceFile.open(path, constants.O_NOFOLLOW);
  } catch (error) {
    if (systemCode(error) === 'ELOOP') return undefined;
    throw error;
  }
}
