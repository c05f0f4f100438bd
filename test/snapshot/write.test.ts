import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { SwingSnapError } from '../../src/errors.ts';
import { noProgress } from '../../src/io/progress.ts';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { retrieve, type RetrieveOptions } from '../../src/operation/retrieve/retrieve.ts';
import { directoryStorage } from '../../src/storage/directory.ts';
import { copyUnverified } from '../../src/swing-store-export/copy-unverified.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { listTree, useTempDir, visibleIn } from '../fixtures/directories.ts';
import {
  makeContent,
  openContent,
  smallSpec,
  splitSpec,
  writeExportDir,
  type MadeSpec,
} from './made-export.ts';
import { verify } from './refusal.ts';
import { writeSnapshot } from './write-snapshot.ts';

const MIB = 1024 * 1024;
const tempDir = useTempDir();
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

async function write(
  dir: string,
  spec: MadeSpec,
  options: {
    replace?: boolean;
    level?: number;
    signal?: AbortSignal;
    madeBy?: string;
    madeAt?: Date;
  } = {},
) {
  const content = makeContent(spec);
  const { signal, ...others } = options;
  const all = { codec, level: 3, chunkBytes: 4 * MIB, replace: false, madeBy: 'a test', ...others };
  const makeSink = async () =>
    writeSnapshot(directoryStorage(dir), { ...all, height: content.height });
  return (await copyVerified(openContent(content), makeSink, { signal })).result;
}

const otherSpec: MadeSpec = { ...smallSpec, kv: { a: 'another' } };

describe('writing a snapshot where one of its height exists', () => {
  it('writes nothing if it is the same, however the existing one was compressed', async () => {
    const dir = await tempDir();
    const first = await write(dir, smallSpec);
    const before = await listTree(dir);
    for (const replace of [false, true]) {
      const second = await write(dir, smallSpec, { level: 1, replace });
      expect(second).toMatchObject({ manifest: first.manifest, written: false });
      expect(await listTree(dir)).toEqual(before);
    }
  });

  it('writes nothing if it is the same, whenever and by which version the existing one was made', async () => {
    const dir = await tempDir();
    const at = '2026-11-27T03:17:00.000Z';
    const { manifest } = await write(dir, smallSpec, { madeAt: new Date(at) });
    expect(manifest.made).toMatchObject({ by: 'a test', at });
    // Without a belief, only a snapshot that needs no other proof is the same.
    const later = { madeBy: 'a later test', madeAt: new Date('2026-11-28T03:17:00Z') };
    expect(await write(dir, smallSpec, later)).toMatchObject({ manifest, written: false });
  });

  it('refuses if it differs, naming both hashes, and changes nothing', async () => {
    const dir = await tempDir();
    const first = await write(dir, smallSpec);
    const before = await listTree(dir);
    const other = await write(await tempDir(), otherSpec);
    await expect(write(dir, otherSpec)).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      exitCode: 1,
      expected: other.manifest.contentHash,
      found: first.manifest.contentHash,
    });
    expect(await listTree(dir)).toEqual(before);
  });

  it('replaces a different one if that is allowed', async () => {
    const dir = await tempDir();
    await write(dir, smallSpec);
    expect(await write(dir, otherSpec, { replace: true })).toMatchObject({ written: true });
    expect(await verify(path.join(dir, '7'))).toBeUndefined();
    const alone = await tempDir();
    await write(alone, otherSpec);
    expect(await listTree(dir)).toEqual(await listTree(alone));
  });

  it.each([
    ['missing chunks', async (dir: string) => rm(path.join(dir, 'chunks'), { recursive: true })],
    ['no manifest', async (dir: string) => rm(path.join(dir, 'manifest.json'))],
    [
      'an invalid manifest',
      async (dir: string) => writeFile(path.join(dir, 'manifest.json'), '{}'),
    ],
    [
      'a changed byte in its list',
      async (dir: string) => {
        const file = path.join(dir, 'entries.jsonl.zst');
        const bytes = await readFile(file);
        bytes[9]! ^= 1;
        await writeFile(file, bytes);
      },
    ],
  ])(
    'refuses one with %s as damaged, and replaces it if that is allowed',
    async (_what, damage) => {
      const dir = await tempDir();
      await write(dir, smallSpec);
      await damage(path.join(dir, '7'));
      const before = await listTree(dir);
      await expect(write(dir, smallSpec)).rejects.toMatchObject({
        code: 'SNAPSHOT_EXISTS',
        exitCode: 3,
        found: expect.stringContaining('damaged') as unknown,
        hint: expect.stringContaining('--replace') as unknown,
      });
      expect(await listTree(dir)).toEqual(before);
      expect(await write(dir, smallSpec, { replace: true })).toMatchObject({ written: true });
      expect(await verify(path.join(dir, '7'))).toBeUndefined();
    },
  );

  it('treats one behind a link as the existing one', async () => {
    const dir = await tempDir();
    await write(dir, smallSpec);
    const other = await tempDir();
    await symlink(path.join(dir, '7'), path.join(other, '7'));
    expect(await write(other, smallSpec)).toMatchObject({ written: false });
  });
});

