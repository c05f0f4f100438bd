/**
 * Memory that a thread reuses. Fresh memory is slow: the kernel zeroes each page at the first access, which takes
 * longer than the work that uses it.
 */

let kept: Uint8Array<ArrayBuffer> | undefined;

/**
 * Lends `use` a buffer of at least `bytes` bytes, with arbitrary content, until its promise settles. Results that
 * outlive it must be copied.
 */
export async function withWorkspace<Result>(
  bytes: number,
  use: (space: Uint8Array<ArrayBuffer>) => Promise<Result>,
): Promise<Result> {
  const space = kept !== undefined && kept.length >= bytes ? kept : new Uint8Array(bytes);
  // Another task of this thread may run while this one waits; it gets its own buffer.
  kept = undefined;
  try {
    return await use(space);
  } finally {
    kept = space;
  }
}
