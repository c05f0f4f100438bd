/** What a path holds is known by its content. */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import * as find from '../../src/source/find.ts';
import { useTempDir } from '../fixtures/directories.ts';

const fixtures = fileURLToPath(new URL('../fixtures/state-sync/format3/', import.meta.url));
const ARCHIVE = join(fixtures, '1000-3.tar.gz');
const CHUNKS = join(fixtures, 'data', 'snapshots', '1000', '3');
const tempDir = useTempDir();

/** Nothing here needs scratch files. */
async function findSource(path: string, options: { height?: number } = {}) {
  return find.findSource(path, { ...options, scratchDir: '/nowhere' });
}

async function errorOf(work: () => unknown): Promise<Record<string, unknown>> {
  try {
    await work();
  } catch (error) {
    return error as Record<string, unknown>;
  }
  throw new Error('it did not fail');
}

describe('an archive of a state-sync snapshot', () => {
  it.each(['agoric_1000.tar.gz', '1000-3.tgz', '1000-3 (1).tar.gz', '7-1.tar.gz', 'archive'])(
    'says its height and format itself, not its name: %s',
    async (name) => {
      const path = join(await tempDir(), name);
      await cp(ARCHIVE, path);
      expect(await findSource(path)).toEqual({
        form: 'state-sync snapshot',
        path,
        stateSync: { kind: 'archive', path, height: 1000, format: 3 },
      });
    },
  );

  it('may be unpacked to a plain tar', async () => {
    const path = join(await tempDir(), '1000-3.tar');
    await writeFile(path, gunzipSync(await readFile(ARCHIVE)));
    expect(await verify({ source: path })).toMatchObject({ form: 'state-sync snapshot' });
  });

  it.each(['cut.tar.gz', 'cut.tar'])(
    'that was cut off ends early, wherever it was cut: %s',
    async (name) => {
      const path = join(await tempDir(), name);
      const gzipped = await readFile(ARCHIVE);
      const whole = name.endsWith('.gz') ? gzipped : gunzipSync(gzipped);
      // The last two blocks of a tar are zeros.
      const end = name.endsWith('.gz') ? whole.length - 1 : whole.length - 1600;
      for (const size of [20, 200, 530, 1024, 1500, 2000, 20_000, end]) {
        await writeFile(path, whole.subarray(0, size));
        expect(await errorOf(async () => verify({ source: path }))).toMatchObject({
          code: 'STATE_SYNC_DAMAGED',
          exitCode: 3,
          path,
          message: `the state-sync snapshot ends early at byte ${size} of the archive`,
          hint: expect.stringContaining('fetch it again') as unknown,
        });
      }
    },
  );
});

describe('chunks of a state-sync snapshot', () => {
  it('are known in a directory of any name, which then needs a height', async () => {
    const dir = join(await tempDir(), 'chunks');
    await cp(CHUNKS, dir, { recursive: true });
    expect(await errorOf(async () => findSource(dir))).toMatchObject({
      code: 'HEIGHT_UNKNOWN',
      exitCode: 2,
      hint: expect.stringContaining('--height') as unknown,
    });
    expect(await findSource(dir, { height: 1000 })).toMatchObject({
      stateSync: { kind: 'chunks', height: 1000 },
    });
    await truncate(join(dir, '0'), 10_000);
    expect(await errorOf(async () => verify({ source: dir, height: 1000 }))).toMatchObject({
      exitCode: 3,
      message: 'the state-sync snapshot ends early at byte 10000 of its chunks',
    });
  });

  it('are found by the home or the data directory of their node', async () => {
    for (const source of [fixtures, join(fixtures, 'data')]) {
      expect(await findSource(source)).toMatchObject({ path: CHUNKS });
    }
  });
});

describe('what is no source', () => {
  const tar = (dir: string, flags: string): void => {
    execFileSync('tar', [flags, 'x', 'inside'], { cwd: dir });
  };
  const database = (path: string): void => {
    const db = openDatabase(path);
    db.exec('CREATE TABLE a (b)');
    db.close();
  };
  it.each<[string, (path: string, dir: string) => unknown, RegExp, RegExp]>([
    ['a SQLite database', database, /^a SQLite database$/u, /--state-dir/u],
    ['text', async (path) => writeFile(path, 'Größe\n'), /^a text file$/u, /directory/u],
    ['nothing', async (path) => writeFile(path, ''), /^an empty file$/u, /fetch it again/u],
    [
      'bytes',
      async (path) => writeFile(path, Buffer.of(0, 255, 1)),
      /^a file of another kind$/u,
      /name a snapshot/u,
    ],
    [
      'zstd',
      async (path) => writeFile(path, Buffer.from('28b52ffd0400', 'hex')),
      /^a zstd file$/u,
      /zstd -d .*x/u,
    ],
    [
      'a gzipped text',
      async (path) => writeFile(path, gzipSync('text')),
      /^a gzip file of a text file$/u,
      /gunzip -k/u,
    ],
    [
      'another tar',
      (_, dir) => {
        tar(dir, '-cf');
      },
      /^a tar archive .*"inside"$/u,
      /tar -xf/u,
    ],
    [
      'another gzipped tar',
      (_, dir) => {
        tar(dir, '-czf');
      },
      /^a gzip file of a tar archive that begins with "inside"$/u,
      /tar -xf/u,
    ],
    ['a pipe', (path) => execFileSync('mkfifo', [path]), /^a pipe$/u, /name a snapshot/u],
    ['an empty directory', async (path) => mkdir(path), /^an empty directory$/u, /is mounted/u],
    [
      'a restic repository',
      async (path) => {
        for (const name of ['config', 'data', 'index', 'keys', 'snapshots'])
          await mkdir(join(path, name), { recursive: true });
      },
      /^a restic repository$/u,
      /restic -r .* restore/u,
    ],
    [
      'a state dir',
      async (path) => {
        await mkdir(path);
        database(join(path, 'swingstore.sqlite'));
      },
      /^a state dir/u,
      /retrieve --create --state-dir/u,
    ],
    [
      'a home',
      async (path) => {
        await mkdir(join(path, 'data', 'agoric'), { recursive: true });
        database(join(path, 'data', 'agoric', 'swingstore.sqlite'));
      },
      /^the home of a node/u,
      /retrieve --create --home/u,
    ],
    [
      'other files',
      async (path) => {
        for (let at = 0; at < 12; at += 1)
          await mkdir(join(path, `photos${at}`), { recursive: true });
      },
      /^a directory of other files: photos0, .* and 2 more$/u,
      /name a snapshot/u,
    ],
  ])('is named for what it is: %s', async (_, make, what, hint) => {
    const dir = await tempDir();
    const path = join(dir, 'x');
    await writeFile(join(dir, 'inside'), 'text');
    await make(path, dir);
    expect(await errorOf(async () => findSource(path))).toMatchObject({
      code: 'NO_SNAPSHOT',
      exitCode: 5,
      path,
      found: expect.stringMatching(what) as unknown,
      hint: expect.stringMatching(hint) as unknown,
    });
  });

  it('is called damaged if it is a gzip file that cannot be unpacked', async () => {
    const path = join(await tempDir(), 'x');
    await writeFile(path, Buffer.from('1f8b0800000000000003ffffffffff', 'hex'));
    expect(await errorOf(async () => findSource(path))).toMatchObject({
      code: 'STATE_SYNC_DAMAGED',
      exitCode: 3,
      path,
    });
  });
});
