/** Snapshots that a real node wrote: what an independent reader and the node's own restore made of them. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findStateSync } from '../../src/formats/state-sync/find.ts';
import { chunksOf } from '../../src/formats/state-sync/open.ts';
import { CodeHashes } from '../../src/formats/state-sync/proof/code-hashes.ts';
import { readStores } from '../../src/formats/state-sync/proof/read-stores.ts';
import { ItemReader } from '../../src/formats/state-sync/stream/items.ts';
import { inlinePool } from '../../src/io/threads/pool.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference, referenceExport } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { loadArchive } from '../fixtures/state-sync/load-archive.ts';
import { REAL_SNAPSHOTS } from '../fixtures/state-sync/real-node.ts';
import { ExportFiles } from './export-files.ts';

const tempDir = useTempDir();
afterAll(closeReference);

const hashed = (bytes: Buffer) => ({
  size: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

describe.each(REAL_SNAPSHOTS)('the snapshot of a real node: $name', (real) => {
  const { expected } = real;

  it('has chunks, a stream and roots of stores with the hashes that another reader computed', async () => {
    const { chunks, raw, hash } = loadArchive(real.archive);
    expect(chunks.map(hashed)).toEqual(expected.chunks);
    expect(hash).toBe(expected.snapshotHash);
    expect(hashed(raw)).toEqual(expected.stream);
    const reader = new ItemReader(chunksOf(findStateSync(real.archive)!), real.archive);
    const codes = new CodeHashes(await tempDir(), real.archive);
    const { roots } = await readStores(reader, {
      location: real.archive,
      height: expected.height,
      exportData: undefined,
      codes,
      pool: inlinePool,
    });
    codes.close();
    await reader.close();
    const byName = Object.entries(expected.stores).map(([name, { root }]) => [name, root]);
    expect(roots.map(({ name, root }) => [name, Buffer.from(root).toString('hex')])).toEqual(
      byName,
    );
  });

  it('is proved by the header of the next block, from its archive and from the home of the node', async () => {
    expect(real.appHash).toBe(expected.appHash);
    const home = await tempDir();
    real.layOut(home);
    for (const source of [real.archive, home]) {
      const verify = ['verify', source, '--app-hash', real.appHash, '--require-proof', '--json'];
      const { json, exitCode, stderr } = await runCli(verify);
      expect(exitCode, stderr).toBe(0);
      expect(json).toMatchObject({
        form: 'state-sync snapshot',
        height: expected.height,
        artifactMode: 'operational',
        appHash: { appHash: expected.appHash, memStores: [], isProved: true },
        exportData: { entries: expected.exportData.entries },
        artifacts: { count: expected.artifacts.length },
      });
    }
  });

  it('becomes the store that the restore of the node made of it', async () => {
    const dir = await tempDir();
    const S = path.join(dir, 'S');
    const restore = ['restore', real.archive, '--state-dir', S, '--app-hash', real.appHash];
    expect(await runCli(restore)).toMatchObject({ exitCode: 0 });
    const [ours, reference] = [path.join(dir, 'ours'), path.join(dir, 'reference')];
    await mkdir(reference);
    await referenceExport(S, reference, { artifactMode: 'operational' });
    const toOurs = ['export', '--state-dir', S, '--export-dir', ours];
    expect(await runCli([...toOurs, '--artifact-mode', 'operational'])).toMatchObject({
      exitCode: 0,
    });
    for (const at of [reference, ours]) {
      const { manifest, files, lines, data } = await ExportFiles.read(at);
      expect(manifest['blockHeight']).toBe(expected.height);
      expect({ entries: lines.length, sha256: hashed(data).sha256 }).toEqual(expected.exportData);
      const artifacts = manifest.artifacts.map(([name, file]) => ({
        name,
        ...hashed(files.get(file)!),
      }));
      expect(artifacts).toEqual(expected.artifacts);
    }
  });
});
