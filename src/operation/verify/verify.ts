/** `verify`: proves that a source is whole, and that a store holds it. */
import { resolve } from 'node:path';
import { VerificationError } from '../../errors.ts';
import type { ByteCodes } from '../../formats/state-sync/open.ts';
import type { AppHashProof } from '../../formats/state-sync/proof/app-hash.ts';
import { noProgress } from '../../io/progress.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import {
  notInstalled,
  nowhere,
  type StoreDestination,
} from '../../modules/swingset/destinations.ts';
import type { InstalledState } from '../../snapshot/module-contract.ts';
import { receive, type ModuleResult } from '../../source/receive.ts';
import type { HashedChunks, SourceForm } from '../../source/source.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import { KnownSnapshots } from '../known-snapshots.ts';
import type { SourceOptions } from '../options.ts';
import { modulesToWrite, type NamedPlace } from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { withSource } from '../with-source.ts';
import { compareWithStore, type StoreComparison } from './compare-with-store.ts';

export interface VerifyOptions extends SourceOptions {
  /** A state dir whose store must hold the export. */
  readonly stateDir?: string | undefined;
  /** What other modules must hold, where they are compared. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** By default the source's own. */
  readonly artifactMode?: ArtifactMode | undefined;
  /** The content hash that the source must have. */
  readonly expect?: string | undefined;
}

export interface Verified {
  readonly form: SourceForm;
  readonly source: string;
  readonly summary: ExportSummary;
  /** Only of a state-sync snapshot. */
  readonly proof: AppHashProof | undefined;
  /** Whether the caller's content hash covers the height. An AppHash does not: there, the height is a label. */
  readonly heightProved: boolean;
  /** Only of a state-sync snapshot with a store `wasm`. */
  readonly codes: ByteCodes | undefined;
  /** Only if a state dir was named. */
  readonly store: StoreComparison | undefined;
  readonly modules: readonly ModuleResult[];
}

/**
 * Reads all of the source and proves that it is what its hashes and records say; with `stateDir`, then compares the
 * store there with it. A snapshot of which all was read is known to this user from then on.
 * @throws {VerificationError} for whatever is wrong; {@link NotFoundError} if the source is not there
 */
export async function verify(options: VerifyOptions): Promise<Verified> {
  const { progress = noProgress, signal, expect, artifactMode, modules: places = [] } = options;
  const scratchDir = chooseScratchDir(options.scratchDir);
  return withSource(options, { scratchDir }, async (source, pool) => {
    const purpose = places.length > 0 ? 'compare' : 'verify';
    const held = await source.others(progress);
    const others = modulesToWrite(held, places, { purpose, note: progress.note });
    const wholly = artifactMode === undefined;
    const received = await receive(source, destinationOf(options, scratchDir), others, {
      ...{ scratchDir, pool, progress, signal, expect, wholly },
    });
    const { summary, store, modules, provedManifest } = received;
    if (provedManifest !== undefined) KnownSnapshots.open().add(provedManifest);
    return {
      form: source.form,
      source: source.path,
      summary,
      proof: source.proof,
      heightProved: expect !== undefined,
      codes: source.codes,
      store: store.comparison,
      modules,
    };
  });
}

/** Keeps nothing, and compares with a store if one was named. */
function destinationOf(
  { stateDir, artifactMode }: VerifyOptions,
  scratchDir: string,
): StoreDestination<InstalledState & { readonly comparison?: StoreComparison }> {
  if (stateDir === undefined) return nowhere({ artifactMode });
  return async (source, options) => {
    const compare = { ...options, artifactMode, scratchDir };
    const { summary, store } = await compareWithStore(source, resolve(stateDir), compare);
    return notInstalled(summary, { path: store.path, comparison: store });
  };
}

/** Looks whether {@link verify} could start, without reading more than a manifest. Throws as it does. */
export async function checkVerify(options: VerifyOptions): Promise<Check[]> {
  const scratchDir = chooseScratchDir(options.scratchDir);
  const silent = { ...options, progress: noProgress };
  return withSource(silent, { scratchDir }, async (source) => [
    { check: `${source.form} can be read at height ${source.height}`, path: source.path },
    checkWritable(scratchDir, 'scratch dir'),
    { check: `zstd codec ${(await loadZstdCodec()).name}` },
  ]);
}

export type QuicklyVerifyOptions = Omit<VerifyOptions, 'stateDir' | 'modules' | 'artifactMode'>;

export interface QuicklyVerified extends HashedChunks {
  readonly form: SourceForm;
  readonly source: string;
}

/**
 * Only checks that all chunks of a snapshot are there with the right hash. What is expected of it is held against
 * what its manifest says: a wrong one is found, a forged one is not.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, `HASH_MISMATCH`; {@link SwingSnapError} `HEIGHT`
 * @throws {UsageError} `NO_CHUNKS` for an export directory, whose files have no hashes of their own
 */
export async function quicklyVerify(options: QuicklyVerifyOptions): Promise<QuicklyVerified> {
  const { expect, progress, signal } = options;
  const scratchDir = chooseScratchDir(options.scratchDir);
  return withSource(options, { scratchDir }, async (source, pool) => {
    const hashed = await source.hashChunks({ progress, signal, pool });
    const { contentHash } = hashed;
    if (expect !== undefined && expect !== contentHash) {
      throw new VerificationError(
        'HASH_MISMATCH',
        'the snapshot says that it has another contentHash',
        { path: source.path, expected: expect, found: contentHash },
      );
    }
    return { form: source.form, source: source.path, ...hashed };
  });
}
