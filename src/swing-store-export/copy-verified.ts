/** The verified copy of an export, from its present form to the wanted one. */
import { VerificationError } from '../errors.ts';
import { DigestTap } from '../io/bytes/digest.ts';
import { defaultScratchDir } from '../io/files/scratch.ts';
import { mapAhead } from '../io/flow/ahead.ts';
import { Breath } from '../io/flow/breath.ts';
import { noteSpent } from '../io/flow/spent-memory.ts';
import { listed } from '../io/listed.ts';
import { noProgress, type Progress, type ProgressTotal } from '../io/progress.ts';
import { aheadOf, inlinePool, type WorkerPool } from '../io/threads/pool.ts';
import { artifactIdentity, type ExpectedContent } from './artifact/expected-content.ts';
import { ItemBudget } from './artifact/item-budget.ts';
import { verifyArtifact } from './artifact/verify-artifact.ts';
import { verifyWhole, type CheckedWhole } from './artifact/verify-whole.ts';
import type { ArtifactMode, RestoreMode } from './artifact-mode.ts';
import { computeContentHash } from './content-hash.ts';
import { aborting, planOf, sizeAhead, watched, type CopyOptions } from './copy-unverified.ts';
import { NotCanonicalError } from './export-data/canonical-blocks.ts';
import { ExportDataHasher } from './export-data/export-data-hasher.ts';
import { RecordIndex } from './export-data/record-index.ts';
import { parseArtifactName } from './names.ts';
import type {
  ArtifactDigest,
  ExportArtifact,
  ExportSink,
  ExportSummary,
  HeldContent,
  ReadContent,
  SwingStoreExport,
} from './swing-store-export.ts';

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
  const artifacts = { count: 0, size: 0 };
  const wantsDigests = options.digests ?? expect !== undefined;
  let allDigestsKnown = true;
  const plan = new ArtifactPlan(source, progress);
  progress.phase('artifacts', artifactsToCopy(source, mode, index));
  const budget = new ItemBudget();
  const prepared = mapAhead(source.artifacts(), aheadOf(pool, sizeAhead), async (artifact) => {
    const expected = index.expect(parseArtifactName(artifact.name), mode ?? 'debug');
    return prepare(artifact, expected, { sink, pool, budget });
  });
  for await (const { artifact, expected, held, whole } of prepared) {
    await breath.take();
    signal?.throwIfAborted();
    const name = parseArtifactName(artifact.name);
    if (expected === undefined) {
      plan.leaveOut(artifact);
      const digest = artifact.declared ?? (await digestIf(wantsDigests, artifact, signal));
      if (digest === undefined) allDigestsKnown = false;
      else index.notePresent(name, digest, false);
      continue;
    }
    const watch = { progress, signal, budget };
    const digest =
      held === undefined
        ? await write(sink, artifact, expected, whole, watch)
        : await writeHeld(sink, artifact, expected, held, pool, watch);
    refuseOther(
      `SHA-256 of ${artifact.name}`,
      artifact.declared?.sha256,
      digest.sha256,
      source.location,
    );
    index.notePresent(name, digest, true);
    artifacts.count += 1;
    artifacts.size += digest.size;
    noteSpent(digest.size);
    progress.advance(0, 1);
    plan.improve();
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
  leaveOut({ declared, whole }: ExportArtifact): void {
    this.#leftOut += declared?.size ?? whole?.size ?? 0;
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

/** An artifact, read and checked ahead of its turn as far as possible. */
interface PreparedArtifact {
  readonly artifact: ExportArtifact;
  /** Undefined if the copy does not need the artifact. */
  readonly expected: ExpectedContent | undefined;
  /** Known without reading the artifact, since the sink has it. */
  readonly held?: ArtifactDigest | undefined;
  /** Checked content; undefined if it is not read yet. */
  readonly whole?: CheckedWhole | undefined;
}

async function prepare(
  artifact: ExportArtifact,
  expected: ExpectedContent | undefined,
  {
    sink,
    pool,
    budget,
  }: {
    readonly sink: ExportSink<unknown>;
    readonly pool: WorkerPool;
    readonly budget: ItemBudget;
  },
): Promise<PreparedArtifact> {
  if (expected === undefined) return { artifact, expected };
  const { name, declared } = artifact;
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
  if (held !== undefined && isIt) return { artifact, expected, held };
  return { artifact, expected, whole: await readWhole(artifact, expected, pool, budget) };
}

/** Reads and checks an artifact; undefined if it is too large to be read whole. */
async function readWhole(
  { name, whole }: ExportArtifact,
  expected: ExpectedContent,
  pool: WorkerPool,
  budget: ItemBudget,
): Promise<CheckedWhole | undefined> {
  const recipe = await whole?.recipe();
  if (recipe === undefined) return undefined;
  budget.spendOn(name, expected, recipe.size);
  return verifyWhole({ name, expected, recipe }, pool);
}

interface Watch {
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
  readonly budget: ItemBudget;
}

/** Passes an artifact to a sink that already has it but may still want to read it. */
async function writeHeld(
  sink: ExportSink<unknown>,
  artifact: ExportArtifact,
  expected: ExpectedContent,
  digest: ArtifactDigest,
  pool: WorkerPool,
  watch: Watch,
): Promise<ArtifactDigest> {
  const { name } = artifact;
  const read = async (): Promise<ReadContent> => {
    const whole = await readWhole(artifact, expected, pool, watch.budget);
    if (whole === undefined) {
      const verified = verifyArtifact(name, expected, artifact.data(), watch.budget);
      return asHeld(name, digest, watched(verified, watch));
    }
    refuseUnlike(name, digest.sha256, whole.sha256);
    return whole;
  };
  const held: HeldContent = { digest, canWait: artifact.whole !== undefined, read };
  await sink.writeArtifact(name, held, artifactIdentity(expected));
  watch.progress.advance(digest.size);
  return digest;
}

async function* asHeld(
  name: string,
  digest: ArtifactDigest,
  data: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const tap = new DigestTap();
  yield* tap.through(data);
  refuseUnlike(name, digest.sha256, tap.finish().sha256);
}

/** Held content is wrong if it differs from the source's, which its record proves. */
function refuseUnlike(name: string, held: string, found: string): void {
  if (held === found) return;
  throw new VerificationError('HELD_CONTENT', `an earlier snapshot has other content for ${name}`, {
    path: name,
    expected: found,
    found: held,
    hint: 'verify the earlier snapshots, and run the command again with --no-reuse',
  });
}

/** Passes an artifact to the sink, and checks it on the way if it was not read before. */
async function write(
  sink: ExportSink<unknown>,
  artifact: ExportArtifact,
  expected: ExpectedContent,
  whole: CheckedWhole | undefined,
  watch: Watch,
): Promise<ArtifactDigest> {
  const { name } = artifact;
  const identity = artifactIdentity(expected);
  if (whole !== undefined) {
    const digest = { size: whole.bytes.length, sha256: whole.sha256 };
    await sink.writeArtifact(name, whole, identity);
    watch.progress.advance(digest.size);
    return digest;
  }
  const tap = new DigestTap();
  const verified = verifyArtifact(name, expected, artifact.data(), watch.budget);
  await sink.writeArtifact(name, watched(tap.through(verified), watch), identity);
  return tap.finish();
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
