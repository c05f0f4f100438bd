/** What is true of every store, tested on generated ones. */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { SwingSnapError } from '../../src/errors.ts';
import { openExportDirectory } from '../../src/formats/export-directory/open.ts';
import { openSwingStore } from '../../src/formats/swing-store/read/open.ts';
import { openDatabase } from '../../src/io/sqlite.ts';
import { RESTORE_MODES, type RestoreMode } from '../../src/swing-store-export/artifact-mode.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../src/swing-store-export/null-sink.ts';
import type {
  ExportHashes,
  SwingStoreExport,
} from '../../src/swing-store-export/swing-store-export.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { dumpStore } from '../fixtures/dump-store.ts';
import {
  buildStore,
  closeReference,
  ReferenceRefusal,
  referenceExport,
  referenceImport,
} from '../fixtures/reference.ts';
import { richSpec } from '../fixtures/specs.ts';
import { arbitraryStore } from './arbitrary-stores.ts';
import { ExportFiles } from './export-files.ts';
import { exportTo, restore } from './operations.ts';

const fileDir = useTempDir('file');
afterAll(closeReference);

let runs = 0;
async function inNewDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = path.join(await fileDir(), `${(runs += 1)}`);
  await mkdir(dir);
  await use(dir);
  await rm(dir, { recursive: true });
}

async function hashesOf(source: SwingStoreExport, scratchDir: string, artifactMode?: RestoreMode) {
  try {
    const { summary } = await copyVerified(source, async () => nullSink(), {
      scratchDir,
      artifactMode,
    });
    return summary.hashes!;
  } finally {
    await source.close();
  }
}

async function hashesOfStore(stateDir: string, artifactMode: RestoreMode): Promise<ExportHashes> {
  const scratchDir = path.dirname(stateDir);
  const options = { artifactMode, scratchDir, note: () => undefined };
  return hashesOf(await openSwingStore(stateDir, options), scratchDir);
}

/** The shuffle of Fisher and Yates, with a seed. */
function shuffled<T>(values: readonly T[], seed: number): T[] {
  const result = [...values];
  let state = seed + 1;
  for (let i = result.length - 1; i > 0; i -= 1) {
    state = (state * 48_271) % 2_147_483_647;
    const j = state % (i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** Rewrites every table with its rows in another order. */
function shuffleRows(stateDir: string, seed: number): void {
  const db = openDatabase(path.join(stateDir, 'swingstore.sqlite'));
  const tables = db
    .prepare<[], string>(`SELECT name FROM sqlite_master WHERE type = 'table'`)
    .pluck()
    .all();
  for (const table of tables) {
    const rows = db.prepare<[], unknown[]>(`SELECT * FROM ${table}`).raw().all();
    db.exec(`DELETE FROM ${table}`);
    const [first] = rows;
    if (first === undefined) continue;
    const insert = db.prepare(`INSERT INTO ${table} VALUES (${first.map(() => '?').join(', ')})`);
    for (const row of shuffled(rows, seed)) insert.run(...row);
  }
  db.exec('VACUUM');
  db.close();
}

async function exportedBy<T>(work: Promise<T>): Promise<T | 'refused'> {
  return work.catch((error: unknown) => {
    if (error instanceof ReferenceRefusal || error instanceof SwingSnapError) return 'refused';
    throw error;
  });
}

describe('every store', () => {
  it('is exported and restored as by the reference, with the same hashes in any order of rows and lines', async () => {
    const modes = fc.constantFrom(...RESTORE_MODES);
    await fc.assert(
      fc.asyncProperty(arbitraryStore, modes, fc.nat(), async (spec, artifactMode, seed) => {
        await inNewDir(async (dir) => {
          const at = (name: string): string => path.join(dir, name);
          await buildStore(at('S'), spec);
          await mkdir(at('R'));
          const ours = await exportedBy(exportTo(at('E'), at('S'), { artifactMode }));
          const theirs = await exportedBy(referenceExport(at('S'), at('R'), { artifactMode }));
          expect(ours === 'refused').toBe(theirs === 'refused');
          if (ours === 'refused') return;
          const { '.swingsnap-operation.json': _, ...files } = await listTree(at('E'));
          const expected = await listTree(at('R'));
          expect(files).toEqual(expected);

          const { summary } = await restore(at('E'), at('copy'));
          await mkdir(at('again'));
          await referenceExport(at('copy'), at('again'), { artifactMode });
          expect(await listTree(at('again'))).toEqual(expected);
          if (summary.artifacts.count > 0) {
            await referenceImport(at('E'), at('imported'));
            expect(await dumpStore(at('copy'))).toEqual(await dumpStore(at('imported')));
          }

          shuffleRows(at('S'), seed);
          expect(await hashesOfStore(at('S'), artifactMode)).toEqual(summary.hashes);

          const lines = await ExportFiles.read(at('R'));
          lines.lines = shuffled(lines.lines, seed);
          lines.manifest.artifacts = shuffled(lines.manifest.artifacts, seed);
          await lines.write(at('shuffled'));
          expect(await hashesOf(await openExportDirectory(at('shuffled')), dir)).toEqual(
            summary.hashes,
          );
        });
      }),
      { seed: 20_260_101, numRuns: 15 },
    );
  });

  it('has the same hashes in any order of its rows: the rich store', async () => {
    await inNewDir(async (dir) => {
      const stateDir = path.join(dir, 'S');
      await buildStore(stateDir, richSpec);
      const before = await hashesOfStore(stateDir, 'debug');
      for (const seed of [1, 2]) {
        shuffleRows(stateDir, seed);
        expect(await hashesOfStore(stateDir, 'debug')).toEqual(before);
      }
    });
  });
});
