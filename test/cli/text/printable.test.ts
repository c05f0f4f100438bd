import { describe, expect, it } from 'vitest';
import { debugLines, errorLines, reportError } from '../../../src/cli/exit/exit.ts';
import { formatJson, formatLine } from '../../../src/cli/text/printable.ts';
import { VerificationError } from '../../../src/errors.ts';

/** Characters that reorder text, hide in it or break a line, and code points that are not characters. */
const UNPRINTABLE = [
  '\u001b',
  '\u009b',
  '\u202e',
  '\u2066',
  '\u200b',
  '\ufeff',
  '\u2028',
  '\u2029',
];
const OTHERS = ['\ud800', '\ue000', '\u{e0041}', '\u00ad', '\u061c'];

describe('a line', () => {
  it('keeps its indentation and loses line breaks and control characters', () => {
    expect(formatLine('  a\r\n   b\u001b[2Jc\u0000d\n')).toBe('  a b\\u001b[2Jc\\u0000d');
  });

  it.each([...UNPRINTABLE, ...OTHERS])(
    'shows a character without a glyph as an escape: %j',
    (char) => {
      const line = formatLine(`a${char}b`);
      expect(line).toMatch(/^a(?:\\u[0-9a-f]{4})+b$/u);
      expect(JSON.parse(`"${line}"`)).toBe(`a${char}b`);
    },
  );

  it('keeps text of all scripts', () => {
    const text = 'žluťoučký кот 猫 قط 🐈 a\u00a0b';
    expect(formatLine(text)).toBe(text);
  });

  it('with a million blanks is formatted at once', () => {
    const started = performance.now();
    expect(formatLine(`a${' '.repeat(1_000_000)}b`)).toHaveLength(1_000_002);
    expect(formatLine(`a${' '.repeat(1_000_000)}\nb`)).toBe('a b');
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('JSON', () => {
  it('keeps its value, and contains nothing unprintable', () => {
    const value = { name: [...UNPRINTABLE, ...OTHERS].join('-'), 'key\u202e': ['猫'] };
    const json = formatJson(value);
    expect(JSON.parse(json)).toEqual(value);
    expect(json).not.toMatch(/[\p{C}\u2028\u2029]/u);
    expect(json).toContain('猫');
  });
});

describe('an error about a hostile name', () => {
  const name = `\u202e${'x'.repeat(1_000_000)}`;
  const error = new VerificationError('NAME', `no name: ${name}`, { path: name, found: name });

  it('is reported in readable lines with a few kilobytes of the name', () => {
    const lines = errorLines(reportError(error, 'swingsnap verify'));
    for (const line of lines) {
      expect(line.length).toBeLessThan(5000);
      expect(line).not.toContain('\u202e');
    }
    expect(lines).toHaveLength(4);
  });

  it('is escaped in a stack too', () => {
    expect(debugLines(error, { DEBUG: '1' }).join('\n')).not.toContain('\u202e');
  });
});
