import { describe, expect, it } from 'vitest';
import { withExitCodes } from '../../../src/cli/exit/exit-codes.ts';
import { debugLines, errorLines, reportError } from '../../../src/cli/exit/exit.ts';
import {
  BusyError,
  EXIT_CODES,
  NotFoundError,
  StorageError,
  SwingSnapError,
  UsageError,
  VerificationError,
} from '../../../src/errors.ts';

function systemError(code: string, path?: string): Error {
  return Object.assign(new Error(`${code}: failed`), { code, path });
}

describe('the report of an error', () => {
  it('carries the facts of our own errors', () => {
    const error = new VerificationError('HASH', 'wrong hash', {
      path: '/a',
      expected: 1,
      found: 2,
      hint: 'fetch it again',
    });
    const report = reportError(error, 'swingsnap verify');
    expect(report).toEqual({
      code: 'HASH',
      message: 'wrong hash',
      exitCode: 3,
      path: '/a',
      expected: 1,
      found: 2,
      hint: 'fetch it again',
    });
    expect(errorLines(report)).toEqual([
      'swingsnap: wrong hash',
      '  path:     /a',
      '  expected: 1',
      '  found:    2',
      'hint: fetch it again',
    ]);
  });

  it('points a usage error without a hint to the help', () => {
    expect(reportError(new UsageError('USAGE', 'no'), 'swingsnap export').hint).toBe(
      'swingsnap export --help',
    );
  });

  it.each([
    ['ENOSPC', 6],
    ['EDQUOT', 6],
    ['EACCES', 6],
    ['EPERM', 6],
    ['EROFS', 6],
    ['EIO', 6],
    ['SQLITE_FULL', 6],
    ['SQLITE_IOERR_WRITE', 6],
    ['SQLITE_READONLY_DBMOVED', 6],
    ['SQLITE_CORRUPT', 3],
    ['SQLITE_NOTADB', 3],
    ['SQLITE_BUSY', 4],
    ['EBADF', 1],
  ])('%s of the system exits with %i', (code, exitCode) => {
    expect(reportError(systemError(code, '/a'), 'swingsnap')).toMatchObject({ code, exitCode });
  });

  it('names the path of a system error', () => {
    expect(reportError(systemError('EACCES', '/a'), 'swingsnap').path).toBe('/a');
  });

  it('accepts a thrown value that is not an error', () => {
    expect(reportError('odd', 'swingsnap')).toMatchObject({ message: 'odd', exitCode: 1 });
  });

  it.each([
    [new SwingSnapError('X', 'bad'), 'swingsnap verify --help'],
    [new NotFoundError('X', 'bad'), 'swingsnap verify --help'],
    [new VerificationError('X', 'bad'), expect.stringContaining('swingsnap retrieve')],
    [new StorageError('X', 'bad'), expect.any(String)],
    [new BusyError('X', 'bad'), expect.any(String)],
  ])('has a hint even if the error has none: %s', (error, hint) => {
    expect(reportError(error, 'swingsnap verify').hint).toEqual(hint);
  });

  it('does not let a name control the terminal', () => {
    const error = new VerificationError('X', 'bad\n\u001b[2J', {
      path: '\u001b]0;x\u0007',
      hint: 'say\n\u0007',
    });
    const text = errorLines(reportError(error, 'swingsnap')).join('\n');
    expect(text).toBe(
      'swingsnap: bad \\u001b[2J\n  path:     \\u001b]0;x\\u0007\nhint: say \\u0007',
    );
  });
});

describe('stacks', () => {
  it('include those of the causes, and appear only under DEBUG', () => {
    const error = new Error('outer', { cause: new Error('inner') });
    expect(debugLines(error, {})).toEqual([]);
    expect(debugLines(error, { DEBUG: '' })).toEqual([]);
    expect(debugLines(error, { DEBUG: '1' })).toEqual([
      expect.stringContaining('Error: outer'),
      expect.stringContaining('Error: inner'),
    ]);
  });
});

describe('the table in the help', () => {
  it('names every exit code', () => {
    const text = withExitCodes('Does it.');
    expect(text.startsWith('Does it.\n\nExit codes:\n')).toBe(true);
    for (const code of Object.values(EXIT_CODES)) {
      expect(text).toMatch(new RegExp(`^${code} +\\S`, 'm'));
    }
  });
});
