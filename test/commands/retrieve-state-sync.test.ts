/** `retrieve --format state-sync`: a node's snapshot with new artifacts. */
import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { loadArchive } from '../fixtures/state-sync/load-archive.ts';
import {
  makeChain,
  someLeaves,
  storeItems,
  swingsetItems,
  swingsetLeaves,
  wasmItems,
  wasmLeaves,
  type Chain,
  type Leaf,
} from '../fixtures/state-sync/make-chain.ts';
import {
  artifactPayload,
  cut,
  extensionItem,
  payloadItem,
  sized,
  streamOf,
  writeArchive,
  writeChunks,
} from '../fixtures/state-sync/make-snapshot.ts';
import { sizedSpec } from '../fixtures/store-spec.ts';

const fixtures = fileURLToPath(new URL('../fixtures/state-sync/', import.meta.url));
const ARCHIVE = join(fixtures, 'format3', '1000-3.tar.gz');
const EXPORT = join(fixtures, 'export');
const APP_HASH = '30f7c8ceedfecd75e25c0960db0c7e0706b2c9d6563f6ed1477e9de1a5bdc9d0';
const HEIGHT = 1000;

const tempDir = useTempDir();
const fileDir = useTempDir('file');
afterAll(closeReference);

const swingsnap = async (...args: readonly string[]) => {
  const { json, exitCode } = await runCli([...args, '--json']);
  return { ...(json as Record<string, unknown>), exitCode };
};
const repack = async (...args: readonly string[]) =>
  swingsnap('retrieve', '--format', 'state-sync', ...args);

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const codes = [0, 1, 2, 3].map((n) => Buffer.from(`\0asm${String(n).repeat(1000)}`));

/** A chain with the export data of the fixture, and byte code. */
let chain: Chain;
let artifacts: readonly Buffer[];
beforeAll(async () => {
  chain = makeChain(HEIGHT, {
    bank: someLeaves(50, 1),
    empty: [],
    swingset: await swingsetLeaves(EXPORT),
    wasm: wasmLeaves(codes),
  });
  artifacts = await swingsetItems(EXPORT);
});

async function chunksWith(items: readonly Buffer[], of = chain): Promise<string> {
  const stream = streamOf([...storeItems(of), ...items]);
  return writeChunks(await tempDir(), of.height, 2, cut(stream, 3000));
}

