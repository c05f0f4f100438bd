import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import {
  linesOf,
  MAX_LINE_BYTES,
  refuseLongLines,
  wholeLines,
} from '../../../src/io/bytes/lines.ts';

async function* cut(text: Buffer, size: number): AsyncGenerator<Uint8Array> {
  // One buffer for all pieces, as in a careless source.
  const buffer = Buffer.alloc(size);
  for (let at = 0; at < text.length; at += size) {
    const length = text.copy(buffer, 0, at, at + size);
    yield buffer.subarray(0, length);
  }
}

async function blocks(text: string, size: number): Promise<string[]> {
  const found: string[] = [];
  for await (const block of wholeLines(cut(Buffer.from(text), size), 'a test')) {
    found.push(block.toString());
  }
  return found;
}

describe('whole lines', () => {
  const text = 'one\n\ntwo \u2028 \u{1f600}\r\n\nlast\n';

  it.each([1, 2, 3, 5, 7, 100])(
    'are the same however the bytes are cut (every %i)',
    async (size) => {
      const found = await blocks(text, size);
      expect(found.join('')).toBe(text);
      for (const block of found) expect(block.endsWith('\n')).toBe(true);
    },
  );

  it.each([1, 3, 100])('get a newline that the last one lacks (cut every %i)', async (size) => {
    expect((await blocks('one\ntwo', size)).join('')).toBe('one\ntwo\n');
    expect(await blocks('', size)).toEqual([]);
  });

  it('are split only at newlines', () => {
    expect([...linesOf(Buffer.from(text))].map(String)).toEqual([
      'one\n',
      '\n',
      'two \u2028 \u{1f600}\r\n',
      '\n',
      'last\n',
    ]);
  });
});

describe('a line that is too long', () => {
  const long = Buffer.alloc(MAX_LINE_BYTES + 2, 'a');
  long[long.length - 1] = 0x0a;

  it('is refused before all of it has arrived, and in a block', async () => {
    let read = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (const piece = long.subarray(0, 1024 * 1024); ; read += 1) yield piece;
    }
    const reading = async (): Promise<void> => {
      for await (const _ of wholeLines(endless(), 'a test'));
    };
    await expect(reading()).rejects.toMatchObject({ code: 'LINE_TOO_LONG', exitCode: 3 });
    expect(read).toBe(128);
    expect(() => {
      refuseLongLines(long, 'a test');
    }).toThrow(VerificationError);
    refuseLongLines(long.subarray(2), 'a test');
  });
});
