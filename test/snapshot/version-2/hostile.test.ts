/** Forged snapshots of version 2: what is wrong with what a chunk holds besides what the snapshot uses. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ZstdCodec } from '../../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import { packTar } from '../../../src/snapshot/tar.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { rawFrame, tarHeader } from '../hostile/bytes.ts';
import { artifactChunk, type Case } from '../hostile/case.ts';
import { draftOf, forge, writeFiles, type Draft, type DraftEntry } from '../hostile/forge.ts';
import { makeContent, smallSpec } from '../made-export.ts';
import { restore, verify, verifyQuickly } from '../refusal.ts';

const MIB = 1024 * 1024;
const small = makeContent(smallSpec);
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

const DEAD = 'swingset/artifacts/snapshot.v9.1';
const dead = (line: Record<string, unknown> = {}): DraftEntry => ({
  name: DEAD,
  data: Buffer.from('the heap of another height'),
  line: { ...line, unused: true },
});

/** Changes the line of the dead entry. */
const deadLine = (change: (line: string) => string) => (draft: Draft) => {
  draft.lines = (lines) => lines.map((line) => (line.includes(DEAD) ? change(line) : line));
};

/** Adds entries of 64 MiB each to the list, so that the chunk has more than its maximum. */
const listedBytes = (entries: number) => (draft: Draft) => {
  const chunk = artifactChunk(draft);
  const large = Array.from({ length: entries }, (_, at) => ({
    ...dead({ size: 64 * MIB }),
    name: `${DEAD}${at}`,
  }));
  chunk.listed = [...chunk.entries, ...large];
};

/** Makes the file of the chunk from its tar. */
const fileOf =
  (make: (tar: Buffer) => Uint8Array) =>
  async (draft: Draft): Promise<void> => {
    const chunk = artifactChunk(draft);
    chunk.file = Buffer.from(make(await packTar(chunk.entries)));
  };

const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);

/** A change of an honest snapshot, and the message of its refusal. */
type Refused = readonly [what: string, message: string, change: Case[2]];

const LINE = 'a line of the list of entries is not an entry';
const OTHER = 'a chunk holds an entry that differs from the list of entries';
const WINDOW = 'a chunk cannot be read: a zstd frame needs too large a window';
const SHORT = 'a chunk cannot be read: a zstd frame ends early';
const FOREIGN = 'a chunk cannot be read: not a zstd frame';

const cases: readonly Refused[] = [
  [
    'an unused entry in version 1',
    LINE,
    (draft) => {
      draft.manifest = () => undefined;
    },
  ],
  [
    'an unused entry with an artifact',
    LINE,
    (draft) => {
      const [used] = artifactChunk(draft).entries;
      const { artifact } = used!;
      draft.lines = (lines) =>
        lines.map((line) =>
          line.includes(`"artifact":{"name":"${artifact!.name}"`)
            ? line.replace(/\}$/u, ',"unused":true}')
            : line,
        );
    },
  ],
  ['an entry whose unused is false', LINE, deadLine((line) => line.replace('true', 'false'))],
  ['an entry whose unused is 1', LINE, deadLine((line) => line.replace('true', '1'))],
  [
    'an entry that is neither used nor unused',
    'an entry is not the next part of its artifact',
    deadLine((line) => line.replace(',"unused":true', '')),
  ],
  [
    'a chunk of which nothing is used',
    'the list of entries names a chunk of which nothing is used',
    (draft) => {
      draft.chunks.push({ entries: [{ ...dead(), name: `${DEAD}1` }] });
    },
  ],
  [
    'a list that leaves out an unused entry',
    OTHER,
    (draft) => {
      const chunk = artifactChunk(draft);
      chunk.listed = chunk.entries.filter(({ name }) => name !== DEAD);
    },
  ],
  [
    'a list with an unused entry that the chunk does not hold',
    OTHER,
    (draft) => {
      const chunk = artifactChunk(draft);
      chunk.listed = [...chunk.entries, { ...dead(), name: `${DEAD}1` }];
    },
  ],
  ...[-1, 1].map((step): Refused => [
    `an unused entry whose size is wrong by ${step}`,
    OTHER,
    deadLine((line) =>
      line.replace(/"size":(\d+)/u, (_, size: string) => `"size":${Number(size) + step}`),
    ),
  ]),
  [
    'an unused entry with another header in the tar',
    OTHER,
    async (draft) => {
      const chunk = artifactChunk(draft);
      const tar = await packTar(chunk.entries);
      const { data } = dead();
      tarHeader(DEAD, data.length, { mode: 0o755 }).copy(tar, tar.indexOf(DEAD));
      chunk.tar = tar;
    },
  ],
  ...[23, 27, 28].map((windowLog): Refused => [
    `a small chunk that declares a window of 2 ** ${windowLog}`,
    WINDOW,
    fileOf((tar) => rawFrame(tar, { windowLog })),
  ]),
  [
    'export data that declares a window of 2 ** 23',
    WINDOW,
    async (draft) => {
      const [segment] = draft.chunks;
      segment!.file = rawFrame(await packTar(segment!.entries), { windowLog: 23 });
    },
  ],
  [
    'a chunk of 256 MiB and a bit by its list',
    'a chunk has more entries or bytes than the format allows',
    listedBytes(4),
  ],
  [
    'bytes after the frame',
    SHORT,
    fileOf((tar) => Buffer.concat([codec.compress(tar, 3), Buffer.from([0])])),
  ],
  ['half a frame', SHORT, fileOf((tar) => codec.compress(tar, 3).subarray(0, 100))],
  ['a frame without its last byte', SHORT, fileOf((tar) => codec.compress(tar, 3).slice(0, -1))],
  [
    'a skippable frame before it',
    FOREIGN,
    fileOf((tar) => Buffer.concat([skippable, codec.compress(tar, 3)])),
  ],
  [
    'a skippable frame after it',
    FOREIGN,
    fileOf((tar) => Buffer.concat([codec.compress(tar, 3), skippable])),
  ],
  [
    'a second frame after the tar',
    'a chunk holds something besides its entries',
    fileOf((tar) => Buffer.concat([codec.compress(tar, 3), codec.compress(Buffer.alloc(512), 3)])),
  ],
  ['no bytes at all', SHORT, fileOf(() => Buffer.alloc(0))],
];

