import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { inspectZstdFrames } from '../../../src/io/zstd/frame.ts';
import { buildFrame, windowDescriptor, type FrameParts } from './frames.ts';

const KIB = 1024;
const CHECKSUM = [1, 2, 3, 4];

function refusal(parts: FrameParts, behind: readonly number[] = []): unknown {
  try {
    return inspectZstdFrames(Uint8Array.from([...buildFrame(parts), ...behind]));
  } catch (error) {
    expect(error).toBeInstanceOf(VerificationError);
    return (error as VerificationError).code;
  }
}

describe('inspectZstdFrames', () => {
  it('counts frames, and adds their content sizes if all declare one', () => {
    const silent = buildFrame();
    const one = buildFrame({
      descriptor: 0x24,
      fields: [5],
      blocks: [{ type: 'raw', size: 5, last: true }],
      checksum: CHECKSUM,
    });
    expect(inspectZstdFrames(one)).toMatchObject({ frames: 1, contentSize: 5 });
    expect(inspectZstdFrames(Buffer.concat([one, one]))).toMatchObject({
      frames: 2,
      contentSize: 10,
    });
    expect(inspectZstdFrames(Buffer.concat([one, silent, one]))).not.toHaveProperty('contentSize');
  });

  it.each([
    ['no field', { descriptor: 0x00, fields: [windowDescriptor(17)] }, undefined],
    ['one byte', { descriptor: 0x20, fields: [200] }, 200],
    ['two bytes', { descriptor: 0x60, fields: [0, 1] }, 512],
    ['four bytes', { descriptor: 0x80, fields: [windowDescriptor(17), 0, 2, 0, 0] }, 512],
    [
      'eight bytes',
      { descriptor: 0xc0, fields: [windowDescriptor(17), 0, 2, 0, 0, 0, 0, 0, 0] },
      512,
    ],
  ])('reads a content size of %s', (_, parts, contentSize) => {
    const size = contentSize ?? 300;
    const frame = buildFrame({ ...parts, blocks: [{ type: 'rle', size, last: true }] });
    expect(inspectZstdFrames(frame).contentSize).toBe(contentSize);
  });

  it('reports lower and upper bounds of the content size', () => {
    const frame = buildFrame({
      fields: [windowDescriptor(16)],
      blocks: [
        { type: 'raw', size: 100 },
        { type: 'rle', size: 64 * KIB },
        { type: 'compressed', size: 9, last: true },
      ],
    });
    expect(inspectZstdFrames(frame)).toMatchObject({
      minRawBytes: 100 + 64 * KIB,
      maxRawBytes: 100 + 64 * KIB + 64 * KIB,
    });
  });

  it('accepts windows up to 4 MiB and refuses the next larger one', () => {
    expect(refusal({ fields: [windowDescriptor(22)] })).toMatchObject({ frames: 1 });
    expect(refusal({ fields: [windowDescriptor(21, 7)] })).toMatchObject({ frames: 1 });
    expect(refusal({ fields: [windowDescriptor(22, 1)] })).toBe('ZSTD_WINDOW');
    expect(refusal({ fields: [windowDescriptor(41, 7)] })).toBe('ZSTD_WINDOW');
  });

  it('limits blocks exactly by a window with eighths', () => {
    const fields = [windowDescriptor(10, 7)];
    const limit = 1024 + 7 * 128;
    expect(refusal({ fields, blocks: [{ type: 'rle', size: limit, last: true }] })).toMatchObject({
      minRawBytes: limit,
    });
    expect(refusal({ fields, blocks: [{ type: 'rle', size: limit + 1, last: true }] })).toBe(
      'ZSTD_CORRUPT',
    );
  });

  it('counts the content of a single-segment frame as its window', () => {
    const blocks = Array.from({ length: 32 }, (_, index) => ({
      type: 'rle' as const,
      size: 128 * KIB,
      last: index === 31,
    }));
    expect(refusal({ descriptor: 0xa0, fields: [0, 0, 0x40, 0], blocks })).toMatchObject({
      contentSize: 4 * KIB * KIB,
    });
    expect(refusal({ descriptor: 0xa0, fields: [1, 0, 0x40, 0], blocks })).toBe('ZSTD_WINDOW');
    expect(refusal({ descriptor: 0xe0, fields: Array.from({ length: 8 }, () => 0xff) })).toBe(
      'ZSTD_WINDOW',
    );
  });

  it('accepts a dictionary id of zero, which means none, and refuses any other', () => {
    for (const [flag, bytes] of [
      [1, 1],
      [2, 2],
      [3, 4],
    ] as const) {
      const none = Array.from({ length: bytes }, () => 0);
      const fields = [windowDescriptor(17), ...none];
      expect(refusal({ descriptor: flag, fields })).toMatchObject({ frames: 1 });
      expect(refusal({ descriptor: flag, fields: [...fields.slice(0, -1), 1] })).toBe(
        'ZSTD_CORRUPT',
      );
    }
  });

  it('ignores the unused bit of the descriptor', () => {
    expect(refusal({ descriptor: 0x10 })).toMatchObject({ frames: 1 });
  });

  const block = { type: 'raw', size: 10, last: true } as const;
  it.each<[string, FrameParts, number[]?]>([
    ['a wrong magic number', { magic: 0xfd2fb527 }],
    ['a skippable frame', { magic: 0x184d2a50 }],
    ['the reserved descriptor bit', { descriptor: 0x08 }],
    ['a reserved block type', { blocks: [{ type: 'reserved', size: 0, last: true }] }],
    ['a block above the window', { blocks: [{ type: 'rle', size: KIB + 1, last: true }] }],
    [
      'a block above 128 KiB',
      {
        fields: [windowDescriptor(20)],
        blocks: [{ type: 'compressed', size: 128 * KIB + 1, last: true }],
      },
    ],
    ['a content size above its blocks', { descriptor: 0x20, fields: [11], blocks: [block] }],
    [
      'a content size below its blocks',
      {
        descriptor: 0x60,
        fields: [0, 0],
        blocks: [
          { type: 'rle', size: 256 },
          { type: 'rle', size: 1, last: true },
        ],
      },
    ],
    [
      'an enormous content size',
      {
        descriptor: 0xc0,
        fields: [windowDescriptor(17), ...Array.from({ length: 8 }, () => 0xff)],
      },
    ],
    ['trailing garbage', {}, [0]],
    ['trailing garbage of a whole header', {}, Array.from({ length: 40 }, () => 0x41)],
    ['no last block', { blocks: [{ type: 'raw', size: 10 }] }],
    ['a declared checksum that is missing', { descriptor: 0x04 }],
    ['a truncated checksum', { descriptor: 0x04, checksum: [1, 2, 3] }],
  ])('refuses %s', (_, parts, behind) => {
    expect(refusal(parts, behind)).toBe('ZSTD_CORRUPT');
  });

  it('refuses every proper prefix of a frame', () => {
    const frame = buildFrame({
      descriptor: 0x27,
      fields: [0, 0, 0, 0, 30],
      blocks: [
        { type: 'raw', size: 10 },
        { type: 'rle', size: 20, last: true },
      ],
      checksum: CHECKSUM,
    });
    expect(inspectZstdFrames(frame)).toMatchObject({ frames: 1, contentSize: 30 });
    for (let length = 0; length < frame.length; length += 1) {
      expect(() => inspectZstdFrames(frame.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'ZSTD_CORRUPT' }),
      );
    }
  });

  it('reads a view that starts within its buffer', () => {
    const frame = buildFrame();
    const shifted = new Uint8Array([9, 9, 9, ...frame, 9]).subarray(3, 3 + frame.length);
    expect(inspectZstdFrames(shifted)).toMatchObject({ frames: 1 });
  });
});
