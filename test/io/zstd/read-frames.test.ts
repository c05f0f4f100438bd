import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import { readZstdFrames } from '../../../src/io/zstd/read-frames.ts';
import { buildFrame, streamedFrame, windowDescriptor } from './frames.ts';
import { noise, repetitive } from './samples.ts';

const codec = await loadZstdCodec('zstd-codec');
const frames = [
  codec.compress(noise(1000), 1),
  buildFrame(),
  codec.compress(new Uint8Array(0), 1),
  streamedFrame([repetitive(300_000)], { checksumFlag: 1 }),
  codec.compress(noise(200_000), 1),
  codec.compress(Uint8Array.of(1), 1),
].map((frame) => new Uint8Array(frame));
const stream = Buffer.concat(frames);
const options = { maxFrameBytes: 250_000 };

async function* cut(bytes: Uint8Array, at: Iterable<number>): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const end of [...at].sort((left, right) => left - right)) {
    yield Buffer.from(bytes.subarray(start, end));
    start = end;
  }
  yield Buffer.from(bytes.subarray(start));
}

async function collect(
  source: AsyncIterable<Uint8Array>,
  { maxFrameBytes } = options,
): Promise<{ frames: Uint8Array[]; error?: unknown }> {
  const read: Uint8Array[] = [];
  try {
    for await (const frame of readZstdFrames(source, { maxFrameBytes })) read.push(frame);
  } catch (error) {
    expect(error).toBeInstanceOf(VerificationError);
    return { frames: read, error };
  }
  return { frames: read };
}

function sameFrames(left: readonly Uint8Array[], right: readonly Uint8Array[]): boolean {
  return (
    left.length === right.length &&
    left.every((frame, index) => Buffer.compare(frame, right[index]!) === 0)
  );
}

describe('readZstdFrames', () => {
  it('yields the same frames however the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(stream.length), { maxLength: 40 }), async (at) => {
        const { frames: read, error } = await collect(cut(stream, at));
        return error === undefined && sameFrames(read, frames);
      }),
      { numRuns: 60, seed: 22 },
    );
  });

  it('yields the same frames when every byte arrives alone', async () => {
    const few = frames.slice(0, 3);
    const bytes = Buffer.concat(few);
    const { frames: read } = await collect(cut(bytes, bytes.keys()));
    expect(sameFrames(read, few)).toBe(true);
  });

  it('yields each frame in its own buffer, even if the source reuses one', async () => {
    const buffer = new Uint8Array(100);
    async function* reused(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < stream.length; at += buffer.length) {
        const piece = stream.subarray(at, at + buffer.length);
        buffer.set(piece);
        yield buffer.subarray(0, piece.length);
      }
    }
    expect(sameFrames((await collect(reused())).frames, frames)).toBe(true);
  });

  it('yields the whole frames and then an error if the stream is truncated', async () => {
    const ends = new Set<number>();
    let end = 0;
    for (const frame of frames) ends.add((end += frame.length));
    await fc.assert(
      fc.asyncProperty(fc.nat(stream.length - 1), async (length) => {
        const { frames: read, error } = await collect(
          cut(stream.subarray(0, length), [length / 2]),
        );
        const whole = frames.slice(0, read.length);
        expect(sameFrames(read, whole)).toBe(true);
        if (ends.has(length)) expect(error).toBeUndefined();
        else expect(error).toMatchObject({ code: 'ZSTD_CORRUPT' });
      }),
      { numRuns: 100, seed: 22, examples: [[0], [1], [frames[0]!.length]] },
    );
  });

  it('refuses garbage between and after frames, and hostile windows', async () => {
    const wide = buildFrame({ fields: [windowDescriptor(27)] });
    for (const [bad, code] of [
      [Buffer.from('garbage'), 'ZSTD_CORRUPT'],
      [new Uint8Array(3), 'ZSTD_CORRUPT'],
      [wide, 'ZSTD_WINDOW'],
    ] as const) {
      const { frames: read, error } = await collect(
        cut(Buffer.concat([frames[0]!, bad]), [3, 1010]),
      );
      expect(sameFrames(read, frames.slice(0, 1))).toBe(true);
      expect(error).toMatchObject({ code });
    }
  });

  it('accepts a frame of exactly the maximum length', async () => {
    const frame = frames[0]!;
    expect((await collect(cut(frame, []), { maxFrameBytes: frame.length })).error).toBeUndefined();
    expect(
      (await collect(cut(frame, []), { maxFrameBytes: frame.length - 1 })).error,
    ).toMatchObject({ code: 'ZSTD_TOO_LARGE' });
  });

  it('stops reading its source at a frame that is too long', async () => {
    const head = buildFrame({
      fields: [windowDescriptor(17)],
      blocks: [{ type: 'raw', size: 128 * 1024 }],
    });
    const piece = head.subarray(6);
    let pieces = 0;
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        yield head;
        for (;;) {
          pieces += 1;
          yield piece;
        }
      } finally {
        closed = true;
      }
    }
    const { error } = await collect(endless(), { maxFrameBytes: 1024 * 1024 });
    expect(error).toMatchObject({ code: 'ZSTD_TOO_LARGE' });
    expect(pieces).toBeLessThan(9);
    expect(closed).toBe(true);
  });
});
