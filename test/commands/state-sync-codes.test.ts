/** Byte code in a state-sync snapshot, and where commands put it. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import {
  makeChain,
  someLeaves,
  storeItems,
  swingsetItems,
  swingsetLeaves,
  wasmItems,
  wasmLeaves,
} from '../fixtures/state-sync/make-chain.ts';
import { cut, streamOf, writeChunks } from '../fixtures/state-sync/make-snapshot.ts';

const EXPORT = fileURLToPath(new URL('../fixtures/state-sync/export', import.meta.url));
const HEIGHT = 1000;
const WASM = ['wasm', 'wasm', 'state', 'wasm'] as const;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const codes = ['one code', 'another code', 'x'.repeat(2_000_000), ''].map((text) =>
  Buffer.from(`\0asm${text}`),
);
const checksums = codes.map(sha256);

const fileDir = useTempDir('file');
afterAll(closeReference);

/** Read-only: state-sync snapshots of one chain. */
let right: string;
let appHash: string;
/** Its last byte code matches no code of the chain. */
let wrongCode: string;
/** An artifact, which comes before the byte code, is wrong. */
let wrongArtifact: string;
/** A snapshot of another chain, without byte code. */
let without: string;

beforeAll(async () => {
  const swingset = await swingsetLeaves(EXPORT);
  const chain = makeChain(HEIGHT, { bank: someLeaves(20, 1), swingset, wasm: wasmLeaves(codes) });
  ({ appHash } = chain);
  const artifacts = await swingsetItems(EXPORT);
  const write = async (items: readonly Buffer[], of = chain): Promise<string> =>
    writeChunks(await fileDir(), HEIGHT, 3, cut(streamOf([...storeItems(of), ...items]), 50_000));
  right = await write([...artifacts, ...wasmItems(codes)]);
  wrongCode = await write([...artifacts, ...wasmItems(codes.with(-1, Buffer.from('wrong')))]);
  wrongArtifact = await write([...wasmItems(codes), ...artifacts.slice(0, -1)]);
  without = await write(artifacts, makeChain(HEIGHT, { swingset, wasm: wasmLeaves([]) }));
});

interface Told {
  readonly exitCode: number | null;
  readonly contentHash?: string;
  readonly hashes?: { readonly contentHash: string };
  readonly modules?: readonly Readonly<Record<string, unknown>>[];
  readonly notes: readonly string[];
  readonly error?: Record<string, unknown>;
}

async function told(...args: string[]): Promise<Told> {
  const { exitCode, json } = await runCli([...args, '--json']);
  return { ...(json as Told), exitCode };
}

/** A node without state. */
async function freshNode() {
  const dir = await fileDir();
  const home = join(dir, 'home');
  const database = join(home, 'data', 'agoric', 'swingstore.sqlite');
  await mkdir(join(home, 'data'), { recursive: true });
  return { dir, home, wasm: join(home, ...WASM), database };
}