describe('a forged snapshot of version 2 whose hashes are right', () => {
  const tempDir = useTempDir();

  async function filesOf(change: Case[2]): Promise<Map<string, Uint8Array>> {
    const draft = draftOf(small, codec);
    draft.manifest = (manifest) => {
      manifest.version = 2;
    };
    const chunk = artifactChunk(draft);
    chunk.entries = [...chunk.entries.slice(0, 1), dead(), ...chunk.entries.slice(1)];
    await change(draft);
    return forge(draft);
  }

  async function forged(change: Case[2]): Promise<string> {
    const dir = path.join(await tempDir(), 'snapshot');
    await writeFiles(dir, await filesOf(change));
    return dir;
  }

  const accepted: readonly (readonly [what: string, change: Case[2]])[] = [
    ['nothing else is wrong with it', () => undefined],
    [
      'it has no unused entry',
      (draft) => {
        const chunk = artifactChunk(draft);
        chunk.entries = chunk.entries.filter(({ name }) => name !== DEAD);
      },
    ],
    ['its window is the smallest limit', fileOf((tar) => rawFrame(tar, { windowLog: 22 }))],
    [
      'its chunk has two frames',
      fileOf((tar) =>
        Buffer.concat([
          codec.compress(tar.subarray(0, 700), 3),
          codec.compress(tar.subarray(700), 3),
        ]),
      ),
    ],
  ];
  it.each(accepted)('is accepted if %s', async (_what, change) => {
    const dir = await forged(change);
    expect(await verify(dir)).toBeUndefined();
    expect(await verifyQuickly(dir)).toBeUndefined();
    expect(await restore(dir, await tempDir())).toBeUndefined();
  });

  it.each(cases)('is refused with %s', async (_what, message, change) => {
    const refusal = { exitCode: 3, code: 'SNAPSHOT_DAMAGED', message };
    const dir = await forged(change);
    expect(await verify(dir)).toEqual(refusal);
    expect(await restore(dir, await tempDir())).toEqual(refusal);
  });

  it('is refused if a byte of a chunk has changed, whichever', async () => {
    const dir = await forged(() => undefined);
    const names = [...(await filesOf(() => undefined)).keys()];
    const chunk = path.join(
      dir,
      names.findLast((name) => name.startsWith('chunks/'))!,
    );
    const honest = await readFile(chunk);
    const { length } = honest;
    for (const at of [0, 3, 4, 5, 6, 8, 13, length >> 1, length - 5, length - 4, length - 1]) {
      for (const bits of [1, 0xff]) {
        const bytes = Buffer.from(honest);
        bytes[at]! ^= bits;
        await rm(chunk);
        await writeFile(chunk, bytes);
        const refusal = { exitCode: 3, message: 'a chunk has the wrong hash' };
        expect([at, await verify(dir)]).toEqual([at, expect.objectContaining(refusal)]);
      }
    }
  });
});
