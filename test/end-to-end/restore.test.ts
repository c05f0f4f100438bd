/**
 * Compares `restore` with the reference importer. Every form of an export gives an equal store. Execution continues on
 * it in the same way, and the reference's own exporter gives the export back.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { RESTORE_MODES, type RestoreMode } from '../../src/swing-store-export/artifact-mode.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { dumpStore, type StoreDump } from '../fixtures/dump-store.ts';
import { writeGoExportDirectory } from '../fixtures/go-export-directory.ts';
import {
  buildStore,
  closeReference,
  nextBlocks,
  referenceContinue,
  referenceExport,
  referenceImport,
} from '../fixtures/reference.ts';
import {
  emptySpec,
  keysOnlySpec,
  prunedSpec,
  replayableSpec,
  richSpec,
  tinySpec,
} from '../fixtures/specs.ts';
import type { StoreSpec } from '../fixtures/store-spec.ts';
import { exportTo, restore, retrieve } from './operations.ts';

const fileDir = useTempDir('file');
const tempDir = useTempDir();
afterAll(closeReference);

interface Sample {
  readonly spec: StoreSpec;
  readonly stateDir: string;
}

const SPECS = { tiny: tinySpec, rich: richSpec, pruned: prunedSpec, replayable: replayableSpec };
type SpecName = keyof typeof SPECS;
const samples = new Map<SpecName, Sample>();

/** The modes that each store can be exported in. */
const MODES: Readonly<Record<SpecName, readonly RestoreMode[]>> = {
  tiny: RESTORE_MODES,
  rich: RESTORE_MODES,
  pruned: ['operational', 'debug'],
  replayable: ['operational', 'replay', 'debug'],
};
const cases = Object.entries(MODES).flatMap(([name, modes]) =>
  modes.map((mode) => ({ name: name as SpecName, mode })),
);

const formCases = cases.filter(({ name, mode }) => name === 'rich' || mode === 'operational');

beforeAll(async () => {
  for (const [name, spec] of Object.entries(SPECS)) {
    const stateDir = path.join(await fileDir(), 'agoric');
    await buildStore(stateDir, spec);
    samples.set(name as SpecName, { spec, stateDir });
  }
});

async function exportByReference(stateDir: string, artifactMode: RestoreMode): Promise<string> {
  const exportDir = await tempDir();
  await referenceExport(stateDir, exportDir, { artifactMode });
  return exportDir;
}

async function newStateDir(): Promise<string> {
  return path.join(await tempDir(), 'S');
}

async function imported(exportDir: string): Promise<{ stateDir: string; dump: StoreDump }> {
  const stateDir = await newStateDir();
  await referenceImport(exportDir, stateDir);
  return { stateDir, dump: await dumpStore(stateDir) };
}

async function restored(source: string, mode?: RestoreMode) {
  const stateDir = await newStateDir();
  const result = await restore(source, stateDir, mode);
  return { stateDir, dump: await dumpStore(stateDir), result };
}

/** A heap snapshot that is no longer in use keeps its compressed size, which depends on the compressor. */
function withoutOldSizes(dump: StoreDump): StoreDump {
  const snapshots = dump.snapshots.map((row) => (row[6] === null ? row.with(5, null) : row));
  return { ...dump, snapshots };
}

describe('a restored store', () => {
  it.each(cases)(
    'equals the one that the reference imports, and gives the export back: $name, $mode',
    async ({ name, mode }) => {
      const exportDir = await exportByReference(samples.get(name)!.stateDir, mode);
      const theirs = await imported(exportDir);
      const ours = await restored(exportDir);
      expect(ours.dump).toEqual(theirs.dump);
      expect(ours.result.summary.artifactMode).toBe(mode);
      expect(await listTree(path.dirname(ours.stateDir))).toMatchObject({
        S: {},
        'S/swingstore.sqlite': {},
      });
      const again = await exportByReference(ours.stateDir, mode);
      expect(await listTree(again)).toEqual(await listTree(exportDir));
    },
  );

  it.each([
    { name: 'tiny', mode: 'operational', vatIDs: ['v1', 'v2', 'v3'] },
    { name: 'rich', mode: 'operational', vatIDs: ['v2', 'v1', 'v5', 'v10'] },
    { name: 'rich', mode: 'debug', vatIDs: ['v10', 'v3'] },
    { name: 'pruned', mode: 'operational', vatIDs: ['v1', 'v3'] },
  ] as const)(
    'continues like the source, and like the copy of the reference: $name, $mode',
    async ({ name, mode, vatIDs }) => {
      // Continuing changes a store, so the source is built again.
      const { spec } = samples.get(name)!;
      const source = await newStateDir();
      const { bundleIDs } = await buildStore(source, spec);
      const exportDir = await exportByReference(source, mode);
      const theirs = await imported(exportDir);
      const ours = await restored(exportDir);
      const script = [
        ...bundleIDs.map((bundleID) => ({ do: 'getBundle', bundleID }) as const),
        ...nextBlocks(spec.height!, vatIDs),
      ];
      const expected = await referenceContinue(source, script);
      expect(await referenceContinue(ours.stateDir, script)).toEqual(expected);
      expect(await referenceContinue(theirs.stateDir, script)).toEqual(expected);
      expect(withoutOldSizes(await dumpStore(ours.stateDir))).toEqual(
        withoutOldSizes(await dumpStore(theirs.stateDir)),
      );
    },
  );

  it.each(formCases)(
    'is the same from every form of the export: $name, $mode',
    async ({ name, mode }) => {
      const { stateDir } = samples.get(name)!;
      const referenceDir = await exportByReference(stateDir, mode);
      const oursDir = path.join(await tempDir(), 'E');
      await exportTo(oursDir, stateDir, { artifactMode: mode });
      const goDir = path.join(await tempDir(), 'go');
      await writeGoExportDirectory(referenceDir, goDir, { untrustedExportData: 'beside' });

      const snapshotDir = await tempDir();
      await retrieve(snapshotDir, { exportDir: referenceDir });
      const liveDir = await tempDir();
      await retrieve(liveDir, { stateDir, artifactMode: mode });

      const expected = (await imported(oursDir)).dump;
      const hashes = new Set<string>();
      for (const [form, source] of Object.entries({
        referenceDir,
        oursDir,
        goDir,
        snapshotDir,
        liveDir,
      })) {
        // Only the directory of the Go side names no mode: it is restored as operational unless more is asked for.
        const { dump, result } = await restored(source, form === 'goDir' ? mode : undefined);
        expect(dump, form).toEqual(expected);
        hashes.add(JSON.stringify(result.summary.hashes));
        await verify({ source, progress: noProgress, artifactMode: mode, stateDir });
      }
      expect(hashes.size).toBe(1);
    },
  );
});

