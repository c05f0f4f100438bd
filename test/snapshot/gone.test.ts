import { rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { openSnapshot } from '../../src/modules/swingset/snapshot-form.ts';
import { directoryStorage } from '../../src/storage/directory.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../src/swing-store-export/null-sink.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { makeContent, noise, openContent } from './made-export.ts';
import { writeSnapshot } from './write-snapshot.ts';

const MIB = 1024 * 1024;
const kv = Object.fromEntries(
  Array.from({ length: 4000 }, (_, i) => [`k${String(i).padStart(5, '0')}`, noise(1000, i)]),
);

describe('a snapshot that is removed while it is read', () => {
  const tempDir = useTempDir();

  async function verifyWhile(remove: (dir: string) => Promise<void>): Promise<unknown> {
    const dir = await tempDir();
    const codec = await loadZstdCodec();
    const storage = directoryStorage(dir);
    const options = {
      height: 7,
      codec,
      level: 1,
      chunkBytes: 4 * MIB,
      replace: false,
      madeBy: 't',
    };
    const content = openContent(makeContent({ kv }));
    await copyVerified(content, async () => writeSnapshot(storage, options));
    const opened = await openSnapshot(await storage.open('7'), { codec });
    let blocks = 0;
    const sink = {
      ...nullSink(),
      writeExportData: async () => {
        blocks += 1;
        if (blocks === 2) await remove(dir);
      },
    };
    try {
      return await copyVerified(opened, async () => sink);
    } finally {
      await opened.close();
    }
  }

  it('ends the reader with exit code 5, by --keep-last or by rm -rf', async () => {
    const gone = { code: 'SNAPSHOT_GONE', exitCode: 5 };
    await expect(
      verifyWhile(async (dir) => directoryStorage(dir).remove('7')),
    ).rejects.toMatchObject(gone);
    const rmRf = async (dir: string): Promise<void> => {
      await rm(path.join(dir, '7', 'chunks'), { recursive: true });
      setTimeout(() => void rm(path.join(dir, '7'), { recursive: true }), 50);
    };
    await expect(verifyWhile(rmRf)).rejects.toMatchObject(gone);
  });

  it('is reported as damaged, not gone, if only its chunks are removed', async () => {
    const remove = async (dir: string): Promise<void> =>
      rm(path.join(dir, '7', 'chunks'), { recursive: true });
    await expect(verifyWhile(remove)).rejects.toMatchObject({
      code: 'SNAPSHOT_DAMAGED',
      exitCode: 3,
    });
  });
});
