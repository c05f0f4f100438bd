import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { deflateSync, gzipSync, inflateSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { findStateSync } from '../../../src/formats/state-sync/find.ts';
import { openStateSync } from '../../../src/formats/state-sync/open.ts';
import { copyVerified } from '../../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../../src/swing-store-export/null-sink.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import {
  extensionItem,
  insert,
  nodeItem,
  storeItem,
  streamOf,
  uvarint,
  wireNodes,
  writeChunks,
  type TreeNode,
} from '../../fixtures/state-sync/make-snapshot.ts';

const HEIGHT = 900;
const tempDir = useTempDir();

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const field = (number: number, bytes: Buffer): Buffer =>
  Buffer.concat([uvarint(number * 8 + 2), uvarint(bytes.length), bytes]);

interface Hashes {
  readonly chunks: readonly Buffer[];
  readonly whole: Buffer;
}

const hashesOf = (chunks: readonly Buffer[]): Hashes => ({
  chunks: chunks.map(sha256),
  whole: sha256(Buffer.concat(chunks)),
});

/** A dump archive that claims these hashes for its chunks. */
async function archiveSaying(chunks: readonly Buffer[], hashes: Hashes): Promise<string> {
  const description = Buffer.concat([
    Buffer.concat([Buffer.of(8), uvarint(HEIGHT), Buffer.of(16, 3, 24), uvarint(chunks.length)]),
    field(4, hashes.whole),
    field(5, Buffer.concat(hashes.chunks.map((hash) => field(1, hash)))),
  ]);
  const tar = pack();
  tar.entry({ name: '_snapshot' }, description);
  for (const [i, chunk] of chunks.entries()) tar.entry({ name: String(i) }, chunk);
  tar.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of tar as AsyncIterable<Buffer>) pieces.push(piece);
  const file = path.join(await tempDir(), `${HEIGHT}-3.tar.gz`);
  await writeFile(file, gzipSync(Buffer.concat(pieces), { level: 1 }));
  return file;
}

async function verify(
  source: string,
  { notes = [], signal }: { notes?: string[]; signal?: AbortSignal } = {},
) {
  const found = findStateSync(source);
  if (found === undefined) throw new Error(`nothing at ${source}`);
  const scratchDir = await tempDir();
  const note = (message: string): void => void notes.push(message);
  const opened = openStateSync(found, { scratchDir, note, signal });
  try {
    return await copyVerified(opened, async () => nullSink(), { scratchDir });
  } finally {
    await opened.close();
    expect(await readdir(scratchDir)).toEqual([]);
  }
}

const small = streamOf([storeItem('a'), extensionItem('swingset', 1)]);
const damaged = { code: 'STATE_SYNC_DAMAGED', exitCode: 3 };

describe('data after the end of the stream', () => {
  it.each([0, 1, 12])(
    'is checked against the hashes of an archive, in %i chunks',
    async (count) => {
      const behind = Array.from({ length: count }, () => randomBytes(1_000_000));
      const chunks = [small, ...behind];
      const right = hashesOf(chunks);
      const notes: string[] = [];
      await verify(await archiveSaying(chunks, right), { notes });
      expect(notes.some((note) => note.includes(`${count * 1_000_000} bytes`))).toBe(count > 0);
      const wrongLast = { ...right, chunks: [...right.chunks.slice(0, -1), Buffer.alloc(32)] };
      await expect(verify(await archiveSaying(chunks, wrongLast))).rejects.toMatchObject(damaged);
      const wrongWhole = { ...right, whole: Buffer.alloc(32) };
      await expect(verify(await archiveSaying(chunks, wrongWhole))).rejects.toMatchObject(damaged);
    },
  );

  it('causes no note if it is the few bytes that old writers leave', async () => {
    const notes: string[] = [];
    const stream = Buffer.concat([small, Buffer.from('010000ffff0badcafe', 'hex')]);
    const dir = await writeChunks(await tempDir(), HEIGHT, 1, [stream]);
    await verify(dir, { notes });
    expect(notes.join('\n')).not.toContain('after the end');
  });
});

describe('a hostile snapshot', () => {
  it('is refused if it has only leaves and no tree, before the leaves fill the memory', async () => {
    const count = 2_000_000;
    const leaves = Buffer.alloc(count * 13);
    for (let i = 0; i < count; i += 1) {
      const leaf = Buffer.from('0c120a0a060000000000001801', 'hex');
      leaf.writeUIntBE(i + 1, 5, 6);
      leaf.copy(leaves, i * 13);
    }
    const store = storeItem('a');
    const stream = deflateSync(Buffer.concat([uvarint(store.length), store, leaves]));
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [stream]);
    // The error names the first node that no tree can have at its position.
    await expect(verify(dir)).rejects.toMatchObject({
      ...damaged,
      path: expect.stringContaining('node 129,') as string,
    });
  });

  it('is refused without waiting if a pipe or a directory is in the place of a chunk', async () => {
    for (const make of [
      async (chunk: string) => mkdir(chunk),
      async (chunk: string) => execFileSync('mkfifo', [chunk]),
    ]) {
      const dir = await writeChunks(await tempDir(), HEIGHT, 3, [small]);
      await make(path.join(dir, '1'));
      await expect(verify(dir)).rejects.toMatchObject(damaged);
    }
  });
});

