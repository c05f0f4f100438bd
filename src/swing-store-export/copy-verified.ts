/** The verified copy of an export, from its present form to the wanted one. */
import { VerificationError } from '../errors.ts';
import { defaultScratchDir } from '../io/files/scratch.ts';
import { Breath } from '../io/flow/breath.ts';
import { InOrder } from '../io/flow/in-order.ts';
import { NO_LIMITS } from '../io/flow/room.ts';
import { noteSpent } from '../io/flow/spent-memory.ts';
import { listed } from '../io/listed.ts';
import { noProgress, type Progress, type ProgressTotal } from '../io/progress.ts';
import { inlinePool } from '../io/threads/pool.ts';
import { artifactIdentity } from './artifact/expected-content.ts';
import type { ArtifactMode, RestoreMode } from './artifact-mode.ts';
import { ArtifactWriter, type PlannedArtifact, type Written } from './artifact-writer.ts';
import { computeContentHash } from './content-hash.ts';
import { aborting, planOf, type CopyOptions } from './copy-unverified.ts';
import { NotCanonicalError } from './export-data/canonical-blocks.ts';
import { ExportDataHasher } from './export-data/export-data-hasher.ts';
import { RecordIndex } from './export-data/record-index.ts';
import { parseArtifactName } from './names.ts';
import type {
  ArtifactDigest,
  ExpectedArtifact,
  ExportArtifact,
  ExportSink,
  ExportSummary,
  SwingStoreExport,
} from './swing-store-export.ts';
import { groupsOf } from './visits.ts';

export interface VerifiedCopyOptions extends CopyOptions {
  /**
   * Which artifacts to copy and require. Defaults to the source's own mode. If the source has none, all of its
   * artifacts are copied, and at least the operational ones are required.
   */
  readonly artifactMode?: ArtifactMode | undefined;
  /** Directory for scratch files; by default the system's temporary directory. */
  readonly scratchDir?: string | undefined;
  /** The content hash that the export must have. */
  readonly expect?: string | undefined;
  /** Whether to read artifacts that are not copied, for the content hash; by default if `expect` is given. */
  readonly digests?: boolean | undefined;
  /** Called with the index of what was verified, before the index is closed, and with the summary. */
  readonly inspect?: ((index: RecordIndex, summary: ExportSummary) => void) | undefined;
}

/** The outcome of a verified copy. */
export interface Copied<Result> {
  /** What the sink's `finish` returned. */
  readonly result: Result;
  readonly summary: ExportSummary;
}

/**
 * Copies an export and verifies it on the way: the export data obeys the reference importer's rules, every artifact
 * matches its record, no artifact that the mode requires is missing, and the hashes are those that the source and the
 * caller expect. Only then is the sink finished.
 * @param makeSink makes the sink; called again if the export data must be normalised first
 * @throws {VerificationError} if anything is wrong with the export; the sink has been aborted
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
      'the export data is not in canonical order: sorting it through a scratch file first',
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
      options.inspect?.(index, summary);
      return { result: await sink.finish(summary), summary };
    } finally {
      index.close();
    }
  });
}

async function copyThrough(
  source: SwingStoreExport,
  sink: ExportSink<unknown>,
  options: VerifiedCopyOptions,
  index: RecordIndex,
  exportDataBlocks: AsyncIterable<Uint8Array>,
): Promise<ExportSummary> {
  const { progress = noProgress, signal, pool = inlinePool, artifactMode, expect } = options;
  const hasher = new ExportDataHasher(index);
  progress.plan?.(planOf(source, artifactMode));
  progress.phase('export data', source.estimate('export data'));
  const breath = new Breath();
  for await (const block of exportDataBlocks) {
    await breath.take();
    signal?.throwIfAborted();
    const { length } = block;
    const entries = hasher.add(block);
    await sink.writeExportData(block);
    noteSpent(length);
    progress.advance(length, entries);
  }
  const { exportDataHash, operationalHash, entries, size } = hasher.finish();

  // Without a label every artifact is wanted, and the content decides the label of the copy.
  const mode = artifactMode ?? source.artifactMode;
  const wantsDigests = options.digests ?? expect !== undefined;
  progress.phase('artifacts', artifactsToCopy(source, mode, index));
  await sink.expect?.(expectedOf(index, mode ?? 'debug'));
  const taken = new TakenArtifacts(index, source, progress);
  const writer = new ArtifactWriter(sink, { pool, progress, signal, wantsDigests });
  try {
    for await (const group of groupsOf(source.artifacts())) {
      await breath.take();
      signal?.throwIfAborted();
      const planned = group.map((artifact) => plan(artifact, index, mode ?? 'debug', sink));
      await taken.add(planned, await writer.write(planned));
    }
    await writer.end();
  } catch (error) {
    await writer.fail(error);
    // An artifact that came before may be wrong too: then it is the first error, whichever thread was faster.
    if (signal?.aborted !== true) await taken.end();
    throw error;
  }
  await taken.end();
  const { artifacts, allDigestsKnown } = taken;

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

function* expectedOf(index: RecordIndex, mode: ArtifactMode): Generator<ExpectedArtifact> {
  for (const { name, expected } of index.wanted(mode)) {
    yield { name, identity: artifactIdentity(expected) };
  }
}

/** The artifacts that a copy takes. If they are not all of the source's, only their number is known. */
function artifactsToCopy(
  source: SwingStoreExport,
  mode: ArtifactMode | undefined,
  index: RecordIndex,
): ProgressTotal {
  const all = source.estimate('artifacts');
  if (mode === undefined || mode === 'debug' || mode === source.artifactMode) return all;
  return { items: index.count(mode), unit: all.unit };
}

