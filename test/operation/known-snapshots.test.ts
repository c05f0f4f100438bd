import { chmod, mkdir, readdir, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { KnownSnapshots } from '../../src/operation/known-snapshots.ts';
import { useTempDir } from '../fixtures/directories.ts';

const tempDir = useTempDir();
const hashOf = (i: number): string => i.toString(16).padStart(64, '0');

async function place() {
  const dir = path.join(await tempDir(), 'state');
  return {
    dir,
    records: path.join(dir, 'believed'),
    open: () => KnownSnapshots.open({ SWINGSNAP_STATE_DIR: dir }),
  };
}

describe('a recorded snapshot', () => {
  it('stays known from run to run, and no other snapshot is known', async () => {
    const { open } = await place();
    open().add(hashOf(1));
    expect(open().has(hashOf(1))).toBe(true);
    expect(open().has(hashOf(2))).toBe(false);
    open().add(hashOf(1));
    expect(open().has(hashOf(1))).toBe(true);
  });

  it.each([
    ['others can write its directory', async (records: string) => chmod(records, 0o777)],
    [
      'its directory is a link',
      async (records: string) => {
        await rename(records, `${records}.elsewhere`);
        await symlink(`${records}.elsewhere`, records);
      },
    ],
    [
      'a record is a link',
      async (records: string) => {
        await rename(path.join(records, hashOf(1)), path.join(records, 'elsewhere'));
        await symlink('elsewhere', path.join(records, hashOf(1)));
      },
    ],
    [
      'others can write the state dir',
      async (records: string) => chmod(path.dirname(records), 0o777),
    ],
  ])('is not believed if %s', async (_what, spoil) => {
    const { open, records } = await place();
    open().add(hashOf(1));
    await spoil(records);
    expect(open().has(hashOf(1))).toBe(false);
  });

  it('is not known if there is no state dir, and adding it then is not an error', async () => {
    const { dir } = await place();
    await writeFile(dir, 'a file');
    const known = KnownSnapshots.open({ SWINGSNAP_STATE_DIR: dir });
    known.add(hashOf(1));
    expect(known.has(hashOf(1))).toBe(false);
  });

  it('is forgotten if it is the least recently used of too many', async () => {
    const { open, records } = await place();
    open().add(hashOf(0));
    await mkdir(records, { recursive: true });
    for (let i = 1; i < 1000; i += 1) {
      await writeFile(path.join(records, hashOf(i)), '');
      await utimes(path.join(records, hashOf(i)), 1000 + i, 1000 + i);
    }
    await utimes(path.join(records, hashOf(0)), 1, 1);
    const known = open();
    expect(known.has(hashOf(0))).toBe(true);
    known.add(hashOf(1000));
    known.add(hashOf(1001));
    expect(await readdir(records)).toHaveLength(1000);
    expect([0, 1, 2, 3, 1000, 1001].map((i) => known.has(hashOf(i)))).toEqual([
      true,
      false,
      false,
      true,
      true,
      true,
    ]);
  });
});