/** A chain whose export data is these entries. */
async function chainWith(entries: readonly (readonly [string, string])[]): Promise<string> {
  let tree: TreeNode | undefined;
  for (const [key, value] of entries) {
    tree = insert(tree, Buffer.from(`swingStore.${key}`), Buffer.from(value), 1);
  }
  const items = [storeItem('swingset'), ...wireNodes(tree).map(nodeItem)];
  return writeChunks(await tempDir(), HEIGHT, 3, [
    streamOf([...items, extensionItem('swingset', 1)]),
  ]);
}

describe('reading', () => {
  it('rejects with the reason of its signal while it reads the stores', async () => {
    const dir = await chainWith([['kv.a', '1']]);
    const reason = new Error('enough');
    await expect(verify(dir, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('can start again and then gives the same, even without any extension', async () => {
    const dir = await writeChunks(await tempDir(), HEIGHT, 3, [
      streamOf([
        storeItem('swingset'),
        nodeItem({
          key: Buffer.from('swingStore.kv.a'),
          value: Buffer.from('1'),
          version: 1,
          height: 0,
        }),
      ]),
    ]);
    const notes: string[] = [];
    const opened = openStateSync(findStateSync(dir)!, {
      scratchDir: await tempDir(),
      note: (message) => void notes.push(message),
    });
    const texts: string[] = [];
    for (const _ of [1, 2]) {
      const blocks: Uint8Array[] = [];
      for await (const block of opened.exportData()) blocks.push(block);
      for await (const artifact of opened.artifacts()) expect(artifact).toBeUndefined();
      texts.push(Buffer.concat(blocks).toString());
    }
    await opened.close();
    expect(texts).toEqual(['["kv.a","1"]\n', '["kv.a","1"]\n']);
    // The stores were read once for each round: the end of a stream without extensions counts as its end.
    expect(notes.filter((note) => note.includes('nothing was proved'))).toHaveLength(2);
  });

  it('puts keys in canonical order, whatever characters they hold', async () => {
    const keys = [
      'kv.',
      'kv.\u{1f600}',
      'kv.\uffee',
      'kv.a"\\\n',
      'kv.z',
      'kv.a',
      'kv.é',
      'kv.\u2028',
    ];
    const dir = await chainWith(keys.map((key) => [key, key]));
    const { summary } = await verify(dir);
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const text = sorted.map((key) => `${JSON.stringify([key, key])}\n`).join('');
    expect(summary.hashes?.exportDataHash).toBe(sha256(Buffer.from(text)).toString('hex'));
  });

  it.each([
    ['a key of the host', 'kv.host.height', '1', 'HOST_KEY'],
    ['a malformed record', 'transcript.v1.current', '{}', 'RECORD'],
    ['an entry of an unknown kind', 'other.key', '1', 'UNKNOWN_TAG'],
  ])('refuses %s, but only after the AppHash has matched', async (_, key, value, code) => {
    const dir = await chainWith([[key, value]]);
    await expect(verify(dir)).rejects.toMatchObject({ code });
    const opened = openStateSync(findStateSync(dir)!, {
      appHash: '00'.repeat(32),
      scratchDir: await tempDir(),
      note: () => undefined,
    });
    await expect(copyVerified(opened, async () => nullSink())).rejects.toMatchObject({
      code: 'APP_HASH',
    });
    await opened.close();
  });
});

describe('an artifact', () => {
  const fixture = new URL('../../fixtures/state-sync/format3/', import.meta.url);

  it('is refused by name if it is wrong although the AppHash is right', async () => {
    const { appHash } = JSON.parse(readFileSync(new URL('expected.json', fixture), 'utf8')) as {
      appHash: string;
    };
    const items = inflateSync(readFileSync(new URL('data/snapshots/1000/3/0', fixture)));
    const changed = (at: number): Buffer => {
      const bytes = Buffer.from(items);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      return deflateSync(bytes);
    };
    for (const name of ['snapshot.v2.8', 'transcript.v1.8.15', 'bundle.b0-58bc']) {
      // The name occurs in keys first; its last occurrence is in the artifact's payload.
      const at = items.lastIndexOf(name) + 1000;
      const dir = await writeChunks(await tempDir(), 1000, 3, [changed(at)]);
      const notes: string[] = [];
      const refusal = await verify(dir, { notes }).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ exitCode: 3 });
      expect(`${String(refusal)} ${(refusal as { path?: string }).path}`).toContain(name);
      // The stores are unchanged.
      expect(notes.join()).toContain(appHash.toUpperCase());
    }
  });
});
