import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../../src/io/progress.ts';
import { restore } from '../../../src/operation/restore/restore.ts';
import { quicklyVerify, verify } from '../../../src/operation/verify/verify.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import { closeReference, referenceExport, referenceImport } from '../../fixtures/reference.ts';
import { runRecipe } from '../recipe.ts';
import { entriesOf, unusedIn } from './taken.ts';

const sample = fileURLToPath(new URL('../../fixtures/frozen/snapshot-2', import.meta.url));

/** The hashes of the sample when it was made. */
const CONTENT_HASH = '74f9ebeb4c2abd740e1d8e7804f34b6fec1ad2d593d301a04ba667890ea1b8ca';
const EXPORT_DATA_HASH = 'f899d39c8045e9797913a62cf711f4b3436d64358b451e6c3736c47f2416c538';
const OPERATIONAL_HASH = 'ad23e90964bf4365a3fefe859e01a697b573d77e54480df6b504f9cdb0d608a7';

describe('frozen sample of snapshot format 2', () => {
  const tempDir = useTempDir();
  afterAll(closeReference);

  /** Exports a store with the reference. */
  async function expectSame(stateDir: string): Promise<void> {
    const exportDir = await tempDir();
    await referenceExport(stateDir, exportDir, { artifactMode: 'debug' });
    const { summary } = await verify({ source: exportDir, progress: noProgress });
    expect(summary.hashes?.contentHash).toBe(CONTENT_HASH);
  }

  it('has not changed since it was made', async () => {
    const tree = await listTree(sample);
    const files = Object.entries(tree).map(([name, { type, size }]) => `${type} ${size} ${name}`);
    expect(files).toMatchInlineSnapshot(`
      [
        "directory 0 chunks",
        "file 11369 chunks/47996773457fac099b3138e633d1f3ac6ae7d30410f2d32c2a5ce76faee45e0f.tar.zst",
        "file 219 chunks/579c7e8ba84032c57e885442f8c29af42277a2f5b5f91c800704b743f63a9097.tar.zst",
        "file 1448 chunks/5a9b5e1fd0e80d2ee2385ed6843407d60b15226b5c4509b8d7fd57e6c62616e9.tar.zst",
        "file 20360 chunks/676771791089715435e853b373a847058e861f2efc5bac5a4c2d209d771774af.tar.zst",
        "file 21452 chunks/74aeb338c83ea2989769e4c386594451e7ae7a058a061fa5e8ed30f215b93ff5.tar.zst",
        "file 29431 chunks/76cc237e59c9015fd8d50f527444a26951263c7e270ba675000ae3d47c7210c9.tar.zst",
        "file 2142 chunks/933995970eecc73517a38e3dd4d1fc32ac64c7bd6c8df989705f543cb1a9374a.tar.zst",
        "file 894 chunks/b1632bf467e1496d3f0d20ed78bae69dfb68e2dbe2b55b14c36af88aa70b5a02.tar.zst",
        "file 154 chunks/c00fe8b2fa6362d7ef84f48b4ba9f3cacfad1b9a5d911bd919a3db9c89ae8d9b.tar.zst",
        "file 20899 chunks/f27a55bfe5e8f474c5a0a6a90b43f0cacbf55105c1d7f79b1d4a6bb28ff824bc.tar.zst",
        "file 1465 chunks/f3a977a8c5dab53fb2deacdecb4cab8c45e424ec740713d9c174377431914e37.tar.zst",
        "file 3050 entries.jsonl.zst",
        "file 935 manifest.json",
      ]
    `);
    for (const [name, { type, sha256 }] of Object.entries(tree)) {
      if (name.startsWith('chunks/'))
        expect([type, name]).toEqual(['file', `chunks/${sha256}.tar.zst`]);
    }
    expect(tree['entries.jsonl.zst']?.sha256).toBe(
      '1bad0dcb91c6899e64fe77502631d1bf7ddada9726c5b836ffd5fe0794f535d6',
    );
    expect(await unusedIn(sample)).toEqual([
      ...['snapshot.v6.1', 'snapshot.v6.3', 'transcript.v4.3.4'],
      ...['transcript.v6.0.1', 'transcript.v6.1.3', 'transcript.v6.3.4'],
    ]);
    expect(await entriesOf(sample)).toHaveLength(41);
  });

  it('verifies, with its original hashes', async () => {
    const { summary } = await verify({ source: sample, progress: noProgress });
    expect(summary).toMatchObject({
      height: 5253,
      artifactMode: 'debug',
      artifacts: { count: 32 },
      hashes: {
        contentHash: CONTENT_HASH,
        exportDataHash: EXPORT_DATA_HASH,
        operationalHash: OPERATIONAL_HASH,
      },
    });
    const quick = await quicklyVerify({ source: sample, progress: noProgress });
    expect(quick).toMatchObject({ contentHash: CONTENT_HASH, chunks: { count: 11, size: 109833 } });
  });

  it('becomes a store from which the reference exports the same', async () => {
    const stateDir = path.join(await tempDir(), 'state');
    await restore({
      source: sample,
      stateDir,
      expect: CONTENT_HASH,
      replace: false,
      requireProof: true,
      paranoid: true,
      progress: noProgress,
    });
    await expectSame(stateDir);
  });

  it('becomes, by the shell recipe, an export that the reference imports', async () => {
    const dir = await tempDir();
    const exportDir = path.join(dir, 'export');
    const { stdout } = await runRecipe(dir, sample, exportDir);
    expect(stdout).toBe(`height 5253, contentHash ${CONTENT_HASH}\n`);
    const imported = path.join(dir, 'imported');
    await referenceImport(exportDir, imported);
    await expectSame(imported);
  });
});
