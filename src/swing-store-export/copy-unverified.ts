/** Copies an export that needs no verification. */
import { countLines } from '../io/bytes/lines.ts';
import { Breath } from '../io/flow/breath.ts';
import { InOrder } from '../io/flow/in-order.ts';
import { NO_LIMITS } from '../io/flow/room.ts';
import { noteSpent } from '../io/flow/spent-memory.ts';
import { noProgress, type PlannedPhase, type Progress } from '../io/progress.ts';
import { inlinePool, type WorkerPool } from '../io/threads/pool.ts';
import type { ArtifactMode } from './artifact-mode.ts';
import { ArtifactWriter } from './artifact-writer.ts';
import { formatArtifactName, parseArtifactName } from './names.ts';
import type {
  ArtifactDigest,
  ExportArtifact,
  ExportSink,
  SwingStoreExport,
} from './swing-store-export.ts';
import { groupsOf } from './visits.ts';

export interface CopyOptions {
  readonly progress?: Progress | undefined;
  /** Aborts the copy; it then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Runs the slow work; by default this thread does. */
  readonly pool?: WorkerPool | undefined;
}

/**
 * Copies an export with no checks beyond those of the source itself. For a live store, whose exported bytes the
 * reference determines exactly.
 * @param withExportData false leaves the export data out
 */
export async function copyUnverified<Result>(
  source: SwingStoreExport,
  sink: ExportSink<Result>,
  artifactMode: ArtifactMode,
  {
    progress = noProgress,
    signal,
    pool = inlinePool,
    withExportData = true,
  }: CopyOptions & { withExportData?: boolean },
): Promise<Result> {
  return aborting(sink, async () => {
    const exportData = { entries: 0, size: 0 };
    const breath = new Breath();
    const plan = planOf(source);
    progress.plan?.(withExportData ? plan : plan.filter(({ name }) => name !== 'export data'));
    if (withExportData) {
      progress.phase('export data', source.estimate('export data'));
      for await (const block of source.exportData()) {
        await breath.take();
        signal?.throwIfAborted();
        const { length } = block;
        const entries = countLines(block);
        await sink.writeExportData(block);
        exportData.size += length;
        exportData.entries += entries;
        noteSpent(length);
        progress.advance(length, entries);
      }
    }
    const artifacts = { count: 0, size: 0 };
    progress.phase('artifacts', source.estimate('artifacts'));
    const writer = new ArtifactWriter(sink, { pool, progress, signal, wantsDigests: false });
    const order = new InOrder<readonly (ArtifactDigest | undefined)[]>(NO_LIMITS, (digests) => {
      for (const digest of digests) {
        artifacts.size += digest?.size ?? 0;
        artifacts.count += 1;
        progress.advance(0, 1);
      }
    });
    try {
      for await (const group of groupsOf(source.artifacts())) {
        await breath.take();
        signal?.throwIfAborted();
        const planned = group.map((artifact) => ({ artifact: named(artifact), isWanted: true }));
        await order.add((await writer.write(planned)).digests, 0);
      }
      await writer.end();
    } catch (error) {
      await writer.fail(error);
      throw error;
    }
    await order.end();
    return sink.finish({ height: source.height, artifactMode, exportData, artifacts });
  });
}

/** The phases of a copy, as far as their sizes are known in advance. */
export function planOf(
  source: SwingStoreExport,
  artifactMode: ArtifactMode | undefined = source.artifactMode,
): PlannedPhase[] {
  const bytesOf = (part: 'export data' | 'artifacts'): number => source.estimate(part).bytes ?? 0;
  return [
    { name: 'export data', bytes: bytesOf('export data') },
    { name: 'artifacts', bytes: artifactMode === 'none' ? 0 : bytesOf('artifacts') },
  ];
}

/** The artifact under its canonical name. */
function named(artifact: ExportArtifact): ExportArtifact {
  return { ...artifact, name: formatArtifactName(parseArtifactName(artifact.name)) };
}

/** Aborts the sink if the work fails. */
export async function aborting<Result>(
  sink: ExportSink<unknown>,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}
