/** State beside the SwingStore, moved from one node's directories to another's. */
import { chmod, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { sha256 } from '../modules/hashes.ts';
import { canMount, runIn } from './surroundings.ts';

const fileDir = useTempDir('file');
const WASM = ['wasm', 'wasm', 'state', 'wasm'] as const;
const codes = ['one code', 'another code', 'x'.repeat(2_000_000)].map((text) => Buffer.from(text));

/** Never changed: the home of a node, a tree of files, and a snapshot of both. */
let base: string;
const home = (...names: string[]): string => join(base, 'home', ...names);
const tree = (...names: string[]): string => join(base, 'ibc', ...names);
const snapshots = (): string => join(base, 'D');
const toTree = (dir: string): string[] => ['--module', `ibc=files:${dir}`];

interface Told {
  readonly exitCode: number | null;
  readonly contentHash: string;
  readonly modules: unknown;
  readonly notes: readonly string[];
  readonly error?: Record<string, unknown>;
}

async function told(...args: string[]): Promise<Told> {
  const { exitCode, json } = await runCli([...args, '--json']);
  return { ...(json as Told), exitCode };
}

beforeAll(async () => {
  base = await fileDir();
  await buildStore(home('data', 'agoric'), tinySpec);
  await mkdir(home(...WASM), { recursive: true });
  for (const code of codes) await writeFile(home(...WASM, sha256(code)), code);
  await mkdir(tree('clients', 'empty'), { recursive: true });
  await writeFile(tree('clients', 'run'), '#!/bin/sh\n', { mode: 0o755 });
  await writeFile(tree('state.db'), Buffer.alloc(300_000, 'state'), { mode: 0o600 });
  await chmod(tree('clients', 'empty'), 0o700);
  const retrieve = ['retrieve', '--create', '--home', home(), '--snapshot-dir', snapshots()];
  const { exitCode } = await told(...retrieve, ...toTree(tree()));
  expect(exitCode).toBe(0);
});
afterAll(closeReference);

/** An empty node. */
async function freshNode() {
  const dir = await fileDir();
  const home = join(dir, 'home');
  await mkdir(join(home, 'config'), { recursive: true });
  return { dir, home, tree: join(dir, 'ibc') };
}

describe('retrieve', () => {
  it('reads byte code from the home, and lists it in the manifest', async () => {
    const manifest = JSON.parse(
      await readFile(join(snapshots(), '1000', 'manifest.json'), 'utf8'),
    ) as {
      readonly modules: unknown;
    };
    const size = codes.reduce((sum, code) => sum + code.length, 0);
    expect(manifest.modules).toMatchObject({
      ibc: { kind: 'files', artifacts: { count: 5, size: 300_010 } },
      wasm: { kind: 'wasm', artifacts: { count: 3, size } },
    });
  });

  it('makes the same snapshot as before modules existed if there are none', async () => {
    const dir = await fileDir();
    const alone = ['retrieve', '--create', '--state-dir', home('data', 'agoric'), '--snapshot-dir'];
    const { contentHash, modules } = await told(...alone, join(dir, 'D'));
    expect(Object.keys(modules as object)).toEqual(['swingset']);
    const withAll = await told('verify', snapshots());
    expect(withAll.exitCode).toBe(0);
    expect(contentHash).not.toBe(
      (withAll as { hashes?: { contentHash: string } }).hashes?.contentHash,
    );
  });

  it('makes the same bytes again, although modules are read concurrently', async () => {
    const dir = await fileDir();
    const retrieve = [
      'retrieve',
      '--create',
      '--home',
      home(),
      ...toTree(tree()),
      '--snapshot-dir',
    ];
    await told(...retrieve, join(dir, 'D'), '--concurrency', '3');
    expect(await listTree(join(dir, 'D'))).toEqual(await listTree(snapshots()));
  });

  it.each([
    ['a link', async (dir: string) => symlink('state.db', join(dir, 'link')), 'NOT_A_FILE'],
    ['no directory', async (dir: string) => rm(dir, { recursive: true }), 'FILES_MISSING'],
  ])('publishes no module if the files have %s', async (_what, spoil, code) => {
    const dir = await fileDir();
    const copy = join(dir, 'ibc');
    await cp(tree(), copy, { recursive: true });
    await spoil(copy);
    const retrieve = [
      'retrieve',
      '--create',
      '--home',
      home(),
      '--snapshot-dir',
      join(dir, 'made'),
    ];
    const { error } = await told(...retrieve, ...toTree(copy));
    expect(error).toMatchObject({ code });
    expect(await readdir(dir)).not.toContain('made');
  });

  it('refuses byte code that does not match its name', async () => {
    const dir = await fileDir();
    const wrong = sha256('something else');
    await writeFile(join(dir, wrong), 'not that');
    const D = join(dir, 'made');
    const retrieve = ['retrieve', '--create', '--home', home(), '--snapshot-dir', D];
    const { exitCode, error } = await told(...retrieve, '--module', `wasm=wasm:${dir}`);
    expect({ exitCode, error }).toMatchObject({
      exitCode: 3,
      error: { code: 'WASM_CHECKSUM', path: join(dir, wrong), expected: wrong },
    });
    expect(await readdir(dir)).toEqual([wrong]);
  });

  it('reports with --check what it would read, and what is missing', async () => {
    const check = ['retrieve', '--check', '--home', home(), '--snapshot-dir', snapshots()];
    const { exitCode, stdout } = await runCli([...check, ...toTree(tree())]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`ok  module wasm (wasm) has a directory: ${home(...WASM)}`);
    expect(stdout).toContain(`ok  module ibc (files) has a directory: ${tree()}`);
    expect((await runCli([...check, ...toTree(tree('none'))])).exitCode).toBe(5);
  });

  it('does not read byte code that an earlier height has', async () => {
    const { dir, home: other } = await freshNode();
    await cp(home(), other, { recursive: true });
    const D = join(dir, 'D');
    await cp(join(snapshots(), '1000'), join(D, '900'), { recursive: true });
    const older = JSON.parse(await readFile(join(D, '900', 'manifest.json'), 'utf8')) as object;
    expect(older).toMatchObject({ height: 1000 });
    await rm(join(D, '900'), { recursive: true });
    await buildStore(join(dir, 'older'), { ...tinySpec, height: 900 });
    const wasm = ['--module', `wasm=wasm:${join(other, ...WASM)}`, '--snapshot-dir', D];
    await told(
      'retrieve',
      '--create',
      '--state-dir',
      join(dir, 'older'),
      ...wasm,
      ...toTree(tree()),
    );
    // The damage is not detected, because the file is not read: the chunk of the earlier height is right.
    for (const code of codes)
      await writeFile(join(other, ...WASM, sha256(code)), Buffer.alloc(code.length));
    const { exitCode, ...result } = await told(
      'retrieve',
      '--create',
      '--home',
      other,
      ...wasm,
      ...toTree(tree()),
    );
    expect({ exitCode, ...result }).toMatchObject({ exitCode: 0, reused: { from: 900 } });
    expect((await told('verify', D)).exitCode).toBe(0);
  });
});

describe('restore', () => {
  it('installs all modules on another node, where verify accepts them', async () => {
    const node = await freshNode();
    const args = ['--home', node.home, ...toTree(node.tree)];
    const { exitCode, modules, notes } = await told('restore', snapshots(), ...args);
    expect({ exitCode, modules, notes }).toMatchObject({
      exitCode: 0,
      notes: [expect.stringMatching(/no data\/application.db: .* not compared/u)],
      modules: [
        { name: 'wasm', path: join(node.home, ...WASM) },
        { name: 'ibc', path: node.tree },
        { name: 'swingset', path: join(node.home, 'data', 'agoric', 'swingstore.sqlite') },
      ],
    });
    expect(await listTree(node.tree)).toEqual(await listTree(tree()));
    expect(await listTree(join(node.home, 'wasm'))).toEqual(await listTree(home('wasm')));
    const compared = await told('verify', snapshots(), ...args);
    expect(compared).toMatchObject({ exitCode: 0 });
    expect(compared.modules).toMatchObject([
      { name: 'wasm', compared: { equal: 3, onlyThere: 0 } },
      { name: 'ibc', compared: { equal: 5, onlyThere: 0 } },
      { name: 'swingset' },
    ]);
  });

  it('prints what was restored and where', async () => {
    const node = await freshNode();
    const args = ['restore', snapshots(), '--home', node.home, '--leave-module', 'ibc'];
    const { stdout } = await runCli(args);
    const next = `next: swingsnap verify ${join(snapshots(), '1000')} --home ${node.home}\n`;
    expect(stdout).toContain(next);
    expect(stdout).toContain(`  module wasm (wasm)  restored: ${join(node.home, ...WASM)}`);
    expect(stdout).toContain('  module ibc (files)  verified');
  });

  it('refuses a module without a place, unless told to leave it: then it is only verified', async () => {
    const node = await freshNode();
    const S = join(node.dir, 'S');
    const restore = ['restore', '--leave-module', 'wasm', snapshots(), '--state-dir', S];
    for (const more of [[], ['--check']]) {
      expect(await told(...restore, ...more)).toMatchObject({
        exitCode: 2,
        error: { code: 'MODULE_PLACE', expected: '--module ibc=files:DIR' },
      });
    }
    expect(await readdir(node.dir)).toEqual(['home']);
    const { exitCode, modules, notes } = await told(...restore, '--leave-module', 'ibc');
    expect({ exitCode, notes }).toEqual({ exitCode: 0, notes: [] });
    expect(modules).toMatchObject([{ name: 'wasm' }, { name: 'ibc' }, { name: 'swingset' }]);
    expect(await readdir(node.dir)).toEqual(['S', 'home']);
  });

  it('keeps byte code that the home already has', async () => {
    const node = await freshNode();
    const older = join(node.home, 'wasm', 'state', 'wasm');
    await mkdir(older, { recursive: true });
    const [code] = codes;
    await writeFile(join(older, sha256(code!)), code!);
    await writeFile(join(older, sha256('one more')), 'one more');
    const before = (await listTree(older))[sha256('one more')];
    const { exitCode } = await told(
      'restore',
      snapshots(),
      '--home',
      node.home,
      '--leave-module',
      'ibc',
    );
    expect(exitCode).toBe(0);
    const after = await listTree(older);
    expect(Object.keys(after)).toHaveLength(4);
    expect(after[sha256('one more')]).toEqual(before);
  });

  const refusals: readonly (readonly [
    string,
    string,
    (node: Awaited<ReturnType<typeof freshNode>>) => Promise<unknown>,
  ])[] = [
    [
      'existing byte code is wrong',
      'WASM_CHECKSUM',
      async (node) => {
        await mkdir(join(node.home, ...WASM), { recursive: true });
        await writeFile(join(node.home, ...WASM, sha256(codes[0]!)), 'rotten');
      },
    ],
    [
      'other files exist',
      'FILES_EXIST',
      async (node) => {
        await mkdir(node.tree, { recursive: true });
        await writeFile(join(node.tree, 'mine'), 'stays');
      },
    ],
    [
      'a store exists',
      'STORE_EXISTS',
      async (node) => {
        await mkdir(join(node.home, 'data', 'agoric'), { recursive: true });
        await writeFile(join(node.home, 'data', 'agoric', 'swingstore.sqlite'), 'stays');
      },
    ],
  ];
  it.each(refusals)('installs no module if %s', async (_what, code, spoil) => {
    const node = await freshNode();
    await spoil(node);
    const before = await listTree(node.dir);
    const { error } = await told('restore', snapshots(), '--home', node.home, ...toTree(node.tree));
    expect(error).toMatchObject({ code, hint: expect.any(String) as string });
    expect(await listTree(node.dir)).toEqual(before);
  });

  it('installs no module if one of them is damaged', async () => {
    const { dir, home: to, tree: toFiles } = await freshNode();
    const D = join(dir, 'D');
    for (const file of await readdir(join(snapshots(), '1000', 'chunks'))) {
      await cp(snapshots(), D, { recursive: true });
      await writeFile(join(D, '1000', 'chunks', file), 'rotten');
      const before = await listTree(dir);
      const { exitCode } = await told('restore', D, '--home', to, ...toTree(toFiles));
      expect({ file, exitCode }).toEqual({ file, exitCode: 3 });
      expect(await listTree(dir)).toEqual(before);
      await rm(D, { recursive: true });
    }
  });

  it('moves other files aside with --replace, and keeps identical ones', async () => {
    const node = await freshNode();
    await mkdir(node.tree, { recursive: true });
    await writeFile(join(node.tree, 'mine'), 'stays');
    const restore = [
      'restore',
      snapshots(),
      '--home',
      node.home,
      ...toTree(node.tree),
      '--replace',
    ];
    const first = await told(...restore);
    const [, moved] = first.modules as { movedTo: string }[];
    expect(await readFile(join(moved!.movedTo, 'mine'), 'utf8')).toBe('stays');
    expect(await listTree(node.tree)).toEqual(await listTree(tree()));
    const second = await told(...restore);
    expect(second.exitCode).toBe(0);
    expect((second.modules as object[])[1]).toEqual({
      name: 'ibc',
      kind: 'files',
      path: node.tree,
      owner: expect.anything() as unknown,
    });
  });
});

describe('a tree of files that contains the store being read', () => {
  it('is refused by any path, and nothing is created', async () => {
    const { dir } = await freshNode();
    const S = home('data', 'agoric');
    const linked = join(dir, 'linked');
    await symlink(S, linked);
    const retrieve = ['retrieve', '--create', '--state-dir', S, '--snapshot-dir', join(dir, 'D')];
    for (const over of [S, base, linked]) {
      for (const more of [[], ['--check']]) {
        expect(await told(...retrieve, ...toTree(over), ...more)).toMatchObject({
          exitCode: 2,
          error: { code: 'HOLDS_STORE', path: over },
        });
      }
    }
    expect(await readdir(dir)).toEqual(['home', 'linked']);
  });

  it.runIf(canMount)('is refused if the store is mounted into it', async () => {
    const { dir } = await freshNode();
    const S = home('data', 'agoric');
    const mounted = join(dir, 'ibc', 'mounted');
    await mkdir(mounted, { recursive: true });
    const mounts = `mount --bind '${S}' '${mounted}'`;
    const retrieve = [
      'retrieve',
      '--create',
      '--state-dir',
      S,
      '--snapshot-dir',
      join(dir, 'D'),
      '--json',
    ];
    const { exitCode, json } = await runIn({ mounts }, [...retrieve, ...toTree(join(dir, 'ibc'))]);
    expect({ exitCode, json }).toMatchObject({
      exitCode: 2,
      json: { error: { code: 'HOLDS_STORE', path: join(mounted, 'swingstore.sqlite') } },
    });
    expect(await readdir(join(dir, 'D')).catch(() => [])).toEqual([]);
  });
});

describe('verify', () => {
  it('names the differences at a place, with exit code 3', async () => {
    const { dir } = await freshNode();
    const copy = join(dir, 'ibc');
    await cp(tree(), copy, { recursive: true });
    await chmod(join(copy, 'clients', 'run'), 0o644);
    await writeFile(join(copy, 'more'), '');
    const files = await told('verify', snapshots(), ...toTree(copy));
    const again = `--module ibc=files:${copy} --replace`;
    expect(files).toMatchObject({
      exitCode: 3,
      error: {
        code: 'STATE_DIFFERS',
        path: copy,
        hint: expect.stringMatching(
          `this directory differs: .*swingsnap restore .*${again}$`,
        ) as string,
      },
    });
    expect(files.error?.['found']).toMatch(/clients\/run differs.*more is there only/u);
    const wasm = join(dir, 'wasm');
    await mkdir(wasm);
    await writeFile(join(wasm, sha256(codes[0]!)), 'rotten');
    const compared = await told('verify', snapshots(), '--module', `wasm=wasm:${wasm}`);
    expect(compared).toMatchObject({ exitCode: 3, error: { code: 'STATE_DIFFERS', path: wasm } });
    expect(compared.error?.['found']).toMatch(/3 differences/u);
  });

  it('refuses a place without a module, a place of another kind, and flags without meaning', async () => {
    const module = (place: string) => told('verify', snapshots(), '--module', place);
    expect(await module('other=files:/x')).toMatchObject({
      exitCode: 5,
      error: { code: 'MODULE_MISSING', found: 'swingset, ibc, wasm' },
    });
    expect(await module('wasm=files:/x')).toMatchObject({
      exitCode: 2,
      error: { code: 'MODULE_KIND', hint: 'name its place with --module wasm=wasm:/x' },
    });
    const archive = ['retrieve', '--format', 'state-sync', '--stores-from', '/x', '--home', home()];
    const toArchive = await told(...archive, '--snapshot-dir', '/x', '--module', 'ibc=files:/x');
    expect(toArchive).toMatchObject({ exitCode: 2, error: { code: 'USAGE' } });
    for (const place of ['wasm', 'wasm=wasm', 'wasm=wasm:', '=files:/x', '../x=files:/x']) {
      expect(await module(place), place).toMatchObject({ exitCode: 2 });
    }
    const names = ['constructor=files:/x', 'prototype=files:/x', '__proto__=files:/x'];
    for (const place of ['swingset=files:/x', 'x=swingset:/x', 'X=files:/x', ...names]) {
      expect(await module(place), place).toMatchObject({ exitCode: 2 });
    }
    const twice = ['--module', 'ibc=files:/x', '--module', 'ibc=files:/y'];
    expect(await told('verify', snapshots(), ...twice)).toMatchObject({ exitCode: 2 });
    const E = join(base, 'E');
    await told('export', '--home', home(), '--export-dir', E);
    expect(await told('verify', E, '--module', 'ibc=files:/x')).toMatchObject({ exitCode: 5 });
    expect(await told('verify', E, '--home', home())).toMatchObject({ exitCode: 0 });
  });
});
