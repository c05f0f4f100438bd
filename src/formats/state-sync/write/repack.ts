/**
 * Rewrites a state-sync snapshot as an archive: the stores of an existing one, byte for byte, followed by its
 * extensions, with `swingset` taken from an export. Everything is checked against the stores, so that no peer is
 * served a snapshot that it would refuse.
 *
 * The source is read in one pass: its stores are deflated while they are hashed. The archive is published only after
 * everything in it is checked.
 */
import { createHash } from 'node:crypto';
import { VerificationError } from '../../../errors.ts';
import { Breath } from '../../../io/flow/breath.ts';
import { noProgress } from '../../../io/progress.ts';
import { inlinePool } from '../../../io/threads/pool.ts';
import { planOf } from '../../../swing-store-export/copy-unverified.ts';
import { bytesOf, type FoundStateSync } from '../layout.ts';
import {
  chunksOf,
  counted,
  proveStores,
  refuseNoExportData,
  type OpenStateSyncOptions,
} from '../open.ts';
import type { AppHashProof } from '../proof/app-hash.ts';
import { CodeHashes } from '../proof/code-hashes.ts';
import { OrderedExportData } from '../proof/ordered-export-data.ts';
import { readStores } from '../proof/read-stores.ts';
import { ChunkStream } from '../stream/chunk-stream.ts';
import { ItemReader } from '../stream/items.ts';
import {
  rewriteExtensions,
  type RewriteOptions,
  type RewrittenExtensions,
} from './rewrite-extensions.ts';
import { publishArchive } from './write-archive.ts';

export interface RepackOptions
  extends
    Pick<OpenStateSyncOptions, 'appHash' | 'memStores'>,
    Omit<RewriteOptions, 'reader' | 'stream' | 'hashes' | 'exportDataHash'> {
  /** Path of the archive, in a directory that exists. */
  readonly path: string;
  /** Replace another archive at `path`. */
  readonly replace: boolean;
}

export interface Repacked extends RewrittenExtensions {
  /** False if an archive of the same chunks already existed. */
  readonly written: boolean;
  /** Number of chunks, and their total size in bytes. */
  readonly chunks: { readonly count: number; readonly size: number };
  /** SHA-256 of all chunks, concatenated, as hex: the hash of the snapshot to a node. */
  readonly hash: string;
  /** Number of stores. */
  readonly stores: number;
  readonly proof: AppHashProof;
}

/**
 * @param found the snapshot whose stores are used
 * @throws {VerificationError} `STORES_HEIGHT` if the export has another height; `APP_HASH`, `NO_EXPORT_DATA`,
 *   `STATE_SYNC_DAMAGED`; nothing is published then
 * @throws what `rewriteExtensions` and `publishArchive` throw
 */
export async function repackStateSync(
  found: FoundStateSync,
  options: RepackOptions,
): Promise<Repacked> {
  const { path: location, height, format } = found;
  refuseOtherHeight(found, options);
  const { scratchDir, signal, progress = noProgress, pool = inlinePool } = options;
  const hashes = new CodeHashes(
    scratchDir,
    location,
    'set --wasm-dir to the byte code of a node that has it: <home>/wasm/wasm/state/wasm',
  );
  const stream = new ChunkStream(scratchDir);
  const copy = async (bytes: Buffer): Promise<void> => stream.write(bytes);
  let isInStores = true;
  const chunksRead = counted(chunksOf(found), (length) => {
    if (isInStores) progress.advance(length);
  });
  const reader = new ItemReader(chunksRead, location, { signal, copy });
  const exportData = new OrderedExportData(scratchDir);
  try {
    const bytes = bytesOf(found);
    progress.plan?.([
      { name: 'stores', bytes },
      ...planOf(options.artifacts),
      { name: 'archive', bytes },
    ]);
    progress.phase('stores', { bytes });
    const { behind, ...stores } = await readStores(reader, {
      location,
      height,
      exportData,
      codes: hashes,
      pool,
    });
    isInStores = false;
    const proof = proveStores(found, stores, options);
    if (exportData.isEmpty) refuseNoExportData(location);
    const exportDataHash = await hashOf(exportData.blocks(), signal);
    const rewritten = await rewriteExtensions(behind, {
      ...options,
      reader,
      stream,
      hashes,
      exportDataHash,
    });
    const chunks = await stream.end();
    progress.phase('archive', { bytes: chunks.size });
    const content = { height, format, stream, chunks, progress };
    const written = await publishArchive(options.path, content, options.replace);
    const { size } = chunks;
    return {
      ...rewritten,
      written,
      chunks: { count: chunks.hashes.length, size },
      hash: chunks.hash.toString('hex'),
      stores: stores.roots.length,
      proof,
    };
  } finally {
    exportData.close();
    hashes.close();
    await reader.close();
    await stream.close();
  }
}

function refuseOtherHeight({ height }: FoundStateSync, { artifacts }: RepackOptions): void {
  if (artifacts.height === height) return;
  throw new VerificationError('STORES_HEIGHT', 'the export and the stores have different heights', {
    path: artifacts.location,
    expected: height,
    found: artifacts.height,
    hint: 'name an export of the same commit as the state-sync snapshot',
  });
}

async function hashOf(
  blocks: Iterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  const breath = new Breath();
  for (const block of blocks) {
    await breath.take();
    signal?.throwIfAborted();
    hash.update(block);
  }
  return hash.digest('hex');
}
