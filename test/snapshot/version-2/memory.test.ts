/** Version 2 in a storage that no other thread can use: it has neither recipes nor spots. */
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openExportDirectory } from '../../../src/formats/export-directory/open.ts';
import type { ZstdCodec } from '../../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import { swingsetModule } from '../../../src/modules/swingset/module.ts';
import { openSnapshot } from '../../../src/modules/swingset/snapshot-form.ts';
import { EarlierSnapshot } from '../../../src/snapshot/write/earlier.ts';
import { packModules } from '../../../src/snapshot/write/pack-modules.ts';
import type { SnapshotStorage } from '../../../src/storage/contract.ts';
import { directoryStorage } from '../../../src/storage/directory.ts';
import { memoryStorage } from '../../../src/storage/memory.ts';
import { copyVerified } from '../../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../../src/swing-store-export/null-sink.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { ourOwn } from '../beliefs.ts';
import { makeContent, noise, writeExportDir, type MadeContent } from '../made-export.ts';

const MIB = 1024 * 1024;
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

describe('a storage in memory', () => {
  const tempDir = useTempDir();

  async function write(storage: SnapshotStorage, content: MadeContent) {
    const scratchDir = await tempDir();
    const exportDir = await writeExportDir(path.join(scratchDir, 'export'), content);
    const source = await openExportDirectory(exportDir);
    const note = (message: string): void => expect.fail(message);
    const { height } = content;
    const version = 2;
    const reuse = { codec, scratchDir, belief: ourOwn, version, note } as const;
    const earlier = await EarlierSnapshot.open(storage, height, reuse);
    try {
      return await packModules(storage, [swingsetModule({ source })], {
        ...{ height, codec, version, level: 1, chunkBytes: 4 * MIB, replace: false },
        ...{ scratchDir, earlier, madeBy: 'a test' },
      });
    } finally {
      earlier?.close();
      await source.close();
    }
  }

  it('keeps the same snapshots as one in a directory, and gives them back', async () => {
    const heap = (seed: number): Buffer => Buffer.from(noise(2 * MIB, seed));
    const vats = [1, 2, 3].map((n) => ({ vatID: `v${n}`, heap: heap(n), spans: [['a'], ['b']] }));
    const changed = vats.map((vat) => (vat.vatID === 'v2' ? { ...vat, heap: heap(9) } : vat));
    const contents = [
      makeContent({ height: 7, vats }),
      makeContent({ height: 8, vats: changed }),
    ] as const;
    const storages = [memoryStorage(), directoryStorage(path.join(await tempDir(), 'kept'))];
    for (const content of contents) {
      const [inMemory, inDirectory] = [
        await write(storages[0]!, content),
        await write(storages[1]!, content),
      ];
      expect(inMemory).toEqual(inDirectory);
      for (const storage of storages) {
        const stored = await storage.open(String(content.height));
        const opened = await openSnapshot(stored, { codec });
        const { summary } = await copyVerified(opened, async () => nullSink());
        await opened.close();
        expect(summary.hashes?.contentHash).toBe(inMemory.manifest.contentHash);
      }
      expect(inMemory.reused.chunks).toBe(content.height === 7 ? 0 : 2);
    }
  });
});
