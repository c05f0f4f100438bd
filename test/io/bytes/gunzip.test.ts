import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gunzipMember, GunzipError } from '../../../src/io/bytes/gunzip.ts';

const data = Buffer.from('byte code '.repeat(1000));
const gzipped = gzipSync(data);

/** With an extra field, a name, a comment and a checksum of the header. */
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
  it('gives what gunzip gives, whatever the header holds', async () => {
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
    ['a second member of nothing', Buffer.concat([gzipped, gzipSync(Buffer.alloc(0))])],
    ['one byte behind it', Buffer.concat([gzipped, Buffer.of(0)])],
    ['its last byte missing', gzipped.subarray(0, -1)],
    ['its trailer missing', gzipped.subarray(0, -8)],
    ['its body cut', gzipped.subarray(0, 30)],
    [
      'another checksum',
      Buffer.concat([gzipped.subarray(0, -8), Buffer.alloc(4), gzipped.subarray(-4)]),
    ],
    ['another length', Buffer.concat([gzipped.subarray(0, -4), Buffer.alloc(4)])],
    ['a header cut', gzipped.subarray(0, 9)],
    ['a name without an end', Buffer.from('1f8b0808000000000003616161', 'hex')],
    ['reserved flags', Buffer.concat([Buffer.from('1f8b0880', 'hex'), gzipped.subarray(4)])],
    ['no gzip at all', data],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s', async (_, bytes) => {
    await expect(gunzipMember(bytes, 1_000_000)).rejects.toThrow(GunzipError);
  });

  it('refuses more than may come out, before it is all there', async () => {
    await expect(gunzipMember(gzipped, data.length - 1)).rejects.toThrow(GunzipError);
    const bomb = gzipSync(Buffer.alloc(200_000_000));
    const before = process.memoryUsage().rss;
    await expect(gunzipMember(bomb, 1_000_000)).rejects.toThrow(GunzipError);
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });
});
