/** Small files that expand to many bytes. */
import { packTar } from '../../../src/snapshot/tar.ts';
import { rawFrame } from './bytes.ts';
import { artifactChunk, type Case } from './case.ts';
import { sha256 } from './forge.ts';

const MIB = 1024 * 1024;

export const bombs: readonly Case[] = [
  [
    'a chunk of 1 GiB of zeros that does not declare its size',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      artifactChunk(draft).file = rawFrame(1024 * MIB, { contentSize: undefined });
    },
  ],
  [
    'a chunk of 1 GiB of zeros that declares the expected size',
    'SNAPSHOT_DAMAGED',
    async (draft) => {
      const { length } = await packTar(artifactChunk(draft).entries);
      artifactChunk(draft).file = rawFrame(1024 * MIB, { contentSize: BigInt(length) });
    },
  ],
  [
    'a list of 1 GiB of zeros',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.list = () => rawFrame(1024 * MIB, { contentSize: undefined });
    },
  ],
  [
    'a list of a million entries in one chunk',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const chunk = '0'.repeat(64);
      const line = JSON.stringify({ chunk, name: 'x', size: 0, sha256: sha256('') });
      const frame = draft.codec.compress(Buffer.from(`${line}\n`.repeat(10_000)), 3);
      draft.list = () => Buffer.concat(Array.from({ length: 100 }, () => frame));
    },
  ],
  [
    'a million parts without an end',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      const line = (chunk: string) =>
        JSON.stringify({ chunk, name: 'x'.repeat(1000), size: 0, sha256: sha256('') });
      const two = `${line('0'.repeat(64))}\n${line('1'.repeat(64))}\n`;
      const frame = draft.codec.compress(Buffer.from(two.repeat(800)), 3);
      draft.list = (text) =>
        Buffer.concat([draft.codec.compress(text, 3), ...Array.from({ length: 600 }, () => frame)]);
    },
  ],
];
