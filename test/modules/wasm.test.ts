import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import { inlinePool } from '../../src/io/threads/pool.ts';
import { ModuleRegistry, moduleRegistry } from '../../src/modules/registry.ts';
import { findWasmDir, usualWasmDir } from '../../src/modules/wasm/layout.ts';
import { wasmKind, wasmModule } from '../../src/modules/wasm/module.ts';
import type { StateContext, StateEntry } from '../../src/snapshot/module-contract.ts';
import { inBytes } from '../fixtures/chunks.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { sha256 } from './hashes.ts';

const MIB = 1024 * 1024;
const tempDir = useTempDir();

const contextIn = (scratchDir: string, notes: string[] = []): StateContext => ({
  height: 7,
  chunkBytes: 4 * MIB,
  scratchDir,
  pool: inlinePool,
  progress: { ...noProgress, note: (message) => void notes.push(message) },
});

function entryOf(text: string): StateEntry {
  const data = Buffer.from(text);
  const hash = sha256(data);
  const digest = { size: data.length, sha256: hash };
  const artifact = { name: hash, ...digest, identity: `wasm:${hash}` };
  return { name: `wasm/code/${hash}`, data, ...digest, artifact };
}

describe('received byte code', () => {
  /** Writes entries and returns the outcome. If they are refused, nothing may be left. */
  async function install(entries: readonly StateEntry[]): Promise<string> {
    const above = await tempDir();
    const module = wasmModule({
      name: 'wasm',
      dir: path.join(above, 'a', 'b'),
      purpose: 'install',
    });
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

  it('is installed in any order, from any source, with bytes that are given or loaded', async () => {
    const lazy = entryOf('b');
    const bytes = lazy.data as Buffer;
    expect(await install([entryOf('a'), { ...lazy, data: async () => bytes }])).toBe('installed');
    expect(await install([entryOf('b'), entryOf('a')])).toBe('installed');
  });

  const [one, other] = [entryOf('one'), entryOf('other')];
  it.each([
    ['twice', [one, entryOf('one')], 'WRONG_CHUNK'],
    ['under the name of other byte code', [{ ...one, name: other.name }], 'WRONG_CHUNK'],
    [
      'as an artifact with the wrong name',
      [{ ...one, artifact: { ...one.artifact!, name: other.artifact!.name } }],
      'WRONG_CHUNK',
    ],
    [
      'with the wrong identity',
      [{ ...one, artifact: { ...one.artifact!, identity: 'wasm:' } }],
      'WRONG_CHUNK',
    ],
    [
      'without a checksum as its name',
      [
        {
          ...one,
          name: 'wasm/code/../x',
          artifact: { ...one.artifact!, name: '../x', identity: 'wasm:../x' },
        },
      ],
      'WRONG_CHUNK',
    ],
    [
      'in a part without a last one',
      [{ ...one, name: `wasm/code/${sha256('one')}/000000`, artifact: undefined }],
      'WRONG_CHUNK',
    ],
    [
      'in an empty part',
      [{ ...one, name: 'wasm/other/000000', artifact: undefined }],
      'WRONG_CHUNK',
    ],
    [
      'under the checksum of other byte code',
      [
        {
          ...one,
          name: other.name,
          artifact: {
            ...one.artifact!,
            name: other.artifact!.name,
            identity: other.artifact!.identity,
          },
        },
      ],
      'WASM_CHECKSUM',
    ],
  ] as const)('is refused %s', async (_what, entries, code) => {
    expect(await install(entries)).toBe(code);
  });

  it('keeps a file that another process has installed meanwhile if it is the same, else refuses it', async () => {
    for (const text of ['one', 'rotten']) {
      const above = await tempDir();
      const dir = path.join(above, 'wasm');
      const module = wasmModule({ name: 'wasm', dir, purpose: 'install' });
      const writable = await module.beginWriteState(contextIn(above));
      await writable.writeChunk({ entries: [entryOf('one'), entryOf('other')] });
      const written = await writable.done();
      const meanwhile = path.join(dir, sha256('one'));
      await writeFile(meanwhile, text);
      if (text === 'one') {
        const installed = await written.install();
        expect(Object.keys(await listTree(dir))).toHaveLength(2);
        await installed.undo();
      } else {
        await expect(written.install()).rejects.toMatchObject({ code: 'WASM_CHECKSUM' });
        await writable.abort(new Error('enough'));
      }
      expect(Object.keys(await listTree(above))).toEqual(['wasm', `wasm/${sha256('one')}`]);
      expect(await readFile(meanwhile, 'utf8')).toBe(text);
    }
  });
});

describe('sent byte code', () => {
  it('is every file named after a checksum; other files are skipped with a note', async () => {
    const dir = await tempDir();
    await writeFile(path.join(dir, sha256('a')), 'a');
    await writeFile(path.join(dir, 'exclusive.lock'), '');
    const notes: string[] = [];
    const module = wasmModule({ name: 'wasm', dir, purpose: 'read' });
    const readable = await module.beginReadState(contextIn(dir, notes));
    expect(inBytes(await readable.readChunk())?.entries).toHaveLength(1);
    expect(await readable.readChunk()).toBeUndefined();
    expect((await readable.done()).fields).toMatchObject({ artifacts: { count: 1, size: 1 } });
    expect(notes).toEqual([expect.stringContaining('1 names')]);
  });

  it('is refused if it is a link or its directory is missing', async () => {
    const dir = await tempDir();
    const read = async (from: string) => {
      const module = wasmModule({ name: 'wasm', dir: from, purpose: 'read' });
      return (await module.beginReadState(contextIn(dir))).readChunk();
    };
    await symlink('/etc/hostname', path.join(dir, sha256('a')));
    await expect(read(dir)).rejects.toMatchObject({ code: 'NOT_A_FILE', exitCode: 3 });
    await expect(read(path.join(dir, 'none'))).rejects.toMatchObject({
      code: 'WASM_MISSING',
      exitCode: 5,
    });
  });

  it('is found in a node’s home', async () => {
    for (const names of [
      ['wasm', 'wasm', 'state', 'wasm'],
      ['data', 'wasm', 'state', 'wasm'],
      ['wasm', 'state', 'wasm'],
    ]) {
      const home = await tempDir();
      expect(findWasmDir(home)).toBeUndefined();
      await mkdir(path.join(home, ...names), { recursive: true });
      expect(findWasmDir(home)).toBe(path.join(home, ...names));
    }
    expect(usualWasmDir('/h')).toBe('/h/wasm/wasm/state/wasm');
  });
});

describe('the registry', () => {
  it('knows the built-in kinds, and accepts each name once', () => {
    expect(moduleRegistry().kinds).toEqual(['swingset', 'wasm', 'files']);
    expect(new ModuleRegistry().kinds).toEqual([]);
    for (const kind of ['wasm', 'Wasm', '', 'a/b', 'x'.repeat(33)]) {
      expect(() => moduleRegistry().register({ ...wasmKind, kind })).toThrow(
        expect.objectContaining({ code: 'MODULE_KIND' }) as Error,
      );
    }
  });

  it('makes modules with only the side that their place allows', async () => {
    const context = contextIn(await tempDir());
    const registry = moduleRegistry();
    for (const [kind, name] of [
      ['wasm', 'w'],
      ['files', 'f'],
      ['swingset', 'swingset'],
    ] as const) {
      const verifier = registry.make(kind, { name, purpose: 'verify' });
      await expect(verifier.beginReadState(context)).rejects.toMatchObject({ code: 'MODULE_SIDE' });
      const reader = registry.make(kind, { name, dir: '/nowhere', purpose: 'read' });
      await expect(reader.beginWriteState(context)).rejects.toMatchObject({ code: 'MODULE_SIDE' });
    }
    expect(() => registry.make('swingset', { name: 'other', purpose: 'verify' })).toThrow(
      expect.objectContaining({ code: 'MODULE_NAME' }) as Error,
    );
    expect(() =>
      registry.make('swingset', { name: 'swingset', dir: '/x', purpose: 'compare' }),
    ).toThrow(expect.objectContaining({ code: 'MODULE_SIDE' }) as Error);
  });
});
