/**
 * The one thing that every command does: copy an export from the form that it is in to the form that is wanted.
 */
import { VerificationError } from '../errors.ts';
import { Breath } from '../io/breath.ts';
import { DigestTap } from '../io/digest.ts';
import { noProgress, type Progress } from '../io/progress.ts';
import { defaultScratchDir } from '../io/scratch.ts';
import type { ArtifactMode, RestoreMode } from './artifact-mode.ts';
import { computeContentHash } from './content-hash.ts';
import { NotCanonicalError } from './export-data.ts';
import { ExportDataHasher } from './export-data-hasher.ts';
import { formatArtifactName, parseArtifactName } from './names.ts';
import { artifactIdentity } from './expected-content.ts';
import { RecordIndex } from './record-index.ts';
import type {
  ArtifactDigest,
  ExportArtifact,
  ExportSink,
  ExportSummary,
  SwingStoreExport,
} from './swing-store-export.ts';
import { verifyArtifact } from './verify-artifact.ts';

export interface CopyOptions {
  readonly progress?: Progress | undefined;
  /** Ends the copy with its reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface VerifiedCopyOptions extends CopyOptions {
  /**
   * Which artifacts to copy and require. Without it the source's own mode; and where the source has none, all of
   * its artifacts, of which at least the operational ones are required.
   */
  readonly artifactMode?: ArtifactMode | undefined;
  /** Where scratch files go; by default the system's temporary directory. */
  readonly scratchDir?: string | undefined;
  /** The content hash that the export must have. */
  readonly expect?: string | undefined;
  /** Called with the index of what was verified, before it is closed, and the mode that it was verified for. */
  readonly inspect?: ((index: RecordIndex, mode: ArtifactMode) => void) | undefined;
}

/** What a verified copy came to. */
export interface Copied<Result> {
  /** What the sink made of it. */
  readonly result: Result;
  readonly summary: ExportSummary;
}

/**
 * Copies an export of which nothing is checked but what the source checks itself: a live store, whose exporter the
 * reference has fixed byte for byte.
 * @param withExportData false leaves the export data out
 */
export async function copyUnverified<Result>(
  source: SwingStoreExport,
  sink: ExportSink<Result>,
  artifactMode: ArtifactMode,
  {
    progress = noProgress,
    signal,
    withExportData = true,
  }: CopyOptions & { withExportData?: boolean },
): Promise<Result> {
  return aborting(sink, async () => {
    const exportData = { entries: 0, size: 0 };
    const breath = new Breath();
    if (withExportData) {
      progress.phase('export data', source.estimate('export data'));
      for await (const block of source.exportData()) {
        await breath.take();
        signal?.throwIfAborted();
        await sink.writeExportData(block);
        const entries = countLines(block);
        exportData.size += block.length;
        exportData.entries += entries;
        progress.advance(block.length, entries);
      }
    }
    const artifacts = { count: 0, size: 0 };
    progress.phase('artifacts', source.estimate('artifacts'));
    for await (const artifact of source.artifacts()) {
      const name = formatArtifactName(parseArtifactName(artifact.name));
      const tap = new DigestTap();
      await sink.writeArtifact(
        name,
        watched(tap.through(artifact.data()), progress, signal),
        undefined,
      );
      artifacts.count += 1;
      artifacts.size += tap.size;
      progress.advance(0, 1);
    }
    return sink.finish({ height: source.height, artifactMode, exportData, artifacts });
  });
}

function countLines(block: Uint8Array): number {
  let lines = 0;
  for (let at = block.indexOf(0x0a); at !== -1; at = block.indexOf(0x0a, at + 1)) lines += 1;
  return lines;
}

/**
 * Copies an export and proves while it reads that it is one: the export data is read by the reference importer's
 * rules, every artifact matches its record, none that the mode requires is missing, and the hashes are those that
 * the source and the caller promise. The sink is finished only then.
 * @param makeSink makes the sink; called again if the export data must be normalised first
 * @throws {VerificationError} for whatever is wrong with the export; the sink was aborted
 */
export async function copyVerified<Result>(
  source: SwingStoreExport,
  makeSink: () => Promise<ExportSink<Result>>,
  options: VerifiedCopyOptions = {},
): Promise<Copied<Result>> {
  const scratchDir = options.scratchDir ?? defaultScratchDir();
  try {
    return await attempt(source, await makeSink(), options, scratchDir, source.exportData());
  } catch (error) {
    if (!(error instanceof NotCanonicalError)) throw error;
    options.progress?.note(
      'the export data is not in canonical order: it is sorted through a scratch file first',
    );
    const normalised = source.exportData({ scratchDir });
    return attempt(source, await makeSink(), options, scratchDir, normalised);
  }
}

