/** Paths into directories by their descriptors, and the names by which users know these directories. */
import { existsSync } from 'node:fs';

/** Linux leads from here into whatever a descriptor of this process means. */
const DESCRIPTORS = '/proc/self/fd';
/** Whether there are such paths. */
export const hasDescriptors = process.platform === 'linux' && existsSync(DESCRIPTORS);

const names = new Map<number, string>();

/** The path that leads into what `fd` means; undefined where there is none. */
export function pathOfDescriptor(fd: number): string | undefined {
  return hasDescriptors ? `${DESCRIPTORS}/${fd}` : undefined;
}

/** Remembers the name of what `fd` means, also after it is closed, for messages. */
export function nameDescriptor(fd: number, name: string): void {
  names.set(fd, name);
}

/** A text, or a path, in which paths by descriptors are replaced by names. */
export function withShownPaths(text: string): string {
  return text.replace(
    /\/proc\/self\/fd\/(\d+)/gu,
    (path, fd: string) => names.get(Number(fd)) ?? path,
  );
}
