/** Bounds the output of a decompression from the headers, before a codec sees the frames. */

import { VerificationError } from '../../errors.ts';
import type { UnpackLimits } from './codec.ts';
import { inspectZstdFrames } from './frame.ts';

/** The output for which a codec must prepare. */
export interface OutputBound {
  /** Space for the output, in bytes; never more than the caller's limit. */
  readonly capacity: number;
  /**
   * The error for content that exceeds `capacity`: too large if the caller's limit determined it; otherwise the
   * frames contradict their headers.
   */
  overflow(cause?: unknown): VerificationError;
}

/**
 * Inspects `frames` and computes the space that their content needs.
 * @param maxRawBytes the caller's limit
 * @throws VerificationError as `inspectZstdFrames`, and `ZSTD_TOO_LARGE` if the content is known to be larger than
 *   `maxRawBytes`
 */
export function boundOutput(frames: Uint8Array, maxRawBytes: number): OutputBound {
  const info = inspectZstdFrames(frames);
  const least = info.contentSize ?? info.minRawBytes;
  if (least > maxRawBytes) throw tooLarge(maxRawBytes, least);
  const most = info.contentSize ?? info.maxRawBytes;
  return {
    capacity: Math.min(most, maxRawBytes),
    overflow: (cause) =>
      most > maxRawBytes ? tooLarge(maxRawBytes, undefined, cause) : corruptContent(cause),
  };
}

/** @throws VerificationError `ZSTD_TOO_LARGE` if `raw` bytes are more than allowed */
export function refuseMore(raw: number, { maxRawBytes }: UnpackLimits): void {
  if (raw > maxRawBytes) throw tooLarge(maxRawBytes, undefined);
}

/** The error for frames with valid headers and invalid content. */
export function corruptContent(cause?: unknown): VerificationError {
  return new VerificationError('ZSTD_CORRUPT', 'the content of a zstd frame is damaged', { cause });
}

export function tooLarge(
  limit: number,
  found: number | undefined,
  cause?: unknown,
): VerificationError {
  return new VerificationError('ZSTD_TOO_LARGE', 'zstd frames expand to more bytes than allowed', {
    expected: `at most ${limit} bytes`,
    found: found === undefined ? undefined : `${found} bytes`,
    cause,
  });
}
