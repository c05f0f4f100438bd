import { execFileSync } from 'node:child_process';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { VerificationError } from '../../src/errors.ts';
import { directoryStorage, storedDirectory } from '../../src/storage/directory.ts';
import { storageContract } from '../contract/storage.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';

const tempDir = useTempDir();

storageContract(async () => {
  const dir = await tempDir();
  const storage = directoryStorage(path.join(dir, 'not', 'there', 'yet'));
  return { storage, leftovers: async () => Object.keys(await listTree(dir)) };
});

describe('directory storage', () => {
  it('lists directories only, and none that begins with a dot', async () => {
    const dir = await tempDir();
    for (const name of ['12', 'other', '.12-0123456789ab', '.git'])
      await mkdir(path.join(dir, name));
    await writeFile(path.join(dir, 'README'), '');
    expect((await directoryStorage(dir).list()).sort()).toEqual(['12', 'other']);
  });

  it('shows while it works only what begins with a dot', async () => {
    const dir = await tempDir();
    const staged = await directoryStorage(dir).stage('12');
    await staged.put('a', Buffer.from('a'));
    expect((await readdir(dir)).filter((name) => !name.startsWith('.'))).toEqual([]);
    await staged.discard();
  });

  it('takes a pipe, a device and a directory under the name of a file for damage', async () => {
    const dir = await tempDir();
    await mkdir(path.join(dir, 'directory'));
    execFileSync('mkfifo', [path.join(dir, 'pipe')]);
    await symlink('/dev/zero', path.join(dir, 'device'));
    const stored = storedDirectory(dir);
    for (const file of ['directory', 'pipe', 'device']) {
      await expect(stored.read(file, 10)).rejects.toThrow(VerificationError);
      const streamed = (async () => {
        for await (const _ of stored.stream(file)) throw new Error('a piece came');
      })();
      await expect(streamed).rejects.toMatchObject({ code: 'NOT_A_FILE' });
    }
  });

  it('does not remove what a link to a snapshot leads to', async () => {
    const dir = await tempDir();
    await mkdir(path.join(dir, 'elsewhere'));
    await writeFile(path.join(dir, 'elsewhere', 'file'), 'x');
    await symlink('elsewhere', path.join(dir, '12'));
    await directoryStorage(dir).remove('12');
    expect(Object.keys(await listTree(dir))).toEqual(['elsewhere', 'elsewhere/file']);
  });

  it('puts an old snapshot back whose replacement was cut short by a kill', async () => {
    const dir = await tempDir();
    for (const [name, parts] of Object.entries({
      '12': ['new', 'old'],
      'a.b': ['new', 'old'],
      '13': ['old'],
      '14': ['new', 'removed'],
    })) {
      const work = path.join(dir, `.${name}-0123456789ab`);
      await mkdir(work);
      await writeFile(path.join(work, '.lock'), '');
      for (const part of parts) {
        await mkdir(path.join(work, part));
        await writeFile(path.join(work, part, part), '');
      }
    }
    await directoryStorage(dir).remove('nothing');
    await directoryStorage(dir)
      .stage('15')
      .then(async (staged) => staged.discard());
    expect(Object.keys(await listTree(dir))).toEqual(['12', '12/old', 'a.b', 'a.b/old']);
  });

  it('leaves the snapshot of another who published that name meanwhile', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    const all = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => {
        const staged = await storage.stage('12');
        await staged.put(name, Buffer.from(name));
        return staged;
      }),
    );
    const results = await Promise.allSettled(all.map(async (staged) => staged.publish(false)));
    const failed = results.filter((result) => result.status === 'rejected');
    expect(failed.map(({ reason }) => (reason as { code: string }).code)).toEqual([
      'SNAPSHOT_EXISTS',
      'SNAPSHOT_EXISTS',
    ]);
    for (const staged of all) await staged.discard();
    expect(Object.keys(await listTree(dir))).toHaveLength(2);
  });

  it('has one whole snapshot after several have replaced it at once', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    for (let round = 0; round < 10; round += 1) {
      const all = await Promise.all(
        ['a', 'b', 'c'].map(async (name) => {
          const staged = await storage.stage('12');
          await staged.put(name, Buffer.from(name));
          return staged;
        }),
      );
      const results = await Promise.allSettled(all.map(async (staged) => staged.publish(true)));
      for (const result of results) {
        if (result.status === 'rejected')
          expect(result.reason).toMatchObject({ code: 'SNAPSHOT_EXISTS' });
      }
      for (const staged of all) await staged.discard();
      expect(Object.keys(await listTree(dir))).toHaveLength(2);
    }
  });
});
