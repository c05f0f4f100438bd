import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { noProgress } from '../../../src/io/progress.ts';
import { restoreStore } from '../../../src/operation/restore-store.ts';
import { quicklyVerifySource, verifySource } from '../../../src/operation/verify-source.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import { dumpStore, type StoreDump } from '../../fixtures/dump-store.ts';
import { closeReference, referenceExport, referenceImport } from '../../fixtures/reference.ts';

const run = promisify(execFile);
const sample = fileURLToPath(new URL('../../fixtures/frozen/snapshot-1', import.meta.url));
const specification = fileURLToPath(new URL('../../../docs/snapshot-format.md', import.meta.url));

/** What the sample was when it was made. */
const CONTENT_HASH = '1043b4485d526fa4494a7561320550fbf6a6ae836c0c21a832c621ccca5ce450';
const EXPORT_DATA_HASH = 'b9eaca96f5bed7efaca3b7cbd08738d0b4569450203e4155eac2fbb9caa97944';
const OPERATIONAL_HASH = '6474dd5c627e3b05a2833ce3234ddd98c2f0e4dc2f5353bd962616585544431a';

describe('frozen sample of snapshot format 1', () => {
  const fileDir = useTempDir('file');
  const tempDir = useTempDir();
  let restored: string;

  beforeAll(async () => {
    restored = path.join(await fileDir(), 'state');
    await restoreStore({
      source: sample,
      stateDir: restored,
      expect: CONTENT_HASH,
      replace: false,
      requireProof: true,
      paranoid: true,
      progress: noProgress,
    });
  });
  afterAll(closeReference);

  it('is the one that was made', async () => {
    const tree = await listTree(sample);
    expect(Object.entries(tree).map(([name, { type, size }]) => `${type} ${String(size)} ${name}`))
      .toMatchInlineSnapshot(`
      [
        "directory 0 chunks",
        "file 22222 chunks/015aec34012a5b5b71f0749edf7de5a91bd5713df942599e82b1e75c424c8c66.tar.zst",
        "file 200 chunks/1106e7df6c8840dd99029194875adc6ab35509ae7aa524b5e74da48640a0df57.tar.zst",
        "file 287 chunks/43767e1086dfc041b506b16cf370bed05937a0846aa531f9e66392b565871e02.tar.zst",
        "file 1032 chunks/4fa37385d47a7702d377963a8f85708681a62e4cdd61b3f57171dd5b7090a87e.tar.zst",
        "file 158 chunks/7ffdc5be946c8eb4eeb5eb271eade6b3c719bbfac45582312e64c2678d5cbb45.tar.zst",
        "file 23481 chunks/9bcc086f5679f3fbf109e9e5afd777b2d48f6e41fb45771cb601474f4626e782.tar.zst",
        "file 788 chunks/9c33807d36bc7d8cea8e9af229f87cba3c20f4192bb18cbf2aaa4982629ece73.tar.zst",
        "file 1130 chunks/b4b1d718f99f573880dc3ada7ded0496282519e39c7c59b731b9a3f521a08494.tar.zst",
        "file 462 chunks/cb086956c87023dfb64469d10c6b4587047ed46b8eb99212779c45669d6b37c8.tar.zst",
        "file 1212 chunks/cc6995e7dc39562bbbf3ff0bfab281573482d7ff47d8bbe51b6d223540cd04b2.tar.zst",
        "file 462 chunks/d44cd166430bfa73d9caeaf1cbb043288aeeec5b4d64c5940cce4a9fcd9abd02.tar.zst",
        "file 689 chunks/e1d29774f3cf96baf76aba6e2ff20d54569f3ba2d87c07276779cb38fec14f95.tar.zst",
        "file 2665 entries.jsonl.zst",
        "file 875 manifest.json",
      ]
    `);
    for (const [name, { type, sha256 }] of Object.entries(tree)) {
      if (name.startsWith('chunks/'))
        expect([type, name]).toEqual(['file', `chunks/${sha256}.tar.zst`]);
    }
    expect(tree['entries.jsonl.zst']?.sha256).toBe(
      '3e1cb59db991182bafd555f21be7f01ba541028f9aa3aa0736baa28c1235b9e1',
    );
  });

  it('verifies, with the hashes that it was made with', async () => {
    const { summary } = await verifySource({ source: sample, progress: noProgress });
    expect(summary).toEqual({
      height: 4242,
      artifactMode: 'debug',
      exportData: { entries: 1262, size: 4596811 },
      artifacts: { count: 22, size: 14793676 },
      hashes: {
        contentHash: CONTENT_HASH,
        exportDataHash: EXPORT_DATA_HASH,
        operationalHash: OPERATIONAL_HASH,
      },
    });
    const quick = await quicklyVerifySource({ source: sample, progress: noProgress });
    expect(quick).toMatchObject({ contentHash: CONTENT_HASH, chunks: { count: 12, size: 52123 } });
  });

  it('becomes a store from which the reference exports the same', async () => {
    const exportDir = await tempDir();
    await referenceExport(restored, exportDir, { artifactMode: 'debug' });
    const { summary } = await verifySource({ source: exportDir, progress: noProgress });
    expect(summary.hashes?.contentHash).toBe(CONTENT_HASH);
  });

  it('becomes by the shell recipe an export that the reference imports to the same store', async () => {
    const dir = await tempDir();
    const exportDir = path.join(dir, 'export');
    const { stdout } = await runRecipe(dir, sample, exportDir);
    expect(stdout).toBe(`height 4242, contentHash ${CONTENT_HASH}\n`);
    const { summary } = await verifySource({ source: exportDir, progress: noProgress });
    expect(summary.hashes?.contentHash).toBe(CONTENT_HASH);

    const imported = path.join(dir, 'imported');
    await referenceImport(exportDir, imported);
    const ours = withoutCompressedSizes(await dumpStore(restored));
    expect(withoutCompressedSizes(await dumpStore(imported))).toEqual(ours);

    const operational = await documentedOperationalHash(exportDir);
    expect(operational).toBe(OPERATIONAL_HASH);
  });

  it.each([
    ['a chunk with a byte changed', async (dir: string) => spoil(path.join(dir, 'chunks'))],
    [
      'another list of entries',
      async (dir: string) => spoilFile(path.join(dir, 'entries.jsonl.zst')),
    ],
    [
      'another content hash',
      async (dir: string) => {
        const file = path.join(dir, 'manifest.json');
        const text = await readFile(file, 'utf8');
        await writeFile(file, text.replace(CONTENT_HASH, CONTENT_HASH.replace('1', '2')));
      },
    ],
  ])('is refused by the shell recipe with %s', async (_what, change) => {
    const dir = await tempDir();
    const snapshot = path.join(dir, 'snapshot');
    await cp(sample, snapshot, { recursive: true });
    await change(snapshot);
    const exportDir = path.join(dir, 'export');
    await expect(runRecipe(dir, snapshot, exportDir)).rejects.toThrow();
    expect(Object.keys(await listTree(exportDir))).not.toContain('export-manifest.json');
  });
});

/** The script of the specification, as a reader would copy it. */
async function runRecipe(
  dir: string,
  snapshot: string,
  exportDir: string,
): Promise<{ stdout: string }> {
  const [, script] = /^```bash\n([^]*?)^```$/mu.exec(await readFile(specification, 'utf8')) ?? [];
  const file = path.join(dir, 'snapshot-to-export');
  await writeFile(file, script!);
  return run('bash', [file, snapshot, exportDir]);
}

async function documentedOperationalHash(exportDir: string): Promise<string> {
  const [, script] = /^ *```sh\n([^]*?)^ *```$/mu.exec(await readFile(specification, 'utf8')) ?? [];
  const { stdout } = await run('bash', ['-c', script!], { cwd: exportDir });
  return stdout.split(' ')[0]!;
}

async function spoil(dir: string): Promise<void> {
  const [first] = Object.keys(await listTree(dir));
  await spoilFile(path.join(dir, first!));
}

async function spoilFile(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);
}

/** Compressors differ; `dumpStore` compares heap snapshots by what they hold. */
function withoutCompressedSizes(dump: StoreDump): StoreDump {
  return { ...dump, snapshots: dump.snapshots.map((row) => row.filter((_, i) => i !== 5)) };
}
