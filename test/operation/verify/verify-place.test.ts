/** `verify --all` and `--sample`: what they read, what they prove, and how they name damage. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cp, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { noProgress, type Progress } from '../../../src/io/progress.ts';
import {
  verifyPlace,
  type VerifiedPlace,
  type VerifyPlaceOptions,
} from '../../../src/operation/verify/verify-place.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { makeContent, noise, writeExportDir } from '../../snapshot/made-export.ts';
import { take } from '../../snapshot/version-2/taken.ts';

const MIB = 1024 * 1024;
const fileDir = useTempDir('file');
const tempDir = useTempDir();
/** The heights 7, 8 and 9, which share chunks by links. */
let base: string;
/** What the maker of `base` knows. */
let maker: string;
let chunksOf9: string[];

beforeAll(async () => {
  const dir = await fileDir();
  [base, maker] = [path.join(dir, 'P'), path.join(dir, 'maker')];
  vi.stubEnv('SWINGSNAP_STATE_DIR', maker);
  await mkdir(maker, { mode: 0o700 });
  const kv = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`k${i}`, noise(1000, i)]));
  const vats = Array.from({ length: 4 }, (_, i) => ({
    ...{
      vatID: `v${i}`,
      heap: Buffer.from(noise(MIB + i, `heap ${i}`)),
      spans: [['one'], ['two']],
    },
  }));
  for (const height of [7, 8, 9]) {
    const exportDir = path.join(dir, `E${height}`);
    await writeExportDir(exportDir, makeContent({ height, kv: { ...kv, at: `${height}` }, vats }));
    const source = { exportDir, remove: 'never', wait: false } as const;
    await take(base, source, { formatVersion: 1, chunkBytes: 4 * MIB });
  }
  chunksOf9 = await readdir(path.join(base, '9', 'chunks'));
  vi.unstubAllEnvs();
});

beforeEach(() => {
  vi.stubEnv('SWINGSNAP_STATE_DIR', maker);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const verified = async (options: Partial<VerifyPlaceOptions> = {}): Promise<VerifiedPlace> =>
  verifyPlace({ source: base, all: true, ...options });

const proofs = ({ heights }: VerifiedPlace): string[] =>
  heights.map(({ height, proof }) => `${height} ${proof}`);

/** A copy, in which heights still share files by links. */
async function copied(): Promise<string> {
  const to = path.join(await tempDir(), 'P');
  await mkdir(to);
  for (const height of ['7', '8', '9']) {
    await cp(path.join(base, height), path.join(to, height), { recursive: true });
  }
  return to;
}

async function flip(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, 100);
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, 100);
  await handle.close();
}

async function failing(options: VerifyPlaceOptions): Promise<{ error: unknown; notes: string[] }> {
  const notes: string[] = [];
  const progress: Progress = { ...noProgress, note: (message) => void notes.push(message) };
  const error: unknown = await verifyPlace({ ...options, progress }).catch((e: unknown) => e);
  return { error, notes };
}

describe('verify --all', () => {
  it('unpacks the highest height, and hashes what the others have beside it once', async () => {
    const result = await verified();
    expect(proofs(result)).toEqual(['9 unpacked', '8 known', '7 known']);
    const counts = await Promise.all(
      ['7', '8', '9'].map(async (name) => (await readdir(path.join(base, name, 'chunks'))).length),
    );
    const all = counts.reduce((a, b) => a + b);
    // Two of three heights have one chunk of their own.
    expect(result.chunks.count).toBe(counts[2]! + 2);
    expect(result.chunks.count).toBeLessThan(all / 2);
    expect(result.read).toEqual(result.chunks);
  });

  it('unpacks what this user neither made nor verified, and knows it from then on', async () => {
    const own = path.join(await tempDir(), 'own');
    await mkdir(own, { mode: 0o700 });
    vi.stubEnv('SWINGSNAP_STATE_DIR', own);
    expect(proofs(await verified())).toEqual(['9 unpacked', '8 unpacked', '7 unpacked']);
    expect(proofs(await verified())).toEqual(['9 unpacked', '8 known', '7 known']);
  });

  it('names a damaged chunk and the heights that it hurts', async () => {
    const P = await copied();
    const chunks = await readdir(path.join(P, '7', 'chunks'));
    const [chunk = ''] = chunks.filter((one) => !chunksOf9.includes(one));
    await flip(path.join(P, '7', 'chunks', chunk));
    const { error, notes } = await failing({ source: P, all: true });
    const sha256 = chunk.replace('.tar.zst', '');
    expect(error).toMatchObject({
      code: 'DAMAGE',
      exitCode: 3,
      found: `heights 7; chunks ${sha256}`,
    });
    expect(notes).toEqual([`chunk ${sha256} of heights 7: a chunk has the wrong hash`]);
  });
});