/** The bytes of the artifacts to come, as they become known better. */
class ArtifactPlan {
  readonly #source: SwingStoreExport;
  readonly #progress: Progress;
  #leftOut = 0;
  #told: number;

  constructor(source: SwingStoreExport, progress: Progress) {
    this.#source = source;
    this.#progress = progress;
    this.#told = this.#bytes;
  }

  /** An artifact that is not copied. */
  leaveOut({ declared, size = 0 }: ExportArtifact): void {
    this.#leftOut += declared?.size ?? size;
    this.improve();
  }

  improve(): void {
    const bytes = this.#bytes;
    if (bytes === this.#told) return;
    this.#told = bytes;
    this.#progress.plan?.([{ name: 'artifacts', bytes }]);
  }

  get #bytes(): number {
    return Math.max(0, (this.#source.estimate('artifacts').bytes ?? 0) - this.#leftOut);
  }
}

function plan(
  artifact: ExportArtifact,
  index: RecordIndex,
  mode: ArtifactMode,
  sink: ExportSink<unknown>,
): PlannedArtifact {
  const expected = index.expect(parseArtifactName(artifact.name), mode);
  if (expected === undefined) return { artifact, isWanted: false };
  const { declared, name } = artifact;
  const identity = artifactIdentity(expected);
  if (declared?.identity !== undefined && declared.identity !== identity) {
    throw new VerificationError('ARTIFACT_MISMATCH', `${name} is declared as something else`, {
      path: name,
      expected: identity,
      found: declared.identity,
    });
  }
  const held = sink.holds?.(identity);
  // The record of a heap snapshot has the hash of its content, so held content must have it too.
  const isIt = expected.kind !== 'snapshot' || held?.sha256 === expected.hash;
  // What the source does not have must not be made good from elsewhere: it is damaged.
  const isThere = (artifact.visit ?? artifact.size ?? declared) !== undefined;
  return { artifact, isWanted: true, expected, held: isIt && isThere ? held : undefined };
}

/** Counts artifacts and notes their digests, in the order in which they came, whichever is known first. */
class TakenArtifacts {
  readonly #index: RecordIndex;
  readonly #location: string;
  readonly #progress: Progress;
  readonly #plan: ArtifactPlan;
  readonly #order = new InOrder<() => void>(NO_LIMITS, (take) => {
    take();
  });
  readonly artifacts = { count: 0, size: 0 };
  allDigestsKnown = true;

  constructor(index: RecordIndex, source: SwingStoreExport, progress: Progress) {
    this.#index = index;
    this.#location = source.location;
    this.#progress = progress;
    this.#plan = new ArtifactPlan(source, progress);
  }

  /** Does not wait for the digests. Throws the first error so far, in the order of the artifacts. */
  async add(planned: readonly PlannedArtifact[], { digests }: Written): Promise<void> {
    for (const { artifact, isWanted } of planned) if (!isWanted) this.#plan.leaveOut(artifact);
    const taking = digests.then((known) => () => {
      for (const [at, artifact] of planned.entries()) this.#take(artifact, known[at]);
    });
    await this.#order.add(taking, 0);
  }

  async end(): Promise<void> {
    await this.#order.end();
  }

  #take({ artifact, isWanted }: PlannedArtifact, digest: ArtifactDigest | undefined): void {
    if (digest === undefined) {
      this.allDigestsKnown = false;
      return;
    }
    const name = parseArtifactName(artifact.name);
    if (!isWanted) {
      this.#index.notePresent(name, digest, false);
      return;
    }
    const what = `SHA-256 of ${artifact.name}`;
    refuseOther(what, artifact.declared?.sha256, digest.sha256, this.#location);
    this.#index.notePresent(name, digest, true);
    this.artifacts.count += 1;
    this.artifacts.size += digest.size;
    this.#progress.advance(0, 1);
    this.#plan.improve();
  }
}

/** The mode of an unlabelled export: the largest for which its history is complete, else `operational`. */
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
    expected: listed(missing),
    found: 'none of these',
    // What a node needs, the form of the source says how to get. History, no form can get by itself.
    hint:
      mode === 'replay' || mode === 'archival'
        ? `use --artifact-mode operational; history is only in an export of a node that kept it: swingsnap export --artifact-mode ${mode}`
        : undefined,
  });
}

function refuseOther(
  what: string,
  expected: string | undefined,
  found: string | undefined,
  location: string,
): void {
  if (expected === undefined || found === expected) return;
  throw new VerificationError('HASH_MISMATCH', `the export has the wrong ${what}`, {
    path: location,
    expected,
    found,
  });
}
