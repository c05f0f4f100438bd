import {
  appendFile,
  mkdir,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import { readPlace, type PlaceItem } from '../../../src/operation/place/contents.ts';
import { chunkFile, ENTRIES_FILE, MANIFEST_FILE } from '../../../src/snapshot/layout.ts';
import type { SnapshotPlace, StoredSnapshot } from '../../../src/storage/contract.ts';
import { directoryStorage } from '../../../src/storage/directory.ts';
import { memoryStorage } from '../../../src/storage/memory.ts';
import { copyVerified } from '../../../src/swing-store-export/copy-verified.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import { makeContent, openContent, smallSpec } from '../../snapshot/made-export.ts';
import { writeSnapshot } from '../../snapshot/write-snapshot.ts';
import { CHUNK_BYTES, hashOfChunk, makePlace } from './made-place.ts';

const tempDir = useTempDir();

async function itemsOf(place: SnapshotPlace): Promise<PlaceItem[]> {
  const items: PlaceItem[] = [];
  for await (const item of readPlace(place, { codec: await loadZstdCodec() })) items.push(item);
  return items;
}

/** Each thing's name, what it is, and why. */
async function toldOf(dir: string): Promise<Record<string, string>> {
  const items = await itemsOf(directoryStorage(dir));
  return Object.fromEntries(
    items.map((item) => [
      item.name,
      item.state === 'whole' ? 'whole' : `${item.state}: ${item.reason.replaceAll(dir, 'PLACE')}`,
    ]),
  );
}

it('gives whole heights, the highest first, with when they were made and what their removal frees', async () => {
  const dir = await tempDir();
  await makePlace(dir, [
    { height: 9, at: '2026-01-01T00:00:00.000Z', chunks: ['a', 'b'] },
    { height: 10, modified: '2025-02-03T04:05:06.000Z', chunks: ['b', 'c', 'd'] },
    { height: 8, at: 'yesterday', modified: '2024-01-01T00:00:00.000Z', chunks: ['e'] },
  ]);
  const items = await itemsOf(directoryStorage(dir));
  expect(
    items.map((item) => {
      if (item.state !== 'whole') throw new Error(item.reason);
      const { height, made, chunks, storedBytes, ownBytes } = item;
      const hashes = chunks.map(({ chunk }) => chunk);
      const ofChunks = CHUNK_BYTES * chunks.length;
      return { height, made, hashes, shared: storedBytes - ownBytes, rest: storedBytes > ofChunks };
    }),
  ).toEqual([
    {
      height: 10,
      made: { at: new Date('2025-02-03T04:05:06.000Z'), isOfFile: true },
      hashes: ['b', 'c', 'd'].map(hashOfChunk),
      shared: CHUNK_BYTES,
      rest: true,
    },
    {
      height: 9,
      made: { at: new Date('2026-01-01T00:00:00.000Z'), isOfFile: false },
      hashes: ['a', 'b'].map(hashOfChunk),
      shared: CHUNK_BYTES,
      rest: true,
    },
    {
      height: 8,
      made: { at: new Date('2024-01-01T00:00:00.000Z'), isOfFile: true },
      hashes: ['e'].map(hashOfChunk),
      shared: 0,
      rest: true,
    },
  ]);
});

it('tells damage with its reason', async () => {
  const dir = await tempDir();
  await makePlace(
    dir,
    [1, 2, 3, 4, 5, 6].map((height) => ({ height })),
  );
  const at = (height: number, file: string): string => path.join(dir, String(height), file);
  const chunk = (height: number): string => chunkFile(hashOfChunk(`of ${height}`));
  await rm(at(1, chunk(1)));
  await truncate(at(2, chunk(2)), CHUNK_BYTES - 1);
  await appendFile(at(3, ENTRIES_FILE), 'x');
  await rm(at(4, MANIFEST_FILE));
  await rename(path.join(dir, '5'), path.join(dir, '50'));
  await rm(at(6, chunk(6)));
  await mkdir(at(6, chunk(6)));
  expect(await toldOf(dir)).toEqual({
    '1': `damaged: a chunk is missing: PLACE/1/${chunk(1)}`,
    '2': 'damaged: the number or size of the chunks is not what the manifest says: PLACE/2',
    '3': expect.stringContaining('damaged: the list of entries') as string,
    '4': 'damaged: the snapshot has no manifest: PLACE/4/manifest.json',
    '50': 'damaged: the snapshot is named after the wrong height: PLACE/50',
    '6': `damaged: a file of the snapshot is not a regular file: PLACE/6/${chunk(6)}`,
  });
});

it('tells what is foreign, and follows no link', async () => {
  const [dir, elsewhere] = [await tempDir(), await tempDir()];
  await makePlace(elsewhere, [{ height: 3 }]);
  await makePlace(dir, [{ height: 1 }]);
  await symlink(path.join(elsewhere, '3'), path.join(dir, '3'));
  for (const name of ['2', 'old\n4', '007', '.git', 'lost+found'])
    await mkdir(path.join(dir, name));
  await writeFile(path.join(dir, '5'), '');
  expect(await toldOf(dir)).toEqual({
    '1': 'whole',
    '2': 'foreign: neither manifest.json nor entries.jsonl.zst in it',
    '3': 'foreign: a symbolic link with the name of a height',
    '5': 'foreign: a regular file with the name of a height',
    '007': 'foreign: a directory that is not named after a height',
    'old\n4': 'foreign: a directory that is not named after a height',
  });
});

it('tells work in progress from what a dead process has left', async () => {
  const dir = await tempDir();
  const place = directoryStorage(dir);
  const staged = await place.stage('7');
  await staged.put('chunks/a', Buffer.alloc(1000));
  const [live = ''] = await readdir(dir);
  const dead = '.8-0123456789ab';
  await mkdir(path.join(dir, dead, 'new'), { recursive: true });
  await writeFile(path.join(dir, dead, '.lock'), 'a lock of swingsnap\n');
  await writeFile(path.join(dir, dead, 'new', 'chunk'), Buffer.alloc(500));
  for (const name of ['.cache-0123456789ab', '.other-0123456789ab']) {
    await mkdir(path.join(dir, name, 'foreign'), { recursive: true });
  }
  await writeFile(path.join(dir, '.other-0123456789ab', '.lock'), 'of another');
  const before = await listTree(dir);
  const items = await itemsOf(place);
  expect(await listTree(dir)).toEqual(before);
  expect(items.sort((a, b) => a.name.localeCompare(b.name))).toMatchObject([
    { state: 'half-made', name: live, holder: 'process', size: 1020 },
    { state: 'half-made', name: dead, holder: 'ended process', size: 520 },
  ]);
  await staged.discard();
});

/** The place, where `act` runs once, between the reading of a manifest and of its list. */
function interrupted(place: SnapshotPlace, act: () => Promise<void>): SnapshotPlace {
  let isDone = false;
  const open = async (name: string): Promise<StoredSnapshot> => {
    const stored = await place.open(name);
    async function* stream(file: string): AsyncGenerator<Uint8Array> {
      if (!isDone) await act();
      isDone = true;
      yield* stored.stream(file);
    }
    return new Proxy(stored, {
      get: (target, key, receiver) =>
        key === 'stream' ? stream : (Reflect.get(target, key, receiver) as unknown),
    });
  };
  return new Proxy(place, {
    get(target, key) {
      if (key === 'open') return open;
      const value = Reflect.get(target, key, target) as unknown;
      return value instanceof Function ? (value.bind(target) as unknown) : value;
    },
  });
}

it('takes the new snapshot whole if a height is replaced between two reads', async () => {
  const [dir, other] = [await tempDir(), await tempDir()];
  await makePlace(dir, [{ height: 1, chunks: ['a'] }]);
  await makePlace(other, [{ height: 1, chunks: ['b', 'c'] }]);
  const place = interrupted(directoryStorage(dir), async () => {
    await rename(path.join(dir, '1'), path.join(other, 'old'));
    await rename(path.join(other, '1'), path.join(dir, '1'));
  });
  const [item, ...more] = await itemsOf(place);
  expect(more).toEqual([]);
  if (item?.state !== 'whole') throw new Error('not whole');
  expect(item.chunks.map(({ chunk }) => chunk)).toEqual(['b', 'c'].map(hashOfChunk));
});

it('leaves out a height that is removed meanwhile', async () => {
  const dir = await tempDir();
  await makePlace(dir, [{ height: 1 }, { height: 2 }]);
  const place = directoryStorage(dir);
  const items = await itemsOf(interrupted(place, async () => place.remove('2')));
  expect(items.map(({ name, state }) => [name, state])).toEqual([['1', 'whole']]);
});

it('reads a place in any storage', async () => {
  const place = memoryStorage();
  const codec = await loadZstdCodec();
  const options = {
    codec,
    level: 3,
    chunkBytes: 4 * 1024 * 1024,
    replace: false,
    madeBy: 'a test',
  };
  const content = makeContent(smallSpec);
  const { result } = await copyVerified(openContent(content), async () =>
    writeSnapshot(place, { ...options, height: content.height }),
  );
  const [item, ...more] = await itemsOf(place);
  expect(more).toEqual([]);
  if (item?.state !== 'whole') throw new Error('not whole');
  expect(item.file.manifest).toEqual(result.manifest);
  expect(item.ownBytes).toBe(item.storedBytes);
});
