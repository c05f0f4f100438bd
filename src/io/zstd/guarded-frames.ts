/** Checks frames while their bytes arrive, before a codec sees them. */
import type { UnpackLimits } from './codec.ts';
import { truncatedFrame, ZstdFrameWalk } from './frame.ts';
import { tooLarge } from './output-bound.ts';

/** A piece of a frame that may be decoded. */
export interface GuardedPiece {
  readonly bytes: Uint8Array;
  /** Whether a frame begins or ends with it. */
  readonly begins: boolean;
  readonly ends: boolean;
}

const NOTHING = new Uint8Array();

/**
 * Passes on the bytes of frames, cut where frames begin and end, once the headers that they hold were checked.
 * @throws VerificationError `ZSTD_CORRUPT`, `ZSTD_WINDOW` as `inspectZstdFrames`; `ZSTD_TOO_LARGE` if the headers say that
 *   the content is larger than the limit
 */
export async function* guardedFrames(
  pieces: AsyncIterable<Uint8Array>,
  limits: UnpackLimits,
): AsyncGenerator<GuardedPiece> {
  let walk = new ZstdFrameWalk(limits.maxWindowLog);
  /** Bytes of this frame that were looked at. */
  let seen = 0;
  /** Those of them that the next step of the walk looks at. No codec has seen them. */
  let header: Uint8Array = NOTHING;
  let frames = 0;
  /** Content of the frames that have ended. */
  let before = 0;
  for await (const next of pieces) {
    const piece = header.length === 0 ? next : Buffer.concat([header, next]);
    seen -= header.length;
    header = NOTHING;
    let from = 0;
    let begins = seen === 0;
    for (let at = 0; at < piece.length;) {
      const end = Math.min(piece.length, at + walk.wanted - seen);
      const first = Math.max(at, at + walk.from - seen);
      if (first < end) header = Buffer.concat([header, piece.subarray(first, end)]);
      seen += end - at;
      at = end;
      let isOver = false;
      while (seen === walk.wanted && !isOver) {
        const offset = seen - header.length;
        isOver = walk.step(header, offset);
        header = header.subarray(Math.max(0, Math.min(header.length, walk.from - offset)));
      }
      const least = before + (walk.contentSize ?? walk.minRawBytes);
      if (least > limits.maxRawBytes) throw tooLarge(limits.maxRawBytes, least);
      if (!isOver) continue;
      yield { bytes: piece.subarray(from, at), begins, ends: true };
      before = least;
      frames += 1;
      from = at;
      begins = true;
      seen = 0;
      header = NOTHING;
      walk = new ZstdFrameWalk(limits.maxWindowLog);
    }
    const checked = piece.subarray(from, piece.length - header.length);
    if (checked.length > 0) yield { bytes: checked, begins, ends: false };
  }
  if (seen > 0 || frames === 0) throw truncatedFrame(walk.wanted, seen);
}