async function attempt<Result>(
  source: SwingStoreExport,
  sink: ExportSink<Result>,
  options: VerifiedCopyOptions,
  scratchDir: string,
  exportData: AsyncIterable<Uint8Array>,
): Promise<Copied<Result>> {
  return aborting(sink, async () => {
    const index = new RecordIndex(scratchDir);
    try {
      const summary = await copyThrough(source, sink, options, index, exportData);
      options.inspect?.(index, summary.artifactMode);
      return { result: await sink.finish(summary), summary };
    } finally {
      index.close();
    }
  });
}

async function aborting<Result>(
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

async function copyThrough(
  source: SwingStoreExport,
  sink: ExportSink<unknown>,
  { progress = noProgress, signal, artifactMode, expect }: VerifiedCopyOptions,
  index: RecordIndex,
  exportDataBlocks: AsyncIterable<Uint8Array>,
): Promise<ExportSummary> {
  const hasher = new ExportDataHasher(index);
  progress.phase('export data', source.estimate('export data'));
  const breath = new Breath();
  for await (const block of exportDataBlocks) {
    await breath.take();
    signal?.throwIfAborted();
    const entries = hasher.add(block);
    await sink.writeExportData(block);
    progress.advance(block.length, entries);
  }
  const { exportDataHash, operationalHash, entries, size } = hasher.finish();

  // Without any label every artifact is wanted, and the content decides what the copy may call itself.
  const mode = artifactMode ?? source.artifactMode;
  const artifacts = { count: 0, size: 0 };
  let allDigestsKnown = true;
  progress.phase('artifacts', source.estimate('artifacts'));
  for await (const artifact of source.artifacts()) {
    await breath.take();
    signal?.throwIfAborted();
    const name = parseArtifactName(artifact.name);
    const expected = index.expect(name, mode ?? 'debug');
    if (expected === undefined) {
      const digest = artifact.declared ?? (await digestIf(expect !== undefined, artifact, signal));
      if (digest === undefined) allDigestsKnown = false;
      else index.notePresent(name, digest, false);
      continue;
    }
    const tap = new DigestTap();
    const verified = verifyArtifact(artifact.name, expected, artifact.data());
    await sink.writeArtifact(
      artifact.name,
      watched(tap.through(verified), progress, signal),
      artifactIdentity(expected),
    );
    const digest = tap.finish();
    refuseOther(
      `SHA-256 of ${artifact.name}`,
      artifact.declared?.sha256,
      digest.sha256,
      source.location,
    );
    index.notePresent(name, digest, true);
    artifacts.count += 1;
    artifacts.size += digest.size;
    progress.advance(0, 1);
  }

  const summaryMode = mode ?? modeByContent(index);
  refuseMissing(index, summaryMode, source.location);
  const contentHash = allDigestsKnown
    ? computeContentHash(source.height, exportDataHash, index.present())
    : undefined;
  const hashes = { exportDataHash, operationalHash, contentHash };
  for (const name of ['exportDataHash', 'operationalHash', 'contentHash'] as const) {
    refuseOther(name, source.promised?.[name], hashes[name], source.location);
  }
  refuseOther('contentHash', expect, contentHash, source.location);
  return {
    height: source.height,
    artifactMode: summaryMode,
    exportData: { entries, size },
    artifacts,
    hashes,
  };
}

async function digestIf(
  wanted: boolean,
  artifact: ExportArtifact,
  signal: AbortSignal | undefined,
): Promise<ArtifactDigest | undefined> {
  if (!wanted) return undefined;
  const tap = new DigestTap();
  for await (const _ of tap.through(artifact.data())) signal?.throwIfAborted();
  return tap.finish();
}

async function* watched(
  data: AsyncIterable<Uint8Array>,
  progress: Progress,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const breath = new Breath();
  for await (const piece of data) {
    await breath.take();
    signal?.throwIfAborted();
    yield piece;
    progress.advance(piece.length);
  }
}

/** The mode of an export that has no label: `operational` unless it holds more, then the most it is complete for. */
function modeByContent(index: RecordIndex): RestoreMode {
  if (!index.hasHistory()) return 'operational';
  const complete = (['archival', 'replay'] as const).find(
    (mode) => index.missing(mode).length === 0,
  );
  return complete ?? 'operational';
}

function refuseMissing(index: RecordIndex, mode: ArtifactMode, location: string): void {
  const missing = index.missing(mode);
  if (missing.length === 0) return;
  throw new VerificationError('INCOMPLETE', `artifacts are missing for mode ${mode}`, {
    path: location,
    expected: missing.join(', '),
    found: 'none of these',
    hint:
      mode === 'operational' || mode === 'debug'
        ? 'the export cannot serve a node: make it again'
        : 'use --artifact-mode operational, or make the export again from a node that kept its history',
  });
}

function refuseOther(
  what: string,
  expected: string | undefined,
  found: string | undefined,
  location: string,
): void {
  if (expected === undefined || found === expected) return;
  throw new VerificationError('HASH_MISMATCH', `the export has another ${what}`, {
    path: location,
    expected,
    found,
  });
}
