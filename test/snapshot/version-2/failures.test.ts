/** A chunk of version 2 that cannot be packed leaves no open file behind. */
import { readdirSync, readlinkSync } from 'node:fs';
import { expect, it } from 'vitest';
import { given, type Recipe } from '../../../src/io/threads/recipe.ts';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import { packShared } from '../../../src/snapshot/write/pack-chunk.ts';
import { directoryStorage } from '../../../src/storage/directory.ts';
import type {
  CheckedContent,
  Contents,
} from '../../../src/swing-store-export/swing-store-export.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { noise } from '../made-export.ts';

const tempDir = useTempDir();

/** Paths of the files of `dir` that this process has open. */
function openFilesOf(dir: string): string[] {
  return readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return [];
      }
    })
    .filter((path) => path.startsWith(dir) && path.includes('.spot'));
}

it('closes the file of a chunk whose artifacts cannot be read', async () => {
  const dir = await tempDir();
  const staged = await directoryStorage(dir).stage('7');
  const bytes = Buffer.from(noise(5_000_000, 'heap'));
  const failing: Recipe<Contents<CheckedContent>> = {
    module: 'data:text/javascript,export function fail() { throw new Error("cannot be read") }',
    name: 'fail',
    input: undefined,
  };
  const packed = packShared({
    contents: [given([{ bytes, sha256: '0'.repeat(64) }]), failing],
    names: ['a', 'b'],
    size: 10_000_000,
    codec: (await loadZstdCodec()).name,
    level: 1,
    writer: staged.spot?.().writer,
  });
  await expect(packed).rejects.toThrow('cannot be read');
  expect(openFilesOf(dir)).toEqual([]);
  await staged.discard();
});
