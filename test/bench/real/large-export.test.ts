import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { useTempDir } from '../../fixtures/directories.ts';
import {
  buildStore,
  closeReference,
  referenceExport,
  referenceImport,
} from '../../fixtures/reference.ts';
import { makeLargeExport } from './large-export.ts';
import { TINY_CHAIN } from './tiny.ts';

const tempDir = useTempDir();
afterAll(closeReference);

it('makes an export that the reference imports, with no heap snapshot twice', async () => {
  const dir = await tempDir();
  const [store, base, large] = [join(dir, 'store'), join(dir, 'base'), join(dir, 'large')];
  await buildStore(store, TINY_CHAIN);
  await mkdir(base);
  await referenceExport(store, base, { artifactMode: 'archival' });

  await makeLargeExport([base], large, 1_500_000);

  const heaps = (await readdir(large)).filter((name) => name.startsWith('snapshot.'));
  const contents = await Promise.all(heaps.map((name) => readFile(join(large, name), 'base64')));
  expect(heaps.length).toBeGreaterThan(TINY_CHAIN.vats!.length);
  expect(new Set(contents).size).toBe(heaps.length);
  // The reference checks every hash, and that every vat has its current span.
  const imported = await referenceImport(large, join(dir, 'imported'));
  expect(imported.artifactMode).toBe('operational');
});
