import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { inspectZstdFrames } from '../../../src/io/zstd/frame.ts';
import { guardedFrames, type GuardedPiece } from '../../../src/io/zstd/guarded-frames.ts';
import { availableCodecs } from './available-codecs.ts';
import { buildFrame, windowDescriptor, type FrameParts } from './frames.ts';
import { noise, textLike } from './samples.ts';

const codecs = await availableCodecs();
const CHECKSUM = [1, 2, 3, 4];
const LIMITS = { maxWindowLog: 22, maxRawBytes: 1 << 30 };

interface Outcome {
  readonly pieces: readonly GuardedPiece[];
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

/** What comes of bytes that arrive in these pieces. */
async function guarded(pieces: readonly Uint8Array[], limits = LIMITS): Promise<Outcome> {
  async function* arriving(): AsyncGenerator<Uint8Array> {
    yield* pieces;
  }
  const passed: GuardedPiece[] = [];
  try {
    for await (const piece of guardedFrames(arriving(), limits)) {
      passed.push({ ...piece, bytes: Uint8Array.from(piece.bytes) });
    }
    return { pieces: passed, error: undefined };
  } catch (error) {
    return { pieces: passed, error: refusalOf(error) };
  }
}

function refusalOf(error: unknown): Outcome['error'] {
  if (!(error instanceof VerificationError)) throw error;
  const { code, message } = error;
  return { code, message };
}

/** The verdict of the check of whole buffers. */
function verdictOn(bytes: Uint8Array): Outcome['error'] {
  try {
    inspectZstdFrames(bytes);
    return undefined;
  } catch (error) {
    return refusalOf(error);
  }
}

/** Every way to cut bytes in two, and into single bytes, with empty pieces between. */
function* cuts(bytes: Uint8Array): Generator<Uint8Array[]> {
  for (let at = 0; at <= bytes.length; at += 1) {
    yield [bytes.subarray(0, at), bytes.subarray(at)];
    if (at + 3 < bytes.length) {
      yield [bytes.subarray(0, at), bytes.subarray(at, at + 3), bytes.subarray(at + 3)];
    }
  }
  yield [...bytes].flatMap((byte) => [Uint8Array.of(byte), new Uint8Array(0)]);
}

const passedBytes = ({ pieces }: Outcome): Buffer =>
  Buffer.concat(pieces.map(({ bytes }) => bytes));

/** The frames that the pieces say they are. */
function framesOf({ pieces }: Outcome): Buffer[] {
  const frames: Buffer[][] = [];
  let isOpen = false;
  for (const { bytes, begins, ends } of pieces) {
    expect(begins).toBe(!isOpen);
    if (begins) frames.push([]);
    frames.at(-1)!.push(Buffer.from(bytes));
    isOpen = !ends;
  }
  expect(isOpen).toBe(false);
  return frames.map((parts) => Buffer.concat(parts));
}

const blocks = [
  { type: 'raw', size: 5 },
  { type: 'rle', size: 900 },
  { type: 'raw', size: 0 },
  { type: 'compressed', size: 7, last: true },
] as const;

const good: readonly (readonly [what: string, frames: readonly Uint8Array[]])[] = [
  ['an empty block', [buildFrame()]],
  ['blocks of all types', [buildFrame({ blocks })]],
  ['a checksum', [buildFrame({ descriptor: 0x04, blocks, checksum: CHECKSUM })]],
  ['a window of 4 MiB', [buildFrame({ fields: [windowDescriptor(22)], blocks })]],
  [
    'a content size',
    [
      buildFrame({
        descriptor: 0x24,
        fields: [5],
        blocks: [{ type: 'raw', size: 5, last: true }],
        checksum: CHECKSUM,
      }),
    ],
  ],
  [
    'a content size of eight bytes and a dictionary id of zeros',
    [
      buildFrame({
        descriptor: 0xc3,
        fields: [windowDescriptor(17), 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0],
        blocks: [{ type: 'rle', size: 4, last: true }],
      }),
    ],
  ],
  ['several frames', [buildFrame(), buildFrame({ blocks }), buildFrame()]],
  ...codecs.map(
    (codec) =>
      [
        `frames of ${codec.name}`,
        [codec.compress(textLike(300), 3), codec.compress(noise(90), 1)],
      ] as const,
  ),
];

/** A bad frame, and where the header begins that is bad: nothing from there on may be passed. */
const bad: readonly (readonly [what: string, parts: FrameParts, from: number])[] = [
  ['another magic number', { magic: 0x184d2a50 }, 0],
  ['a reserved bit', { descriptor: 0x08 }, 0],
  ['a dictionary', { descriptor: 0x01, fields: [windowDescriptor(10), 9] }, 0],
  ['a window of 8 MiB', { fields: [windowDescriptor(23)] }, 0],
  ['a window of 4 MiB and an eighth', { fields: [windowDescriptor(22, 1)] }, 0],
  ['a content of 8 MiB as its window', { descriptor: 0xa0, fields: [0, 0, 128, 0] }, 0],
  ['a block of the reserved type', { blocks: [{ type: 'reserved', size: 1, last: true }] }, 6],
  [
    'a later block of the reserved type',
    {
      blocks: [
        { type: 'raw', size: 4 },
        { type: 'reserved', size: 1, last: true },
      ],
    },
    13,
  ],
  [
    'a block above its limit',
    {
      blocks: [
        { type: 'rle', size: 9 },
        { type: 'rle', size: 1025, last: true },
      ],
    },
    10,
  ],
];

describe('guardedFrames', () => {
  it.each(good)('passes on %s, however they are cut', async (_what, frames) => {
    const bytes = Buffer.concat([...frames]);
    expect(verdictOn(bytes)).toBeUndefined();
    for (const pieces of cuts(bytes)) {
      const outcome = await guarded(pieces);
      expect(outcome.error).toBeUndefined();
      expect(framesOf(outcome)).toEqual(frames.map((frame) => Buffer.from(frame)));
    }
  });

  it.each(bad)(
    'refuses %s before a codec sees it, however it is cut',
    async (_what, parts, from) => {
      for (const before of [Buffer.alloc(0), Buffer.from(buildFrame({ blocks }))]) {
        const bytes = Buffer.concat([before, buildFrame(parts)]);
        const verdict = verdictOn(bytes);
        expect(verdict).toBeDefined();
        for (const pieces of cuts(bytes)) {
          const outcome = await guarded(pieces);
          expect(outcome.error).toEqual(verdict);
          const passed = passedBytes(outcome);
          expect(passed.length).toBeLessThanOrEqual(before.length + from);
          expect(passed).toEqual(bytes.subarray(0, passed.length));
        }
      }
    },
  );

  it('refuses what ends early or goes on too long, as the check of whole buffers', async () => {
    for (const [, frames] of good) {
      const whole = Buffer.concat([...frames]);
      for (let length = 0; length < whole.length; length += 1) {
        const bytes = whole.subarray(0, length);
        for (const at of [0, length >> 1, length]) {
          const { error } = await guarded([bytes.subarray(0, at), bytes.subarray(at)]);
          expect(error).toEqual(verdictOn(bytes));
        }
      }
      for (const more of [Buffer.from([0]), Buffer.from('garbage'), Buffer.alloc(9)]) {
        const bytes = Buffer.concat([whole, more]);
        for (const pieces of cuts(bytes)) {
          const outcome = await guarded(pieces);
          expect(outcome.error).toEqual(verdictOn(bytes));
          expect(passedBytes(outcome).length).toBeLessThanOrEqual(whole.length);
        }
      }
    }
  });

  it('refuses a content size that the blocks cannot have', async () => {
    const bytes = buildFrame({
      descriptor: 0x20,
      fields: [9],
      blocks: [{ type: 'raw', size: 5, last: true }],
    });
    for (const pieces of cuts(bytes)) {
      expect((await guarded(pieces)).error).toEqual(verdictOn(bytes));
    }
  });

  it('refuses more content than allowed, by the sizes in the headers, over all frames', async () => {
    const run = buildFrame({
      blocks: [
        { type: 'rle', size: 900 },
        { type: 'rle', size: 100, last: true },
      ],
    });
    const declared = buildFrame({
      descriptor: 0x60,
      fields: [0xe8, 2],
      blocks: [{ type: 'raw', size: 1, last: true }],
    });
    const limits = (maxRawBytes: number) => ({ maxWindowLog: 22, maxRawBytes });
    const two = Buffer.concat([run, run]);
    for (const pieces of cuts(two)) {
      expect((await guarded(pieces, limits(2000))).error).toBeUndefined();
      const refused = await guarded(pieces, limits(1999));
      expect(refused.error).toMatchObject({ code: 'ZSTD_TOO_LARGE' });
      expect((await guarded(pieces, limits(899))).pieces).toEqual([]);
    }
    for (const pieces of cuts(declared)) {
      const refused = await guarded(pieces, limits(999));
      expect([refused.error?.code, refused.pieces]).toEqual(['ZSTD_TOO_LARGE', []]);
    }
  });
});
