import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { availableCodecs } from './available-codecs.ts';
import { buildFrame, streamedFrame, windowDescriptor } from './frames.ts';
import { repetitive } from './samples.ts';

const MIB = 1024 * 1024;
const LIMIT = 16 * MIB;
const codecs = await availableCodecs();

/** The same piece `count` times. */
function* times(count: number, piece: Uint8Array): Generator<Uint8Array> {
  for (let index = 0; index < count; index += 1) yield piece;
}

const zeros = new Uint8Array(16 * MIB);
const text = repetitive(16 * MIB);
const part = streamedFrame(times(4, text));
const declared = codecs[0]!.compress(zeros, 1);

/** Each holds 1 GiB. */
const bombs: Record<string, Uint8Array> = {
  'one frame of zeros': streamedFrame(times(64, zeros)),
  'one frame of a repeated text': streamedFrame(times(64, text)),
  'many frames that do not declare their size': Buffer.concat([...times(16, part)]),
  'many frames that declare their size': Buffer.concat([...times(64, declared)]),
  'run-length blocks only': buildFrame({
    fields: [windowDescriptor(17)],
    blocks: Array.from({ length: 8192 }, (_, index) => ({
      type: 'rle',
      size: 128 * 1024,
      last: index === 8191,
    })),
  }),
};

describe.each(codecs)('$name', (codec) => {
  it.each(Object.entries(bombs))('refuses a bomb of %s without inflating it', (_, bomb) => {
    expect(bomb.length).toBeLessThan(MIB);
    const before = process.resourceUsage().maxRSS;
    expect(() => codec.decompress(bomb, LIMIT)).toThrow(
      expect.objectContaining({ code: 'ZSTD_TOO_LARGE', constructor: VerificationError }),
    );
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(96 * 1024);
  });

  it('reports the size of frames that declare it, without decoding them', () => {
    expect(() => codec.decompress(Buffer.concat([declared, declared]), LIMIT)).toThrow(
      expect.objectContaining({
        expected: `at most ${LIMIT} bytes`,
        found: `${2 * LIMIT} bytes`,
      }),
    );
  });

  it('accepts content of exactly the limit, and refuses it with a limit one byte lower', () => {
    for (const frame of [codec.compress(text, 1), streamedFrame([text]), streamedFrame([zeros])]) {
      expect(codec.decompress(frame, LIMIT).length).toBe(LIMIT);
      expect(() => codec.decompress(frame, LIMIT - 1)).toThrow(
        expect.objectContaining({ code: 'ZSTD_TOO_LARGE' }),
      );
    }
    expect(codec.decompress(codec.compress(new Uint8Array(0), 1), 0).length).toBe(0);
    expect(() => codec.decompress(streamedFrame([Uint8Array.of(1)]), 0)).toThrow(
      expect.objectContaining({ code: 'ZSTD_TOO_LARGE' }),
    );
  });

  it('allocates by what the blocks can hold, not by what the header declares', () => {
    const lying = buildFrame({
      descriptor: 0xc0,
      fields: [windowDescriptor(22), 0, 0, 0, 0, 8, 0, 0, 0],
      blocks: [{ type: 'rle', size: 1000, last: true }],
    });
    const before = process.resourceUsage().maxRSS;
    expect(() => codec.decompress(lying, 2 ** 40)).toThrow(
      expect.objectContaining({ code: 'ZSTD_CORRUPT' }),
    );
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(32 * 1024);
  });
});
