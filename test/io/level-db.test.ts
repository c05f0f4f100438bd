/** The reader of the built code, which opens a copy in a process of its own. */
import { execFileSync, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ClassicLevel } from 'classic-level';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as ofSources from '../../src/io/level-db.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { REAL_SNAPSHOTS } from '../fixtures/state-sync/real-node.ts';

const built = new URL('../../dist/io/level-db.js', import.meta.url).href;
const { readLevelDb } = (await import(built)) as typeof ofSources;

const tempDir = useTempDir();
const WRITER = fileURLToPath(new URL('../fixtures/level-writer.js', import.meta.url));

/** How many entries the writer keeps. */
const KEPT = 2000;

/** A database of a few tables, closed. */
async function madeDatabase(): Promise<string> {
  const dir = path.join(await tempDir(), 'db');
  const db = new ClassicLevel(dir, { writeBufferSize: 65_536 });
  for (let number = 0; number < 2000; number += 1) {
    await db.put(`n/${String(number).padStart(6, '0')}`, String(number).repeat(20));
  }
  await db.compactRange('n/', 'n0');
  await db.put('s/latest', '2000');
  await db.close();
  return dir;
}

async function scratchOf(dir: string): Promise<string> {
  const scratch = path.join(path.dirname(dir), 'scratch');
  mkdirSync(scratch, { recursive: true });
  return scratch;
}

const tableIn = (dir: string): string =>
  path.join(
    dir,
    readdirSync(dir).find((name) => name.endsWith('.ldb'))!,
  );

describe('a LevelDB database', () => {
  it.each(REAL_SNAPSHOTS)('of a real node is read whole, and not changed: $name', async (real) => {
    const dir = path.join(await tempDir(), 'metadata.db');
    cpSync(path.join(real.dir, 'metadata.db'), dir, { recursive: true });
    const before = await listTree(dir);
    const scratch = await scratchOf(dir);
    for (const { readLevelDb: read } of [{ readLevelDb }, ofSources]) {
      const entries = await read(dir, scratch);
      const heights = entries.map(([key]) => Number(Buffer.from(key).readBigUInt64BE(1)));
      expect(heights.at(-1)).toBe(real.expected.height);
      expect(heights).toEqual(heights.map((_, at) => (at + 1) * 5).slice(0, heights.length));
    }
    expect(await listTree(dir)).toEqual(before);
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('gives one entry by its key, or none', async () => {
    const dir = await madeDatabase();
    const scratch = await scratchOf(dir);
    const [latest, ...more] = await readLevelDb(dir, scratch, Buffer.from('s/latest'));
    expect(latest?.map((bytes) => Buffer.from(bytes).toString())).toEqual(['s/latest', '2000']);
    expect(more).toEqual([]);
    expect(await readLevelDb(dir, scratch, Buffer.from('s/lates'))).toEqual([]);
  });

  it('is read at one moment beside a writer that compacts, which then finds all its own data', async () => {
    const dir = path.join(await tempDir(), 'db');
    const scratch = await scratchOf(dir);
    const writer = fork(WRITER, [dir]);
    onTestFinished(() => void writer.kill('SIGKILL'));
    await once(writer, 'message');
    const seen: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const entries = await readLevelDb(dir, scratch);
      const [, last] = entries.pop()!;
      const latest = Number(Buffer.from(last));
      seen.push(latest);
      expect(entries).toHaveLength(KEPT);
      for (const [at, [, value]] of entries.entries()) {
        const number = latest - KEPT + at + 1;
        const hash = createHash('sha256').update(String(number)).digest('hex');
        if (!Buffer.from(value).equals(Buffer.from(hash.repeat(4)))) {
          expect.fail(`entry ${number} of ${latest} is wrong`);
        }
      }
    }
    const told = once(writer, 'message');
    writer.send('stop');
    const [{ written, right, latest }] = (await told) as [Record<string, number>];
    expect({ right, latest }).toEqual({ right: written, latest: written });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(new Set(seen).size).toBeGreaterThan(1);
    expect(readdirSync(scratch)).toEqual([]);
  });

  const faults: Record<string, { readonly code: string; readonly spoil: (dir: string) => void }> = {
    'CURRENT names a path': {
      code: 'LEVEL_DB_DAMAGED',
      spoil: (dir) => {
        writeFileSync(path.join(dir, 'CURRENT'), '../../MANIFEST-000001\n');
      },
    },
    'CURRENT is huge': {
      code: 'LEVEL_DB_DAMAGED',
      spoil: (dir) => {
        truncateSync(path.join(dir, 'CURRENT'), 2 ** 40);
      },
    },
    'a table is a link': {
      code: 'LEVEL_DB_DAMAGED',
      spoil: (dir) => {
        symlinkSync('/etc/passwd', path.join(dir, '999999.ldb'));
      },
    },
    'a table is a pipe': {
      code: 'LEVEL_DB_DAMAGED',
      spoil: (dir) => {
        execFileSync('mkfifo', [path.join(dir, '999999.ldb')]);
      },
    },
    'a table is cut': {
      code: 'LEVEL_DB_DAMAGED',
      spoil: (dir) => {
        truncateSync(tableIn(dir), 100);
      },
    },
    'a table claims a block of 2^40 bytes, for which the native code aborts its process': {
      code: 'LEVEL_DB_DAMAGED',
      spoil: (dir) => {
        const table = readFileSync(tableIn(dir));
        const footer = Buffer.alloc(40);
        // Two handles of offset and size: no blocks, then the index.
        Buffer.from([0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]).copy(footer);
        footer.copy(table, table.length - 48);
        writeFileSync(tableIn(dir), table);
      },
    },
    'a log is larger than any': {
      code: 'LEVEL_DB_TOO_LARGE',
      spoil: (dir) => {
        writeFileSync(path.join(dir, '999999.log'), '');
        truncateSync(path.join(dir, '999999.log'), 2 ** 40);
      },
    },
    'another backend keeps its files there': {
      code: 'LEVEL_DB_BACKEND',
      spoil: (dir) => {
        writeFileSync(path.join(dir, 'OPTIONS-000007'), '');
      },
    },
  };
  it.each(Object.entries(faults))('is refused by name if %s', async (_, { code, spoil }) => {
    const dir = await madeDatabase();
    const scratch = await scratchOf(dir);
    spoil(dir);
    await expect(readLevelDb(dir, scratch)).rejects.toMatchObject({ code });
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('is refused by name if there is none', async () => {
    const dir = await tempDir();
    await expect(readLevelDb(dir, dir)).rejects.toMatchObject({ code: 'LEVEL_DB_BACKEND' });
  });

  it('may have files of other names beside its own, which are not copied', async () => {
    const dir = await madeDatabase();
    const scratch = await scratchOf(dir);
    writeFileSync(path.join(dir, 'huge'), '');
    truncateSync(path.join(dir, 'huge'), 2 ** 40);
    execFileSync('mkfifo', [path.join(dir, '000005.ldb.tmp')]);
    symlinkSync('/etc/passwd', path.join(dir, 'LOCK.old'));
    expect(await readLevelDb(dir, scratch)).toHaveLength(2001);
  });
});
