/** Copies of snapshots: of the same bytes, from what the place has where it can, and never of what is damaged. */
import { linkSync, readdirSync, renameSync, rmSync } from 'node:fs';
import {
  chmod,
  cp,
  link,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { noProgress, type Progress } from '../../../src/io/progress.ts';
import {
  checkCopy,
  copy,
  type CopiedSnapshots,
  type CopyOptions,
} from '../../../src/operation/copy/copy.ts';
import { verify } from '../../../src/operation/verify/verify.ts';
import { listTree, useTempDir, visibleIn } from '../../fixtures/directories.ts';
import {
  makeContent,
  severalSegments,
  sixVats,
  writeExportDir,
} from '../../snapshot/made-export.ts';
import { take } from '../../snapshot/version-2/taken.ts';

const MIB = 1024 * 1024;
const fileDir = useTempDir('file');
const tempDir = useTempDir();

const kv = severalSegments;
const vats = sixVats;

/** Has the place `P` with the heights 7, 8 and 9, which share chunks, and `other` with another height 8. */
let base: string;
const hashes = new Map<number, string>();

beforeAll(async () => {
  base = await fileDir();
  const makeHeight = async (place: string, height: number, more: string): Promise<string> => {
    const exportDir = path.join(base, `E-${place}-${height}`);
    const spec = { height, kv: { ...kv, more }, vats };
    await writeExportDir(exportDir, makeContent(spec));
    const source = { exportDir, remove: 'never', wait: false } as const;
    const options = { formatVersion: 1, chunkBytes: 4 * MIB } as const;
    return (await take(path.join(base, place), source, options)).manifest.contentHash;
  };
  for (const height of [7, 8, 9])
    hashes.set(height, await makeHeight('P', height, `height ${height}`));
  await makeHeight('other', 8, 'other');
});

interface Copying {
  readonly dir: string;
  readonly P: string;
  readonly Q: string;
  readonly notes: string[];
  readonly run: (options?: Partial<CopyOptions>) => Promise<CopiedSnapshots>;
}

/** A copy of the place `P`, which tests may damage, and an empty `Q` beside it. */
async function copying(source = 'P'): Promise<Copying> {
  const dir = await tempDir();
  const [P, Q] = [path.join(dir, 'P'), path.join(dir, 'Q')];
  await cp(path.join(base, source), P, { recursive: true, preserveTimestamps: true });
  const notes: string[] = [];
  const progress = { ...noProgress, note: (message: string) => void notes.push(message) };
  const run = async (options: Partial<CopyOptions> = {}): Promise<CopiedSnapshots> =>
    copy({ source: P, snapshotDir: Q, create: true, progress, ...options });
  return { dir, P, Q, notes, run };
}

const heightsOf = ({ heights }: CopiedSnapshots): number[] => heights.map(({ height }) => height);
const chunksOf = async (snapshot: string): Promise<string[]> =>
  readdir(path.join(snapshot, 'chunks'));

/** Changes a byte of a chunk. Its file gets a new inode, so that what is linked to it stays as it is. */
async function damage(snapshot: string, chunk: string): Promise<void> {
  const file = path.join(snapshot, 'chunks', chunk);
  const bytes = await readFile(file);
  bytes[100]! ^= 1;
  await rm(file);
  await writeFile(file, bytes);
}

const isLinked = async (one: string, other: string): Promise<boolean> =>
  (await stat(one)).ino === (await stat(other)).ino;

/** Runs an action after that many progress reports. */
function atAdvance(count: number, act: () => void): Progress {
  let left = count;
  return {
    ...noProgress,
    advance: () => {
      left -= 1;
      if (left === 0) act();
    },
  };
}

describe('copy', () => {
  it('takes the highest of a place, the named ones, those since a height, or all', async () => {
    const { P, Q, run } = await copying();
    expect(heightsOf(await run())).toEqual([9]);
    expect(heightsOf(await run({ heights: [7, 8] }))).toEqual([8, 7]);
    for (const [options, heights] of [
      [{ since: 8 }, ['8', '9']],
      [{ all: true }, ['7', '8', '9']],
    ] as const) {
      const to = path.join(await tempDir(), 'Q');
      await run({ ...options, snapshotDir: to });
      expect((await visibleIn(to)).sort()).toEqual(heights);
    }
    const one = path.join(await tempDir(), 'Q');
    const copied = await run({ source: path.join(P, '8'), snapshotDir: one });
    expect(copied).toMatchObject({ source: path.join(P, '8'), place: one });
    expect(await visibleIn(one)).toEqual(['8']);
    await expect(run({ heights: [9, 10] })).rejects.toMatchObject({
      code: 'HEIGHT',
      exitCode: 5,
      expected: 10,
      found: '9, 8, 7',
    });
    expect(await run({ source: path.join(P, '8'), since: 9 })).toMatchObject({ heights: [] });
    expect((await visibleIn(Q)).sort()).toEqual(['7', '8', '9']);
  });

  it('has the same bytes and times, links what is its own, and verifies', async () => {
    const { P, Q, run } = await copying();
    await utimes(path.join(P, '8', 'manifest.json'), new Date(2000), new Date(2000));
    const { heights } = await run({ all: true });
    for (const height of [7, 8, 9]) {
      const [from, to] = [path.join(P, String(height)), path.join(Q, String(height))];
      expect(await listTree(to)).toEqual(await listTree(from));
      const [chunk = ''] = await chunksOf(from);
      expect(await isLinked(path.join(to, 'chunks', chunk), path.join(from, 'chunks', chunk))).toBe(
        height === 9,
      );
      const { summary } = await verify({ source: to });
      expect(summary.hashes?.contentHash).toBe(hashes.get(height));
    }
    expect((await stat(path.join(Q, '8', 'manifest.json'))).mtime).toEqual(new Date(2000));
    const [highest, next] = heights;
    expect(highest?.from).toMatchObject({ copied: { chunks: 0 }, shared: { chunks: 0 } });
    expect(highest?.from?.linked.chunks).toBe(highest?.chunks.count);
    expect(next?.from?.shared.chunks).toBeGreaterThan(8);
    const { linked, shared } = next!.from!;
    expect(linked.size + shared.size).toBe(next?.chunks.size);
  });

  it('copies what another user could change, and then has files of its own', async () => {
    const { P, Q, run } = await copying();
    const [chunk = ''] = await chunksOf(path.join(P, '9'));
    const file = path.join(P, '9', 'chunks', chunk);
    const { mode } = await stat(file);
    await chmod(file, mode | 0o022);
    const { heights } = await run();
    expect(heights[0]?.from?.copied.chunks).toBe(1);
    expect(await isLinked(file, path.join(Q, '9', 'chunks', chunk))).toBe(false);
    await verify({ source: path.join(Q, '9') });
  });

  it('reads no chunk that the place has, which it hashes again', async () => {
    const { P, Q, run } = await copying();
    await run();
    const shared = (await chunksOf(path.join(P, '9'))).filter((chunk) =>
      readdirSync(path.join(P, '8', 'chunks')).includes(chunk),
    );
    expect(shared.length).toBeGreaterThan(8);
    const [first = '', ...others] = shared;
    for (const chunk of others) await rm(path.join(P, '8', 'chunks', chunk));
    await damage(path.join(Q, '9'), first);
    expect(heightsOf(await run({ heights: [8] }))).toEqual([8]);
    const { summary } = await verify({ source: path.join(Q, '8') });
    expect(summary.hashes?.contentHash).toBe(hashes.get(8));
  });

  it('skips a height that is there, refuses another one before it copies any, and replaces it', async () => {
    const { P, Q, run } = await copying();
    await run({ source: path.join(base, 'other'), heights: [8] });
    const before = await listTree(Q);
    const error = { code: 'SNAPSHOT_EXISTS', exitCode: 1, path: path.join(Q, '8') };
    await expect(run({ all: true })).rejects.toMatchObject(error);
    await expect(checkCopy({ source: P, snapshotDir: Q, all: true })).rejects.toMatchObject(error);
    expect(await listTree(Q)).toEqual(before);
    const { heights } = await run({ all: true, replace: true });
    expect(heights.map(({ written }) => written)).toEqual([true, true, true]);
    const again = await run({ all: true });
    expect(again.heights.map(({ written }) => written)).toEqual([false, false, false]);
    expect(await listTree(path.join(Q, '8'))).toEqual(await listTree(path.join(P, '8')));
  });

  it('replaces the same height if a chunk of it has another byte, and it may', async () => {
    const { P, Q, run } = await copying();
    await run();
    const [chunk = ''] = await chunksOf(path.join(Q, '9'));
    await damage(path.join(Q, '9'), chunk);
    expect((await run()).heights[0]?.written).toBe(false);
    expect((await run({ replace: true })).heights[0]?.written).toBe(true);
    expect((await run({ replace: true })).heights[0]?.written).toBe(false);
    expect(await listTree(path.join(Q, '9'))).toEqual(await listTree(path.join(P, '9')));
  });

  it('refuses a damaged height in the place, and something else there', async () => {
    const { Q, run } = await copying();
    await run();
    const [chunk = ''] = await chunksOf(path.join(Q, '9'));
    await rm(path.join(Q, '9', 'chunks', chunk));
    await expect(run()).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS', exitCode: 3 });
    expect((await run({ replace: true })).heights[0]?.written).toBe(true);
    await mkdir(path.join(Q, '8'));
    await expect(run({ heights: [8], replace: true })).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      expected: 'nothing, or a snapshot',
    });
  });

  it('refuses a place of another chain, and gives a new one the chain of the source', async () => {
    const { P, Q, run } = await copying();
    const mark = (chainId: string): string =>
      JSON.stringify({ format: 'swingsnap-place', version: 1, chainId });
    await writeFile(path.join(P, '.swingsnap.json'), mark('agoric-3'));
    await expect(run({ create: false })).rejects.toMatchObject({ code: 'NO_PLACE', exitCode: 6 });
    await run({ source: path.join(P, '9') });
    expect(JSON.parse(await readFile(path.join(Q, '.swingsnap.json'), 'utf8'))).toMatchObject({
      chainId: 'agoric-3',
    });
    await writeFile(path.join(P, '.swingsnap.json'), mark('agoric-4'));
    const error = { code: 'PLACE_CHAIN', expected: 'agoric-3', found: 'agoric-4' };
    await expect(run({ all: true })).rejects.toMatchObject(error);
    await expect(run({ source: path.join(P, '8') })).rejects.toMatchObject(error);
    expect(await visibleIn(Q)).toEqual(['9']);
  });

  it('mirrors with rules: copies what they keep of both places, and removes all else', async () => {
    const { P, Q, run } = await copying();
    await run({ heights: [7] });
    const first = await run({ all: true, keep: { last: 2 } });
    expect(heightsOf(first)).toEqual([9, 8]);
    expect(first.removedHeights).toEqual([7]);
    // A height that the source has no longer counts as one of two, so the older one is not copied again each night.
    await rm(path.join(P, '9'), { recursive: true });
    const second = await run({ all: true, keep: { last: 2 } });
    expect(second.heights.map(({ height, written }) => [height, written])).toEqual([[8, false]]);
    expect(second.removedHeights).toEqual([]);
    expect((await visibleIn(Q)).sort()).toEqual(['8', '9']);
  });

  it('removes nothing for the sake of a height that is damaged', async () => {
    const { P, Q, run } = await copying();
    await run({ heights: [7, 8] });
    const before = await visibleIn(Q);
    for (const chunk of await chunksOf(path.join(P, '9'))) await damage(path.join(P, '9'), chunk);
    const shared = await chunksOf(path.join(P, '8'));
    const own = (await chunksOf(path.join(P, '9'))).filter((chunk) => !shared.includes(chunk));
    expect(own).toHaveLength(1);
    const error = { code: 'NOT_COPIED', found: 'damaged: 9' };
    await expect(run({ all: true, keep: { last: 1 } })).rejects.toMatchObject(error);
    expect(await visibleIn(Q)).toEqual(before);
  });

  it('refuses what is no snapshot', async () => {
    const { Q, run } = await copying();
    await expect(run({ source: path.join(base, 'E-P-7') })).rejects.toMatchObject({
      code: 'NOT_A_SNAPSHOT',
      exitCode: 2,
    });
    await expect(stat(Q)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('copy of a damaged source', () => {
  const DAMAGES: Readonly<Record<string, (snapshot: string) => Promise<void>>> = {
    'a chunk with another byte': async (snapshot) => {
      for (const chunk of await chunksOf(snapshot)) await damage(snapshot, chunk);
    },
    'a missing chunk': async (snapshot) => {
      for (const chunk of await chunksOf(snapshot)) {
        await rm(path.join(snapshot, 'chunks', chunk));
      }
    },
    'another chunk in place of one': async (snapshot) => {
      const shared = await chunksOf(path.join(snapshot, '..', '9'));
      const own = (await chunksOf(snapshot)).filter((chunk) => !shared.includes(chunk));
      const [[one = ''], [other = '']] = [own, shared];
      const at = (chunk: string): string => path.join(snapshot, 'chunks', chunk);
      await rm(at(one));
      await link(path.join(snapshot, '..', '9', 'chunks', other), at(one));
    },
    'a list with another byte': async (snapshot) => {
      const file = path.join(snapshot, 'entries.jsonl.zst');
      const bytes = await readFile(file);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(file, bytes);
    },
    'a missing list': async (snapshot) => rm(path.join(snapshot, 'entries.jsonl.zst')),
    'a manifest that counts another size': async (snapshot) => {
      const file = path.join(snapshot, 'manifest.json');
      const text = await readFile(file, 'utf8');
      await writeFile(file, text.replace(/("chunks": \{\s*"count": \d+,\s*"size": )/u, '$11'));
    },
  };

  it.each(Object.entries(DAMAGES))('publishes nothing of it: %s', async (_name, change) => {
    const { P, Q, run, notes } = await copying();
    await change(path.join(P, '8'));
    const error = { code: 'SNAPSHOT_DAMAGED', exitCode: 3 };
    await expect(run({ heights: [8] })).rejects.toMatchObject(error);
    expect(await listTree(path.dirname(Q))).not.toHaveProperty('Q');
    const failure = { code: 'NOT_COPIED', exitCode: 3, found: 'damaged: 8' };
    await expect(run({ all: true })).rejects.toMatchObject(failure);
    expect(notes.join('\n')).toContain(`${path.join(P, '8')} is not copied: `);
    expect((await readdir(Q)).sort()).toEqual(['.swingsnap.json', '7', '9']);
  });

  it('ends with exit code 5 if the height is removed meanwhile, and passes over it among all', async () => {
    for (const isAll of [false, true]) {
      const { P, Q, run } = await copying();
      const progress = atAdvance(3, () => {
        renameSync(path.join(P, '9'), path.join(P, '.removed'));
        rmSync(path.join(P, '.removed'), { recursive: true });
      });
      const work = run({ progress, ...(isAll ? { all: true } : { heights: [9] }) });
      if (isAll) expect(heightsOf(await work)).toEqual([8, 7]);
      else await expect(work).rejects.toMatchObject({ code: 'SNAPSHOT_GONE', exitCode: 5 });
      expect(await visibleIn(Q).catch(() => [])).toEqual(isAll ? ['7', '8'] : []);
    }
  });

  it('copies the new one if the height is replaced meanwhile', async () => {
    const { dir, P, Q, notes, run } = await copying();
    const other = path.join(dir, 'other');
    await cp(path.join(base, 'other', '8'), other, { recursive: true });
    const progress = {
      ...atAdvance(3, () => {
        rmSync(path.join(P, '8'), { recursive: true });
        renameSync(other, path.join(P, '8'));
      }),
      note: (message: string) => void notes.push(message),
    };
    await run({ heights: [8], progress });
    expect(notes).toEqual([expect.stringContaining('height 8 of the source was replaced')]);
    expect(await listTree(path.join(Q, '8'))).toEqual(await listTree(path.join(P, '8')));
    await verify({ source: path.join(Q, '8') });
  });
});

describe('a copy that is stopped', () => {
  it('goes on where it was, whichever height is copied next, and leaves nothing', async () => {
    const { P, Q, run } = await copying();
    const stop = new AbortController();
    const progress = atAdvance(6, () => {
      stop.abort(new Error('stopped'));
    });
    await expect(run({ progress, signal: stop.signal })).rejects.toThrow('stopped');
    const [work = '', ...more] = await readdir(Q);
    expect(more).toEqual([]);
    expect(work).toMatch(/^\.9-[0-9a-f]{12}$/u);
    // What is there already need not be in the source.
    const there = await chunksOf(path.join(Q, work, 'new'));
    expect(there.length).toBeGreaterThan(4);
    const stopAgain = new AbortController();
    const again = atAdvance(2, () => {
      stopAgain.abort(new Error('stopped again'));
    });
    const gone = there.filter((chunk) => chunk.endsWith('.tar.zst'));
    for (const chunk of gone) await rm(path.join(P, '9', 'chunks', chunk));
    const options = { progress: again, signal: stopAgain.signal };
    await expect(run(options)).rejects.toThrow('stopped again');
    const { heights } = await run();
    expect(heights[0]?.from?.shared.chunks).toBe(gone.length);
    expect((await readdir(Q)).sort()).toEqual(['.swingsnap.json', '9']);
    const { summary } = await verify({ source: path.join(Q, '9') });
    expect(summary.hashes?.contentHash).toBe(hashes.get(9));
  });

  it('does not use a chunk that was cut short', async () => {
    const { P, Q, run } = await copying();
    const left = path.join(Q, '.9-0123456789ab', 'new', 'chunks');
    await mkdir(left, { recursive: true });
    await writeFile(path.join(Q, '.9-0123456789ab', '.lock'), 'a lock of swingsnap\n');
    const [one = '', other = ''] = await chunksOf(path.join(P, '9'));
    await writeFile(path.join(left, one), 'cut short');
    linkSync(path.join(P, '9', 'chunks', other), path.join(left, other));
    const { heights } = await run();
    expect(heights[0]?.from?.shared.chunks).toBe(1);
    expect((await readdir(Q)).sort()).toEqual(['.swingsnap.json', '9']);
    await verify({ source: path.join(Q, '9') });
  });
});
