/** Reads of a database through links, of the built code, which opens the copy in a process of its own. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as ofSources from '../../src/io/level-db-links.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { makeMultistore, REAL_MULTISTORE } from '../fixtures/multistore.ts';

const built = new URL('../../dist/io/level-db-links.js', import.meta.url).href;
const { readLevelDbEntry } = (await import(built)) as typeof ofSources;

const tempDir = useTempDir();
const LATEST = Buffer.from('s/latest');
const WRITER = fileURLToPath(new URL('../fixtures/level-writer.js', import.meta.url));

/** A database, and a directory beside it for scratch files. */
async function place(): Promise<{ db: string; scratch: string }> {
  const home = await tempDir();
  const db = await makeMultistore(home, 76);
  const scratch = path.join(home, 'scratch');
  mkdirSync(scratch);
  return { db, scratch };
}

const tableOf = (db: string): string =>
  path.join(
    db,
    readdirSync(db).find((name) => name.endsWith('.ldb'))!,
  );

const manifestOf = (db: string): string =>
  path.join(db, readFileSync(path.join(db, 'CURRENT'), 'utf8').trim());

describe('an entry of a LevelDB database', () => {
  it('is read from a real multistore, and nothing of it is changed', async () => {
    const dir = await tempDir();
    const db = path.join(dir, 'application.db');
    cpSync(REAL_MULTISTORE, db, { recursive: true });
    const before = await listTree(db);
    for (const { readLevelDbEntry: read } of [{ readLevelDbEntry }, ofSources]) {
      expect(await read(db, [dir], LATEST)).toEqual(Buffer.from([8, 76]));
      expect(await read(db, [dir], Buffer.from('s/lates'))).toBeUndefined();
    }
    expect(await listTree(db)).toEqual(before);
    expect(readdirSync(dir)).toEqual(['application.db']);
  });

  it('is read beside a writer that compacts all the time, which loses nothing', async () => {
    const { scratch } = await place();
    const db = path.join(scratch, '..', 'written');
    const writer = fork(WRITER, [db]);
    onTestFinished(() => void writer.kill('SIGKILL'));
    await once(writer, 'message');
    const sizes = new Map<string, number>();
    let latest = 0;
    for (let reads = 0; reads < 25; reads += 1) {
      const value = await readLevelDbEntry(db, [scratch], LATEST);
      const now = Number(Buffer.from(value ?? '').toString());
      expect(now).toBeGreaterThanOrEqual(latest);
      latest = now;
      for (const name of readdirSync(db).filter((one) => one.endsWith('.ldb'))) {
        const size = statSync(path.join(db, name), { throwIfNoEntry: false })?.size ?? Infinity;
        expect(size, name).toBeGreaterThanOrEqual(sizes.get(name) ?? 0);
        sizes.set(name, size === Infinity ? 0 : size);
      }
    }
    const ended = once(writer, 'message');
    writer.send('stop');
    const [told] = (await ended) as [{ written: number; right: number; latest: number }];
    expect(told.right).toBe(told.written);
    expect(told.latest).toBe(told.written);
    expect(told.written).toBeGreaterThan(latest - 1);
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('is read without a table that the manifest does not name, whatever its number', async () => {
    const { db, scratch } = await place();
    // A table that the node is writing: a copy that has its name would truncate it.
    for (let number = 1; number < 40; number += 1) {
      const file = path.join(db, `${String(number).padStart(6, '0')}.ldb`);
      if (statSync(file, { throwIfNoEntry: false }) === undefined)
        writeFileSync(file, 'unfinished');
    }
    const before = await listTree(db);
    expect(await readLevelDbEntry(db, [scratch], LATEST)).toEqual(Buffer.from([8, 76]));
    expect(await listTree(db)).toEqual(before);
  });

  it('is read of tables that are called .sst, as older versions do', async () => {
    const { db, scratch } = await place();
    renameSync(tableOf(db), tableOf(db).replace(/ldb$/u, 'sst'));
    expect(await readLevelDbEntry(db, [scratch], LATEST)).toEqual(Buffer.from([8, 76]));
  });

  it('needs a scratch directory on the same file system, and takes the first', async () => {
    const { db, scratch } = await place();
    const other = await mkdtemp('/dev/shm/swingsnap-test-');
    onTestFinished(() => rm(other, { recursive: true }));
    // The test means nothing where all is in memory.
    expect(statfsSync(other).type).not.toBe(statfsSync(db).type);
    await expect(readLevelDbEntry(db, [other], LATEST)).rejects.toMatchObject({
      code: 'LEVEL_DB_LINKS',
      exitCode: 6,
      found: expect.stringContaining(other) as string,
    });
    expect(await readLevelDbEntry(db, [other, scratch], LATEST)).toEqual(Buffer.from([8, 76]));
    expect(readdirSync(other)).toEqual([]);
  });

  const damages: Record<string, (db: string) => void> = {
    'a manifest of noise': (db) => {
      writeFileSync(manifestOf(db), Buffer.alloc(5000, 'noise'));
    },
    'an empty manifest': (db) => {
      writeFileSync(manifestOf(db), '');
    },
    'a link in place of a table': (db) => {
      const table = tableOf(db);
      renameSync(table, path.join(db, '..', 'elsewhere'));
      symlinkSync('../elsewhere', table);
    },
    'a directory in place of a table': (db) => {
      const table = tableOf(db);
      rmSync(table);
      mkdirSync(table);
    },
    'a link in place of the manifest': (db) => {
      renameSync(manifestOf(db), path.join(db, '..', 'elsewhere'));
      symlinkSync('../elsewhere', manifestOf(db));
    },
    'a CURRENT that leads elsewhere': (db) => {
      writeFileSync(path.join(db, 'CURRENT'), '../MANIFEST-000001\n');
    },
    'a table of noise': (db) => {
      writeFileSync(tableOf(db), Buffer.alloc(statSync(tableOf(db)).size, 'noise'));
    },
  };
  it.each(Object.entries(damages))('is refused of a database with %s', async (_, damage) => {
    const { db, scratch } = await place();
    damage(db);
    const before = await listTree(path.join(db, '..'));
    const inTable = Buffer.from('s/k:bank/0100');
    await expect(readLevelDbEntry(db, [scratch], inTable)).rejects.toMatchObject({
      code: 'LEVEL_DB_DAMAGED',
      exitCode: 3,
      path: expect.stringContaining(db) as string,
    });
    expect(await listTree(path.join(db, '..'))).toEqual(before);
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('is not waited for if a table stays missing', async () => {
    const { db, scratch } = await place();
    rmSync(tableOf(db));
    await expect(readLevelDbEntry(db, [scratch], LATEST)).rejects.toMatchObject({
      code: 'LEVEL_DB_BUSY',
      exitCode: 4,
    });
    expect(readdirSync(scratch)).toEqual([]);
  });

  it.each(['OPTIONS-000007', 'IDENTITY', 'marker.manifest.000001.MANIFEST-000001'])(
    'is refused of another backend, known by %s',
    async (name) => {
      const { db, scratch } = await place();
      writeFileSync(path.join(db, name), '');
      await expect(readLevelDbEntry(db, [scratch], LATEST)).rejects.toMatchObject({
        code: 'LEVEL_DB_BACKEND',
        found: name,
      });
    },
  );
});
