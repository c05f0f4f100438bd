/** One store in every form. All forms have the same hashes, and each is restored as the same store. */
import { cp, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { dumpStore } from '../fixtures/dump-store.ts';
import {
  buildStore,
  closeReference,
  nextBlocks,
  referenceContinue,
  referenceExport,
  referenceImport,
} from '../fixtures/reference.ts';
import { richSpec, tinySpec } from '../fixtures/specs.ts';
import {
  makeChain,
  someLeaves,
  storeItems,
  swingsetItems,
  swingsetLeaves,
} from '../fixtures/state-sync/make-chain.ts';
import { cut, streamOf, writeArchive, writeChunks } from '../fixtures/state-sync/make-snapshot.ts';
import { sizedSpec, type StoreSpec } from '../fixtures/store-spec.ts';
import { ExportFiles } from './export-files.ts';
import { restore, retrieve } from './operations.ts';

const fileDir = useTempDir('file');
afterAll(closeReference);

const many = sizedSpec({
  ...{ keys: 3000, valueBytes: 300, vats: 5, heapBytes: 50_000, items: 40, itemBytes: 500 },
  ...{ bundles: 4, bundleBytes: 20_000, b1Share: 0.5 },
});

describe.each<[string, StoreSpec]>([
  ['a tiny store', tinySpec],
  ['a store with everything in it', richSpec],
  ['a store of many keys', many],
])('%s', (_, spec) => {
  let base: string;
  let forms: Readonly<Record<string, string>>;
  let appHash: string;

  beforeAll(async () => {
    base = path.join(await fileDir(), String(Math.random()).slice(2));
    const at = (name: string): string => path.join(base, name);
    await mkdir(at('export'), { recursive: true });
    await buildStore(at('state'), spec);
    const { blockHeight } = await referenceExport(at('state'), at('export'));
    await retrieve(at('snapshots'), { exportDir: at('export') });
    const chain = makeChain(blockHeight, {
      bank: someLeaves(40, 1),
      swingset: await swingsetLeaves(at('export')),
      vstorage: someLeaves(100, 2),
    });
    appHash = chain.appHash;
    const stream = streamOf([...storeItems(chain), ...(await swingsetItems(at('export')))]);
    const format = 3;
    forms = {
      'export directory': at('export'),
      snapshot: at('snapshots'),
      chunks: await writeChunks(base, blockHeight, format, cut(stream, 7777)),
      archive: await writeArchive(base, blockHeight, format, cut(stream, 10_000_000)),
    };
  });

  it('has the same hashes in every form', async () => {
    const hashes = new Map<string, unknown>();
    for (const [form, source] of Object.entries(forms)) {
      const isChain = form === 'chunks' || form === 'archive';
      const { summary, proof } = await verify({
        source,
        progress: noProgress,
        ...(isChain && { appHash }),
      });
      expect(proof?.isProved).toBe(isChain ? true : undefined);
      hashes.set(form, summary.hashes);
    }
    for (const found of hashes.values()) expect(found).toEqual(hashes.get('export directory'));
  });

  it('becomes the same store from every form; the reference exports it again and continues it', async () => {
    const expected = path.join(base, 'imported');
    await referenceImport(forms['export directory']!, expected);
    const dump = await dumpStore(expected);
    const { files } = await ExportFiles.read(forms['export directory']!);
    const vats = spec.vats?.map(({ vatID }) => vatID) ?? [];
    const blocks = nextBlocks(spec.height ?? 0, vats.slice(0, 1));
    await mkdir(path.join(base, 'restored'));
    for (const [form, source] of Object.entries(forms)) {
      const S = path.join(base, 'restored', form.replace(' ', '-'));
      await restore(source, S);
      expect(await dumpStore(S)).toEqual(dump);
      const E = path.join(base, 'again', form.replace(' ', '-'));
      await mkdir(E, { recursive: true });
      await referenceExport(S, E);
      expect((await ExportFiles.read(E)).files).toEqual(files);
      const copy = `${S}-continued`;
      await cp(S, copy, { recursive: true });
      const theirs = path.join(base, `theirs-${form.replace(' ', '-')}`);
      await cp(expected, theirs, { recursive: true });
      expect(await referenceContinue(copy, blocks)).toEqual(
        await referenceContinue(theirs, blocks),
      );
    }
  });
});
