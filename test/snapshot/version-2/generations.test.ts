/** Snapshots of one store at growing heights: what was packed together stays together as long as most of it is used. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../../src/io/progress.ts';
import { restore } from '../../../src/operation/restore/restore.ts';
import { verify } from '../../../src/operation/verify/verify.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../../fixtures/reference.ts';
import type { StoreArtifactMode, StoreSpec, VatSpec } from '../../fixtures/store-spec.ts';
import {
  chunksOf,
  entriesOf,
  inodesOf,
  strayFiles,
  take,
  unusedIn,
  type TakeOptions,
} from './taken.ts';

const VATS = 12;

/** How far the vats of a store are: heap snapshots that each has taken, and items of each current span. */
interface Stage {
  readonly height: number;
  readonly heaps?: Readonly<Record<string, number>>;
  readonly items?: Readonly<Record<string, number>>;
  readonly gone?: readonly string[];
  readonly bundles?: number;
}

function specOf({ height, heaps = {}, items = {}, gone = [], bundles = 2 }: Stage): StoreSpec {
  const vats = Array.from({ length: VATS }, (_, i): VatSpec => {
    const vatID = `v${i + 1}`;
    const past = Array.from({ length: heaps[vatID] ?? 1 }, (_, n) => ({
      items: [`"${vatID}, span ${n}"`],
      heap: { size: 20_000, seed: i * 100 + n },
    }));
    const current = Array.from({ length: items[vatID] ?? 1 }, (_, n) => `"${vatID}, item ${n}"`);
    return {
      vatID,
      incarnations: [{ spans: [...past, { items: current }] }],
      ...(gone.includes(vatID) && { terminated: 'deleted' as const }),
    };
  });
  return {
    height,
    keepSnapshots: true,
    kv: { 'vat.names': '[]', height: String(height) },
    vats,
    bundles: Array.from({ length: bundles }, (_, seed) => ({ format: 'b1', size: 3000, seed })),
  };
}

const stages = {
  first: { height: 1 },
  // Two heaps are new, a span has grown, a vat is gone, a bundle was added.
  second: { height: 2, heaps: { v1: 2, v2: 2 }, items: { v3: 2 }, gone: ['v12'], bundles: 3 },
  // Most vats have another heap, so that a chunk of the first height is mostly dead.
  third: {
    height: 3,
    heaps: { v1: 3, v2: 2, v3: 2, v4: 2, v5: 2, v6: 2 },
    items: { v3: 3 },
    gone: ['v12'],
    bundles: 3,
  },
} as const satisfies Record<string, Stage>;

