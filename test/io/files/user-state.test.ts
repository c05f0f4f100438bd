import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { othersMayWrite } from '../../../src/io/files/other-users.ts';
import { stateDirInHome, userStateDir } from '../../../src/io/files/user-state.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();
const isRoot = process.getuid?.() === 0;

function named(dir: string): string | undefined {
  return userStateDir({ SWINGSNAP_STATE_DIR: dir });
}

describe('the state directory of a user', () => {
  it('is the one that the environment names, made accessible only to the user', async () => {
    const dir = join(await tempDir(), 'a', 'b');
    expect(named(dir)).toBe(dir);
    expect(named(dir)).toBe(dir);
    for (const made of [dir, join(dir, '..')]) expect(lstatSync(made).mode & 0o777).toBe(0o700);
  });

  it('is in the home directory from passwd, wherever HOME points', async () => {
    const HOME = await tempDir();
    const dir = userStateDir({ HOME, XDG_STATE_HOME: HOME });
    expect([stateDirInHome(userInfo().homedir), undefined]).toContain(dir);
    expect(readdirSync(HOME)).toEqual([]);
  });

  it('is undefined if the environment names it by a relative path', () => {
    expect(named('state')).toBeUndefined();
  });

  it('is undefined if it is a file, or cannot be made', async () => {
    const dir = await tempDir();
    symlinkSync(join(dir, 'nowhere'), join(dir, 'dangling'));
    expect(named(join(dir, 'dangling'))).toBeUndefined();
    expect(named('/proc/no/such/place')).toBeUndefined();
    expect(named('/dev/null')).toBeUndefined();
  });

  it('is undefined if others may write to it, or may move it or a parent of it', async () => {
    const base = await tempDir();
    for (const [mode, expected] of [
      [0o777, undefined],
      [0o757, undefined],
      [0o1777, 'kept'],
      [0o755, 'kept'],
    ] as const) {
      const above = join(base, mode.toString(8));
      mkdirSync(join(above, 'below', 'state'), { recursive: true });
      chmodSync(above, mode);
      const found = named(join(above, 'below', 'state'));
      expect(found === undefined ? undefined : 'kept', mode.toString(8)).toBe(expected);
    }
    mkdirSync(join(base, 'open'));
    chmodSync(join(base, 'open'), 0o1777);
    expect(named(join(base, 'open'))).toBeUndefined();
  });

  it.runIf(isRoot)('is undefined if it, or what leads to it, belongs to another user', async () => {
    const base = await tempDir();
    mkdirSync(join(base, 'theirs', 'state'), { recursive: true });
    mkdirSync(join(base, 'own'));
    chownSync(join(base, 'theirs'), 1234, 1234);
    expect(named(join(base, 'theirs', 'state'))).toBeUndefined();
    expect(named(join(base, 'theirs'))).toBeUndefined();
    symlinkSync(join(base, 'own'), join(base, 'theirs', 'link'));
    mkdirSync(join(base, 'own', 'state'));
    expect(named(join(base, 'theirs', 'link', 'state'))).toBeUndefined();
    expect(named(join(base, 'own', 'state'))).toBe(join(base, 'own', 'state'));
  });
});

describe('another user may write', () => {
  it('with the permissions of others, or of a group other than the owner’s private one', () => {
    const rights = (mode: number, uid: number, gid: number): boolean =>
      othersMayWrite({ mode, uid, gid });
    expect(rights(0o100644, 1000, 1000)).toBe(false);
    expect(rights(0o100664, 1000, 1000)).toBe(false);
    expect(rights(0o100664, 1000, 100)).toBe(true);
    expect(rights(0o100646, 1000, 1000)).toBe(true);
  });
});
