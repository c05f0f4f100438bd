/** Frames that are packed and unpacked piece by piece, with small and large windows. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.ts';
import { LARGE_WINDOW_LOG, WINDOW_LOG } from '../../../src/io/zstd/codec.ts';
import { inspectZstdFrames } from '../../../src/io/zstd/frame.ts';
import { availableCodecs, USUAL_CODEC } from './available-codecs.ts';
import { gathered, inPieces, packed, unpacked } from './pieces.ts';
import { noise, repetitive, textLike } from './samples.ts';

const MIB = 1024 * 1024;
const codecs = await availableCodecs();
const writers = codecs.filter((codec) => codec.packPieces !== undefined);
const node24 = process.env['SWINGSNAP_NODE24'];

const samples: readonly (readonly [what: string, raw: Uint8Array])[] = [
  ['nothing at all', new Uint8Array(0)],
  ['one byte', Uint8Array.of(42)],
  ['bytes that do not compress', noise(MIB + 17)],
  ['text', textLike(MIB)],
  // The pieces that libraries give are as long as some of these.
  ...[1, 2, 4].map((n) => [`${n * 128} KiB of text`, textLike(n * 128 * 1024)] as const),
  ...[1, 2, 8].map((n) => [`${n * 128} KiB of noise`, noise(n * 128 * 1024)] as const),
];

const same = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0;

it('a fresh install has a codec that packs pieces, and zstd-codec packs none', () => {
  expect(writers.map(({ name }) => name)).toContain(USUAL_CODEC);
  for (const { name, maxWindowLog } of codecs) {
    const isLarge = name !== 'zstd-codec';
    expect([name, maxWindowLog]).toEqual([name, isLarge ? LARGE_WINDOW_LOG : WINDOW_LOG]);
    expect(writers.some((writer) => writer.name === name)).toBe(isLarge);
  }
});

describe.each(codecs)('$name', (codec) => {
  it.each(samples)('unpacks %s that any codec wrote, however it is cut', async (_what, raw) => {
    const frames = [
      ...codecs.map((writer) => writer.compress(raw, 3)),
      ...(await Promise.all(
        writers.map(async (writer) => packed(writer, raw, { level: 1, windowLog: WINDOW_LOG })),
      )),
    ];
    for (const frame of frames) {
      for (const bytes of [1 << 30, 64 * 1024, 1001]) {
        const content = await unpacked(codec, frame, bytes, raw.length);
        expect(same(content, raw)).toBe(true);
      }
    }
  });

  it('unpacks several frames as one content', async () => {
    const parts = [textLike(300_000), new Uint8Array(0), noise(256 * 1024), repetitive(MIB)];
    const frames = Buffer.concat(
      codecs.flatMap((writer) => parts.map((part) => writer.compress(part, 1))),
    );
    const expected = Buffer.concat(codecs.flatMap(() => parts));
    for (const bytes of [1 << 30, 4096]) {
      expect(same(await unpacked(codec, frames, bytes, expected.length), expected)).toBe(true);
    }
  });

  it('refuses more content than allowed, a damaged frame and a cut one, and works afterwards', async () => {
    const raw = textLike(300_000);
    const frame = codec.compress(raw, 3);
    const damaged = Buffer.from(frame).fill(0xff, 500, 600);
    for (const [bytes, limit, code] of [
      [frame, raw.length - 1, 'ZSTD_TOO_LARGE'],
      [damaged, raw.length, 'ZSTD_CORRUPT'],
      [frame.subarray(0, -5), raw.length, 'ZSTD_CORRUPT'],
      [Buffer.concat([frame, Buffer.alloc(9)]), raw.length, 'ZSTD_CORRUPT'],
    ] as const) {
      await expect(unpacked(codec, bytes, 1000, limit)).rejects.toMatchObject({ code });
      expect(same(await unpacked(codec, frame, 1000, raw.length), raw)).toBe(true);
    }
  });

  it('refuses a window above the limit of the reader', async () => {
    const options = { level: 1, windowLog: 24 };
    const frame = await packed(writers[0]!, textLike(MIB), options);
    const limits = { maxWindowLog: Math.min(23, codec.maxWindowLog), maxRawBytes: MIB };
    const refused = gathered(codec.unpackPieces(inPieces(frame, 999), limits));
    await expect(refused).rejects.toMatchObject({ code: 'ZSTD_WINDOW' });
  });

  it('reads no further than it is asked', async () => {
    const frame = codec.compress(noise(4 * MIB), 1);
    let read = 0;
    async function* watched(): AsyncGenerator<Uint8Array> {
      for await (const piece of inPieces(frame, 64 * 1024)) {
        read += piece.length;
        yield piece;
      }
    }
    const limits = { maxWindowLog: WINDOW_LOG, maxRawBytes: 4 * MIB };
    for await (const _ of codec.unpackPieces(watched(), limits)) break;
    expect(read).toBeLessThan(3 * MIB);
  });
});

describe.each(writers)('$name', (writer) => {
  it('finds matches as far apart as its window, and every codec with that window reads them', async () => {
    const far = noise(3 * MIB);
    const raw = Buffer.concat([far, noise(MIB), repetitive(3 * MIB), far]);
    const small = await packed(writer, raw, { level: 1, windowLog: WINDOW_LOG });
    const large = await packed(writer, raw, { level: 1, windowLog: 24 });
    expect(large.length).toBeLessThan(small.length - 2 * MIB);
    for (const reader of codecs) {
      const read = unpacked(reader, large, 100_000, raw.length);
      if (reader.maxWindowLog < 24)
        await expect(read).rejects.toMatchObject({ code: 'ZSTD_WINDOW' });
      else expect(same(await read, raw)).toBe(true);
      expect(same(await unpacked(reader, small, 100_000, raw.length), raw)).toBe(true);
    }
  });

  it('declares the window that it was given, and no content size', async () => {
    const frame = await packed(writer, textLike(5 * MIB), { level: 1, windowLog: WINDOW_LOG });
    expect(inspectZstdFrames(frame)).toMatchObject({ frames: 1 });
    expect(inspectZstdFrames(frame)).not.toHaveProperty('contentSize');
    const large = await packed(writer, textLike(5 * MIB), { level: 1, windowLog: 27 });
    expect(() => inspectZstdFrames(large)).toThrow(
      expect.objectContaining({ code: 'ZSTD_WINDOW' }),
    );
  });

  it('does not care how its input is cut', async () => {
    const raw = textLike(500_000);
    const options = { level: 1, windowLog: 24 };
    const whole = await packed(writer, raw, options);
    for (const bytes of [777, 131_072]) {
      expect(same(await packed(writer, raw, options, bytes), whole)).toBe(true);
    }
  });

  it('refuses a level that it does not have, and passes on the error of its source', async () => {
    for (const level of [0, 1.5, writer.maxLevel + 1]) {
      const refused = packed(writer, noise(9), { level, windowLog: WINDOW_LOG });
      await expect(refused).rejects.toThrow(UsageError);
    }
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield noise(300_000);
      throw new Error('the source failed');
    }
    const options = { level: 1, windowLog: WINDOW_LOG };
    await expect(gathered(writer.packPieces!(failing(), options))).rejects.toThrow(
      'the source failed',
    );
    await expect(
      gathered(writer.unpackPieces(failing(), { maxWindowLog: 22, maxRawBytes: MIB })),
    ).rejects.toThrow();
  });
});

if (node24 !== undefined) {
  it('reads on Node 24, with every codec, what every codec packed', async () => {
    const script = fileURLToPath(new URL('node24-pieces.ts', import.meta.url));
    const env = { ...process.env, NODE_OPTIONS: '', SWINGSNAP_ZSTD: '' };
    const { stdout } = await promisify(execFile)(node24, [script], { env });
    expect(JSON.parse(stdout)).toContain('node:zlib');
  }, 120_000);
}
