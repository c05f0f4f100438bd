import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findCanonicalLine } from '../../../src/swing-store-export/export-data/canonical-line.ts';

const SEED = 20_260_401;

/** The verdict of JSON itself: whether the line is the text of a pair of strings that UTF-8 can encode. */
function isCanonical(line: Buffer): boolean {
  if (!isUtf8(line)) return false;
  const text = line.toString();
  try {
    const pair = JSON.parse(text) as unknown;
    return (
      Array.isArray(pair) &&
      pair.length === 2 &&
      pair.every((part) => typeof part === 'string' && Buffer.from(part).toString() === part) &&
      `${JSON.stringify(pair)}\n` === text
    );
  } catch {
    return false;
  }
}

const found = (line: Buffer): boolean => findCanonicalLine(line, 0)?.end === line.length;

const anyText = fc.string({ unit: 'binary' });
const escapes = fc
  .array(fc.constantFrom('\\', '"', '\n', '\u0000', '\u001f', '\u007f', '\u2028', 'u', 'd8', '😀'))
  .map((parts) => parts.join(''));
const pairs = fc.tuple(fc.oneof(anyText, escapes), fc.oneof(anyText, escapes));

describe('findCanonicalLine', () => {
  it('finds every line that JSON.stringify writes for a pair of strings', () => {
    fc.assert(
      fc.property(pairs, anyText, ([key, value], before) => {
        const prefix = Buffer.from(before);
        const line = Buffer.from(`${JSON.stringify([key, value])}\n`);
        const parts = findCanonicalLine(Buffer.concat([prefix, line]), prefix.length);
        expect(parts).toEqual({
          keyEnd: prefix.length + 1 + Buffer.byteLength(JSON.stringify(key)),
          end: prefix.length + line.length,
        });
      }),
      { seed: SEED },
    );
  });

  it('refuses every byte in every place that JSON.stringify would not have written', () => {
    const whole = Buffer.from('["kv.a","\\"\\\\\\u0000\\u001f\\n"]\n');
    let refused = 0;
    for (let at = 0; at < whole.length; at += 1) {
      for (let byte = 0; byte < 256; byte += 1) {
        const line = Buffer.from(whole);
        line[at] = byte;
        if (!isUtf8(line)) continue;
        expect(found(line), JSON.stringify(line.toString())).toBe(isCanonical(line));
        if (!isCanonical(line)) refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });

  it.each([
    '["kv.a","\\/"]\n',
    '["kv.a","\\u0041"]\n',
    '["kv.a","\\u000a"]\n',
    '["kv.a","\\u001F"]\n',
    '["kv.a","\\ud83d\\ude00"]\n',
    '["kv.a","\\ud83d"]\n',
    '["kv.a", "b"]\n',
    '["kv.a","b","c"]\n',
    '["kv.a",null]\n',
    '["kv.a"]\n',
    '["kv.a","b"]',
    '["kv.a","b\n',
    '["kv.a","\\',
    'null\n',
    '\n',
    '',
  ])('refuses %j', (text) => {
    expect(isCanonical(Buffer.from(text))).toBe(false);
    expect(findCanonicalLine(Buffer.from(text), 0)).toBeUndefined();
  });
});
