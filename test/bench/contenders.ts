/** What races are made of: a command of ours, commands that do the same work without us, and what they make. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SAME_SQLITE } from '../fixtures/same-sqlite.ts';
import type { Command } from './measure.ts';

export interface Contender {
  readonly name: string;
  readonly command: Command;
  /** Commands before and after a run that are not measured. */
  readonly before?: Command;
  readonly after?: Command;
  /** What the run makes. It is removed before the run, and its size is reported. */
  readonly makes?: string;
  /** Measures another size instead. */
  readonly madeBytes?: () => Promise<number>;
}

export interface Rival extends Contender {
  /** The greatest ratio of our time to this rival's; undefined if the ratio is only reported. */
  readonly target: number | undefined;
}

export interface Race {
  readonly title: string;
  readonly ours: Contender;
  /** They run before ours, in this order. */
  readonly rivals: readonly Rival[];
}

export const pathOf = (relative: string): string =>
  fileURLToPath(new URL(relative, import.meta.url));
export const SWINGSNAP = [process.execPath, pathOf('../../bin/run.js')];
export const REFERENCE = [process.execPath, ...SAME_SQLITE, pathOf('./reference-run.js')];

/** Words of a command, for bash. */
export const quoted = (parts: readonly string[]): string =>
  parts.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(' ');

/** Bytes of the files in a directory that are no hard links to files in another one. */
export function newBytes(first: string, second: string): number {
  const old = new Set(filesIn(first).map(({ inode }) => inode));
  return filesIn(second).reduce((sum, { inode, size }) => sum + (old.has(inode) ? 0 : size), 0);
}

function filesIn(dir: string): { readonly inode: bigint; readonly size: number }[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const { ino, size } = statSync(join(entry.parentPath, entry.name), { bigint: true });
      return { inode: ino, size: Number(size) };
    });
}
