/** Paths into directories by file descriptor, and the names by which users know these directories. */
import { existsSync, readlinkSync } from 'node:fs';

/** On Linux, contains a link for each open descriptor of this process. */
const DESCRIPTORS = '/proc/self/fd';
/** Whether paths by descriptor exist. */
export const hasDescriptors = process.platform === 'linux' && existsSync(DESCRIPTORS);

const names = new Map<number, string>();

/** A path to the open file or directory of `fd`; undefined if this system has no such paths. */
export function pathOfDescriptor(fd: number): string | undefined {
  return hasDescriptors ? `${DESCRIPTORS}/${fd}` : undefined;
}

/** The path that the kernel knows for an open file; undefined if this system does not tell. */
export function namedByKernel(fd: number): string | undefined {
  const path = pathOfDescriptor(fd);
  try {
    return path === undefined ? undefined : readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Remembers the name of what `fd` refers to, even after it is closed, for messages. */
export function nameDescriptor(fd: number, name: string): void {
  names.set(fd, name);
}

/** Replaces paths by descriptor with names, in a path or any text. */
export function withShownPaths(text: string): string {
  return text.replace(
    /\/proc\/self\/fd\/(\d+)/gu,
    (path, fd: string) => names.get(Number(fd)) ?? path,
  );
}
