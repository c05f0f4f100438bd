import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { availableCodecs, USUAL_CODEC } from './available-codecs.ts';
import { buildFrame, streamedFrame, windowDescriptor } from './frames.ts';
import { noise, repetitive, textLike } from './samples.ts';

const MIB = 1024 * 1024;
const codecs = await availableCodecs();
const raw = textLike(4000);

describe.each(codecs)('$name', (codec) => {
  function expectUsable(): void {
    const frame = codec.compress(raw, 3);
    expect(Buffer.compare(codec.decompress(frame, raw.length), raw)).toBe(0);
  }

  describe.each(codecs)('on frames of $name', (writer) => {
    const frame = writer.compress(raw, 3);
    const two = new Uint8Array([...frame, ...frame]);

    it('refuses a frame truncated at any byte', () => {
      for (let length = 0; length < two.length; length += 1) {
        if (length === frame.length) continue;
        expect(() => codec.decompress(two.subarray(0, length), 1e6)).toThrow(
          expect.objectContaining({ code: 'ZSTD_CORRUPT', constructor: VerificationError }),
        );
      }
      expectUsable();
    });

    it('refuses or reads a frame with any bit of its header flipped, and stays usable', () => {
      for (let bit = 0; bit < 24 * 8; bit += 1) {
        const flipped = new Uint8Array(frame);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        try {
          expect(codec.decompress(flipped, 1e6).length).toBe(raw.length);
        } catch (error) {
          expect(error).toBeInstanceOf(VerificationError);
        }
      }
      expectUsable();
    });
  });

  it('detects a changed byte of content by the checksum, if the frame has one', () => {
    const frame = codecs.find(({ name }) => name === USUAL_CODEC)!.compress(noise(4000), 3);
    for (let at = frame.length - 200; at < frame.length; at += 1) {
      const changed = new Uint8Array(frame);
      changed[at]! ^= 0x10;
      expect(() => codec.decompress(changed, 1e6)).toThrow(
        expect.objectContaining({ code: 'ZSTD_CORRUPT' }),
      );
    }
  });

  it('detects content whose length differs from the declared one', () => {
    const frame = codec.compress(raw, 3);
    const at = frame.indexOf(raw.length & 0xff, 5);
    const shorter = new Uint8Array(frame);
    shorter[at]! -= 1;
    const longer = new Uint8Array(frame);
    longer[at]! += 1;
    for (const lying of [shorter, longer]) {
      expect(() => codec.decompress(lying, 1e6)).toThrow(
        expect.objectContaining({ code: 'ZSTD_CORRUPT' }),
      );
    }
  });

  it.each([23, 27, 31])('refuses a frame with window log %i, and stays usable', (log) => {
    const wide =
      log === 31
        ? buildFrame({ fields: [windowDescriptor(31)] })
        : streamedFrame([textLike(MIB), repetitive(MIB)], {
            windowLog: log,
            enableLongDistanceMatching: 1,
          });
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect(() => codec.decompress(wide, 2 * MIB)).toThrow(
        expect.objectContaining({ code: 'ZSTD_WINDOW', constructor: VerificationError }),
      );
    }
    expectUsable();
  });

  it('refuses what is not zstd', () => {
    for (const bytes of [new Uint8Array(0), Buffer.from('plain text'), new Uint8Array(64)]) {
      expect(() => codec.decompress(bytes, 100)).toThrow(
        expect.objectContaining({ code: 'ZSTD_CORRUPT' }),
      );
    }
  });
});
