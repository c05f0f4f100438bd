/** `export`: a live store becomes an export directory. */
import { existsSync, realpathSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { SwingSnapError, UsageError } from '../errors.ts';
import { RECORD_FILE } from '../formats/export-directory/layout.ts';
import { writeExportDirectory } from '../formats/export-directory/write.ts';
import { databasePath } from '../formats/swing-store/layout.ts';
import { openSwingStore } from '../formats/swing-store/open.ts';
import { nearestExisting } from '../io/free-space.ts';
import { makeDirectory, unmakeDirectories } from '../io/made-directory.ts';
import type { Progress } from '../io/progress.ts';
import type { ArtifactMode } from '../swing-store-export/artifact-mode.ts';
import { copyUnverified } from '../swing-store-export/copy-export.ts';
import type { ExportSummary, SwingStoreExport } from '../swing-store-export/swing-store-export.ts';
import { checkWritable, chooseScratchDir, type Check } from './preflight.ts';
import { writeRecord, type OperationRecord } from './record.ts';

export interface ExportOptions {
  readonly stateDir: string;
  readonly exportDir: string;
  /** The height that the store must be at. */
  readonly height?: number | undefined;
  readonly artifactMode: ArtifactMode;
  /** False leaves the export data out. */
  readonly withExportData: boolean;
  readonly scratchDir?: string | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** Looks whether {@link exportStore} could start, without making anything. Throws as it does. */
export async function checkExport(options: ExportOptions): Promise<Check[]> {
  await refuseExportDir(options.exportDir, options.stateDir);
  const scratchDir = chooseScratchDir(options.scratchDir, options.exportDir);
  const source = await openSource(options, scratchDir);
  await source.close();
  return [
    { check: `SwingStore can be read at height ${String(source.height)}`, path: source.location },
    checkWritable(options.exportDir, 'export directory'),
    checkWritable(scratchDir, 'scratch dir'),
  ];
}

/**
 * Exports the store's last commit into `exportDir`: what the reference's `export-kernel-db` writes, and our record.
 * @throws {UsageError} `EXPORT_DIR` if that is not empty, or is in the state dir
 * @throws {SwingSnapError} as `openSwingStore`; whatever fails, the export directory is as it was
 */
export async function exportStore(options: ExportOptions): Promise<ExportSummary> {
  const { exportDir, stateDir, artifactMode, withExportData, progress, signal } = options;
  await refuseExportDir(exportDir, stateDir);
  const source = await openSource(options, chooseScratchDir(options.scratchDir, options.exportDir));
  try {
    checkWritable(exportDir, 'export directory');
    const made = await makeDirectory(resolve(exportDir));
    try {
      const record: OperationRecord = {
        format: 'swingsnap-operation',
        version: 1,
        state: 'started',
        stateDir: resolve(stateDir),
        height: source.height,
        artifactMode,
        pid: process.pid,
        startedAt: new Date().toISOString(),
      };
      await writeRecord(exportDir, record);
      const header = { height: source.height, artifactMode, withExportData };
      const sink = await writeExportDirectory(exportDir, header);
      const options = { progress, signal, withExportData };
      const summary = await copyUnverified(source, sink, artifactMode, options);
      await writeRecord(exportDir, { ...record, state: 'done' });
      return summary;
    } catch (error) {
      await rm(join(exportDir, RECORD_FILE), { force: true });
      await unmakeDirectories(made);
      throw error;
    }
  } finally {
    await source.close();
  }
}

async function openSource(options: ExportOptions, scratchDir: string): Promise<SwingStoreExport> {
  const { stateDir, height, artifactMode, progress } = options;
  const note = (message: string): void => {
    progress.note(message);
  };
  return openSwingStore(stateDir, { height, artifactMode, scratchDir, note });
}

async function refuseExportDir(exportDir: string, stateDir: string): Promise<void> {
  // The store's own directory, reached through any link, is no place for an export.
  const existing = nearestExisting(resolve(exportDir));
  const real = resolve(realpathSync(existing), relative(existing, resolve(exportDir)));
  const realState = existsSync(stateDir) ? realpathSync(stateDir) : resolve(stateDir);
  const inside = relative(realState, real);
  if (
    inside === '' ||
    (inside !== '..' && !inside.startsWith(`..${sep}`) && !inside.startsWith(sep))
  ) {
    throw new UsageError('EXPORT_DIR', 'the export directory would be in the state dir', {
      path: exportDir,
      found: databasePath(realState),
      hint: 'name a directory elsewhere with --export-dir',
    });
  }
  if (!existsSync(exportDir)) return;
  const names = await readdir(exportDir).catch((cause: unknown) => {
    throw new UsageError('EXPORT_DIR', 'the export directory is no directory', {
      path: exportDir,
      cause,
    });
  });
  if (names.length > 0) {
    throw new SwingSnapError('EXPORT_DIR', 'the export directory is not empty', {
      path: exportDir,
      found: names.slice(0, 3).join(', '),
      hint: names.includes(RECORD_FILE)
        ? `remove the old export with: swingsnap discard --export-dir ${exportDir}`
        : 'name an empty or a new directory with --export-dir',
    });
  }
}
