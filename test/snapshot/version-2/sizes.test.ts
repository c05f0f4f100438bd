/** Stores that tell wrong sizes of their heap snapshots: the sizes choose the window, and prove nothing. */
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../../src/io/sqlite.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { buildStore, closeReference } from '../../fixtures/reference.ts';
import { restore, verify } from '../refusal.ts';
import { strayFiles, take } from './taken.ts';

const MIB = 1024 * 1024;

describe('a store that tells the size of a heap snapshot', () => {
  const fileDir = useTempDir('file');
  const tempDir = useTempDir();
  let honest: string;
  let contentHash: string;
  let operationalHash: string;

  const taken = async (stateDir: string, dir: string) =>
    take(dir, { stateDir, artifactMode: 'operational' });

  beforeAll(async () => {
    honest = path.join(await fileDir(), 'honest');
    await buildStore(honest, {
      height: 5,
      vats: ['v1', 'v2', 'v3'].map((vatID, seed) => ({
        vatID,
        // Together more than 4 MiB, so that their window is larger than the smallest.
        incarnations: [
          { spans: [{ items: ['a'], heap: { size: 1_800_000, seed } }, { items: ['b'] }] },
        ],
      })),
    });
    const { manifest } = await taken(honest, await fileDir());
    ({ contentHash } = manifest);
    ({ operationalHash } = manifest.modules.swingset);
  });
  afterAll(closeReference);

  it.each([
    ['as 0', 0],
    ['as less than it is', 1000],
    ['as a negative number', -5],
    ['as more than it is', 20 * MIB],
    ['as the most that is read as a whole', 64 * MIB],
    ['as more than that', 64 * MIB + 1],
    ['as much more', 2 ** 52],
    ['as text', 'large'],
    ['as a fraction', 1.5],
    ['as nothing', null],
  ])('%s gives the snapshot of the honest store', async (_what, size) => {
    for (const which of ["vatID = 'v2'", '1']) {
      const dir = await tempDir();
      const stateDir = path.join(dir, 'state');
      await cp(honest, stateDir, { recursive: true });
      const db = openDatabase(path.join(stateDir, 'swingstore.sqlite'));
      db.prepare(`UPDATE snapshots SET uncompressedSize = ? WHERE ${which}`).run(size);
      db.close();
      const snapshots = path.join(dir, 'snapshots');
      const { manifest } = await taken(stateDir, snapshots);
      expect(manifest.contentHash).toBe(contentHash);
      expect(manifest.modules.swingset.operationalHash).toBe(operationalHash);
      const snapshot = path.join(snapshots, '5');
      expect(await verify(snapshot)).toBeUndefined();
      expect(await restore(snapshot, await tempDir())).toBeUndefined();
      expect(await strayFiles(snapshot)).toEqual([]);
    }
  });

  it('at one height and not at the next keeps what is packed', async () => {
    const dir = await tempDir();
    await taken(honest, path.join(dir, 'snapshots'));
    const stateDir = path.join(dir, 'state');
    await cp(honest, stateDir, { recursive: true });
    const db = openDatabase(path.join(stateDir, 'swingstore.sqlite'));
    db.exec('UPDATE snapshots SET uncompressedSize = NULL');
    db.close();
    const again = await taken(stateDir, path.join(dir, 'snapshots'));
    expect(again.written).toBe(false);
    expect(again.reused.chunks).toBe(again.manifest.chunks.count);
    expect(again.manifest.contentHash).toBe(contentHash);
  });
});
