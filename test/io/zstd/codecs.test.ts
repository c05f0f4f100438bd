import { describe, expect, it } from 'vitest';
import { UsageError, VerificationError } from '../../../src/errors.ts';
import { WINDOW_LOG } from '../../../src/io/zstd/codec.ts';
import { inspectZstdFrames } from '../../../src/io/zstd/frame.ts';
import { availableCodecs, USUAL_CODEC } from './available-codecs.ts';
import { buildFrame, streamedFrame, windowDescriptor } from './frames.ts';
import { noise, rawSamples, repetitive, textLike } from './samples.ts';

const MIB = 1024 * 1024;
const codecs = await availableCodecs();
const samples = Object.entries(rawSamples());

/** Fast on large arrays, unlike a deep comparison. */
function same(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

it('a fresh install has a native codec and zstd-codec on every supported Node', () => {
  expect(codecs.map(({ name }) => name)).toEqual(
    expect.arrayContaining([USUAL_CODEC, 'zstd-codec']),
  );
});

describe.each(codecs)('$name', (codec) => {
  const levels = Array.from({ length: codec.maxLevel }, (_, index) => index + 1);

  it.each(samples)('writes one frame of %s that every codec reads', (_, raw) => {
    const frame = codec.compress(raw, 3);
    expect(inspectZstdFrames(frame)).toMatchObject({ frames: 1, contentSize: raw.length });
    for (const reader of codecs) {
      expect(same(reader.decompress(frame, raw.length), raw), reader.name).toBe(true);
    }
  });

  it.each(levels)('keeps to the window limit at level %i, and every codec reads it', (level) => {
    const raw = repetitive(5 * MIB);
    const frame = codec.compress(raw, level);
    expect(inspectZstdFrames(frame)).toMatchObject({ frames: 1, contentSize: raw.length });
    for (const reader of codecs) {
      expect(same(reader.decompress(frame, raw.length), raw), reader.name).toBe(true);
    }
  });

  it('refuses levels that it does not have', () => {
    for (const level of [0, -1, 1.5, Number.NaN, codec.maxLevel + 1]) {
      expect(() => codec.compress(new Uint8Array(9), level)).toThrow(
        expect.objectContaining({ code: 'ZSTD_LEVEL', found: level, constructor: UsageError }),
      );
    }
  });

  it('reads several frames, from all codecs and another writer, as one content', () => {
    const parts = [textLike(MIB), noise(1000), new Uint8Array(0), repetitive(300_000)];
    const frames = codecs.flatMap((writer) => parts.map((part) => writer.compress(part, 1)));
    const streamed = streamedFrame([textLike(MIB), repetitive(5 * MIB)]);
    const expected = Buffer.concat([
      ...codecs.flatMap(() => parts),
      textLike(MIB),
      repetitive(5 * MIB),
    ]);
    const content = codec.decompress(Buffer.concat([...frames, streamed]), expected.length);
    expect(same(content, expected)).toBe(true);
  });

  it('reads frames whose window is as large as allowed, with and without window field', () => {
    for (const frame of [
      buildFrame({ fields: [windowDescriptor(22)] }),
      streamedFrame([repetitive(5 * MIB)], { windowLog: 22 }),
    ]) {
      expect(() => codec.decompress(frame, 5 * MIB)).not.toThrow();
    }
    const raw = textLike(2 ** WINDOW_LOG);
    const singleSegment = codecs.find(({ name }) => name === USUAL_CODEC)!.compress(raw, 1);
    expect(singleSegment[4]! & 0x20).toBe(0x20);
    expect(same(codec.decompress(singleSegment, raw.length), raw)).toBe(true);
  });

  it('round-trips 65 MiB in one frame', () => {
    const raw = repetitive(65 * MIB);
    expect(same(codec.decompress(codec.compress(raw, 3), raw.length), raw)).toBe(true);
  });

  it('still works after hundreds of calls, including failed ones', () => {
    const raw = textLike(20_000);
    const wide = streamedFrame([repetitive(300_000)], { windowLog: 22 });
    for (let call = 0; call < 250; call += 1) {
      const frame = codec.compress(raw, 1 + (call % 9));
      expect(codec.decompress(frame, raw.length).length).toBe(raw.length);
      expect(codec.decompress(wide, MIB).length).toBe(300_000);
      frame.fill(0xff, 600, 700);
      expect(() => codec.decompress(frame, raw.length)).toThrow(VerificationError);
      expect(() => codec.decompress(wide, 200_000)).toThrow(VerificationError);
    }
    expect(same(codec.decompress(codec.compress(raw, 9), raw.length), raw)).toBe(true);
  });

  it('returns buffers that can be transferred without affecting others', () => {
    const raw = Buffer.from('shared pool');
    const frame = codec.compress(raw, 3);
    const content = codec.decompress(frame, 100);
    structuredClone(frame, { transfer: [frame.buffer as ArrayBuffer] });
    structuredClone(content, { transfer: [content.buffer as ArrayBuffer] });
    expect(raw.toString()).toBe('shared pool');
    expect(Buffer.from('still here').toString()).toBe('still here');
    expect([frame.length, content.length]).toEqual([0, 0]);
  });
});
