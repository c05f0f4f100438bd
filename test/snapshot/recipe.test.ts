/** The shell recipe of the specification, on hostile snapshots whose hashes are all right. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { packTar } from '../../src/snapshot/tar.ts';
import { listTree, useTempDir, type TreeEntry } from '../fixtures/directories.ts';
import { tarHeader } from './hostile/bytes.ts';
import { artifactChunk } from './hostile/case.ts';
import { draftOf, forge, sha256, writeFiles, type Draft } from './hostile/forge.ts';
import { makeContent, smallSpec } from './made-export.ts';
import { runRecipe } from './recipe.ts';

const tempDir = useTempDir();
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

/** @param dir holds the snapshot, the export, and a file that must not change */
type Change = (draft: Draft, dir: string) => void | Promise<void>;

/** Renames the first artifact in the list. */
const artifactCalled =
  (name: (dir: string) => string): Change =>
  (draft, dir) => {
    const chunk = artifactChunk(draft);
    const [entry, ...others] = chunk.entries;
    chunk.entries = [{ ...entry!, artifact: { ...entry!.artifact!, name: name(dir) } }, ...others];
  };

/** Renames its entry, in the list and in the tar. */
const entryCalled =
  (name: (dir: string) => string): Change =>
  (draft, dir) => {
    const chunk = artifactChunk(draft);
    const [entry, ...others] = chunk.entries;
    chunk.entries = [{ ...entry!, name: name(dir) }, ...others];
  };

interface Member {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly mode?: number;
  readonly data?: string;
}

function member({ name, data = '', ...options }: Member): Buffer {
  const content = Buffer.alloc(Math.ceil(data.length / 512) * 512);
  content.write(data);
  return Buffer.concat([tarHeader(name, data.length, options), content]);
}

/** Puts these entries before the others in the tar. */
const tarWith =
  (members: (dir: string) => readonly Member[]): Change =>
  async (draft, dir) => {
    const chunk = artifactChunk(draft);
    const honest = await packTar(chunk.entries);
    chunk.tar = Buffer.concat([...members(dir).map(member), honest]);
  };

const line = (draft: Draft, more: string): void => {
  draft.lines = (lines) => [...lines, more];
};

const inExport = 'swingset/artifacts';

const cases: readonly (readonly [what: string, change: Change])[] = [
  ['an artifact named ../written', artifactCalled(() => '../written')],
  ['an artifact named by an absolute path', artifactCalled((dir) => path.join(dir, 'written'))],
  ['an artifact named a/../../written', artifactCalled(() => 'a/../../written')],
  ['an artifact named ..', artifactCalled(() => '..')],
  ['an artifact named like an export’s own file', artifactCalled(() => 'export-manifest.json')],
  [
    'an artifact with a newline in its name',
    artifactCalled(() => 'snapshot.v1.1\nswingset/x\t../written\t1\t2'),
  ],
  ['an artifact with a tab in its name', artifactCalled(() => 'snapshot.v1.1\t../written')],
  ['an entry named ../written', entryCalled(() => '../written')],
  ['an entry named by an absolute path', entryCalled((dir) => path.join(dir, 'written'))],
  ['an entry named swingset/../../written', entryCalled(() => 'swingset/../../written')],
  [
    'an entry below an artifact, and up again',
    entryCalled(() => `${inExport}/a/../../../../../written`),
  ],
  ['an entry named swingset/..', entryCalled(() => 'swingset/..')],
  ['an entry with a newline in its name', entryCalled(() => `${inExport}/a\n../written`)],
  [
    'a line that names a file elsewhere as a chunk',
    (draft) => {
      line(draft, `${sha256('mine')}  ../victim`);
    },
  ],
  [
    'a name spelled with escapes',
    (draft) => {
      const chunk = '0'.repeat(64);
      const name = 'swingset/\\u002e\\u002e/\\u002e\\u002e/written';
      line(draft, `{"chunk":"${chunk}","name":"${name}","size":0,"sha256":"${sha256('')}"}`);
    },
  ],
  [
    'a tar with a link to a directory, and a file through it',
    tarWith((dir) => [
      { name: 'swingset/link', type: '2', link: path.join(dir, 'outside') },
      { name: 'swingset/link/written', data: 'x' },
    ]),
  ],
  [
    'a tar with a relative link up, and a file through it',
    tarWith(() => [
      { name: 'swingset/up', type: '2', link: '../../../../outside' },
      { name: 'swingset/up/written', data: 'x' },
    ]),
  ],
  [
    'a tar with a link to a file, which is then written',
    tarWith((dir) => [
      { name: 'swingset/file', type: '2', link: path.join(dir, 'victim') },
      { name: 'swingset/file', data: 'x' },
    ]),
  ],
  [
    'a tar with a hard link to a file, which is then written',
    tarWith((dir) => [
      { name: 'swingset/file', type: '1', link: path.join(dir, 'victim') },
      { name: 'swingset/file', data: 'x' },
    ]),
  ],
  [
    'a tar with a link in the place of a file that the recipe writes',
    tarWith((dir) => [{ name: 'entries', type: '2', link: path.join(dir, 'written') }]),
  ],
  ['a tar with a pipe', tarWith(() => [{ name: 'swingset/pipe', type: '6' }])],
  ['a tar with ../../../written', tarWith(() => [{ name: '../../../written', data: 'x' }])],
  ['a tar with an absolute path', tarWith((dir) => [{ name: `${dir}/written`, data: 'x' }])],
];

async function place(change: Change): Promise<{ dir: string; snapshot: string; E: string }> {
  const dir = await tempDir();
  const draft = draftOf(makeContent(smallSpec), codec);
  await change(draft, dir);
  const snapshot = path.join(dir, 'snapshot');
  await writeFiles(snapshot, await forge(draft));
  await mkdir(path.join(dir, 'outside'));
  await writeFile(path.join(dir, 'victim'), 'mine');
  return { dir, snapshot, E: path.join(dir, 'export') };
}

async function besideExport(dir: string): Promise<Record<string, TreeEntry>> {
  const tree = Object.entries(await listTree(dir));
  return Object.fromEntries(
    tree.filter(([name]) => !/^export(\/|$)|^snapshot-to-export$/u.test(name)),
  );
}

describe('the shell recipe', () => {
  it('accepts an honest snapshot', async () => {
    const { dir, snapshot, E } = await place(() => undefined);
    await runRecipe(dir, snapshot, E);
    expect(Object.keys(await listTree(E))).toContain('export-manifest.json');
  });

  it.each(cases)('refuses %s, and writes nothing outside', async (_what, change) => {
    const { dir, snapshot, E } = await place(change);
    const before = await besideExport(dir);
    await expect(runRecipe(dir, snapshot, E)).rejects.toMatchObject({ code: 3 });
    expect(await besideExport(dir)).toEqual(before);
    const made = await listTree(E);
    expect(Object.keys(made)).not.toContain('export-manifest.json');
    expect(Object.values(made).filter(({ type }) => type === 'link' || type === 'other')).toEqual(
      [],
    );
  });

  it('gives no file the permissions that the tar asks for', async () => {
    const { dir, snapshot, E } = await place(async (draft) => {
      const chunk = artifactChunk(draft);
      const tar = await packTar(chunk.entries);
      const { name, data } = chunk.entries[0]!;
      tarHeader(name, data.length, { mode: 0o6777 }).copy(tar);
      chunk.tar = tar;
    });
    await runRecipe(dir, snapshot, E);
    for (const { type, mode } of Object.values(await listTree(E))) {
      if (type === 'file') expect(Number.parseInt(mode, 8) & 0o6022).toBe(0);
    }
  });
});
