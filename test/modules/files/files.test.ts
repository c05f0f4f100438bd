import { execFileSync } from 'node:child_process';
import {
  appendFile,
  chmod,
  cp,
  link,
  mkdir,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileId, holdFiles } from '../../../src/io/files/held-files.ts';
import { noProgress } from '../../../src/io/progress.ts';
import { inlinePool } from '../../../src/io/threads/pool.ts';
import { directoryEntryName, fileEntryName } from '../../../src/modules/files/layout.ts';
import { filesModule } from '../../../src/modules/files/module.ts';
import { fieldsOfTree } from '../../../src/modules/files/read.ts';
import type {
  StateChunk,
  StateContext,
  StateEntry,
} from '../../../src/snapshot/module-contract.ts';
import { inBytes } from '../../fixtures/chunks.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import { sha256 } from '../hashes.ts';

const MIB = 1024 * 1024;
const tempDir = useTempDir();

const contextIn = (scratchDir: string, trusted?: Record<string, unknown>): StateContext => ({
  height: 7,
  chunkBytes: 4 * MIB,
  scratchDir,
  pool: inlinePool,
  progress: noProgress,
  trusted,
});

function directory(name: string, mode = '755'): StateEntry {
  const digest = { size: 0, sha256: sha256('') };
  const artifact = { name, ...digest, identity: `directory:${mode}` };
  return { name: directoryEntryName('ibc', name), data: Buffer.alloc(0), ...digest, artifact };
}

function file(name: string, text = '', mode = '644'): StateEntry {
  const data = Buffer.from(text);
  const digest = { size: data.length, sha256: sha256(data) };
  const artifact = { name, ...digest, identity: `file:${mode}:${digest.sha256}` };
  return { name: fileEntryName('ibc', name), data, ...digest, artifact };
}

const part = (name: string, n: number, data: Buffer): StateEntry => ({
  name: `${fileEntryName('ibc', name)}/${String(n).padStart(6, '0')}`,
  data,
  size: data.length,
});

describe('a tree that holds a file that SQLite has open', () => {
  it('is refused before that file is opened, under any name', async () => {
    const above = await tempDir();
    const tree = path.join(above, 'tree');
    await mkdir(path.join(tree, 'below'), { recursive: true });
    await writeFile(path.join(above, 'open'), 'x');
    const name = path.join(tree, 'below', 'name');
    await link(path.join(above, 'open'), name);
    const letGo = holdFiles([fileId(await stat(name, { bigint: true }))]);
    await expect(fieldsOfTree(tree)).rejects.toMatchObject({
      code: 'HOLDS_STORE',
      exitCode: 2,
      path: name,
    });
    letGo();
    expect((await fieldsOfTree(tree)).artifacts.count).toBe(3);
  });
});

