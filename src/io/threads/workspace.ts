/**
 * Memory that a thread uses again and again. Fresh memory is slow: the kernel zeroes each of its pages when it is first
 * touched, which takes longer than what is then done in it.
 */

let kept: Uint8Array<ArrayBuffer> | undefined;

/**
 * Lends `use` a buffer of at least `bytes` bytes, of any content, until its promise settles: what outlives it must be
 * copied out.
 */
export async function withWorkspace<Result>(
  bytes: number,
  use: (space: Uint8Array<ArrayBuffer>) => Promise<Result>,
): Promise<Result> {
  const space = kept !== undefined && kept.length >= bytes ? kept : new Uint8Array(bytes);
  // Another task of this thread may come while this one waits: it gets one of its own.
  kept = undefined;
  try {
    return await use(space);
  } finally {
    kept = space;
  }
}