describe('restore', () => {
  it('puts the byte code where the node keeps it, and reports it in text and JSON', async () => {
    const node = await freshNode();
    const restored = await told('restore', right, '--home', node.home, '--app-hash', appHash);
    expect(restored).toMatchObject({
      exitCode: 0,
      notes: [expect.stringMatching(/no data\/application.db: .* not compared/u)],
      proved: 'app hash',
    });
    expect(restored.modules).toMatchObject([
      { name: 'wasm', kind: 'wasm', path: node.wasm },
      { name: 'swingset', kind: 'swingset', path: node.database },
    ]);
    expect((await readdir(node.wasm)).sort()).toEqual(checksums.toSorted());
    for (const [at, checksum] of checksums.entries()) {
      expect((await readFile(join(node.wasm, checksum))).equals(codes[at]!)).toBe(true);
    }
    const place = join(node.dir, 'elsewhere');
    const S = join(node.dir, 'S');
    const module = ['--module', `wasm=wasm:${place}`];
    const { stdout } = await runCli(['restore', right, '--state-dir', S, ...module]);
    expect(stdout).toContain(`  module wasm (wasm)  restored: ${place}`);
    expect((await readdir(place)).sort()).toEqual(checksums.toSorted());
  });

  it('refuses byte code without a place, unless told to leave it: then it is only verified', async () => {
    const node = await freshNode();
    const S = join(node.dir, 'S');
    expect(await told('restore', right, '--state-dir', S)).toMatchObject({
      exitCode: 2,
      error: { code: 'MODULE_PLACE', expected: '--module wasm=wasm:DIR' },
    });
    expect(await readdir(node.dir)).toEqual(['home']);
    const leave = ['--leave-module', 'wasm'];
    const restored = await told('restore', right, '--state-dir', S, ...leave);
    expect(restored).toMatchObject({
      exitCode: 0,
      notes: [expect.stringContaining('nothing was proved')],
    });
    expect(restored.modules?.[0]).toEqual({ name: 'wasm', kind: 'wasm' });
    expect(await readdir(node.dir)).toEqual(['S', 'home']);
  });

  it('keeps existing byte code, including byte code that the snapshot does not have', async () => {
    const node = await freshNode();
    await mkdir(node.wasm, { recursive: true });
    await writeFile(join(node.wasm, checksums[0]!), codes[0]!);
    await writeFile(join(node.wasm, sha256(Buffer.from('one more'))), 'one more');
    const before = await listTree(node.wasm);
    expect(await told('restore', right, '--home', node.home)).toMatchObject({ exitCode: 0 });
    const after = await listTree(node.wasm);
    expect(after).toMatchObject(before);
    expect(Object.keys(after)).toHaveLength(codes.length + 1);
  });

  type Node = Awaited<ReturnType<typeof freshNode>>;
  it.each<[string, string, number, () => string, (node: Node) => Promise<unknown>, string[]]>([
    ['one byte code is wrong', 'UNKNOWN_CODE', 3, () => wrongCode, async () => undefined, []],
    ['an artifact is wrong', 'INCOMPLETE', 3, () => wrongArtifact, async () => undefined, []],
    [
      'the AppHash differs',
      'APP_HASH',
      3,
      () => right,
      async () => undefined,
      ['--app-hash', '0'.repeat(64)],
    ],
    [
      'the content hash differs',
      'HASH_MISMATCH',
      3,
      () => right,
      async () => undefined,
      ['--expect', '0'.repeat(64)],
    ],
    [
      'existing byte code is wrong',
      'WASM_CHECKSUM',
      3,
      () => right,
      async ({ wasm }) => {
        await mkdir(wasm, { recursive: true });
        await writeFile(join(wasm, checksums[1]!), 'rotten');
      },
      [],
    ],
    [
      'the place of byte code is a file',
      'NOT_A_DIRECTORY',
      2,
      () => right,
      async ({ home }) => {
        await writeFile(join(home, 'wasm'), 'stays');
      },
      [],
    ],
    [
      'it has no byte code, but a place for it is named',
      'MODULE_MISSING',
      5,
      () => without,
      async () => undefined,
      ['--module', 'wasm=wasm:/nonexistent'],
    ],
    [
      'it has no such module',
      'MODULE_MISSING',
      5,
      () => right,
      async () => undefined,
      ['--module', 'ibc=files:/nonexistent'],
    ],
    [
      'the place has another kind',
      'MODULE_KIND',
      2,
      () => right,
      async () => undefined,
      ['--module', 'wasm=files:/nonexistent'],
    ],
  ])('installs nothing if %s', async (_what, code, exitCode, source, spoil, args) => {
    const node = await freshNode();
    await spoil(node);
    const before = await listTree(node.dir);
    const refused = await told('restore', source(), '--home', node.home, ...args);
    expect(refused).toMatchObject({ exitCode, error: { code } });
    expect(await listTree(node.dir)).toEqual(before);
  });

  it('accepts a source without byte code if its place is only a guess', async () => {
    const node = await freshNode();
    const restored = await told('restore', without, '--home', node.home);
    expect(restored).toMatchObject({ exitCode: 0, modules: [{ name: 'swingset' }] });
    expect(await readdir(node.home)).toEqual(['data']);
  });

  it('tests with --check whether byte code can be written', async () => {
    const node = await freshNode();
    const before = await listTree(node.home);
    const { checked } = (await told(
      'restore',
      right,
      '--home',
      node.home,
      '--check',
    )) as unknown as {
      readonly checked: readonly { readonly check: string }[];
    };
    const checks = checked.map(({ check }) => check);
    expect(checks).toContain('place of module wasm is writable');
    expect(await listTree(node.home)).toEqual(before);
  });
});

describe('verify', () => {
  it('compares byte code with its place: exits with 0 if equal, with 3 and the differences if not', async () => {
    const node = await freshNode();
    await told('restore', right, '--home', node.home);
    const verify = ['verify', right, '--home', node.home, '--app-hash', appHash];
    await writeFile(join(node.wasm, sha256(Buffer.from('one more'))), 'one more');
    expect(await told(...verify)).toMatchObject({
      exitCode: 0,
      codes: { count: 4 },
      modules: [
        { name: 'wasm', path: node.wasm, compared: { equal: 4, onlyThere: 1 } },
        { name: 'swingset', path: node.database },
      ],
    });
    await rm(join(node.wasm, checksums[0]!));
    await writeFile(join(node.wasm, checksums[1]!), 'rotten');
    const before = await listTree(node.dir);
    const differs = await told(...verify);
    expect(differs).toMatchObject({
      exitCode: 3,
      error: { code: 'STATE_DIFFERS', path: node.wasm },
    });
    expect(differs.error?.['found']).toMatch(/^2 differences: /u);
    expect(differs.error?.['found']).toContain(`${checksums[0]!} is missing`);
    expect(differs.error?.['found']).toContain(`${checksums[1]!} differs`);
    expect(await listTree(node.dir)).toEqual(before);
  });

  it('lists byte code among the modules if it has no place', async () => {
    const { modules, notes } = await told('verify', right, '--app-hash', appHash);
    expect({ modules, notes }).toEqual({
      modules: [
        { name: 'wasm', kind: 'wasm' },
        { name: 'swingset', kind: 'swingset' },
      ],
      notes: [],
    });
    const module = ['--module', 'wasm=wasm:/nonexistent'];
    expect(await told('verify', without, ...module)).toMatchObject({
      exitCode: 5,
      error: { code: 'MODULE_MISSING', found: 'swingset' },
    });
  });
});

