import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gunzipMember, GunzipError } from '../../../src/io/bytes/gunzip.ts';

const data = Buffer.from('byte code '.repeat(1000));
const gzipped = gzipSync(data);

/** Gzip with an extra field, a name, a comment and a header checksum. */
function withEverything(): Buffer {
  const head = Buffer.from(gzipped.subarray(0, 10));
  head[3] = 0x1e;
  const extra = Buffer.from('0300aabbcc', 'hex');
  return Buffer.concat([
    head,
    extra,
    Buffer.from('name\0comment\0crc', 'latin1').subarray(0, -1),
    gzipped.subarray(10),
  ]);
}

describe('gunzipMember', () => {
  it('returns the same as gunzip, for every kind of header field', async () => {
    expect((await gunzipMember(gzipped, data.length)).equals(data)).toBe(true);
    expect((await gunzipMember(gzipSync(Buffer.alloc(0)), 0)).length).toBe(0);
    expect((await gunzipMember(withEverything(), 100_000)).equals(data)).toBe(true);
    const named = Buffer.from(gzipped);
    named[3] = 0x08;
    const whole = Buffer.concat([named.subarray(0, 10), Buffer.from('a\0'), named.subarray(10)]);
    expect((await gunzipMember(whole, 100_000)).equals(gunzipSync(whole))).toBe(true);
  });

  it.each<[string, Buffer]>([
    ['a second member', Buffer.concat([gzipped, gzipped])],
    ['an empty second member', Buffer.concat([gzipped, gzipSync(Buffer.alloc(0))])],
    ['one trailing byte', Buffer.concat([gzipped, Buffer.of(0)])],
    ['a missing last byte', gzipped.subarray(0, -1)],
    ['a missing trailer', gzipped.subarray(0, -8)],
    ['a truncated body', gzipped.subarray(0, 30)],
    [
      'the wrong checksum',
      Buffer.concat([gzipped.subarray(0, -8), Buffer.alloc(4), gzipped.subarray(-4)]),
    ],
    ['the wrong length', Buffer.concat([gzipped.subarray(0, -4), Buffer.alloc(4)])],
    ['a truncated header', gzipped.subarray(0, 9)],
    ['a name without an end', Buffer.from('1f8b0808000000000003616161', 'hex')],
    ['reserved flags', Buffer.concat([Buffer.from('1f8b0880', 'hex'), gzipped.subarray(4)])],
    ['no gzip at all', data],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s', async (_, bytes) => {
    await expect(gunzipMember(bytes, 1_000_000)).rejects.toThrow(GunzipError);
  });

  it('refuses too much output before all of it is decompressed', async () => {
    await expect(gunzipMember(gzipped, data.length - 1)).rejects.toThrow(GunzipError);
    const bomb = gzipSync(Buffer.alloc(200_000_000));
    const before = process.memoryUsage().rss;
    await expect(gunzipMember(bomb, 1_000_000)).rejects.toThrow(GunzipError);
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });
});
