/** A file of one snapshot that becomes a file of another, without its bytes being written again where that can be. */
import { constants, linkSync, lstatSync, unlinkSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { othersMayWrite } from '../io/files/other-users.ts';
import { writeDurably } from '../io/files/publish-file.ts';
import { SourceFile } from '../io/files/source-file.ts';
import { systemCode } from '../io/files/system-error.ts';

/**
 * Gives the file at `from` a second name; or makes a copy of it, where its file system or its owner does not allow that,
 * or where another user could change both later.
 * @param to in a directory of ours, where no other user can exchange it
 * @returns its size in bytes; undefined if no file of at most `maxBytes` is there
 * @throws errors of the system: `ENOENT` if nothing is at `from`, `EEXIST` if something is at `to`
 */
export async function adoptFile(
  from: string,
  to: string,
  maxBytes: number,
): Promise<number | undefined> {
  // What is looked at is what has the new name: `from` may be another file by then.
  const linked = link(from, to);
  if (linked === undefined) return copy(from, to, maxBytes);
  if (linked.isFile() && linked.size <= maxBytes && isOwnAlone(linked, to)) return linked.size;
  unlinkSync(to);
  return copy(from, to, maxBytes);
}

/** @returns undefined if it can have no second name there */
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

/** Whether it belongs to whom files belong that we make there, which some file systems decide, and to no other user. */
function isOwnAlone(file: Stats, path: string): boolean {
  return file.uid === lstatSync(dirname(path)).uid && !othersMayWrite(file);
}

async function copy(from: string, to: string, maxBytes: number): Promise<number | undefined> {
  const file = openFile(from);
  if (file === undefined) return undefined;
  try {
    if (!file.stats.isFile() || file.stats.size > maxBytes) return undefined;
    const bytes = await file.readWhole();
    await writeDurably(to, bytes);
    return bytes.length;
  } finally {
    file.close();
  }
}

/** @returns undefined for a link */
function openFile(path: string): SourceFile | undefined {
  try {
    return SourceFile.open(path, constants.O_NOFOLLOW);
  } catch (error) {
    if (systemCode(error) === 'ELOOP') return undefined;
    throw error;
  }
}
