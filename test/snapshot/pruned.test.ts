/** A snapshot that is removed while it is read: the reader succeeds or has exit code 5, and never a wrong result. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { noProgress, type Progress } from '../../src/io/progress.ts';
import type { NamedPlace } from '../../src/operation/places.ts';
import { restore } from '../../src/operation/restore/restore.ts';
import { retrieve as retrieveSnapshot } from '../../src/operation/retrieve/retrieve.ts';
import { quicklyVerify, verify } from '../../src/operation/verify/verify.ts';
import { listTree, useTempDir, visibleIn } from '../fixtures/directories.ts';
import { sha256 } from '../modules/hashes.ts';
import { makeContent, noise, severalSegments, sixVats, writeExportDir } from './made-export.ts';

const MIB = 1024 * 1024;
const fileDir = useTempDir('file');
const tempDir = useTempDir();

const kv = severalSegments;
const vats = sixVats;

/** Has the heights 7 and 8, which share chunks, `wasm`, `ibc`, and exports of both heights and of 9. */
let base: string;
const heights = [7, 8, 9] as const;
const hashes = new Map<number, string>();

const placesIn = (dir: string): NamedPlace[] => [
  { name: 'wasm', kind: 'wasm', dir: path.join(dir, 'wasm') },
  { name: 'ibc', kind: 'files', dir: path.join(dir, 'ibc') },
];

async function retrieve(dir: string, height: number, progress: Progress = noProgress) {
  return retrieveSnapshot({
    source: { exportDir: path.join(base, `E${height}`), remove: 'never', wait: false },
    snapshotDir: path.join(dir, 'D'),
    create: true,
    modules: placesIn(base),
    chunkBytes: 4 * MIB,
    replace: false,
    madeBy: 'a test',
    progress,
  });
}

beforeAll(async () => {
  base = await fileDir();
  for (const height of heights) {
    const spec = { height, kv: { ...kv, [`height ${height}`]: 'x' }, vats };
    await writeExportDir(path.join(base, `E${height}`), makeContent(spec));
  }
  await mkdir(path.join(base, 'wasm'));
  await mkdir(path.join(base, 'ibc'));
  for (let i = 0; i < 4; i += 1) {
    const code = Buffer.from(noise(MIB, `code ${i}`));
    await writeFile(path.join(base, 'wasm', sha256(code)), code);
    await writeFile(path.join(base, 'ibc', `file ${i}`), noise(MIB, `file ${i}`));
  }
  for (const height of heights.slice(0, 2)) {
    const { manifest, reused } = await retrieve(base, height);
    hashes.set(height, manifest.contentHash);
    if (height === 8) expect(reused.chunks).toBeGreaterThan(10);
  }
});

async function snapshots(): Promise<{ dir: string; at: (height: number) => string }> {
  const dir = await tempDir();
  await cp(path.join(base, 'D'), path.join(dir, 'D'), { recursive: true });
  return { dir, at: (height) => path.join(dir, 'D', String(height)) };
}

/** The ways to remove a snapshot. */
const WAYS: Readonly<Record<string, (snapshot: string) => void>> = {
  'rm -rf': (snapshot) => {
    rmSync(snapshot, { recursive: true });
  },
  // Like `--keep-last`: hides it from readers at once, then removes it.
  '--keep-last': (snapshot) => {
    const work = path.join(path.dirname(snapshot), '.7-0123456789ab');
    mkdirSync(work);
    renameSync(snapshot, path.join(work, 'removed'));
    rmSync(work, { recursive: true });
  },
};

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

const POINTS = [1, 2, 5, 9, 14];

describe.each(Object.entries(WAYS))(
  'a snapshot that is removed by %s while it is read',
  (_way, remove) => {
    async function expectGoneOrRight(work: Promise<string | undefined>): Promise<'gone' | 'right'> {
      try {
        expect(await work).toBe(hashes.get(7));
        return 'right';
      } catch (error) {
        expect(error).toMatchObject({ exitCode: 5, code: 'SNAPSHOT_GONE' });
        return 'gone';
      }
    }

    it('ends verify with exit code 5, or lets it end', async () => {
      const ends = new Set<string>();
      for (const point of POINTS) {
        const { at } = await snapshots();
        const progress = atAdvance(point, () => {
          remove(at(7));
        });
        const work = verify({ source: at(7), progress });
        ends.add(await expectGoneOrRight(work.then(({ summary }) => summary.hashes?.contentHash)));
        // The other height is unchanged.
        const { summary } = await verify({ source: at(8), progress: noProgress });
        expect(summary.hashes?.contentHash).toBe(hashes.get(8));
      }
      expect(ends).toContain('gone');
    });

    it('ends verify --quick with exit code 5, or lets it end', async () => {
      const { at } = await snapshots();
      const progress = atAdvance(1, () => {
        remove(at(7));
      });
      const work = quicklyVerify({ source: at(7), progress });
      expect(await expectGoneOrRight(work.then(({ contentHash }) => contentHash))).toBe('gone');
    });

    it('ends restore with exit code 5 and nothing of any module, or lets it end', async () => {
      const ends = new Set<string>();
      for (const point of POINTS) {
        const { at } = await snapshots();
        const node = await tempDir();
        const progress = atAdvance(point, () => {
          remove(at(7));
        });
        const work = restore({
          source: at(7),
          stateDir: path.join(node, 'S'),
          modules: placesIn(node),
          replace: false,
          requireProof: false,
          paranoid: false,
          progress,
        });
        const end = await expectGoneOrRight(
          work.then(({ summary }) => summary.hashes?.contentHash),
        );
        ends.add(end);
        expect((await readdir(node)).sort()).toEqual(end === 'gone' ? [] : ['S', 'ibc', 'wasm']);
      }
      expect(ends).toContain('gone');
    });

    it('does not disturb a snapshot that reuses its chunks', async () => {
      for (const point of POINTS) {
        const { dir, at } = await snapshots();
        rmSync(at(8), { recursive: true });
        const progress = atAdvance(point, () => {
          remove(at(7));
        });
        const { reusedFrom } = await retrieve(dir, 9, progress);
        expect(reusedFrom).toBe(7);
        const { modules } = await verify({
          source: at(9),
          modules: placesIn(base),
          progress: noProgress,
        });
        expect(modules).toHaveLength(3);
        expect(await visibleIn(path.join(dir, 'D'))).toEqual(['9']);
      }
    });

    it('leaves a later height that shares its chunks unchanged, even while that is read', async () => {
      const dir = await tempDir();
      for (const height of [7, 8]) await retrieve(dir, height);
      const at = (height: number): string => path.join(dir, 'D', String(height));
      const before = await listTree(at(8));
      const progress = atAdvance(2, () => {
        remove(at(7));
      });
      const { summary } = await verify({ source: at(8), modules: placesIn(base), progress });
      expect(summary.hashes?.contentHash).toBe(hashes.get(8));
      expect(await listTree(at(8))).toEqual(before);
      expect(await visibleIn(path.join(dir, 'D'))).toEqual(['8']);
    });
  },
);
