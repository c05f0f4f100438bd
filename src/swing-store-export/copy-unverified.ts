/** Copies an export that needs no verification. */
import { countLines } from '../io/bytes/lines.ts';
import { mapAhead } from '../io/flow/ahead.ts';
import { Breath } from '../io/flow/breath.ts';
import { noteSpent } from '../io/flow/spent-memory.ts';
import { noProgress, type PlannedPhase, type Progress } from '../io/progress.ts';
import { aheadOf, followIn, inlinePool, type WorkerPool } from '../io/threads/pool.ts';
import type { ArtifactMode } from './artifact-mode.ts';
import { formatArtifactName, parseArtifactName } from './names.ts';
import type {
  ExportArtifact,
  ExportSink,
  SwingStoreExport,
  WholeContent,
} from './swing-store-export.ts';

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
    const loaded = mapAhead(source.artifacts(), aheadOf(pool, sizeAhead), async (artifact) => ({
      artifact,
      name: formatArtifactName(parseArtifactName(artifact.name)),
      whole: await readWhole(artifact, pool),
    }));
    for await (const { artifact, name, whole } of loaded) {
      await breath.take();
      signal?.throwIfAborted();
      if (whole !== undefined) {
        const size = whole.bytes.length;
        await sink.writeArtifact(name, whole, undefined);
        artifacts.size += size;
        noteSpent(size);
        progress.advance(size);
      } else {
        const counted = sized(artifact.data(), (size) => (artifacts.size += size));
        await sink.writeArtifact(name, watched(counted, { progress, signal }), undefined);
      }
      artifacts.count += 1;
      progress.advance(0, 1);
    }
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

/** Reads an artifact; undefined if it is too large to be read whole. */
async function readWhole(
  { whole }: ExportArtifact,
  pool: WorkerPool,
): Promise<WholeContent | undefined> {
  const recipe = await whole?.recipe();
  return recipe && followIn(pool, recipe, recipe.size);
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

/** Bytes that an artifact takes when it is read ahead. Infinity, which stops reading ahead, if it cannot be. */
export function sizeAhead(artifact: ExportArtifact): number {
  return artifact.whole?.size ?? Infinity;
}

/** Passes pieces on and reports progress. */
export async function* watched(
  data: AsyncIterable<Uint8Array>,
  { progress, signal }: { progress: Progress; signal: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  const breath = new Breath();
  for await (const piece of data) {
    await breath.take();
    signal?.throwIfAborted();
    // Taken first: the consumer may transfer the piece.
    const size = piece.length;
    yield piece;
    progress.advance(size);
  }
}

async function* sized(
  data: AsyncIterable<Uint8Array>,
  add: (size: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of data) {
    add(piece.length);
    yield piece;
  }
}
