/** Directories that are made when needed, and unmade when nothing came of it. */
import { mkdir, rmdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { syncDirectory } from './publish-file.ts';

/**
 * Makes `dir` and the missing ones above it, durably.
 * @returns the directories that were made, the innermost first
 */
export async function makeDirectory(dir: string): Promise<string[]> {
  const innermost = resolve(dir);
  const first = await mkdir(innermost, { recursive: true });
  if (first === undefined) return [];
  const made: string[] = [];
  for (let at = innermost; at.length >= first.length; at = dirname(at)) made.push(at);
  try {
    for (const at of made) await syncDirectory(dirname(at));
  } catch (error) {
    await unmakeDirectories(made);
    throw error;
  }
  return made;
}

/** Removes directories that `makeDirectory` made, as far as they are empty. */
export async function unmakeDirectories(made: readonly string[]): Promise<void> {
  for (const dir of made) {
    try {
      await rmdir(dir);
    } catch {
      // Somebody else has put something there: it stays.
      return;
    }
  }
}
