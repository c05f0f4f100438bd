/** Facts of errors, cut to what helps. */
import { open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { writeFully } from '../../src/io/files/publish-file.ts';
import { systemTrouble } from '../../src/io/files/system-error.ts';
import { cutAround } from '../../src/io/first-difference.ts';
import { listed } from '../../src/io/listed.ts';

describe('two texts', () => {
  it('are cut around their first difference, never to the same text', () => {
    const same = 'x'.repeat(500);
    const [expected, found] = cutAround(`${same}a${same}`, `${same}b${same}`, 80);
    expect(expected).toBe(`…${'x'.repeat(40)}a${'x'.repeat(39)}…`);
    expect(found).toBe(`…${'x'.repeat(40)}b${'x'.repeat(39)}…`);
    for (const at of [0, 39, 40, 41, 79, 80, 81]) {
      const lead = 'x'.repeat(at);
      const [one, other] = cutAround(`${lead}a${same}`, lead, 80);
      expect(one).not.toBe(other);
    }
  });

  it('are left alone if they are short', () => {
    expect(cutAround('ab', 'ac', 80)).toEqual(['ab', 'ac']);
  });
});

it('a long list ends in how many more there are', () => {
  const names = Array.from({ length: 12 }, (_, at) => at);
  expect(listed(names)).toBe('0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more');
  expect(listed(names.slice(0, 10))).toBe('0, 1, 2, 3, 4, 5, 6, 7, 8, 9');
});

describe('no space left', () => {
  it('names the file, and its file system', async () => {
    const file = await open('/dev/full', 'w');
    try {
      const error = await writeFully(file, Buffer.from('x')).catch((cause: unknown) => cause);
      expect(systemTrouble(error)).toEqual({
        code: 'ENOSPC',
        exitCode: 6,
        path: '/dev/full',
        hint: expect.stringMatching(
          /^free some space on the file system at \/\S* \(\d+ bytes are free\)/u,
        ) as unknown,
      });
    } finally {
      await file.close();
    }
  });

  it('is reported without a file too', () => {
    const error = Object.assign(new Error('full'), { code: 'SQLITE_FULL' });
    expect(systemTrouble(error)).toMatchObject({
      path: undefined,
      hint: 'free some space, and run the command again',
    });
  });
});