describe('a snapshot that fails to be written', () => {
  it('leaves nothing if the export is wrong, wherever that is detected', async () => {
    const content = makeContent(splitSpec);
    const [first, ...rest] = content.artifacts;
    const wrong = [
      { ...content, artifacts: rest },
      { ...content, artifacts: [{ ...first!, data: first!.data.subarray(1) }, ...rest] },
      { ...content, artifacts: [...content.artifacts, first!] },
      { ...content, lines: content.lines.slice(0, -1) },
    ];
    for (const one of wrong) {
      const above = await tempDir();
      const dir = path.join(above, 'not', 'there');
      const options = { codec, level: 3, chunkBytes: 4 * MIB, replace: false, madeBy: 'a test' };
      const made = copyVerified(openContent(one), async () =>
        writeSnapshot(directoryStorage(dir), { ...options, height: 7 }),
      );
      await expect(made).rejects.toMatchObject({ exitCode: 3 });
      expect(await listTree(above)).toEqual({});
    }
  });

  it('leaves nothing if it is stopped', async () => {
    const above = await tempDir();
    const reason = new Error('stop');
    const stopped = write(path.join(above, 'dir'), splitSpec, {
      signal: AbortSignal.abort(reason),
    });
    await expect(stopped).rejects.toBe(reason);
    expect(await listTree(above)).toEqual({});
  });

  it('is refused if its content was not verified', async () => {
    const dir = await tempDir();
    const options = { codec, level: 3, chunkBytes: 4 * MIB, replace: false, madeBy: 'a test' };
    const sink = await writeSnapshot(directoryStorage(dir), { ...options, height: 7 });
    const source = openContent(makeContent(smallSpec));
    const copied = copyUnverified(source, sink, 'archival', { progress: noProgress });
    await expect(copied).rejects.toMatchObject({ code: 'UNVERIFIED' });
    expect(await listTree(dir)).toEqual({});
  });

  it('is refused if the bytes of an artifact are not those that were hashed', async () => {
    const dir = await tempDir();
    const options = { codec, level: 3, chunkBytes: 4 * MIB, replace: false, madeBy: 'a test' };
    const sink = await writeSnapshot(directoryStorage(dir), { ...options, height: 7 });
    await sink.writeArtifact('bundle.b', pieces('four'), 'bundle:b');
    const hash = '0'.repeat(64);
    const summary = {
      height: 7,
      artifactMode: 'operational',
      exportData: { entries: 0, size: 0 },
      artifacts: { count: 1, size: 3 },
      hashes: { exportDataHash: hash, operationalHash: hash, contentHash: hash },
    } as const;
    await expect(sink.finish(summary)).rejects.toThrow(SwingSnapError);
    await sink.abort();
    expect(await listTree(dir)).toEqual({});
  });
});

async function* pieces(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

describe('retrieve with --keep-last', () => {
  const sample = fileURLToPath(new URL('../fixtures/frozen/snapshot-1', import.meta.url));

  /** An export directory of the height, written as the reference would. */
  async function exportDirectory(height: number): Promise<string> {
    return writeExportDir(await tempDir(), makeContent({ ...smallSpec, height }));
  }

  async function retrieveInto(
    snapshotDir: string,
    height: number,
    others: Partial<RetrieveOptions>,
  ) {
    return retrieve({
      source: { exportDir: await exportDirectory(height), remove: 'never', wait: false },
      snapshotDir,
      create: true,
      replace: false,
      madeBy: 'a test',
      progress: noProgress,
      ...others,
    });
  }

  it('removes the lowest heights, and nothing else', async () => {
    const dir = await tempDir();
    for (const height of [5, 100, 20, 9]) await retrieveInto(dir, height, {});
    await mkdir(path.join(dir, 'notes'));
    await mkdir(path.join(dir, '007'));
    await cp(sample, path.join(dir, 'backup'), { recursive: true });
    const { removedHeights } = await retrieveInto(dir, 50, { keepLast: 3 });
    expect([...removedHeights].sort((a, b) => a - b)).toEqual([5, 9]);
    expect(await visibleIn(dir)).toEqual(['007', '100', '20', '50', 'backup', 'notes']);
  });

  it('keeps the new snapshot, even if higher ones exist', async () => {
    const dir = await tempDir();
    for (const height of [100, 200, 300]) await retrieveInto(dir, height, {});
    const { removedHeights } = await retrieveInto(dir, 50, { keepLast: 1 });
    expect(await visibleIn(dir)).toContain('50');
    expect([...removedHeights].sort((a, b) => a - b)).toEqual([100, 200]);
  });

  it('removes nothing if the new snapshot is refused', async () => {
    const dir = await tempDir();
    for (const height of [1, 2, 3]) await retrieveInto(dir, height, {});
    const before = await listTree(dir);
    const exportDir = await exportDirectory(4);
    await rm(path.join(exportDir, 'transcript.v2.0.1'));
    const source = { exportDir, remove: 'always', wait: false } as const;
    await expect(retrieveInto(dir, 4, { source, keepLast: 1 })).rejects.toMatchObject({
      exitCode: 3,
    });
    expect(await listTree(dir)).toEqual(before);
    expect(Object.keys(await listTree(exportDir))).toContain('export-manifest.json');
  });

  it('never publishes a snapshot that does not verify, however a span ends', async () => {
    for (const end of ['', '\r\n', ' \n', '\n\n']) {
      const dir = await tempDir();
      const exportDir = await exportDirectory(4);
      const span = path.join(exportDir, 'transcript.v2.0.1');
      await writeFile(span, (await readFile(span, 'utf8')).replace('\n', end));
      const source = { exportDir, remove: 'never', wait: false } as const;
      const path4 = path.join(dir, '4');
      await retrieveInto(dir, 4, { source }).catch((error: unknown) => {
        expect(error).toMatchObject({ exitCode: 3 });
      });
      const published = (await visibleIn(dir)).length > 0;
      if (published) expect(await verify(path4), JSON.stringify(end)).toBeUndefined();
    }
  });
});
