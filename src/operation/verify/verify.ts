/** `verify`: proves that a source is complete, and that a store holds it. */
import { resolve } from 'node:path';
import { VerificationError } from '../../errors.ts';
import type { ByteCodes } from '../../formats/state-sync/open.ts';
import type { AppHashProof } from '../../formats/state-sync/proof/app-hash.ts';
import { noProgress } from '../../io/progress.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { loadZstdCodec } from '../../io/zstd/load-codec.ts';
import {
  notInstalled,
  nowhere,
  type StoreDestination,
} from '../../modules/swingset/destinations.ts';
import type { InstalledState } from '../../snapshot/module-contract.ts';
import { receive, type ModuleResult } from '../../source/receive.ts';
import type { HashedChunks, Source, SourceForm } from '../../source/source.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import { KnownSnapshots } from '../known-snapshots.ts';
import type { SourceOptions } from '../options.ts';
import { readPairing, type Pairing } from '../pairing/pairing.ts';
import { modulesToWrite, type NamedPlace } from '../places.ts';
import { checkWritable, chooseScratchDir, type Check } from '../preflight.ts';
import { refuseUnproved, type ProofOptions } from '../proof.ts';
import { withSource } from '../with-source.ts';
import { compareWithStore, type StoreComparison } from './compare-with-store.ts';

export interface VerifyOptions extends SourceOptions, ProofOptions {
  /** A state dir whose store must hold the export. */
  readonly stateDir?: string | undefined;
  /** The home that the state dir is a part of: its multistore is compared with the store. */
  readonly home?: string | undefined;
  /** Where the states of other modules are, to compare them. */
  readonly modules?: readonly NamedPlace[] | undefined;
  /** By default the mode of the source. */
  readonly artifactMode?: ArtifactMode | undefined;
}

export interface Verified {
  readonly form: SourceForm;
  readonly source: string;
  readonly summary: ExportSummary;
  /** Set only for a state-sync snapshot. */
  readonly proof: AppHashProof | undefined;
  /** Whether the caller's content hash proves the height. An AppHash does not: the height is then only a label. */
  readonly heightProved: boolean;
  /** Set only for a state-sync snapshot with a store `wasm`. */
  readonly codes: ByteCodes | undefined;
  /** Set only if a state dir was named. */
  readonly store: StoreComparison | undefined;
  /** How that store stands to the multistore of the home; undefined if none was found, or no home named. */
  readonly multistore: Pairing | undefined;
  readonly modules: readonly ModuleResult[];
}

/**
 * Reads the whole source and proves that it matches its hashes and records. With `stateDir`, it then compares the store
 * there with the source. A snapshot that was read whole is known to this user from then on.
 * @throws {VerificationError} for anything wrong; {@link NotFoundError} if the source does not exist
 */
export async function verify(options: VerifyOptions): Promise<Verified> {
  const { progress = noProgress, signal, expect, artifactMode, modules: places = [] } = options;
  refuseUnproved(options);
  const scratchDir = chooseScratchDir(options.scratchDir);
  return withSource(options, { scratchDir }, async (source, pool) => {
    const purpose = places.length > 0 ? 'compare' : 'verify';
    const held = await source.others(progress);
    const others = modulesToWrite(held, places, { purpose, note: progress.note });
    const wholly = artifactMode === undefined;
    const receiving = { scratchDir, pool, progress, signal, expect, wholly };
    const destination = destinationOf(options, scratchDir);
    const received = await receive(source, destination, others, receiving).catch(
      (error: unknown) => {
        throw withRemedy(error, source, options);
      },
    );
    const { summary, store, modules, provedManifest } = received;
    if (provedManifest !== undefined) KnownSnapshots.open().add(provedManifest);
    const { stateDir, home } = options;
    const isOfHome = stateDir !== undefined && home !== undefined;
    const { note } = progress;
    return {
      form: source.form,
      source: source.path,
      summary,
      proof: source.proof,
      heightProved: expect !== undefined,
      codes: source.codes,
      store: store.comparison,
      multistore: isOfHome ? await readPairing(stateDir, home, { scratchDir, note }) : undefined,
      modules,
    };
  });
}

/** A store or a directory that differs from its source is not a fault of the source: it can be restored. */
function withRemedy(
  error: unknown,
  { path: source }: Pick<Source, 'path'>,
  { stateDir, modules = [], expect, appHash, memStores = [] }: VerifyOptions,
): unknown {
  if (!(error instanceof VerificationError)) return error;
  const { code, message, path, expected, found } = error;
  const words = [
    ...['swingsnap', 'restore', source, '--state-dir', stateDir ?? 'DIR'],
    ...modules.flatMap(({ name, kind, dir }) => ['--module', `${name}=${kind}:${dir}`]),
    ...(expect === undefined ? [] : ['--expect', expect]),
    ...(appHash === undefined ? [] : ['--app-hash', appHash]),
    ...memStores.flatMap((name) => ['--mem-store', name]),
    '--replace',
  ];
  const restore = words.map(shellQuote).join(' ');
  const hints: Readonly<Record<string, string>> = {
    STORE_HEIGHT: `a running node commits more blocks: compare it with a source of height ${String(found)}; or stop the node, and bring it to height ${String(expected)} with: ${restore}`,
    STORE_DIFFERS: `the source is right, the store differs: stop the node, and restore it with: ${restore}`,
    STATE_DIFFERS: `the source is right, this directory differs: stop the node, and restore it with: ${restore}`,
  };
  const hint = hints[code];
  if (hint === undefined) return error;
  return new VerificationError(code, message, { path, expected, found, hint, cause: error });
}

/** Keeps nothing, and compares with the store in `stateDir` if that is given. */
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

/** Checks whether {@link verify} could start, without reading more than a manifest. Throws the same errors. */
export async function checkVerify(options: VerifyOptions): Promise<Check[]> {
  refuseUnproved(options);
  const scratchDir = chooseScratchDir(options.scratchDir);
  const silent = { ...options, progress: noProgress };
  return withSource(silent, { scratchDir }, async (source) => [
    { check: `${source.form} can be read at height ${source.height}`, path: source.path },
    checkWritable(scratchDir, 'scratch dir'),
    { check: `zstd codec ${(await loadZstdCodec()).name}` },
  ]);
}

export type QuicklyVerifyOptions = Omit<
  VerifyOptions,
  'stateDir' | 'home' | 'modules' | 'artifactMode' | 'requireProof'
>;

export interface QuicklyVerified extends HashedChunks {
  readonly form: SourceForm;
  readonly source: string;
}

/**
 * Only checks that all chunks of a snapshot exist and have the right hash. It compares what the caller expects with
 * what the manifest declares, so it detects a wrong snapshot, but not a forged one.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, `HASH_MISMATCH`; {@link NotFoundError} `HEIGHT`
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
        'the snapshot declares a contentHash other than the expected one',
        {
          path: source.path,
          expected: expect,
          found: contentHash,
          hint: 'it holds something else than expected: check the hash, or name the source that has it',
        },
      );
    }
    return { form: source.form, source: source.path, ...hashed };
  });
}
