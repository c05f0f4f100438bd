/** A state dir is replaced all the time while it is opened and read: the result always comes from a single store. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  haveOpened,
  idAt,
  lookAt,
  type Sight,
} from '../../../../src/formats/swing-store/read/open-files.ts';
import { PinnedStore } from '../../../../src/formats/swing-store/read/pinned-store.ts';
import { WalFile } from '../../../../src/formats/swing-store/read/wal-file.ts';
import { openDatabase } from '../../../../src/io/sqlite.ts';
import { useTempDir } from '../../../fixtures/directories.ts';
import { buildStore, closeReference } from '../../../fixtures/reference.ts';
import { runCli } from '../../../fixtures/run-cli.ts';
import { tinySpec } from '../../../fixtures/specs.ts';

const fileDir = useTempDir('file');
const TRIES = 6;
const REFUSED = /^(STORE_(REPLACED|MISSING|UNREADABLE)|BUSY)$/u;

afterAll(closeReference);

describe('a state dir that is replaced repeatedly', { timeout: 120_000 }, () => {
  let dir: string;
  const hashes = new Set<unknown>();
  const retrieve = async (S: string, D: string) => {
    const args = [
      '--create',
      '--state-dir',
      S,
      '--snapshot-dir',
      join(dir, D),
      '--concurrency',
      '2',
    ];
    const { exitCode, json } = await runCli(['retrieve', ...args, '--json']);
    return { exitCode, ...(json as { contentHash?: string; error?: { code: string } }) };
  };

  beforeAll(async () => {
    dir = await fileDir();
    const names = ['A', 'B'] as const;
    for (const [i, name] of names.entries()) {
      const generatedKeys = [{ count: 300, valueBytes: 300, seed: i }];
      await buildStore(join(dir, name), { ...tinySpec, height: 1000 + i, generatedKeys });
      hashes.add((await retrieve(join(dir, name), `D-${name}`)).contentHash);
    }
    expect(hashes.size).toBe(2);
  });

  /** Runs `flip`, a statement that uses `dir`, `fs` and `sleep`, in a loop. */
  async function whileFlipping(flip: string, work: () => Promise<void>): Promise<void> {
    const script = `const fs = require('node:fs'); const dir = process.argv[1];
      const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      console.log('begun'); for (;;) { ${flip} }`;
    const child = spawn(process.execPath, ['-e', script, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    try {
      await work();
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
  }

  it('gives one of the stores or an error, never a mixture, if a link switches between them', async () => {
    await symlink(join(dir, 'A'), join(dir, 'link'));
    const flip = `for (const to of ['A', 'B']) {
      fs.symlinkSync(dir + '/' + to, dir + '/next'); fs.renameSync(dir + '/next', dir + '/link');
    }`;
    await whileFlipping(flip, async () => {
      for (let i = 0; i < TRIES; i += 1) {
        const { exitCode, contentHash, error } = await retrieve(join(dir, 'link'), `link-${i}`);
        if (exitCode === 0) expect(hashes).toContain(contentHash);
        else expect(error?.code).toMatch(REFUSED);
      }
    });
  });

  it('gives one of the stores or an error, never a mixture, if directories are renamed', async () => {
    await mkdir(join(dir, 'aside'));
    await rename(join(dir, 'A'), join(dir, 'real'));
    const flip = `for (const [from, to] of [['A', 'B'], ['B', 'A']]) {
      fs.renameSync(dir + '/real', dir + '/' + from); fs.renameSync(dir + '/' + to, dir + '/real');
      sleep(10 * Math.random());
    }`;
    await whileFlipping(flip, async () => {
      for (let i = 0; i < TRIES; i += 1) {
        const { exitCode, contentHash, error } = await retrieve(join(dir, 'real'), `real-${i}`);
        if (exitCode === 0) expect(hashes).toContain(contentHash);
        else expect(error?.code).toMatch(REFUSED);
      }
    });
  });
});

describe('a store that is replaced between two views', () => {
  it('is no longer read, because no node writes to it any more', async () => {
    const dir = await fileDir();
    for (const name of ['S', 'other']) await buildStore(join(dir, name), tinySpec);
    const note = (): void => undefined;
    const store = await PinnedStore.open(join(dir, 'S'), { scratchDir: dir, note });
    store.unpin();
    store.pin();
    store.unpin();
    await rename(join(dir, 'S'), join(dir, 'aside'));
    await rename(join(dir, 'other'), join(dir, 'S'));
    expect(store.isReplaced).toBe(true);
    expect(() => {
      store.pin();
    }).toThrow(expect.objectContaining({ code: 'STORE_REPLACED' }));
    await store.close();
  });
});

function withoutOne({ descriptors }: Sight, id = ''): Map<string, number> {
  return new Map(descriptors).set(id, (descriptors?.get(id) ?? 0) - 1);
}

describe('the files that connections have open', () => {
  it('belong to a single store only if all connections have opened that store', async () => {
    const dir = await fileDir();
    const [a, b] = [join(dir, 'a.sqlite'), join(dir, 'b.sqlite')];
    for (const path of [a, b]) {
      const db = openDatabase(path);
      db.pragma('journal_mode = WAL');
      db.exec('CREATE TABLE t (x)');
      db.close();
    }
    const before = lookAt(a);
    const read = (path: string) => {
      const db = openDatabase(path, { readonly: true });
      db.prepare('SELECT * FROM t').all();
      return db;
    };
    const first = read(a);
    expect(haveOpened(1, before, lookAt(a))).toBe(true);
    // What watches the growth of the -wal does not count as a connection to it.
    const wal = WalFile.open(a);
    expect(lookAt(a, wal?.descriptor).descriptors).toEqual(withoutOne(lookAt(a), wal?.id));
    wal?.close();
    const second = read(b);
    expect(haveOpened(2, before, lookAt(a))).toBe(false);
    const third = read(a);
    expect(haveOpened(2, before, lookAt(a))).toBe(true);

    // The same database, next to another -wal.
    await rename(`${a}-wal`, join(dir, 'away'));
    await rename(`${b}-wal`, `${a}-wal`);
    expect(haveOpened(2, before, lookAt(a))).toBe(false);
    expect(idAt(join(dir, 'nothing'))).toBeUndefined();
    for (const db of [first, second, third]) db.close();
  });
});
