/** Compares `export` with the reference's `export-kernel-db`: the same files, bytes and refusals. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwingSnapError } from '../../src/errors.ts';
import { ARTIFACT_MODES } from '../../src/swing-store-export/artifact-mode.ts';
import { listTree, useTempDir, type TreeEntry } from '../fixtures/directories.ts';
import {
  buildStore,
  closeReference,
  ReferenceRefusal,
  referenceExport,
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
import { exportTo, type ExportAsked } from './operations.ts';

const fileDir = useTempDir('file');
const tempDir = useTempDir();
afterAll(closeReference);

const { height: _, ...withoutHeight } = tinySpec;

const SPECS: Readonly<Record<string, StoreSpec>> = {
  empty: emptySpec,
  'keys only': keysOnlySpec,
  tiny: tinySpec,
  'tiny, without a height': withoutHeight,
  'tiny, its last commit in the -wal': { ...tinySpec, leaveWal: 'last-commit' },
  'tiny, all of it in the -wal': { ...tinySpec, leaveWal: 'everything' },
  rich: richSpec,
  pruned: prunedSpec,
  replayable: replayableSpec,
};

const built = new Map<string, string>();

beforeAll(async () => {
  for (const [name, spec] of Object.entries(SPECS)) {
    const stateDir = path.join(await fileDir(), 'agoric');
    await buildStore(stateDir, spec);
    built.set(name, stateDir);
  }
});

/** The files of an export directory, without our own record; or that the export was refused. */
type Outcome = Readonly<Record<string, TreeEntry>> | 'refused';

async function exportByUs(
  stateDir: string,
  exportDir: string,
  options: ExportAsked,
): Promise<Outcome> {
  try {
    await exportTo(exportDir, stateDir, options);
  } catch (error) {
    if (!(error instanceof SwingSnapError)) throw error;
    expect(await listTree(exportDir)).toEqual({});
    return 'refused';
  }
  const { '.swingsnap-operation.json': record, ...files } = await listTree(exportDir);
  expect(record).toBeDefined();
  return files;
}

async function exportByReference(
  stateDir: string,
  exportDir: string,
  { artifactMode, exportDataMode = 'all', height }: ExportAsked,
): Promise<Outcome> {
  try {
    await referenceExport(stateDir, exportDir, {
      artifactMode,
      exportDataMode,
      ...(height === undefined ? {} : { blockHeight: height }),
    });
  } catch (error) {
    if (!(error instanceof ReferenceRefusal)) throw error;
    return 'refused';
  }
  return listTree(exportDir);
}

/** Ours runs first: the reference merges a `-wal` into the database. */
async function exportBoth(stateDir: string, options: ExportAsked) {
  const ours = path.join(await tempDir(), 'E');
  const reference = await tempDir();
  return {
    ours: await exportByUs(stateDir, ours, options),
    reference: await exportByReference(stateDir, reference, options),
    oursDir: ours,
    referenceDir: reference,
  };
}

const cases = Object.keys(SPECS).flatMap((name) =>
  ARTIFACT_MODES.flatMap((artifactMode) =>
    (['all', 'skip'] as const)
      .filter((mode) => mode === 'all' || name === 'rich' || artifactMode === 'operational')
      .map((exportDataMode) => ({ name, artifactMode, exportDataMode })),
  ),
);

describe('an export', () => {
  it.each(cases)(
    'equals that of the reference: $name, mode $artifactMode, export data $exportDataMode',
    async ({ name, ...options }) => {
      const { ours, reference } = await exportBoth(built.get(name)!, options);
      expect(ours).toEqual(reference);
    },
  );

  it('is refused only if it needs history that a pruned store lacks', async () => {
    const verdicts: Record<string, string[]> = {};
    for (const name of ['pruned', 'replayable', 'rich']) {
      for (const artifactMode of ARTIFACT_MODES) {
        const exportDir = path.join(await tempDir(), 'E');
        const outcome = await exportByUs(built.get(name)!, exportDir, { artifactMode });
        if (outcome === 'refused') (verdicts[name] ??= []).push(artifactMode);
      }
    }
    expect(verdicts).toEqual({ pruned: ['replay', 'archival'], replayable: ['archival'] });
  });

  it('has the same bytes in two runs', async () => {
    const [one, other] = [path.join(await tempDir(), 'E'), path.join(await tempDir(), 'E')];
    const options = { artifactMode: 'debug' } as const;
    const stateDir = built.get('rich')!;
    expect(await exportByUs(stateDir, one, options)).toEqual(
      await exportByUs(stateDir, other, options),
    );
  });

  it.each([
    ['the height of the store', 1000],
    ['another height', 999],
  ])('agrees with that of the reference when asked for %s', async (_what, height) => {
    const options = { artifactMode: 'operational', height } as const;
    const { ours, reference } = await exportBoth(built.get('tiny')!, options);
    expect(ours === 'refused').toBe(height !== 1000);
    expect(ours).toEqual(reference);
  });

  it('checks a requested height of 0, unlike the reference', async () => {
    const options = { artifactMode: 'operational', height: 0 } as const;
    const atZero = await exportBoth(built.get('empty')!, options);
    expect(atZero.ours).toEqual(atZero.reference);
    const { ours, reference } = await exportBoth(built.get('tiny')!, options);
    expect(ours).toBe('refused');
    expect(reference).not.toBe('refused');
  });

  it('has height 0 if the store has no height', async () => {
    const { oursDir } = await exportBoth(built.get('tiny, without a height')!, {
      artifactMode: 'none',
    });
    const manifest = await readFile(path.join(oursDir, 'export-manifest.json'), 'utf8');
    expect(JSON.parse(manifest)).toMatchObject({ blockHeight: 0 });
  });

  it('leaves the directory as it was when something else is in it', async () => {
    const exportDir = path.join(await tempDir(), 'E');
    await mkdir(exportDir);
    await writeFile(path.join(exportDir, 'x'), '');
    const before = await listTree(exportDir);
    await expect(exportTo(exportDir, built.get('tiny')!, { artifactMode: 'none' })).rejects.toThrow(
      SwingSnapError,
    );
    expect(await listTree(exportDir)).toEqual(before);
  });
});
