/** Chunks whose content is not their entries. */
import { packTar } from '../../../src/snapshot/tar.ts';
import { paxHeader, rawFrame, tarHeader } from './bytes.ts';
import { artifactChunk, type Case } from './case.ts';
import type { Draft } from './forge.ts';

/** The same entries in the list, another tar. */
async function withTar(draft: Draft, change: (tar: Buffer) => Buffer): Promise<void> {
  const chunk = artifactChunk(draft);
  chunk.tar = change(await packTar(chunk.entries));
}

export const tars: readonly Case[] = [
  [
    'an extra entry in the tar',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      const chunk = artifactChunk(draft);
      chunk.tar = await packTar([...chunk.entries, { name: 'more', data: Buffer.from('x') }]);
    },
  ],
  [
    'a missing entry in the tar',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      const chunk = artifactChunk(draft);
      chunk.tar = await packTar(chunk.entries.slice(1));
    },
  ],
  [
    'bytes after the tar',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      await withTar(draft, (tar) => Buffer.concat([tar, Buffer.alloc(512, 1)]));
    },
  ],
  ...(['1', '2', '3', '4', '5', '6', '7', 'S', 'L', 'K', 'g', 'D', 'V', '\0', ' '] as const).map(
    (type): Case => [
      `a tar entry of type ${JSON.stringify(type)}`,
      'SNAPSHOT_DAMAGED',
      async (draft) => {
        await withTar(draft, (tar) => {
          const { name, data } = artifactChunk(draft).entries[0]!;
          tarHeader(name, data.length, { type, link: '/etc/passwd' }).copy(tar);
          return tar;
        });
      },
    ],
  ),
  [
    'the wrong mode in the tar',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      await withTar(draft, (tar) => {
        const { name, data } = artifactChunk(draft).entries[0]!;
        tarHeader(name, data.length, { mode: 0o4755 }).copy(tar);
        return tar;
      });
    },
  ],
  [
    'a path in a PAX header that the list does not have',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      await withTar(draft, (tar) => Buffer.concat([paxHeader('/etc/shadow'), tar]));
    },
  ],
  [
    'a needless PAX header that matches the list',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      const { name } = artifactChunk(draft).entries[0]!;
      await withTar(draft, (tar) => Buffer.concat([paxHeader(name), tar]));
    },
  ],
  [
    'a tar that ends right after its last entry',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      await withTar(draft, (tar) => tar.subarray(0, -1024));
    },
  ],
  [
    'a tar that is cut in its last entry',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      await withTar(draft, (tar) => tar.subarray(0, -1025));
    },
  ],
  [
    'a chunk that is not a tar',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      await withTar(draft, (tar) => Buffer.alloc(tar.length, 'tar'));
    },
  ],
  [
    'a chunk that is not compressed',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      artifactChunk(draft).file = await packTar(artifactChunk(draft).entries);
    },
  ],
  [
    'an empty chunk',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      artifactChunk(draft).file = Buffer.alloc(0);
    },
  ],
  [
    'a chunk with garbage after its frame',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      const chunk = artifactChunk(draft);
      chunk.file = Buffer.concat([
        draft.codec.compress(await packTar(chunk.entries), 3),
        Buffer.from('x'),
      ]);
    },
  ],
  [
    'a chunk that needs a window of 8 MiB',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      const chunk = artifactChunk(draft);
      chunk.file = Buffer.from(rawFrame(await packTar(chunk.entries), { windowLog: 23 }));
    },
  ],
  [
    'a chunk that declares more than 2^60 bytes',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      const chunk = artifactChunk(draft);
      chunk.file = Buffer.from(rawFrame(await packTar(chunk.entries), { contentSize: 2n ** 60n }));
    },
  ],
];
