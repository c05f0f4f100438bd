import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../src/errors.ts';
import type { Salvage } from '../../src/storage/contract.ts';
import { directoryStorage, storedDirectory } from '../../src/storage/directory.ts';
import { storageContract } from '../contract/storage.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';

const tempDir = useTempDir();

storageContract(async () => {
  const dir = await tempDir();
  const storage = directoryStorage(path.join(dir, 'not', 'there', 'yet'));
  return { storage, leftovers: async () => Object.keys(await listTree(dir)) };
});

async function readSalvaged({ snapshots }: Salvage): Promise<string[]> {
  const read = snapshots.map(async (stored) => Buffer.from(await stored.read('chunks/a', 10)));
  return (await Promise.all(read)).map(String);
}

describe('directory storage', () => {
  it('lists only directories, and none that begins with a dot', async () => {
    const dir = await tempDir();
    for (const name of ['12', 'other', '.12-0123456789ab', '.git'])
      await mkdir(path.join(dir, name));
    await writeFile(path.join(dir, 'README'), '');
    expect((await directoryStorage(dir).list()).sort()).toEqual(['12', 'other']);
  });

  it('tells nothing, an empty directory and content apart', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(path.join(dir, 'D'));
    expect(await storage.occupancy()).toBe('missing');
    for (const name of ['.', 'lost+found', '.Trash-0']) {
      await mkdir(path.join(dir, 'D', name), { recursive: true });
      expect(await storage.occupancy()).toBe('empty');
    }
    await writeFile(path.join(dir, 'D', 'letter'), '');
    expect(await storage.occupancy()).toBe('occupied');
  });

  it('removes unfinished work of dead processes alone, and puts back what one had moved away', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    const leave = async (name: string, lock: string | undefined, parts: string[]) => {
      for (const part of parts) await mkdir(path.join(dir, name, part), { recursive: true });
      if (lock !== undefined) await writeFile(path.join(dir, name, '.lock'), lock);
    };
    await leave('.12-0123456789ab', 'a lock of swingsnap\n', ['new/chunks']);
    await leave('.13-0123456789ab', 'a lock of swingsnap\n', ['new', 'old/chunks']);
    await leave('.foreign-0123456789ab', undefined, ['a']);
    await leave('.locked-0123456789ab', 'a lock of another', ['a']);
    for (const name of ['.foreign-0123456789ab', '.locked-0123456789ab', '.git', 'nothing']) {
      expect(await storage.removeUnfinished(name)).toBe(false);
    }
    for (const name of ['.12-0123456789ab', '.13-0123456789ab', '.15-0123456789ab']) {
      expect(await storage.removeUnfinished(name)).toBe(true);
    }
    expect(Object.keys(await listTree(dir)).sort()).toEqual([
      '.foreign-0123456789ab',
      '.foreign-0123456789ab/a',
      '.locked-0123456789ab',
      '.locked-0123456789ab/.lock',
      '.locked-0123456789ab/a',
      '13',
      '13/chunks',
    ]);
  });

  it('salvages what dead processes have staged, again after a salvage was left, and not what lives', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    const stage = async (name: string) => {
      const staged = await storage.stage(name);
      await staged.put('chunks/a', Buffer.from(name));
      return staged;
    };
    await (await stage('12')).leave();
    const alive = await storage.salvage();
    expect(await readSalvaged(alive)).toEqual(['12']);
    const none = await storage.salvage();
    expect(none.snapshots).toEqual([]);
    await none.discard();
    await alive.leave();
    const again = await storage.salvage();
    expect(await readSalvaged(again)).toEqual(['12']);
    const staged = await storage.stage('13');
    const [from] = again.snapshots;
    expect(await staged.adopt('chunks/a', from!, 10, undefined, 'link')).toBe(2);
    await staged.publish(false);
    await again.discard();
    expect(Object.keys(await listTree(dir)).sort()).toEqual(['13', '13/chunks', '13/chunks/a']);
  });

  it('adopts by a link alone, if that is asked for', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    await mkdir(path.join(dir, '11'));
    await writeFile(path.join(dir, '11', 'a'), 'a', { mode: 0o666 });
    await chmod(path.join(dir, '11', 'a'), 0o666);
    const from = await storage.open('11');
    const staged = await storage.stage('12');
    expect(await staged.adopt('a', from, 10, undefined, 'link')).toBeUndefined();
    expect(await staged.adopt('a', from, 10, undefined)).toBe(1);
    await staged.discard();
  });

  it.runIf(process.getuid?.() === 0)(
    'leaves the unfinished work of another user alone',
    async () => {
      const dir = await tempDir();
      const storage = directoryStorage(dir);
      const name = '.12-0123456789ab';
      await mkdir(path.join(dir, name));
      await writeFile(path.join(dir, name, '.lock'), 'a lock of swingsnap\n');
      await chown(path.join(dir, name), 1234, 1234);
      expect(await storage.unfinished(name)).toMatchObject({ holder: 'other user' });
      expect(await storage.removeUnfinished(name)).toBe(false);
      expect(await readdir(dir)).toEqual([name]);
    },
  );

  it('knows the names of one file, whichever it is asked for', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    const first = await storage.stage('11');
    await first.put('chunks/a', Buffer.from('shared'));
    await first.publish(false);
    const second = await storage.stage('12');
    await second.adopt('chunks/a', await storage.open('11'), 10, undefined);
    await second.publish(false);
    const [one, other] = await Promise.all(
      ['11', '12'].map(async (name) => (await storage.open(name)).facts('chunks/a')),
    );
    expect(one?.links).toBe(2);
    expect(other).toEqual(one);
  });

  it('refuses a mark that is a pipe, and leaves nothing but the mark', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    await storage.writeMark(Buffer.from('a mark'));
    const [mark = '', ...more] = await readdir(dir);
    expect(more).toEqual([]);
    await rm(path.join(dir, mark));
    execFileSync('mkfifo', [path.join(dir, mark)]);
    await expect(storage.readMark(100)).rejects.toMatchObject({ code: 'NOT_A_FILE' });
  });

  it('shows only names that begin with a dot while it works', async () => {
    const dir = await tempDir();
    const staged = await directoryStorage(dir).stage('12');
    await staged.put('a', Buffer.from('a'));
    expect((await readdir(dir)).filter((name) => !name.startsWith('.'))).toEqual([]);
    await staged.discard();
  });

  it('treats a pipe, a device and a directory in place of a file as damage', async () => {
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

  it('does not remove the target of a symlink to a snapshot', async () => {
    const dir = await tempDir();
    await mkdir(path.join(dir, 'elsewhere'));
    await writeFile(path.join(dir, 'elsewhere', 'file'), 'x');
    await symlink('elsewhere', path.join(dir, '12'));
    await directoryStorage(dir).remove('12');
    expect(Object.keys(await listTree(dir))).toEqual(['elsewhere', 'elsewhere/file']);
  });

  it('restores an old snapshot whose replacement was killed half-way', async () => {
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

  it('leaves the snapshot that another process published under that name meanwhile', async () => {
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

  it('has one whole snapshot after several concurrent replacements', async () => {
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

  describe('a file that is adopted', () => {
    async function adopt(change: (file: string) => Promise<void>): Promise<number> {
      const dir = await tempDir();
      const storage = directoryStorage(dir);
      const first = await storage.stage('11');
      await first.put('chunks/a', Buffer.from('shared'));
      await first.publish(false);
      await change(path.join(dir, '11', 'chunks', 'a'));
      const staged = await storage.stage('12');
      expect(await staged.adopt('chunks/a', await storage.open('11'), 10, undefined)).toBe(6);
      await staged.publish(false);
      const file = path.join(dir, '12', 'chunks', 'a');
      expect(await readFile(file, 'utf8')).toBe('shared');
      return (await stat(file)).nlink;
    }

    it('is a hard link if no other user can change it', async () => {
      expect(await adopt(async () => undefined)).toBe(2);
      // The owner's private group, as with umask 002.
      expect(await adopt(async (file) => chmod(file, 0o664))).toBe(2);
    });

    it('is copied if others may write to it', async () => {
      expect(await adopt(async (file) => chmod(file, 0o666))).toBe(1);
    });

    it.runIf(process.getuid?.() === 0)(
      'is copied if it belongs to another user or group',
      async () => {
        expect(await adopt(async (file) => chown(file, 1234, 0))).toBe(1);
        const shared = async (file: string): Promise<void> => {
          await chown(file, 0, 1234);
          await chmod(file, 0o664);
        };
        expect(await adopt(shared)).toBe(1);
      },
    );

    it('is never the target of a symlink', async () => {
      const dir = await tempDir();
      const storage = directoryStorage(dir);
      await writeFile(path.join(dir, 'secret'), 'secret');
      await mkdir(path.join(dir, '11'));
      await symlink('../secret', path.join(dir, '11', 'a'));
      const staged = await storage.stage('12');
      expect(await staged.adopt('a', await storage.open('11'), 10, undefined)).toBeUndefined();
      await staged.put('a', Buffer.from('own'));
      await staged.publish(false);
      expect(await readFile(path.join(dir, '12', 'a'), 'utf8')).toBe('own');
    });
  });

  it('removes a snapshot, but not the target of a symlink in it', async () => {
    const dir = await tempDir();
    await mkdir(path.join(dir, 'victim'));
    await writeFile(path.join(dir, 'victim', 'file'), '');
    await mkdir(path.join(dir, 'snapshots', '11'), { recursive: true });
    await symlink('../../victim', path.join(dir, 'snapshots', '11', 'chunks'));
    await symlink('../victim', path.join(dir, 'snapshots', '12'));
    const storage = directoryStorage(path.join(dir, 'snapshots'));
    for (const name of ['11', '12']) await storage.remove(name);
    expect(Object.keys(await listTree(dir))).toEqual(['snapshots', 'victim', 'victim/file']);
  });

  it('publishes with the modes of the umask what was inaccessible to others until then', async () => {
    const dir = await tempDir();
    const staged = await directoryStorage(dir).stage('12');
    await staged.put('chunks/a', Buffer.from('a'));
    const [work = ''] = await readdir(dir);
    expect((await stat(path.join(dir, work))).mode & 0o777).toBe(0o700);
    await staged.publish(false);
    // Files that this process makes by default have these modes too.
    await mkdir(path.join(dir, 'like'));
    await writeFile(path.join(dir, 'like', 'file'), '');
    const tree = await listTree(dir);
    expect(tree['12']?.mode).toBe(tree['like']?.mode);
    expect(tree['12/chunks']?.mode).toBe(tree['like']?.mode);
    expect(tree['12/chunks/a']?.mode).toBe(tree['like/file']?.mode);
  });
});