describe('an archive of a state-sync snapshot with new artifacts', () => {
  it('can be loaded by a node, and has exactly the stream that the fixture generator wrote', async () => {
    const D = join(await tempDir(), 'D');
    const made = await repack(
      ...['--stores-from', ARCHIVE, '--export-dir', EXPORT],
      ...['--snapshot-dir', D, '--app-hash', APP_HASH],
    );
    const path = join(D, '1000-3.tar.gz');
    const loaded = loadArchive(path);
    expect(made).toMatchObject({
      exitCode: 0,
      path,
      height: 1000,
      format: 3,
      written: true,
      hash: loaded.hash,
      stores: 8,
      appHash: { isProved: true },
      artifacts: { count: 6 },
    });
    expect(await readdir(D)).toEqual(['1000-3.tar.gz']);
    expect(loaded).toMatchObject({ height: 1000, format: 3 });
    expect(loaded.raw.equals(loadArchive(ARCHIVE).raw)).toBe(true);
    expect(await swingsnap('verify', path, '--app-hash', APP_HASH)).toMatchObject({ exitCode: 0 });
    // The export stays in place, with our record or without.
    expect(await readdir(EXPORT)).toContain('export-manifest.json');
  });

  it('repairs missing, wrong and meaningless artifacts, and keeps everything else byte for byte', async () => {
    const others = (name: string): Buffer[] => [
      extensionItem(name, 7),
      payloadItem(Buffer.from(`${name} `.repeat(2000))),
      payloadItem(Buffer.alloc(0)),
    ];
    const around = (swingset: readonly Buffer[]): Buffer[] => [
      ...others('another'),
      ...swingset,
      ...others('tail'),
      ...wasmItems(codes),
      ...others('zebra'),
    ];
    const right = around(artifacts);
    const wrong: (readonly Buffer[])[] = [
      around([extensionItem('swingset', 1)]),
      around(artifacts.toSpliced(3, 1)),
      around(
        artifacts.with(2, payloadItem(artifactPayload('snapshot.v1.8', Buffer.from('another')))),
      ),
      around([...artifacts, payloadItem(Buffer.from('no artifact'))]),
      around([]),
    ];
    for (const items of wrong) {
      const source = await chunksWith(items);
      const hash = ['--app-hash', chain.appHash];
      expect(await swingsnap('verify', source, ...hash)).toMatchObject({ exitCode: 3 });
      const D = await tempDir();
      const from = ['--stores-from', source, '--export-dir', EXPORT, '--snapshot-dir', D, ...hash];
      expect(await repack(...from)).toMatchObject({ exitCode: 0, codes: { count: 4 } });
      const { raw, format } = loadArchive(join(D, '1000-2.tar.gz'));
      expect(format).toBe(2);
      expect(raw.equals(Buffer.concat([...storeItems(chain), ...right].map(sized)))).toBe(true);
      expect(await swingsnap('verify', `${D}/1000-2.tar.gz`, ...hash)).toMatchObject({
        exitCode: 0,
      });
    }
  });

  it('is what every command names for a source that lacks artifacts, but not for one without history', async () => {
    const plain = makeChain(HEIGHT, { swingset: await swingsetLeaves(EXPORT) });
    const lacking = await chunksWith(artifacts.toSpliced(3, 1), plain);
    const whole = await chunksWith(artifacts, plain);
    const dir = await tempDir();
    const commands = [
      ['verify', '@'],
      ['restore', '@', '--state-dir', join(dir, 'S')],
      ['export', '--from', '@', '--export-dir', join(dir, 'E')],
    ];
    const hintFor = async (source: string, args: readonly string[]): Promise<unknown> => {
      const told = await swingsnap(...args.map((arg) => (arg === '@' ? source : arg)));
      expect(told).toMatchObject({ exitCode: 3, error: { code: 'INCOMPLETE' } });
      return (told as { readonly error?: { readonly hint?: string } }).error?.hint;
    };
    for (const command of [
      ...commands,
      ['retrieve', '--create', '--from', '@', '--snapshot-dir', join(dir, 'D')],
    ]) {
      expect(await hintFor(lacking, command)).toContain(
        `an export of height ${HEIGHT}: swingsnap retrieve --format state-sync --stores-from ${lacking} `,
      );
    }
    for (const command of commands) {
      expect(await hintFor(whole, [...command, '--artifact-mode', 'archival'])).toBe(
        'use --artifact-mode operational; history is only in an export of a node that kept it: swingsnap export --artifact-mode archival',
      );
    }
  });

  it('can take its artifacts from a store, a snapshot, or a state-sync snapshot', async () => {
    const base = await tempDir();
    const at = (name: string): string => join(base, name);
    await swingsnap('restore', ARCHIVE, '--state-dir', at('S'));
    await swingsnap('retrieve', '--create', '--state-dir', at('S'), '--snapshot-dir', at('D'));
    const hashes: unknown[] = [];
    for (const [i, source] of [
      ['--export-dir', EXPORT],
      ['--state-dir', at('S')],
      ['--from', at('D')],
      ['--from', ARCHIVE],
    ].entries()) {
      const to = ['--snapshot-dir', at(`out-${i}`)];
      const made = await repack('--stores-from', ARCHIVE, ...source, ...to, '--app-hash', APP_HASH);
      expect(made).toMatchObject({ exitCode: 0, written: true });
      hashes.push((made as { hash?: unknown }).hash);
    }
    expect(new Set(hashes).size).toBe(1);
    expect(await swingsnap('verify', `${at('out-1')}/1000-3.tar.gz`)).toMatchObject({
      exitCode: 0,
    });
  });

  it('has chunks of ten million bytes, and artifacts too large to keep in memory', async () => {
    const base = await fileDir();
    const size = { keys: 5, valueBytes: 9, items: 3, itemBytes: 9, bundles: 0, bundleBytes: 0 };
    const spec = sizedSpec({ ...size, b1Share: 0, vats: 1, heapBytes: 20_000_000 });
    await buildStore(join(base, 'S'), spec);
    await mkdir(join(base, 'E'));
    const { blockHeight } = await referenceExport(join(base, 'S'), join(base, 'E'));
    const large = makeChain(blockHeight, {
      random: Array.from({ length: 16 }, (_, i): Leaf => [
        Buffer.of(i + 1),
        randomBytes(1_500_000),
      ]),
      swingset: await swingsetLeaves(join(base, 'E')),
    });
    const home = await tempDir();
    const source = await writeArchive(
      home,
      blockHeight,
      3,
      cut(streamOf(storeItems(large)), 999_999),
    );
    const D = join(base, 'D');
    const from = ['--stores-from', source, '--export-dir', join(base, 'E'), '--snapshot-dir', D];
    const made = await repack(...from, '--app-hash', large.appHash);
    expect(made).toMatchObject({ exitCode: 0, notes: [] });
    const archive = join(D, `${blockHeight}-3.tar.gz`);
    const { chunks, raw } = loadArchive(archive);
    expect(chunks.length).toBeGreaterThan(2);
    const items = [...storeItems(large), ...(await swingsetItems(join(base, 'E')))].map(sized);
    expect(raw.length).toBe(Buffer.concat(items).length);
    expect(raw.equals(Buffer.concat(items))).toBe(true);
    expect(await swingsnap('verify', archive, '--app-hash', large.appHash)).toMatchObject({
      exitCode: 0,
    });
  });

  it('keeps an identical archive, refuses to overwrite another, and replaces it on request', async () => {
    const D = await tempDir();
    const path = join(D, '1000-3.tar.gz');
    const from = ['--stores-from', ARCHIVE, '--export-dir', EXPORT, '--snapshot-dir', D];
    expect(await repack(...from)).toMatchObject({ exitCode: 0, written: true });
    const before = await readFile(path);
    expect(await repack(...from)).toMatchObject({ exitCode: 0, written: false });
    expect((await readFile(path)).equals(before)).toBe(true);
    for (const other of [await readFile(ARCHIVE), before.subarray(0, -900), Buffer.from('what')]) {
      await writeFile(path, other);
      expect(await repack(...from)).toMatchObject({
        exitCode: 1,
        error: { code: 'SNAPSHOT_EXISTS', path },
      });
      expect((await readFile(path)).equals(other)).toBe(true);
      expect(await repack(...from, '--replace')).toMatchObject({ exitCode: 0, written: true });
      expect((await readFile(path)).equals(before)).toBe(true);
    }
    // Even its own source.
    await cp(ARCHIVE, path);
    const own = ['--stores-from', path, '--export-dir', EXPORT, '--snapshot-dir', D, '--replace'];
    expect(await repack(...own)).toMatchObject({ exitCode: 0, written: true });
    expect(loadArchive(path).raw.equals(loadArchive(ARCHIVE).raw)).toBe(true);
    expect(await readdir(D)).toEqual(['1000-3.tar.gz']);
  });
});