describe('a received tree of files', () => {
  /** Writes entries and returns the outcome. If they are refused, nothing may be left. */
  async function install(entries: readonly StateEntry[]): Promise<string> {
    const above = await tempDir();
    const dir = path.join(above, 'tree');
    const module = filesModule({ name: 'ibc', dir, purpose: 'install' });
    const writable = await module.beginWriteState(contextIn(above));
    try {
      await writable.writeChunk({ entries });
      await (await writable.done()).install();
      return 'installed';
    } catch (error) {
      await writable.abort(error);
      expect(await listTree(above)).toEqual({});
      return (error as { code?: string }).code ?? String(error);
    }
  }

  it('is installed if it is valid', async () => {
    expect(await install([directory('.'), directory('a'), file('a/b', 'x'), file('a-b')])).toBe(
      'installed',
    );
  });

  const hostile = [
    '/etc/passwd',
    '../outside',
    'a/../../outside',
    './a',
    'a/.',
    'a//b',
    'a/',
    '',
    'a\0b',
    '..',
    'x'.repeat(961),
    'y'.repeat(256),
    '\ud800',
  ];
  it.each(hostile)('is refused with a file named %j', async (name) => {
    expect(await install([directory('.'), file(name)])).toBe('TREE_PATH');
    const data = Buffer.alloc(10);
    expect(await install([directory('.'), part(name, 0, data)])).toBe('TREE_PATH');
  });
  it.each(hostile)('is refused with a directory named %j', async (name) => {
    expect(await install([directory('.'), directory(name)])).toBe('TREE_PATH');
  });

  it.each([
    ['a file twice', [directory('.'), file('a'), file('a')]],
    ['a directory twice', [directory('.'), directory('a'), directory('a')]],
    ['a file that is also a directory', [directory('.'), file('a'), directory('a')]],
    ['something below a file', [directory('.'), file('a'), file('a/b')]],
    ['a file in a missing directory', [directory('.'), file('a/b')]],
    ['files out of order', [directory('.'), file('b'), file('a')]],
    [
      'a file after its directory is complete',
      [directory('.'), directory('a'), file('b'), file('a/c')],
    ],
    ['no root', [directory('a')]],
    ['a root that comes later', [directory('.'), directory('.')]],
    ['nothing', []],
  ] as const)('is refused with %s', async (_what, entries) => {
    expect(await install(entries)).toBe('TREE_ORDER');
  });

  const [first, second] = [Buffer.alloc(MIB, 'a'), Buffer.alloc(10, 'b')];
  const whole = Buffer.concat([first, second]);
  const last = (name = 'f', over: object = {}): StateEntry => ({
    ...part('f', 1, second),
    artifact: {
      name,
      size: whole.length,
      sha256: sha256(whole),
      identity: `file:644:${sha256(whole)}`,
      ...over,
    },
  });
  it.each([
    ['a root that is a file', [file('.')]],
    [
      'an entry without the name of its artifact',
      [directory('.'), { ...file('a'), name: 'ibc/files/b' }],
    ],
    ['an invalid mode', [directory('.'), file('a', '', '4755')]],
    [
      'a directory that has bytes',
      [
        directory('.'),
        {
          ...file('d', 'x'),
          name: directoryEntryName('ibc', 'd'),
          artifact: { ...file('d', 'x').artifact!, identity: 'directory:755' },
        },
      ],
    ],
    [
      'an identity with the wrong hash',
      [
        directory('.'),
        {
          ...file('a', 'x'),
          artifact: { ...file('a', 'x').artifact!, identity: `file:644:${sha256('y')}` },
        },
      ],
    ],
    ['a first part that is not 0', [directory('.'), part('f', 1, first), last()]],
    [
      'a missing part',
      [directory('.'), part('f', 0, first), { ...last(), name: part('f', 2, second).name }],
    ],
    ['no last part', [directory('.'), part('f', 0, first)]],
    [
      'a part longer than the first',
      [directory('.'), { ...part('f', 0, second) }, { ...last(), data: first, size: first.length }],
    ],
    ['parts of another file', [directory('.'), part('f', 0, first), last('g')]],
    ['parts of the wrong size', [directory('.'), part('f', 0, first), last('f', { size: 5 })]],
    [
      'parts of the wrong hash',
      [directory('.'), part('f', 0, first), last('f', { sha256: sha256('') })],
    ],
    [
      'parts of a directory',
      [directory('.'), part('f', 0, first), last('f', { identity: 'directory:755' })],
    ],
    ['a part of no file', [directory('.'), { ...part('f', 0, first), name: 'ibc/other/f/000000' }]],
  ] as const)('is refused with %s', async (_what, entries) => {
    expect(await install(entries as readonly StateEntry[])).toBe('WRONG_CHUNK');
  });

  it('does not replace something that appeared in its place meanwhile', async () => {
    const above = await tempDir();
    const dir = path.join(above, 'tree');
    const module = filesModule({ name: 'ibc', dir, purpose: 'install' });
    const writable = await module.beginWriteState(contextIn(above));
    await writable.writeChunk({ entries: [directory('.'), file('a', 'x')] });
    const written = await writable.done();
    await mkdir(dir);
    await writeFile(path.join(dir, 'mine'), 'stays');
    await expect(written.install()).rejects.toMatchObject({ code: 'FILES_EXIST' });
    await writable.abort(new Error('enough'));
    expect(Object.keys(await listTree(above))).toEqual(['tree', 'tree/mine']);
  });

  it('may have directories without write permission, and is removed with them', async () => {
    const above = await tempDir();
    const dir = path.join(above, 'tree');
    const module = filesModule({ name: 'ibc', dir, purpose: 'install' });
    const entries = [
      directory('.', '555'),
      directory('a', '555'),
      file('a/b', 'x', '444'),
      file('c'),
    ];
    for (const end of ['aborted', 'undone', 'installed']) {
      const writable = await module.beginWriteState(contextIn(above));
      await writable.writeChunk({ entries: entries.map((entry) => ({ ...entry })) });
      const written = await writable.done();
      if (end === 'aborted') await writable.abort(new Error('enough'));
      else {
        const installed = await written.install();
        const modes = Object.values(await listTree(dir)).map(({ mode }) => mode);
        expect(modes).toEqual(['555', '444', '644']);
        if (end === 'undone') await installed.undo();
      }
      expect(await readdir(above)).toEqual(end === 'installed' ? ['tree'] : []);
    }
    for (const name of ['a', '.']) await chmod(path.join(dir, name), 0o755);
  });
});