describe('snapshots of version 2, one after the other', () => {
  const fileDir = useTempDir('file');
  const tempDir = useTempDir();
  const stores = new Map<string, Promise<string>>();
  afterAll(closeReference);

  /** The store at a stage, built once. */
  async function storeAt(stage: Stage): Promise<string> {
    const key = JSON.stringify(stage);
    const build = async (): Promise<string> => {
      const stateDir = await fileDir();
      await buildStore(stateDir, specOf(stage));
      return stateDir;
    };
    const built = stores.get(key) ?? build();
    stores.set(key, built);
    return built;
  }

  const taken = async (
    dir: string,
    stage: Stage,
    { mode = 'operational', ...options }: TakeOptions & { mode?: StoreArtifactMode } = {},
  ) => take(dir, { stateDir: await storeAt(stage), artifactMode: mode }, options);

  /** Verifies a snapshot and restores it: the reference must export from it what it exports from the store. */
  async function expectEqual(snapshot: string, stage: Stage, artifactMode: StoreArtifactMode) {
    const { summary } = await verify({ source: snapshot, progress: noProgress });
    const dir = await tempDir();
    const stateDir = path.join(dir, 'state');
    await restore({
      ...{ source: snapshot, stateDir, progress: noProgress },
      ...{ replace: false, requireProof: false, paranoid: true },
    });
    for (const from of [await storeAt(stage), stateDir]) {
      const exportDir = await tempDir();
      await referenceExport(from, exportDir, { artifactMode });
      const exported = await verify({ source: exportDir, progress: noProgress });
      expect(exported.summary.hashes).toEqual(summary.hashes);
    }
    expect(await strayFiles(snapshot)).toEqual([]);
  }

  it('links chunks of which most is used, and packs only what is new', async () => {
    const dir = await tempDir();
    const at = (height: number): string => path.join(dir, String(height));
    await taken(dir, stages.first);
    await expectEqual(at(1), stages.first, 'operational');
    const one = await chunksOf(at(1));
    // Chunks of eight and of four heaps, one of spans, one of bundles.
    const heapsOf = (chunks: Map<string, string>): string[] =>
      [...chunks].flatMap(([name, chunk]) => (name.startsWith('snapshot.') ? [chunk] : []));
    expect(new Set(heapsOf(one)).size).toBe(2);
    expect(await unusedIn(at(1))).toEqual([]);

    const second = await taken(dir, stages.second);
    await expectEqual(at(2), stages.second, 'operational');
    expect(second.manifest.version).toBe(2);
    expect(second.reusedFrom).toBe(1);
    const two = await chunksOf(at(2));
    const kept = [...two.keys()].filter((name) => one.has(name));
    for (const name of kept) expect([name, two.get(name)]).toEqual([name, one.get(name)]);
    expect(await unusedIn(at(2))).toEqual([
      ...['snapshot.v1.1', 'snapshot.v12.1', 'snapshot.v2.1'],
      ...['transcript.v1.1.2', 'transcript.v12.1.2', 'transcript.v2.1.2', 'transcript.v3.1.2'],
    ]);
    // The new heaps share a chunk, and nothing is in two chunks.
    expect(two.get('snapshot.v1.2')).toBe(two.get('snapshot.v2.2'));
    const [old, now] = [await inodesOf(at(1)), await inodesOf(at(2))];
    const links = [...now].filter(([chunk, inode]) => old.get(chunk) === inode);
    expect(links).toHaveLength(second.reused.chunks);
    expect(links).toHaveLength(new Set(one.values()).size);
    expect(second.reused.rechecked).toBe(second.reused.chunks);

    const third = await taken(dir, stages.third);
    await expectEqual(at(3), stages.third, 'operational');
    const three = await chunksOf(at(3));
    // Of the heaps that came with v12's, v2 to v6 are used no more, or since the second height.
    const ofFirst = new Set(heapsOf(one));
    const still = new Set(heapsOf(three).filter((chunk) => ofFirst.has(chunk)));
    expect(still.size).toBe(1);
    // What lives on in the other is packed anew.
    const [dead] = [...ofFirst].filter((chunk) => !still.has(chunk));
    const live = [...one].filter(([name, chunk]) => chunk === dead && three.has(name));
    for (const [name] of live) expect(three.get(name)).not.toBe(dead);
    expect(live.length).toBeGreaterThan(0);
    expect(third.reused.chunks).toBeGreaterThan(0);

    // Complete without the others.
    await rm(at(1), { recursive: true });
    await rm(at(2), { recursive: true });
    await expectEqual(at(3), stages.third, 'operational');
  });

  it('packs anew, with a note, what is damaged or missing in the earlier one', async () => {
    const spoil = {
      damaged: async (file: string) => {
        const bytes = await readFile(file);
        bytes[bytes.length >> 1]! ^= 1;
        await rm(file);
        await writeFile(file, bytes);
      },
      missing: async (file: string) => rm(file),
    };
    for (const [what, change] of Object.entries(spoil)) {
      const dir = await tempDir();
      await taken(dir, stages.first);
      const chunk = (await chunksOf(path.join(dir, '1'))).get('snapshot.v7.1')!;
      await change(path.join(dir, '1', 'chunks', `${chunk}.tar.zst`));
      const second = await taken(dir, stages.second);
      const notes = second.notes.filter((note) => note.includes('is not whole'));
      expect([what, notes]).toEqual([what, [expect.stringContaining(`chunks/${chunk}.tar.zst`)]]);
      const two = await chunksOf(path.join(dir, '2'));
      expect(two.get('snapshot.v7.1')).not.toBe(chunk);
      expect([...two.values()]).not.toContain(chunk);
      expect(second.reused.chunks).toBeGreaterThan(0);
      await expectEqual(path.join(dir, '2'), stages.second, 'operational');
    }
  });

  it('links chunks of version 1, and version 1 links none of version 2', async () => {
    const dir = await tempDir();
    const at = (height: number): string => path.join(dir, String(height));
    await taken(dir, stages.first, { formatVersion: 1 });
    const second = await taken(dir, stages.second);
    expect(second.manifest.version).toBe(2);
    expect(second.reused.chunks).toBeGreaterThan(0);
    const [one, two] = [await chunksOf(at(1)), await chunksOf(at(2))];
    expect(two.get('snapshot.v7.1')).toBe(one.get('snapshot.v7.1'));
    expect(await unusedIn(at(2))).toContain('snapshot.v1.1');
    await expectEqual(at(2), stages.second, 'operational');

    const third = await taken(dir, stages.third, { formatVersion: 1 });
    expect([third.manifest.version, third.reusedFrom]).toEqual([1, 1]);
    expect((await entriesOf(at(3))).filter((entry) => 'unused' in entry)).toEqual([]);
    await expectEqual(at(3), stages.third, 'operational');
    await rm(at(1), { recursive: true });
    const fourth = await taken(dir, { ...stages.third, height: 4 }, { formatVersion: 1 });
    expect([fourth.reusedFrom, fourth.reused.chunks]).toEqual([3, expect.any(Number)]);
  });

  it('reuses everything if the same height is taken again', async () => {
    const dir = await tempDir();
    await taken(dir, stages.first);
    await taken(dir, stages.second);
    for (const replace of [false, true]) {
      const again = await taken(dir, stages.second, { replace });
      expect([again.written, again.reusedFrom]).toEqual([false, 2]);
      expect(again.reused.chunks).toBe(again.manifest.chunks.count);
      await expectEqual(path.join(dir, '2'), stages.second, 'operational');
    }
  });

  it('packs what comes one by one together when there are eight chunks of it', async () => {
    const dir = await tempDir();
    const stage = (height: number): Stage => ({ height, bundles: height + 1 });
    const bundleChunks = async (height: number): Promise<number> => {
      const chunks = [...(await chunksOf(path.join(dir, String(height))))];
      return new Set(chunks.flatMap(([name, at]) => (name.startsWith('bundle.') ? [at] : []))).size;
    };
    for (let height = 1; height <= 8; height += 1) await taken(dir, stage(height));
    expect(await bundleChunks(8)).toBe(8);
    const together = await taken(dir, stage(9));
    expect(await bundleChunks(9)).toBe(1);
    // What is in full groups stays.
    expect(together.reused.chunks).toBeGreaterThanOrEqual(3);
    expect(await unusedIn(path.join(dir, '9'))).toEqual([]);
    await expectEqual(path.join(dir, '9'), stage(9), 'operational');
    await taken(dir, stage(10));
    expect(await bundleChunks(10)).toBe(2);
  });

  it('adds only the history if the artifact mode grows, and keeps it unused when it shrinks', async () => {
    const dir = await tempDir();
    const at = (height: number): string => path.join(dir, String(height));
    const stage = (height: number): Stage => ({ ...stages.third, height });
    await taken(dir, stage(3));
    const archival = await taken(dir, stage(4), { mode: 'archival' });
    const [three, four] = [await chunksOf(at(3)), await chunksOf(at(4))];
    for (const [name, chunk] of three) expect([name, four.get(name)]).toEqual([name, chunk]);
    expect(four.size).toBeGreaterThan(three.size);
    expect(archival.manifest.modules.swingset.artifactMode).toBe('archival');
    await expectEqual(at(4), stage(4), 'archival');
    await taken(dir, stage(5));
    expect((await chunksOf(at(5))).size).toBe(three.size);
    await expectEqual(at(5), stage(5), 'operational');
    await taken(dir, stage(6), { mode: 'archival' });
    expect((await chunksOf(at(6))).size).toBe(four.size);
    await expectEqual(at(6), stage(6), 'archival');
  });

  it('holds all of a store in mode debug', async () => {
    const dir = await tempDir();
    const at = (height: number): string => path.join(dir, String(height));
    await taken(dir, stages.second, { mode: 'debug' });
    const third = await taken(dir, stages.third, { mode: 'debug' });
    const [two, three] = [await chunksOf(at(2)), await chunksOf(at(3))];
    expect(three.get('snapshot.v1.1')).toBe(two.get('snapshot.v1.1'));
    expect(third.reused.chunks).toBeGreaterThan(0);
    await expectEqual(at(3), stages.third, 'debug');
  });
});
