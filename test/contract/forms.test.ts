/** Every form of an export passes the suite of readable forms; buildable forms also pass that of buildable forms. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { openExportDirectory } from '../../src/formats/export-directory/open.ts';
import { writeExportDirectory } from '../../src/formats/export-directory/write.ts';
import { buildSwingStore } from '../../src/formats/swing-store/build/build.ts';
import { openSwingStore } from '../../src/formats/swing-store/read/open.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { openSnapshot } from '../../src/modules/swingset/snapshot-form.ts';
import { DEFAULT_CHUNK_BYTES, snapshotName } from '../../src/snapshot/layout.ts';
import type { SnapshotStorage } from '../../src/storage/contract.ts';
import { directoryStorage } from '../../src/storage/directory.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { copyUnverified } from '../../src/swing-store-export/copy-unverified.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { writeGoExportDirectory } from '../fixtures/go-export-directory.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { richSpec } from '../fixtures/specs.ts';
import { writeSnapshot } from '../snapshot/write-snapshot.ts';
import { describeBuildableForm } from './buildable-form.ts';
import { describeReadableForm, readExpectedExport, type ExpectedExport } from './readable-form.ts';

const ARTIFACT_MODE = 'archival';
const HEADER = { artifactMode: ARTIFACT_MODE, withExportData: true } as const;
const tempDir = useTempDir('file');
afterAll(closeReference);

let stateDir: string;
let referenceDir: string;
let expected: ExpectedExport;

beforeAll(async () => {
  stateDir = path.join(await tempDir(), 'agoric');
  await buildStore(stateDir, richSpec);
  referenceDir = await tempDir();
  await referenceExport(stateDir, referenceDir, { artifactMode: ARTIFACT_MODE });
  expected = await readExpectedExport(referenceDir);
});

async function openLive(dir: string, scratchDir: string) {
  return openSwingStore(dir, { artifactMode: ARTIFACT_MODE, scratchDir, note: () => undefined });
}

/** Makes a form once for all tests of its suite. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return async () => (made ??= make());
}

const ours = once(async () => {
  const dir = await tempDir();
  const source = await openLive(stateDir, await tempDir());
  const header = { ...HEADER, height: source.height };
  await copyUnverified(source, await writeExportDirectory(dir, header), ARTIFACT_MODE, {});
  await source.close();
  return dir;
});

const go = once(async () => {
  const dir = await tempDir();
  await writeGoExportDirectory(referenceDir, dir, { untrustedExportData: 'beside' });
  return dir;
});

async function startSnapshot(storage: SnapshotStorage) {
  return writeSnapshot(storage, {
    height: expected.height,
    codec: await loadZstdCodec(),
    level: 3,
    chunkBytes: DEFAULT_CHUNK_BYTES,
    replace: false,
    madeBy: 'a test',
  });
}

async function openStored(storage: SnapshotStorage) {
  const stored = await storage.open(snapshotName(expected.height));
  return openSnapshot(stored, { codec: await loadZstdCodec() });
}

async function snapshotIn(storage: SnapshotStorage) {
  const source = await openExportDirectory(referenceDir);
  await copyVerified(source, async () => startSnapshot(storage));
  return storage;
}

const inDirectory = once(async () => snapshotIn(directoryStorage(await tempDir())));
const inMemory = once(async () => snapshotIn(memoryStorage()));

const readable = { canonical: true, labelled: true };

describeReadableForm('a live store', async () => {
  const scratchDir = await tempDir();
  return { ...readable, expected, open: async () => openLive(stateDir, scratchDir) };
});
describeReadableForm('an export directory of the reference', async () => ({
  ...readable,
  expected,
  open: async () => openExportDirectory(referenceDir),
}));
describeReadableForm('an export directory of ours', async () => {
  const dir = await ours();
  return { ...readable, expected, open: async () => openExportDirectory(dir) };
});
describeReadableForm('an export directory of the Go side', async () => {
  const dir = await go();
  const open = async () => openExportDirectory(dir);
  return { expected, open, canonical: false, labelled: false };
});
describeReadableForm('a snapshot in a directory', async () => {
  const storage = await inDirectory();
  return { ...readable, expected, open: async () => openStored(storage) };
});
describeReadableForm('a snapshot in memory', async () => {
  const storage = await inMemory();
  return { ...readable, expected, open: async () => openStored(storage) };
});

describeBuildableForm('an export directory', async () => {
  const parent = await tempDir();
  const dir = path.join(parent, 'E');
  await mkdir(dir);
  const header = { ...HEADER, height: expected.height };
  return {
    expected,
    start: async () => writeExportDirectory(dir, header),
    open: async () => openExportDirectory(dir),
    state: async () => listTree(parent),
  };
});

describeBuildableForm('a SwingStore', async () => {
  const parent = await tempDir();
  const dir = path.join(parent, 'made', 'S');
  const scratchDir = await tempDir();
  return {
    expected,
    start: async () => buildSwingStore(dir, { replace: false, gzipLevel: 1 }),
    open: async () => openLive(dir, scratchDir),
    state: async () => listTree(parent),
    // Without its artifacts the store is not complete for the mode.
    refused: (summary) => summary,
  };
});

describeBuildableForm('a snapshot in a directory', async () => {
  const parent = await tempDir();
  const storage = directoryStorage(path.join(parent, 'made', 'D'));
  return {
    expected,
    start: async () => startSnapshot(storage),
    open: async () => openStored(storage),
    state: async () => [await listTree(parent), await storage.list()],
    refused: ({ hashes: _, ...unverified }) => unverified,
  };
});

describeBuildableForm('a snapshot in memory', async () => {
  const storage = memoryStorage();
  return {
    expected,
    start: async () => startSnapshot(storage),
    open: async () => openStored(storage),
    state: async () => storage.list(),
    refused: ({ hashes: _, ...unverified }) => unverified,
  };
});
