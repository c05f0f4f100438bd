import { readFileSync, readlinkSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { writeExportDirectory } from '../../../src/formats/export-directory/write.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

afterEach(() => {
  vi.restoreAllMocks();
});

async function* one(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

/** The prototype of all file handles. */
async function fileHandles(dir: string): Promise<FileHandle> {
  const handle = await open(dir);
  await handle.close();
  return Object.getPrototypeOf(handle) as FileHandle;
}

describe('writing an export directory', () => {
  it('syncs the name of each file in the journal before the bytes of the file', async () => {
    const dir = await tempDir();
    const handles = await fileHandles(dir);
    type Methods = Record<'sync' | 'datasync', (this: FileHandle) => Promise<void>>;
    const { sync, datasync } = handles as unknown as Methods;
    let durable = '';
    const synced: [string, boolean][] = [];
    vi.spyOn(handles, 'datasync').mockImplementation(async function (this: FileHandle) {
      const names = readFileSync(path.join(dir, '.swingsnap-files'), 'utf8');
      await datasync.call(this);
      durable = names;
    });
    vi.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
      const name = path.basename(readlinkSync(`/proc/self/fd/${this.fd}`));
      if (/^transcript|^export-data/u.test(name))
        synced.push([name, durable.split('\n').includes(name)]);
      return sync.call(this);
    });
    const header = { height: 7, artifactMode: 'operational', withExportData: true } as const;
    const writer = await writeExportDirectory(dir, header);
    await writer.writeExportData(Buffer.from('["a","b"]\n'));
    const names = Array.from({ length: 30 }, (_, n) => `transcript.v${n + 1}.0.1`);
    for (const name of names) await writer.writeArtifact(name, one('x\n'), undefined);
    await writer.finish({} as never);
    expect(synced.map(([name]) => name).sort()).toEqual(['export-data.jsonl', ...names].sort());
    expect(synced.filter(([, isNamed]) => !isNamed)).toEqual([]);
    expect(Object.keys(await listTree(dir))).toHaveLength(32);
  });
});
