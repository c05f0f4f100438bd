import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import { restore } from '../../src/operation/restore/restore.ts';
import { retrieve } from '../../src/operation/retrieve/retrieve.ts';
import { quicklyVerify, verify } from '../../src/operation/verify/verify.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { dumpStore, type StoreDump } from '../fixtures/dump-store.ts';
import { closeReference, referenceExport, referenceImport } from '../fixtures/reference.ts';
import { documentedOperationalHash, runRecipe } from './recipe.ts';

const sample = fileURLToPath(new URL('../fixtures/frozen/snapshot-1', import.meta.url));

/** The hashes of the sample when it was made. */
const CONTENT_HASH = '1043b4485d526fa4494a7561320550fbf6a6ae836c0c21a832c621ccca5ce450';
const EXPORT_DATA_HASH = 'b9eaca96f5bed7efaca3b7cbd08738d0b4569450203e4155eac2fbb9caa97944';
const OPERATIONAL_HASH = '6474dd5c627e3b05a2833ce3234ddd98c2f0e4dc2f5353bd962616585544431a';

describe('frozen sample of snapshot format 1', () => {
  const fileDir = useTempDir('file');
  const tempDir = useTempDir();
  let restored: string;

  beforeAll(async () => {
    restored = path.join(await fileDir(), 'state');
    await restore({
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

  it('has not changed since it was made', async () => {
    const tree = await listTree(sample);
    expect(Object.entries(tree).map(([name, { type, size }]) => `${type} ${size} ${name}`))
      .toMatchInlineSnapshot(`
      [
        "directory 0 chunks",
        "file 465 chunks/149fa80e4def0ff976afdfa78cc4ee8a68bbfc69351936b460da749334c8ba5e.tar.zst",
        "file 786 chunks/1c8acf9b823aa53fc63df5a1f883e17ec48d449ca83305f1334604e197770b1c.tar.zst",
        "file 22218 chunks/1d24dddeb80d8c67b246822c15e6b0b2d847e9a60b7a37450c5fe533a681c205.tar.zst",
        "file 201 chunks/32df8989800dd3150a7fb1ba32fbf295cb56a9ee5dc0b0b0bd621317ebbf52a4.tar.zst",
        "file 1131 chunks/6e59e61e4f8e8474b91b009a106d0ded451b83910f7c0129570c9ef615ad1569.tar.zst",
        "file 1211 chunks/b64f67694a1c88142779a1581a41505acf921aec2a0b16b7b4120899d51a375e.tar.zst",
        "file 159 chunks/bf1255e4dbf8838c13d6dd50be7629e6b8514c0855c0d52c10fcbc6e89c0285d.tar.zst",
        "file 467 chunks/cc1d53344a965b733ed6a24ba4b7294161064f03c92355e473f16b7e297e4179.tar.zst",
        "file 684 chunks/cd231c3c5866da1ef47d8f7a6ff5601f723315650ce0f89e1b719ab19ba3a915.tar.zst",
        "file 289 chunks/ea4b416c10718b9822fa54e5184db52b520e1e294c1c184cc57105378b9053a5.tar.zst",
        "file 22508 chunks/f95b7f4144d89a2a2c99005935edf791dc71f56948bd7ca99a3262edb0ba3586.tar.zst",
        "file 1032 chunks/fb621571f360bd331012740d89ebf6098151fabbef3ed98b381ab6a3edf93809.tar.zst",
        "file 2677 entries.jsonl.zst",
        "file 875 manifest.json",
      ]
      `);
    for (const [name, { type, sha256 }] of Object.entries(tree)) {
      if (name.startsWith('chunks/'))
        expect([type, name]).toEqual(['file', `chunks/${sha256}.tar.zst`]);
    }
    expect(tree['entries.jsonl.zst']?.sha256).toBe(
      '64088bb004a384b20c905d1db5cb4cd2c2f411381d3c11b24bbf368be790d28b',
    );
  });

  it('verifies, with its original hashes', async () => {
    const { summary } = await verify({ source: sample, progress: noProgress });
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
    const quick = await quicklyVerify({ source: sample, progress: noProgress });
    expect(quick).toMatchObject({ contentHash: CONTENT_HASH, chunks: { count: 12, size: 51151 } });
  });

  it('becomes a store from which the reference exports the same', async () => {
    const exportDir = await tempDir();
    await referenceExport(restored, exportDir, { artifactMode: 'debug' });
    const { summary } = await verify({ source: exportDir, progress: noProgress });
    expect(summary.hashes?.contentHash).toBe(CONTENT_HASH);
  });

  it('becomes, by the shell recipe, an export that the reference imports into the same store', async () => {
    const dir = await tempDir();
    const exportDir = path.join(dir, 'export');
    const { stdout } = await runRecipe(dir, sample, exportDir);
    expect(stdout).toBe(`height 4242, contentHash ${CONTENT_HASH}\n`);
    const { summary } = await verify({ source: exportDir, progress: noProgress });
    expect(summary.hashes?.contentHash).toBe(CONTENT_HASH);

    const imported = path.join(dir, 'imported');
    await referenceImport(exportDir, imported);
    const ours = withoutCompressedSizes(await dumpStore(restored));
    expect(withoutCompressedSizes(await dumpStore(imported))).toEqual(ours);

    const operational = await documentedOperationalHash(exportDir);
    expect(operational).toBe(OPERATIONAL_HASH);
  });

  it.each([
    ['a changed byte in a chunk', async (dir: string) => spoil(path.join(dir, 'chunks'))],
    [
      'a different list of entries',
      async (dir: string) => spoilFile(path.join(dir, 'entries.jsonl.zst')),
    ],
    [
      'the wrong content hash',
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

describe('frozen sample of snapshot format 1 with modules', () => {
  const tempDir = useTempDir();
  const MODULES_HASH = '1183feeee976170132160372402a1930a95c1eb229f076d0bf774b8be4b3c4ba';
  const withModules = fileURLToPath(new URL('../fixtures/frozen/modules-1', import.meta.url));

  it('verifies, with its original hash, and is restored to its places', async () => {
    const dir = await tempDir();
    const places = [
      { name: 'wasm', kind: 'wasm', dir: path.join(dir, 'wasm') },
      { name: 'ibc', kind: 'files', dir: path.join(dir, 'ibc') },
    ];
    await restore({
      source: withModules,
      stateDir: path.join(dir, 'state'),
      modules: places,
      expect: MODULES_HASH,
      replace: false,
      requireProof: true,
      paranoid: true,
      progress: noProgress,
    });
    const { modules } = await verify({
      source: withModules,
      stateDir: path.join(dir, 'state'),
      modules: places,
      expect: MODULES_HASH,
      progress: noProgress,
    });
    expect(modules.map(({ name, compared }) => [name, compared?.equal])).toEqual([
      ['wasm', 3],
      ['ibc', 8],
      ['swingset', undefined],
    ]);
    const tree = await listTree(path.join(dir, 'ibc'));
    expect(Object.entries(tree).map(([name, { type, mode, size }]) => [name, type, mode, size]))
      .toMatchInlineSnapshot(`
      [
        [
          "a",
          "directory",
          "755",
          0,
        ],
        [
          "a-b",
          "directory",
          "700",
          0,
        ],
        [
          "a-b/run",
          "file",
          "755",
          10,
        ],
        [
          "a/"odd"
        näme",
          "file",
          "600",
          3,
        ],
        [
          "a/empty",
          "directory",
          "755",
          0,
        ],
        [
          "a/large",
          "file",
          "644",
          4194305,
        ],
        [
          "none",
          "file",
          "644",
          0,
        ],
      ]
    `);
    const wasm = await listTree(path.join(dir, 'wasm'));
    expect(Object.entries(wasm).map(([name, { size, sha256 }]) => [name === sha256, size])).toEqual(
      [
        [true, 5 * 1024 * 1024],
        [true, 11],
        [true, 0],
      ],
    );
  });

  it('is written again with the same bytes', async () => {
    const dir = await tempDir();
    const places = [
      { name: 'wasm', kind: 'wasm', dir: path.join(dir, 'wasm') },
      { name: 'ibc', kind: 'files', dir: path.join(dir, 'ibc') },
    ];
    const stateDir = path.join(dir, 'state');
    const common = { modules: places, replace: false, progress: noProgress };
    await restore({ ...common, source: withModules, stateDir });
    await retrieve({
      ...common,
      source: { stateDir, artifactMode: 'operational' },
      snapshotDir: path.join(dir, 'D'),
      create: true,
      formatVersion: 1,
      chunkBytes: 4 * 1024 * 1024,
      level: 19,
      madeBy: 'swingsnap 0.1.0',
    });
    const again = await quicklyVerify({
      source: path.join(dir, 'D', '4343'),
      progress: noProgress,
    });
    expect(again).toMatchObject({ contentHash: MODULES_HASH, chunks: { count: 9 } });
  });

  it('becomes, by the shell recipe, an export with the other modules beside it', async () => {
    const dir = await tempDir();
    const exportDir = path.join(dir, 'export');
    const { stdout } = await runRecipe(dir, withModules, exportDir);
    expect(stdout).toBe(`height 4343, contentHash ${MODULES_HASH}\n`);
    await verify({ source: exportDir, progress: noProgress });
    const others = Object.keys(await listTree(path.join(exportDir, 'other-modules')));
    expect(others).toContain('ibc/files/a-b/run');
    expect(others.filter((name) => name.startsWith('wasm/code/'))).toHaveLength(5);
  });
});

async function spoil(dir: string): Promise<void> {
  const [first] = Object.keys(await listTree(dir));
  await spoilFile(path.join(dir, first!));
}

async function spoilFile(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);
}

/** Compressors differ; `dumpStore` compares heap snapshots by their content. */
function withoutCompressedSizes(dump: StoreDump): StoreDump {
  return { ...dump, snapshots: dump.snapshots.map((row) => row.filter((_, i) => i !== 5)) };
}