describe('nothing is written', () => {
  /** Expects the refusal, and no files left. */
  async function refused(code: string, exitCode: number, ...args: readonly string[]) {
    const dir = await tempDir();
    const result = await repack(...args, '--snapshot-dir', join(dir, 'D'));
    expect(result).toMatchObject({ exitCode, error: { code } });
    expect(await readdir(dir)).toEqual([]);
    return JSON.stringify(result);
  }
  const storesFrom = ['--stores-from', ARCHIVE];

  it('for an export of another height or with other export data', async () => {
    const dir = await tempDir();
    const height = join(dir, 'height');
    await cp(EXPORT, height, { recursive: true });
    const manifest = join(height, 'export-manifest.json');
    await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('1000', '1001'));
    await refused('STORES_HEIGHT', 3, ...storesFrom, '--export-dir', height);
    const data = join(dir, 'data');
    await cp(EXPORT, data, { recursive: true });
    const file = join(data, 'export-data.jsonl');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/^(\["kv\.[^"]*",")/u, '$1x'));
    const told = await refused('EXPORT_DATA', 3, ...storesFrom, '--export-dir', data);
    expect(told).toContain(data);
    const bad = ['--stores-from', join(fixtures, 'bad-value', '1000-3.tar.gz')];
    await refused('RECORD', 3, ...bad, '--export-dir', EXPORT);
    const [key, value] = (await swingsetLeaves(EXPORT)).find(([name]) =>
      String(name).startsWith('swingStore.kv.'),
    )!;
    const leaves = [...(await swingsetLeaves(EXPORT)).filter(([name]) => !name.equals(key))];
    for (const entries of [
      leaves,
      [...leaves, [key, Buffer.concat([value, Buffer.of(0x21)])] as const],
    ]) {
      const source = await chunksWith([], makeChain(HEIGHT, { swingset: entries }));
      await refused('EXPORT_DATA', 3, '--stores-from', source, '--export-dir', EXPORT);
    }
  });

  it('for an artifact that the stores do not prove, or that is missing', async () => {
    const dir = join(await tempDir(), 'E');
    await cp(EXPORT, dir, { recursive: true });
    await writeFile(join(dir, 'transcript.v2.8.15'), 'something else\n');
    const told = await refused('ARTIFACT_MISMATCH', 3, ...storesFrom, '--export-dir', dir);
    expect(told).toContain('transcript.v2.8.15');
    const none = join(await tempDir(), 'none');
    await swingsnap('export', '--from', EXPORT, '--export-dir', none, '--artifact-mode', 'none');
    const missing = await refused('INCOMPLETE', 3, ...storesFrom, '--export-dir', none);
    expect(missing).toContain('snapshot.v1.8');
  });

  it('for stores under another AppHash, of another height, without a SwingStore, or damaged', async () => {
    const source = ['--export-dir', EXPORT];
    const other = ['--app-hash', '00'.repeat(32)];
    await refused('APP_HASH', 3, ...storesFrom, ...source, ...other);
    await refused('HEIGHT', 5, ...storesFrom, ...source, '--height', '7');
    const bare = makeChain(HEIGHT, { bank: someLeaves(9, 1) });
    const without = await chunksWith([], bare);
    await refused('NO_EXPORT_DATA', 3, '--stores-from', without, ...source);
    const cutDir = await writeChunks(await tempDir(), HEIGHT, 3, [
      streamOf([...storeItems(chain), ...artifacts]).subarray(0, -900),
    ]);
    await refused('STATE_SYNC_DAMAGED', 3, '--stores-from', cutDir, ...source);
    const order = await chunksWith([...wasmItems(codes), ...artifacts]);
    await refused('STATE_SYNC_DAMAGED', 3, '--stores-from', order, ...source);
  });

  it('for other wrong usage', async () => {
    const source = ['--export-dir', EXPORT];
    await refused('USAGE', 2, ...source);
    await refused('NO_STORES', 2, '--stores-from', EXPORT, ...source);
    await refused('SOURCE_MISSING', 5, '--stores-from', join(EXPORT, 'none'), ...source);
    await refused('WASM_DIR', 2, ...storesFrom, ...source, '--wasm-dir', EXPORT);
    await refused('NOT_A_DIRECTORY', 2, ...storesFrom, ...source, '--wasm-dir', ARCHIVE);
    for (const flags of [
      ['--keep-last', '3'],
      ['--level', '3'],
      ['--chunk-size', '8MiB'],
      ['--no-reuse'],
      ['--no-recheck'],
      ['--keep-export'],
      ['--delete-export'],
    ]) {
      await refused('USAGE', 2, ...storesFrom, ...source, ...flags);
    }
    const dir = await tempDir();
    for (const flags of [storesFrom, ['--wasm-dir', EXPORT]]) {
      expect(
        await swingsnap('retrieve', ...flags, ...source, '--snapshot-dir', join(dir, 'D')),
      ).toMatchObject({ exitCode: 2 });
    }
    const check = [...storesFrom, ...source, '--snapshot-dir', join(dir, 'D'), '--check'];
    expect(await repack(...check)).toMatchObject({ exitCode: 0 });
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('byte code', () => {
  async function makeWasmDir(files: Readonly<Record<string, Buffer>>): Promise<string> {
    const dir = await tempDir();
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(dir, name), bytes);
    return dir;
  }
  const named = (of: readonly Buffer[]): Record<string, Buffer> =>
    Object.fromEntries(of.map((code) => [sha256(code), code]));

  it('that is missing or wrong is refused, and can be replaced from a directory of a node', async () => {
    for (const items of [
      [...artifacts],
      [...artifacts, ...wasmItems(codes.slice(1))],
      [...artifacts, ...wasmItems(codes.with(2, Buffer.from('another')))],
    ]) {
      const source = await chunksWith(items);
      const D = await tempDir();
      const from = ['--stores-from', source, '--export-dir', EXPORT, '--snapshot-dir', D];
      const refusal = await repack(...from);
      expect(refusal.exitCode).toBe(3);
      expect(JSON.stringify(refusal)).toContain('--wasm-dir');
      expect(await readdir(D)).toEqual([]);
      const wasmDir = await makeWasmDir({ ...named(codes), other: Buffer.from('left') });
      expect(await repack(...from, '--wasm-dir', wasmDir)).toMatchObject({
        exitCode: 0,
        codes: { count: 4, size: Buffer.concat(codes).length },
      });
      expect(
        await swingsnap('verify', join(D, '1000-2.tar.gz'), '--app-hash', chain.appHash),
      ).toMatchObject({ exitCode: 0, codes: { count: 4 } });
      const { raw } = loadArchive(join(D, '1000-2.tar.gz'));
      const stores = storeItems(chain).map(sized);
      expect(raw.subarray(0, Buffer.concat(stores).length).equals(Buffer.concat(stores))).toBe(
        true,
      );
    }
  });

  it('of a directory is refused if it does not match its name', async () => {
    const source = await chunksWith([...artifacts]);
    const [first = Buffer.alloc(0)] = codes;
    const { [sha256(first)]: _, ...rest } = named(codes);
    for (const [code, files] of [
      ['MISSING_CODE', rest],
      ['CODE_MISMATCH', { ...rest, [sha256(first)]: Buffer.from('another') }],
    ] as const) {
      const D = await tempDir();
      const from = ['--stores-from', source, '--export-dir', EXPORT, '--snapshot-dir', D];
      const refusal = await repack(...from, '--wasm-dir', await makeWasmDir(files));
      expect(refusal).toMatchObject({ exitCode: 3, error: { code } });
      expect(JSON.stringify(refusal)).toContain(sha256(first));
      expect(await readdir(D)).toEqual([]);
    }
  });
});