describe('retrieve', () => {
  it('packs byte code as a node would, so that the content hashes are equal', async () => {
    const node = await freshNode();
    const packed = await told(
      'retrieve',
      '--create',
      '--from',
      right,
      '--snapshot-dir',
      join(node.dir, 'D'),
    );
    expect(packed).toMatchObject({
      exitCode: 0,
      modules: { wasm: { kind: 'wasm', artifacts: { count: 4 } } },
    });
    expect(await readdir(node.dir)).toEqual(['D', 'home']);
    await told('restore', right, '--home', node.home);
    const own = ['--home', node.home, '--snapshot-dir', join(node.dir, 'D2')];
    expect(await told('retrieve', '--create', ...own)).toMatchObject({ exitCode: 0 });
    expect(await listTree(join(node.dir, 'D'))).toEqual(await listTree(join(node.dir, 'D2')));
    const expected = ['--expect', packed.contentHash!];
    for (const source of [join(node.dir, 'D'), right]) {
      const verified = await told('verify', source, ...expected);
      expect(verified).toMatchObject({ exitCode: 0, hashes: { contentHash: packed.contentHash } });
    }
    const S = ['--leave-module', 'wasm', '--state-dir', join(node.dir, 'S')];
    const restored = await told('restore', right, ...S, ...expected);
    expect(restored).toMatchObject({ exitCode: 0, proved: 'expected hash' });
    expect(restored.hashes?.contentHash).toBe(packed.contentHash);
  });

  it('allows other modules, except one with the name of the byte code module', async () => {
    const node = await freshNode();
    await mkdir(join(node.dir, 'ibc'));
    await writeFile(join(node.dir, 'ibc', 'state'), 'a state');
    const D = join(node.dir, 'made');
    const retrieve = (module: string) =>
      told('retrieve', '--create', '--from', right, '--snapshot-dir', D, '--module', module);
    expect(await retrieve(`wasm=wasm:${join(node.dir, 'ibc')}`)).toMatchObject({
      exitCode: 2,
      error: { code: 'MODULE_TWICE', hint: 'leave out --module wasm=…' },
    });
    expect(await retrieve(`ibc=files:${join(node.dir, 'none')}`)).toMatchObject({ exitCode: 5 });
    expect(await readdir(node.dir)).toEqual(['home', 'ibc']);
    expect(await retrieve(`ibc=files:${join(node.dir, 'ibc')}`)).toMatchObject({
      exitCode: 0,
      modules: { ibc: { artifacts: { count: 2 } }, wasm: { artifacts: { count: 4 } } },
    });
  });

  it('publishes nothing and leaves no byte code if anything is wrong', async () => {
    const { dir } = await freshNode();
    const scratch = await fileDir();
    for (const source of [wrongCode, wrongArtifact]) {
      const to = ['--snapshot-dir', join(dir, 'made'), '--scratch-dir', scratch];
      expect(await told('retrieve', '--create', '--from', source, ...to)).toMatchObject({
        exitCode: 3,
      });
      expect(await readdir(dir)).toEqual(['home']);
      expect(await readdir(scratch)).toEqual([]);
    }
  });
});

describe('export --from', () => {
  it('leaves out byte code, and other modules of a snapshot, only if they are named', async () => {
    const { dir } = await freshNode();
    const leave = ['--leave-module', 'wasm'];
    const of = async (source: string, to: string): Promise<readonly string[]> => {
      const command = ['export', '--from', source, '--export-dir', to];
      if (source !== without) {
        const hint = expect.stringContaining('--leave-module wasm') as string;
        expect(await told(...command)).toMatchObject({
          exitCode: 2,
          error: { code: 'MODULE_PLACE', hint },
        });
      }
      const { exitCode, notes } = await told(...command, ...leave);
      expect(exitCode).toBe(0);
      return notes;
    };
    expect(await of(right, join(dir, 'E'))).toContain(
      '4 byte codes were left out: an export directory has no place for them',
    );
    await told('retrieve', '--create', '--from', right, '--snapshot-dir', join(dir, 'D'));
    expect(await of(join(dir, 'D'), join(dir, 'E2'))).toEqual([
      'modules of the source that were left out: wasm',
    ]);
    expect(await of(without, join(dir, 'E3'))).toEqual([
      expect.stringContaining('nothing was proved'),
    ]);
    const again = ['retrieve', '--create', '--from', join(dir, 'D'), '--snapshot-dir'];
    expect(await told(...again, join(dir, 'D2'))).toMatchObject({
      exitCode: 2,
      error: { code: 'MODULE_PLACE' },
    });
    expect(await told(...again, join(dir, 'D2'), ...leave)).toMatchObject({ exitCode: 0 });
  });
});