describe('an export directory of the Go side', () => {
  async function goExport(spec: SpecName, mode: RestoreMode, ...options: GoOptions) {
    const goDir = path.join(await tempDir(), 'go');
    const exportDir = await exportByReference(samples.get(spec)!.stateDir, mode);
    await writeGoExportDirectory(exportDir, goDir, ...options);
    return { goDir, exportDir };
  }
  type GoOptions =
    Parameters<typeof writeGoExportDirectory> extends [string, string, ...infer Rest]
      ? Rest
      : never;

  it('names no mode, so the requested mode decides', async () => {
    const { goDir, exportDir } = await goExport('rich', 'archival');
    expect((await restored(goDir)).dump).toEqual((await restored(exportDir, 'operational')).dump);
    expect((await restored(goDir, 'archival')).dump).toEqual((await restored(exportDir)).dump);
    const operational = await goExport('rich', 'operational');
    await expect(restore(operational.goDir, await newStateDir(), 'archival')).rejects.toMatchObject(
      {
        code: 'INCOMPLETE',
      },
    );
  });

  it('has height 0 if it names no height', async () => {
    const { goDir } = await goExport('tiny', 'operational', { blockHeight: 0 });
    const { dump } = await restored(goDir);
    expect(dump.kvStore).toContainEqual(['host.height', '0']);
  });

  it('is refused when its artifacts are null and its records need some', async () => {
    const { goDir } = await goExport('tiny', 'operational', { artifactsNull: true });
    const stateDir = await newStateDir();
    await expect(restore(goDir, stateDir)).rejects.toMatchObject({ code: 'INCOMPLETE' });
    expect(await listTree(path.dirname(stateDir))).toEqual({});
  });

  it('is refused when it holds only untrusted export data', async () => {
    const { goDir } = await goExport('tiny', 'operational', { untrustedExportData: 'only' });
    await expect(restore(goDir, await newStateDir())).rejects.toMatchObject({
      code: 'NO_EXPORT_DATA',
    });
  });

  it('is refused when an artifact is called UNTRUSTED-EXPORT-DATA', async () => {
    const { goDir } = await goExport('tiny', 'operational', { untrustedExportData: 'beside' });
    const manifestPath = path.join(goDir, 'export-manifest.json');
    const manifest = JSON.parse(await readFile(manifestPath, 'utf8')) as {
      artifacts: [string, string][];
    };
    manifest.artifacts.push(['UNTRUSTED-EXPORT-DATA', 'untrusted-export-data.jsonl']);
    await writeFile(manifestPath, JSON.stringify(manifest));
    await expect(restore(goDir, await newStateDir())).rejects.toMatchObject({
      code: 'ARTIFACT_NAME',
    });
  });
});

describe('an export of keys alone', () => {
  it.each([
    ['keys', keysOnlySpec],
    ['nothing', emptySpec],
  ])('is restored, though the reference refuses it: %s', async (_, spec) => {
    const source = await newStateDir();
    await buildStore(source, spec);
    for (const artifactMode of ['operational', 'none'] as const) {
      const exportDir = await tempDir();
      await referenceExport(source, exportDir, { artifactMode });
      await expect(imported(exportDir)).rejects.toThrow(/State-sync manifest|Cannot import/u);
      const { stateDir, dump } = await restored(exportDir);
      expect(dump.kvStore).toContainEqual(['host.height', String(spec.height)]);
      const again = await tempDir();
      await referenceExport(stateDir, again, { artifactMode });
      expect(await listTree(again)).toEqual(await listTree(exportDir));
      if (spec === keysOnlySpec) {
        const script = nextBlocks(spec.height!, []);
        const copy = await newStateDir();
        await buildStore(copy, spec);
        expect(await referenceContinue(stateDir, script)).toEqual(
          await referenceContinue(copy, script),
        );
      }
    }
  });

  it('is refused when it has records that need artifacts', async () => {
    const exportDir = await tempDir();
    await referenceExport(samples.get('tiny')!.stateDir, exportDir, { artifactMode: 'none' });
    await expect(restore(exportDir, await newStateDir())).rejects.toMatchObject({
      code: 'INCOMPLETE',
    });
  });
});
