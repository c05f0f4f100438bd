/** `verify`: proves that a snapshot or an export directory is whole, and that a store holds it. */
import { resolve } from 'node:path';
import { UsageError, VerificationError } from '../../errors.ts';
import type { ByteCodes } from '../../formats/state-sync/open.ts';
import type { AppHashProof } from '../../formats/state-sync/proof/app-hash.ts';
import type { Progress } from '../../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../../io/threads/pool.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import { SWINGSET } from '../../modules/swingset/layout.ts';
import { swingsetModule } from '../../modules/swingset/module.ts';
import { nothingToInstall } from '../../modules/swingset/receivers.ts';
import { refuseUnread } from '../../modules/swingset/verify-snapshot.ts';
import type { ReceiveExport } from '../../modules/swingset/writable.ts';
import { otherModules } from '../../snapshot/manifest.ts';
import { ChunkReader } from '../../snapshot/read/chunk-reader.ts';
import { quickVerifySnapshot } from '../../snapshot/read/quick-verify.ts';
import { unpackModules } from '../../snapshot/read/unpack-modules.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { copyVerified, type VerifiedCopyOptions } from '../../swing-store-export/copy-export.ts';
import { nullSink } from '../../swing-store-export/null-sink.ts';
import type {
  ExportSummary,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { KnownSnapshots } from '../known-snapshots.ts';
import {
  modulesToWrite,
  resultOf,
  withContentHash,
  type ModuleResult,
  type NamedPlace,
} from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { refuseHeight } from '../refuse-height.ts';
import { findSource, openSource, type FoundSource, type Trust } from '../source/open.ts';
import { IncomingCodes, receiveSource } from '../source/receive.ts';
import { compareWithStore, type StoreComparison } from './compare-with-store.ts';

export interface VerifyOptions extends Trust {
  readonly source: string;
  /** A state dir whose store must hold the export. */
  readonly stateDir?: string | undefined;
  /** What other modules must hold, where they are compared. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** By default the source's own. */
  readonly artifactMode?: ArtifactMode | undefined;
  readonly height?: number | undefined;
  /** The content hash that the source must have. */
  readonly expect?: string | undefined;
  readonly scratchDir?: string | undefined;
  /** Worker threads; by default one per processor. */
  readonly concurrency?: number | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

export interface Verified {
  readonly form: FoundSource['form'];
  readonly source: string;
  readonly summary: ExportSummary;
  /** Only of a state-sync snapshot. */
  readonly proof: AppHashProof | undefined;
  /** Whether the caller's content hash covers the height. An AppHash does not: there, a name says it. */
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
export async function verifySource(options: VerifyOptions): Promise<Verified> {
  return withWorkerPool(options.concurrency, async (pool) => verifyWith(options, pool));
}

async function verifyWith(options: VerifyOptions, pool: WorkerPool): Promise<Verified> {
  const { progress, signal, expect, modules: places = [] } = options;
  const { note } = progress;
  const scratchDir = chooseScratchDir(options.scratchDir);
  const found = findSource(options.source);
  const codec = await loadZstdCodec();
  const codes = new IncomingCodes();
  const opening = { ...options, codec, pool, scratchDir, note, onCode: codes.take };
  const source = await openSource(found, opening);
  const verification = new Verification(options);
  const receive: ReceiveExport = async (received, copyOptions) => {
    await verification.receive(received, copyOptions);
    return nothingToInstall(verification.storePath);
  };
  const purpose = places.length > 0 ? 'compare' : 'verify';
  const heightProved = expect !== undefined;
  const common = { form: found.form, source: found.path, heightProved };
  try {
    refuseHeight(source, options.height);
    if (found.form !== 'snapshot' || source.manifest === undefined) {
      const { contentHash, modules } = await receiveSource(source, receive, {
        ...{ codes, places, purpose, expect, scratchDir, pool, progress, signal },
      });
      const { proof, codes: counted } = source;
      return { ...common, ...verification.result(contentHash), proof, codes: counted, modules };
    }
    const { manifest } = source;
    const swingset = swingsetModule({
      target: {
        location: found.path,
        receive,
        again: () => new ChunkReader(found.snapshot, manifest, codec, pool).chunks(SWINGSET),
      },
    });
    const { contentHash, manifestSha256, isReadWhole, modules } = await unpackModules(
      found.snapshot,
      [swingset, ...modulesToWrite(otherModules(manifest), places, { purpose, note })],
      { codec, pool, scratchDir, expect, progress, signal },
    );
    const results = modules.map(resultOf);
    const verified = verification.result(contentHash);
    if (options.artifactMode === undefined) {
      refuseUnread(manifest, verified.summary, found.path);
      if (isReadWhole) KnownSnapshots.open().add(manifestSha256);
    }
    return {
      ...common,
      ...verified,
      proof: undefined,
      codes: undefined,
      modules: results,
    };
  } finally {
    await source.close();
  }
}

/** Verifies an export, or compares it with a store, and keeps what came of it. */
class Verification {
  readonly #options: VerifyOptions;
  #summary: ExportSummary | undefined;
  #store: StoreComparison | undefined;

  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  async receive(source: SwingStoreExport, options: VerifiedCopyOptions): Promise<void> {
    const { stateDir, artifactMode } = this.#options;
    const copyOptions = { ...options, artifactMode };
    if (stateDir === undefined) {
      ({ summary: this.#summary } = await copyVerified(
        source,
        async () => nullSink(),
        copyOptions,
      ));
      return;
    }
    const scratchDir = options.scratchDir ?? chooseScratchDir(undefined);
    const compare = { ...copyOptions, scratchDir };
    const compared = await compareWithStore(source, resolve(stateDir), compare);
    ({ summary: this.#summary, store: this.#store } = compared);
  }

  /** The database of the store, if it was compared with one. */
  get storePath(): string | undefined {
    return this.#store?.path;
  }

  /** @param contentHash that of the whole snapshot, if it is one */
  result(contentHash: string | undefined): Pick<Verified, 'summary' | 'store'> {
    const summary = this.#summary;
    if (summary === undefined) throw new Error('nothing was received');
    return { summary: withContentHash(summary, contentHash), store: this.#store };
  }
}

/** Looks whether {@link verifySource} could start, without reading more than a manifest. Throws as it does. */
export async function checkVerify(options: VerifyOptions): Promise<Check[]> {
  const scratchDir = chooseScratchDir(options.scratchDir);
  const found = findSource(options.source);
  const codec = await loadZstdCodec();
  const note = (): void => undefined;
  const source = await openSource(found, { ...options, codec, scratchDir, note });
  try {
    refuseHeight(source, options.height);
  } finally {
    await source.close();
  }
  return [
    { check: `${found.form} can be read at height ${source.height}`, path: found.path },
    checkWritable(scratchDir, 'scratch dir'),
    { check: `zstd codec ${codec.name}` },
  ];
}

export interface QuicklyVerified {
  readonly form: 'snapshot';
  readonly source: string;
  readonly height: number;
  /** As the manifest says it. */
  readonly contentHash: string;
  readonly chunks: { readonly count: number; readonly size: number };
}

/**
 * Only checks that all chunks of a snapshot are there with the right hash. What is expected of it is held against
 * what its manifest says: a wrong one is found, a forged one is not.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, `HASH_MISMATCH`; {@link SwingSnapError} `HEIGHT`
 * @throws {UsageError} `NO_CHUNKS` for an export directory, whose files have no hashes of their own
 */
export async function quicklyVerifySource(
  options: Pick<
    VerifyOptions,
    'source' | 'expect' | 'height' | 'progress' | 'signal' | 'concurrency'
  >,
): Promise<QuicklyVerified> {
  const found = findSource(options.source);
  if (found.form !== 'snapshot') {
    throw new UsageError(
      'NO_CHUNKS',
      `${found.form === 'export directory' ? 'an export directory' : 'a state-sync snapshot'} has no chunks that name their hashes`,
      {
        path: found.path,
        hint: 'leave out --quick',
      },
    );
  }
  const codec = await loadZstdCodec();
  const manifest = await withWorkerPool(options.concurrency, async (pool) =>
    quickVerifySnapshot(found.snapshot, codec, { ...options, pool }),
  );
  const { height, contentHash, chunks } = manifest;
  refuseHeight({ height, location: found.path }, options.height);
  if (options.expect !== undefined && options.expect !== contentHash) {
    throw new VerificationError(
      'HASH_MISMATCH',
      'the snapshot says that it has another contentHash',
      {
        path: found.path,
        expected: options.expect,
        found: contentHash,
      },
    );
  }
  return { form: found.form, source: found.path, height, contentHash, chunks };
}