describe('verify --all of shared damage', () => {
  it('names all heights that share the file, and those whose list or manifest is wrong', async () => {
    const dir = await tempDir();
    const P = path.join(dir, 'P');
    execFileSync('cp', ['-a', base, P]);
    const shared = (await readdir(path.join(P, '8', 'chunks'))).find((chunk) =>
      chunksOf9.includes(chunk),
    )!;
    await flip(path.join(P, '9', 'chunks', shared));
    const sha256 = shared.replace('.tar.zst', '');
    const first = await failing({ source: P, all: true });
    expect(first.error).toMatchObject({
      code: 'DAMAGE',
      found: `heights 9, 8, 7; chunks ${sha256}`,
    });
    expect(first.notes).toContainEqual(
      `chunk ${sha256} of heights 9, 8, 7: a chunk has the wrong hash`,
    );
    await flip(path.join(P, '9', 'chunks', shared));
    const list = path.join(P, '8', 'entries.jsonl.zst');
    const bytes = await readFile(list);
    await rm(list);
    await writeFile(list, bytes.subarray(0, -1));
    const second = await failing({ source: P, all: true });
    expect(second.error).toMatchObject({ code: 'DAMAGE', exitCode: 3, found: 'heights 8' });
    expect(second.notes).toEqual([expect.stringMatching(/^height 8: .*list/u)]);
  });

  it('passes over what is removed meanwhile, and over what is no snapshot', async () => {
    const P = await copied();
    await mkdir(path.join(P, '6'));
    const notes: string[] = [];
    const progress = {
      ...noProgress,
      phase: (name: string) => {
        if (name === 'height 9') rmSync(path.join(P, '7'), { recursive: true });
      },
      note: (message: string) => void notes.push(message),
    };
    expect(proofs(await verified({ source: P, progress }))).toEqual(['9 unpacked', '8 known']);
    expect(notes).toEqual([expect.stringContaining('height 7: ')]);
  });
});

describe('verify --sample', () => {
  it('reads about that share of the bytes, the same with the same seed', async () => {
    const first = await verified({ sample: 0.3, seed: 'one' });
    expect(first.sampled).toEqual({ share: 0.3, seed: 'one' });
    expect(proofs(first)).toEqual(['9 sampled', '8 sampled', '7 sampled']);
    expect(first.read.size).toBeGreaterThanOrEqual(first.chunks.size * 0.3);
    expect(first.read.count).toBeLessThan(first.chunks.count);
    expect(await verified({ sample: 0.3, seed: 'one' })).toEqual(first);
    const drawn = await verified({ sample: 0.3 });
    const { seed } = drawn.sampled!;
    expect(await verified({ sample: 0.3, seed })).toEqual(drawn);
    const one = await verified({ all: false, sample: 1 });
    expect(proofs(one)).toEqual(['9 sampled']);
    expect(one.read).toEqual(one.chunks);
  });

  it('does not read the other chunks, and finds damage in its own', async () => {
    const P = await copied();
    const [chunk = ''] = chunksOf9;
    await flip(path.join(P, '9', 'chunks', chunk));
    const ends = new Set<string>();
    for (let seed = 0; seed < 12; seed += 1) {
      const options = { source: path.join(P, '9'), sample: 0.1, seed: String(seed) };
      const { error } = await failing(options);
      ends.add(error instanceof Error ? (error as Error & { code: string }).code : 'ok');
    }
    expect([...ends].sort()).toEqual(['DAMAGE', 'ok']);
    const { error } = await failing({ source: P, all: true, sample: 1 });
    expect(error).toMatchObject({
      code: 'DAMAGE',
      found: expect.stringContaining(chunk.slice(0, 64)) as string,
    });
  });
});
