import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { chooseSource, locateStateDir, namedStateDir } from '../../../src/cli/flags/locations.ts';
import { UsageError } from '../../../src/errors.ts';

const env = { AGORIC_HOME: '/env/home', SWINGSNAP_EXPORT_DIR: '/env/export' };

describe('the state dir', () => {
  it('is --state-dir, else data/agoric in --home, AGORIC_HOME or ~/.agoric', () => {
    expect(locateStateDir({ 'state-dir': 'a' }, env)).toBe(resolve('a'));
    expect(locateStateDir({ home: '/h' }, env)).toBe('/h/data/agoric');
    expect(locateStateDir({}, env)).toBe('/env/home/data/agoric');
    const usual = join(homedir(), '.agoric', 'data', 'agoric');
    expect(locateStateDir({}, {})).toBe(usual);
    expect(locateStateDir({}, { AGORIC_HOME: '' })).toBe(usual);
  });

  it('must be named by a user without a home', () => {
    vi.stubEnv('HOME', '/nonexistent');
    expect(() => locateStateDir({}, {})).toThrow(expect.objectContaining({ code: 'NO_HOME' }));
    expect(locateStateDir({ home: '/h' }, {})).toBe('/h/data/agoric');
    expect(locateStateDir({}, env)).toBe('/env/home/data/agoric');
    vi.unstubAllEnvs();
  });

  it('is named only by a flag', () => {
    expect(namedStateDir({})).toBeUndefined();
    expect(namedStateDir({ home: '/h' })).toBe('/h/data/agoric');
  });
});

describe('the source of retrieve', () => {
  it('is the given flag, whatever the environment says', () => {
    expect(chooseSource({ 'state-dir': '/s' }, env)).toEqual({
      kind: 'swing-store',
      stateDir: '/s',
    });
    expect(chooseSource({ 'export-dir': '/e' }, env)).toEqual({
      kind: 'export-directory',
      path: '/e',
    });
  });

  it('is SWINGSNAP_EXPORT_DIR if no flag is given', () => {
    expect(chooseSource({}, env)).toEqual({ kind: 'export-directory', path: '/env/export' });
  });

  it('is never the store of AGORIC_HOME by default', () => {
    expect(() => chooseSource({}, { AGORIC_HOME: '/env/home' })).toThrow(UsageError);
  });
});