describe('a sent tree of files', () => {
  async function readAll(dir: string, during?: () => Promise<unknown>): Promise<StateChunk[]> {
    const module = filesModule({ name: 'ibc', dir, purpose: 'read' });
    const readable = await module.beginReadState(contextIn(await tempDir()));
    const chunks: StateChunk[] = [];
    try {
      for (;;) {
        const chunk = inBytes(await readable.readChunk());
        if (chunk === undefined) break;
        chunks.push(chunk);
        if (chunk.entries[0]?.name === part('d', 0, Buffer.alloc(0)).name) await during?.();
      }
      await readable.done();
      return chunks;
    } catch (error) {
      await readable.abort(error);
      throw error;
    }
  }

  async function tree(): Promise<string> {
    const dir = path.join(await tempDir(), 'tree');
    await mkdir(path.join(dir, 'b'), { recursive: true });
    for (const name of ['a', 'b/c']) await writeFile(path.join(dir, name), name);
    // Read in parts.
    await writeFile(path.join(dir, 'd'), Buffer.alloc(9 * MIB, 'd'));
    return dir;
  }

  it('has each directory before its content, whatever the names', async () => {
    const dir = await tempDir();
    await mkdir(path.join(dir, 'a'));
    for (const name of ['a/z', 'a-b', 'a!', 'a.c', 'ä', 'b', '\u{1f600}', '\uffee']) {
      await writeFile(path.join(dir, name), '');
    }
    const chunks = await readAll(dir);
    const names = chunks.flatMap(({ entries }) => entries.map(({ artifact }) => artifact?.name));
    expect(names).toEqual(['.', 'a', 'a/z', 'a!', 'a-b', 'a.c', 'b', 'ä', '\uffee', '\u{1f600}']);
  });

  it.each([
    ['a symbolic link', async (dir: string) => symlink('a', path.join(dir, 'link'))],
    ['a pipe', async (dir: string) => execFileSync('mkfifo', [path.join(dir, 'pipe')])],
  ])('is refused by name with %s', async (what, make) => {
    const dir = await tree();
    await make(dir);
    await expect(readAll(dir)).rejects.toMatchObject({
      code: 'NOT_A_FILE',
      exitCode: 3,
      path: path.join(dir, what === 'a pipe' ? 'pipe' : 'link'),
    });
  });

  it('is refused with a name that is not UTF-8', async () => {
    const dir = await tree();
    await writeFile(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x66, 0xff])]), '');
    await expect(readAll(dir)).rejects.toMatchObject({ code: 'TREE_PATH' });
  });

  it.each([
    ['a file that grows', async (dir: string) => appendFile(path.join(dir, 'd'), 'more')],
    ['a file that is touched', async (dir: string) => utimes(path.join(dir, 'd'), 1, 1)],
    ['a file that disappears', async (dir: string) => rm(path.join(dir, 'd'))],
    ['a file that appears', async (dir: string) => writeFile(path.join(dir, 'e'), '')],
    [
      'a file that is replaced',
      async (dir: string) => {
        await cp(path.join(dir, 'd'), path.join(dir, '..', 'copy'));
        await rename(path.join(dir, '..', 'copy'), path.join(dir, 'd'));
      },
    ],
  ])('is refused if it changes meanwhile: %s', async (_what, change) => {
    const dir = await tree();
    expect(await readAll(dir)).toHaveLength(4);
    await expect(readAll(dir, async () => change(dir))).rejects.toMatchObject({
      code: 'FILE_CHANGED',
      exitCode: 1,
    });
  });
});
