/** Byte code and a SwingStore that come from one state-sync snapshot become visible together, or not at all. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { findStateSync } from '../../src/formats/state-sync/find.ts';
import { noProgress } from '../../src/io/progress.ts';
import { inlinePool } from '../../src/io/threads/pool.ts';
import type { StoreDestination } from '../../src/modules/swingset/destinations.ts';
import { wasmModule } from '../../src/modules/wasm/module.ts';
import { receive } from '../../src/source/receive.ts';
import { stateSyncSource } from '../../src/source/state-sync.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../src/swing-store-export/null-sink.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import {
  makeChain,
  storeItems,
  swingsetItems,
  swingsetLeaves,
  wasmItems,
  wasmLeaves,
} from '../fixtures/state-sync/make-chain.ts';
import { streamOf, writeChunks } from '../fixtures/state-sync/make-snapshot.ts';
import { sha256 } from '../modules/hashes.ts';

const EXPORT = fileURLToPath(new URL('../fixtures/state-sync/export', import.meta.url));
const codes = ['one code', 'another code'].map((text) => Buffer.from(text));
const checksums = codes.map((code) => sha256(code));
const tempDir = useTempDir();

/** Receives into `<dir>/made/wasm`, and records in `steps` what `receive` does with the store. */
async function receiveInto(
  dir: string,
  { signal, failAt }: { readonly signal?: AbortSignal; readonly failAt?: 'copy' | 'install' } = {},
) {
  const swingset = await swingsetLeaves(EXPORT);
  const chain = makeChain(1000, { swingset, wasm: wasmLeaves(codes) });
  const items = [...storeItems(chain), ...wasmItems(codes), ...(await swingsetItems(EXPORT))];
  const chunks = await writeChunks(await tempDir(), 1000, 3, [streamOf(items)]);
  const scratchDir = await tempDir();
  const source = stateSyncSource(findStateSync(chunks)!, { scratchDir, note: () => undefined });
  const wasm = join(dir, 'made', 'wasm');
  const steps: string[] = [];
  const destination: StoreDestination = async (received, options) => {
    const { summary } = await copyVerified(received, async () => nullSink(), options);
    if (failAt === 'copy') throw new Error('no copy');
    steps.push(`copied, while ${JSON.stringify(await visibleIn(wasm))} are visible`);
    return {
      summary,
      install: async () => {
        if (failAt === 'install') throw new Error('no install');
        steps.push(`installed behind ${(await visibleIn(wasm)).length}`);
        return { path: 'S', undo: async () => undefined };
      },
      discard: async () => void steps.push('discarded'),
    };
  };
  const receiving = (async () => {
    const [held] = await source.others(noProgress);
    const others = [wasmModule({ ...held!, dir: wasm, purpose: 'install' })];
    const working = { scratchDir, pool: inlinePool, progress: noProgress, signal };
    return receive(source, destination, others, working);
  })();
  const error = await receiving.then(
    () => undefined,
    (thrown: unknown) => thrown as Error,
  );
  await source.close();
  expect(await readdir(scratchDir)).toEqual([]);
  return { steps, error, wasm };
}

const visibleIn = async (dir: string): Promise<string[]> =>
  (await readdir(dir)).filter((name) => !name.startsWith('.')).sort();

it('shows byte code once all states are verified, and before it installs the store', async () => {
  const { steps, wasm } = await receiveInto(await tempDir());
  expect(steps).toEqual(['copied, while [] are visible', 'installed behind 2']);
  expect((await readdir(wasm)).sort()).toEqual(checksums.toSorted());
});

it.each([
  ['the store cannot be installed', 'install', ['copied, while [] are visible', 'discarded']],
  ['the store cannot be copied', 'copy', []],
] as const)('leaves neither state behind if %s', async (_what, failAt, expected) => {
  const dir = await tempDir();
  const { steps, error } = await receiveInto(dir, { failAt });
  expect(error?.message).toBe(`no ${failAt}`);
  expect(steps).toEqual(expected);
  expect(await readdir(dir)).toEqual([]);
});

it('leaves existing byte code in place when it undoes an installation', async () => {
  const dir = await tempDir();
  await mkdir(join(dir, 'made', 'wasm'), { recursive: true });
  await writeFile(join(dir, 'made', 'wasm', checksums[0]!), codes[0]!);
  const before = await listTree(dir);
  await receiveInto(dir, { failAt: 'install' });
  expect(await listTree(dir)).toEqual(before);
});

it('installs nothing once its signal is aborted', async () => {
  const dir = await tempDir();
  const { error } = await receiveInto(dir, { signal: AbortSignal.abort(new Error('enough')) });
  expect(error?.message).toBe('enough');
  expect(await readdir(dir)).toEqual([]);
});
