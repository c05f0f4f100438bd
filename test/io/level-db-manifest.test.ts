import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readManifest } from '../../src/io/level-db-manifest.ts';
import { REAL_MULTISTORE } from '../fixtures/multistore.ts';

const real = readFileSync(path.join(REAL_MULTISTORE, 'MANIFEST-000018'));
const live = { nextFile: 20, firstLog: 17, tables: [19] };

/** CRC-32C of `bytes`, bit by bit, masked as LevelDB does. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffff_ffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x82f6_3b78n : crc >> 1n;
    }
  }
  crc ^= 0xffff_ffffn;
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282_ead8n) & 0xffff_ffffn);
}

/** A piece of a record; type 1 is a whole one. */
function piece(type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(7);
  header.writeUInt32LE(maskedCrc(Buffer.concat([Uint8Array.of(type), payload])));
  header.writeUInt16LE(payload.length, 4);
  header[6] = type;
  return Buffer.concat([header, payload]);
}

const edit = (...bytes: number[]): Buffer => piece(1, Uint8Array.from(bytes));
/** Log 2, next file 9. */
const BASE = [2, 2, 3, 9];
/** Table `number` of level 0, from `a` to `b`. */
const table = (number: number, level = 0): number[] => [7, level, number, 50, 1, 97, 1, 98];

describe('a manifest', () => {
  it('of a real multistore names its tables, its log and the number of the next file', () => {
    expect(readManifest(real)).toEqual(live);
  });

  it('that ends anywhere says what its whole records say, as LevelDB takes it', () => {
    const firstEnd = 7 + real.readUInt16LE(4);
    for (let length = 0; length < real.length; length += 1) {
      const told = readManifest(real.subarray(0, length));
      if (length < firstEnd) expect(told).toHaveProperty('damage');
      else expect(told).toMatchObject({ nextFile: 19, firstLog: 17 });
    }
  });

  it('with any changed byte is damaged, or cut off', () => {
    for (let at = 0; at < real.length; at += 1) {
      const changed = Buffer.from(real);
      changed[at] = (changed[at] ?? 0) ^ 0x40;
      expect(readManifest(changed), `byte ${at}`).not.toEqual(live);
    }
  });

  it('deletes a table at its level only, and a move keeps it', () => {
    const moved = [...table(5, 1), 6, 0, 5];
    expect(readManifest(edit(...BASE, ...table(5), ...table(6)))).toMatchObject({ tables: [5, 6] });
    expect(readManifest(Buffer.concat([edit(...BASE, ...table(5)), edit(...moved)]))).toMatchObject(
      { tables: [5] },
    );
    expect(readManifest(Buffer.concat([edit(...BASE, ...table(5)), edit(6, 0, 5)]))).toMatchObject({
      tables: [],
    });
  });

  it('takes records in pieces, across blocks', () => {
    const long = Buffer.concat([
      Uint8Array.from([...BASE, 7, 0, 5, 50, 0xc0, 0xb8, 2]),
      Buffer.alloc(40_000),
      Uint8Array.of(1, 98),
    ]);
    const first = long.subarray(0, 32_768 - 7);
    const rest = long.subarray(first.length);
    const cut = rest.length - 30;
    const pieces = [piece(2, first), piece(3, rest.subarray(0, cut)), piece(4, rest.subarray(cut))];
    expect(readManifest(Buffer.concat(pieces))).toEqual({ nextFile: 9, firstLog: 2, tables: [5] });
  });

  it('skips the rest of a block that is too small for a header', () => {
    const comparator = [1, 0xee, 0xff, 1];
    const first = Buffer.concat([Uint8Array.from([...BASE, ...comparator]), Buffer.alloc(32_750)]);
    const block = piece(1, first);
    expect(block.length).toBe(32_768 - 3);
    const manifest = Buffer.concat([block, Buffer.alloc(3), edit(...table(5))]);
    expect(readManifest(manifest)).toEqual({ nextFile: 9, firstLog: 2, tables: [5] });
  });

  it.each([
    ['a table with the number of the next file', edit(...BASE, ...table(9)), /table 9, and 9/u],
    ['a table with a higher number', edit(...BASE, ...table(10)), /table 10, and 9/u],
    ['a tag of another database', edit(...BASE, 100, 1), /tag 100/u],
    ['a key that is longer than its record', edit(...BASE, 1, 200, 1, 97), /cut off/u],
    ['no next file', edit(2, 2), /next file/u],
    ['no log', edit(3, 9), /log/u],
    ['a huge number', edit(2, 2, 3, ...Array<number>(9).fill(0xff), 1), /too large/u],
    ['an endless number', edit(2, 2, 3, ...Array<number>(60).fill(0x80), 0), /too large|end/u],
    ['a middle piece alone', piece(3, Buffer.from(BASE)), /record/u],
    [
      'a whole record within another',
      Buffer.concat([piece(2, Buffer.from(BASE)), edit(...BASE)]),
      /record/u,
    ],
    ['a piece of no type', piece(9, Buffer.from(BASE)), /record|type/u],
    ['zeros', Buffer.alloc(100), /checksum/u],
    ['nothing', Buffer.alloc(0), /next file/u],
  ])('with %s is damaged', (_, manifest, why) => {
    expect(readManifest(manifest)).toEqual({ damage: expect.stringMatching(why) as string });
  });
});
