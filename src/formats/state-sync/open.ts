/**
 * Opens a Cosmos state-sync snapshot as an export. The export data comes from leaves of the IAVL store `swingset`; the
 * AppHash proves it. The artifacts are payloads of the extension `swingset`; only the export data proves them. Byte
 * code in the extension `wasm`, if present, is checked in the same pass; the code hashes in the store `wasm` prove it.
 *
 * Stores come first in the stream, so one pass is enough. It hashes the trees of the stores and writes the export
 * data to a scratch file. It compares the AppHash with the trusted one before it delivers anything. Then it delivers
 * the artifacts in stream order. A second pass would save the scratch file, but would inflate and parse all stores
 * again, and the export data is only a part of them.
 *
 * Source: agoric-sdk `golang/cosmos/x/swingset/keeper/keeper.go`.
 */
import { VerificationError } from '../../errors.ts';
import { noProgress, type Progress, type ProgressTotal } from '../../io/progress.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { UNTRUSTED_EXPORT_DATA } from '../../swing-store-export/names.ts';
import type {
  ExportArtifact,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { bytesOf, readChunkFiles, type FoundStateSync } from './layout.ts';
import { readArtifact } from './payload/artifact-payload.ts';
import { readCode, type ByteCode } from './payload/code-payload.ts';
import { proveAppHash, type AppHashProof } from './proof/app-hash.ts';
import { CodeHashes } from './proof/code-hashes.ts';
import { OrderedExportData } from './proof/ordered-export-data.ts';
import { readStores, type ReadStores } from './proof/read-stores.ts';
import type { OtherItem } from './stream/decode-item.ts';
import { readArchive } from './stream/dump-archive.ts';
import { extensionsOf, refuseFormat, type Extension } from './stream/extensions.ts';
import { ItemReader } from './stream/items.ts';

export interface OpenStateSyncOptions {
  /** The trusted AppHash, from the header of the block after the snapshot's; hex. */
  readonly appHash?: string | undefined;
  /** Memory stores that the chain counts; `mem_capability` is tried in any case. */
  readonly memStores?: readonly string[] | undefined;
  /** Refuse a snapshot without a SwingStore. */
  readonly needsExportData?: boolean | undefined;
  /** Receives each byte code of the extension `wasm`, in order, after its checksum has matched a code of the chain. */
  readonly onCode?: ((code: ByteCode) => Promise<void>) | undefined;
  /** Called when all artifacts and byte codes have been read, and no byte code is missing. */
  readonly onCodesEnd?: (() => void) | undefined;
  /** Directory for the scratch file that sorts the export data. */
  readonly scratchDir: string;
  /** Receives notes for the operator, one line each. */
  readonly note: (message: string) => void;
  /** Hashes the stores; defaults to the calling thread. */
  readonly pool?: WorkerPool | undefined;
  /** Stops reading; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** A state-sync snapshot as an export. */
export interface StateSyncExport extends SwingStoreExport {
  /**
   * Reads the stores ahead of time, once. The next call for export data returns the data found in them.
   * @param progress gets the bytes of the snapshot that are read
   * @returns whether the chain has byte codes, which come with the artifacts
   * @throws {VerificationError} `APP_HASH`, `STATE_SYNC_DAMAGED`
   */
  readStores(progress?: Progress): Promise<{ readonly hasCodes: boolean }>;
  /** Proof of the export data; known once it has been read. */
  readonly proof: AppHashProof | undefined;
  /**
   * The byte codes of the extension `wasm`, known once the artifacts have been read: exactly those of the chain.
   * Undefined if the snapshot has no store that lists them.
   */
  readonly codes: ByteCodes | undefined;
}

/** Number of byte codes, and their total size in bytes. */
export interface ByteCodes {
  readonly count: number;
  readonly size: number;
}

/** Opens a snapshot that `findStateSync` has found. Reads nothing until export data or artifacts are requested. */
export function openStateSync(
  found: FoundStateSync,
  options: OpenStateSyncOptions,
): StateSyncExport {
  return new OpenedStateSync(found, options);
}

/** The RPC query that returns the AppHash of a height. */
export function appHashQuery(height: number): string {
  return `/commit?height=${height + 1}`;
}

/** How many bytes of artifacts come from a byte of a chunk, until so many bytes of chunks have shown it. */
const USUAL_GROWTH = 5;
const GROWTH_BASIS = 4_000_000;

/** Bytes that Go up to 1.18 leaves after a zlib stream that is ended twice; later versions leave 4. */
const USUAL_BYTES_BEHIND = 9;

class OpenedStateSync implements StateSyncExport {
  readonly location: string;
  readonly height: number;
  /** The extension does not record the mode. */
  readonly artifactMode = undefined;
  readonly #found: FoundStateSync;
  readonly #options: OpenStateSyncOptions;
  #reader: ItemReader | undefined;
  #codeHashes: CodeHashes | undefined;
  /** Holds the export data from the time the stores are read until the caller requests it. */
  #ahead: OrderedExportData | undefined;
  /** The first item after the stores, if any, until it is used. */
  #behindStores: { readonly item: OtherItem | undefined } | undefined;
  /** Bytes of the chunks that were read; where the stores ended; and bytes of the artifacts behind them so far. */
  #bytesRead = 0;
  #storesEnd: number | undefined;
  #artifactBytes = 0;
  proof: AppHashProof | undefined;
  codes: ByteCodes | undefined;

  constructor(found: FoundStateSync, options: OpenStateSyncOptions) {
    this.#found = found;
    this.#options = options;
    this.location = found.path;
    this.height = found.height;
  }

  /** The size of the artifacts is known once the stores are read, and better with each artifact. */
  estimate(part: 'export data' | 'artifacts'): ProgressTotal {
    if (part === 'export data') return { ...this.#ahead?.total, unit: 'entries' };
    if (this.#storesEnd === undefined) return { unit: 'artifacts' };
    const read = this.#bytesRead - this.#storesEnd;
    const growth =
      (USUAL_GROWTH * GROWTH_BASIS + this.#artifactBytes) / (GROWTH_BASIS + Math.max(0, read));
    const bytes = Math.max(0, bytesOf(this.#found) - this.#storesEnd);
    return { bytes: Math.round(bytes * growth), unit: 'artifacts' };
  }

  async readStores(progress: Progress = noProgress): Promise<{ readonly hasCodes: boolean }> {
    if (this.#ahead === undefined) {
      progress.phase('stores', { bytes: bytesOf(this.#found) });
      const data = new OrderedExportData(this.#options.scratchDir);
      try {
        await this.#readStores(data, (bytes) => {
          progress.advance(bytes);
        });
      } catch (error) {
        data.close();
        throw error;
      }
      this.#ahead = data;
    }
    return { hasCodes: this.#codeHashes?.isEmpty === false };
  }

  async *exportData(): AsyncGenerator<Uint8Array> {
    await this.readStores();
    const data = this.#ahead;
    this.#ahead = undefined;
    if (data === undefined) return;
    try {
      if (data.isEmpty && this.#options.needsExportData === true) {
        refuseNoExportData(this.location);
      }
      yield* data.blocks();
    } finally {
      data.close();
    }
  }

  /** Reads all stores; returns only if they yield the right AppHash. */
  async #readStores(
    exportData: OrderedExportData | undefined,
    onRead: (bytes: number) => void = () => undefined,
  ): Promise<void> {
    await this.close();
    const { location, height } = this;
    const { scratchDir, signal, pool = inlinePool } = this.#options;
    this.#bytesRead = 0;
    this.#artifactBytes = 0;
    this.#storesEnd = undefined;
    const chunks = counted(chunksOf(this.#found), (bytes) => {
      this.#bytesRead += bytes;
      if (this.#storesEnd === undefined) onRead(bytes);
    });
    const reader = new ItemReader(chunks, location, { signal });
    const codes = new CodeHashes(scratchDir, location);
    this.#reader = reader;
    this.#codeHashes = codes;
    this.proof = undefined;
    this.codes = undefined;
    const { behind, ...stores } = await readStores(reader, {
      location,
      height,
      exportData,
      codes,
      pool,
    });
    this.#storesEnd = this.#bytesRead;
    this.proof = proveStores(this.#found, stores, this.#options);
    this.#behindStores = { item: behind };
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    if (this.#behindStores === undefined) await this.#readStores(undefined);
    const reader = this.#reader;
    const codeHashes = this.#codeHashes;
    const first = this.#behindStores?.item;
    this.#behindStores = undefined;
    if (reader === undefined || codeHashes === undefined) return;
    const { note } = this.#options;
    for await (const extension of extensionsOf(reader, first)) {
      if (extension.name === 'swingset') yield* this.#artifactsIn(extension, reader);
      else if (extension.name === 'wasm') await this.#readCodes(extension, reader, codeHashes);
      else note(await leftExtension(extension));
    }
    codeHashes.refuseMissing();
    if (codeHashes.hasStore) this.codes ??= { count: 0, size: 0 };
    this.#options.onCodesEnd?.();
    if (reader.bytesBehind > USUAL_BYTES_BEHIND) {
      note(`ignored ${reader.bytesBehind} bytes after the end of the snapshot`);
    }
  }

  async *#artifactsIn(extension: Extension, reader: ItemReader): AsyncGenerator<ExportArtifact> {
    refuseFormat(extension, reader.where);
    for await (const size of extension.payloads) {
      const artifact = await readArtifact(reader, size);
      this.#artifactBytes += size;
      if (artifact.name !== UNTRUSTED_EXPORT_DATA) yield artifact;
      // A second copy of the export data, which some nodes add for debugging.
      else this.#options.note(`skipped ${UNTRUSTED_EXPORT_DATA}: nothing proves it`);
    }
  }

  /** Stricter than a node, which accepts any byte code, even one that no code of the chain has. */
  async #readCodes(extension: Extension, reader: ItemReader, hashes: CodeHashes): Promise<void> {
    refuseFormat(extension, reader.where);
    const codes = { count: 0, size: 0 };
    for await (const payload of extension.payloads) {
      const { checksum, data } = await readCode(reader, payload);
      codes.count += 1;
      codes.size += data.length;
      if (!hashes.hasStore) continue;
      hashes.noteFound(checksum, reader.where);
      await this.#options.onCode?.({ checksum, data });
    }
    if (hashes.hasStore) this.codes = codes;
    else if (codes.count > 0) {
      this.#options.note(unprovedCodes(codes, 'skipped'));
    }
  }

  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#behindStores = undefined;
    this.#codeHashes?.close();
    this.#codeHashes = undefined;
    this.#ahead?.close();
    this.#ahead = undefined;
    await reader?.close();
  }
}

/** The bytes of all chunks of a state-sync snapshot. */
export function chunksOf(found: FoundStateSync): AsyncIterable<Uint8Array> {
  return found.kind === 'archive' ? readArchive(found) : readChunkFiles(found.path);
}

/** Passes pieces on, and counts the bytes that the consumer is done with. */
export async function* counted(
  pieces: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    // Taken first: the consumer may transfer the piece.
    const { length } = piece;
    yield piece;
    count(length);
  }
}

/** Checks the stores against the trusted AppHash. @throws {VerificationError} `APP_HASH` */
export function proveStores(
  { path, height }: FoundStateSync,
  { roots, newestVersion }: Omit<ReadStores, 'behind'>,
  { appHash, memStores = [], note }: Pick<OpenStateSyncOptions, 'appHash' | 'memStores' | 'note'>,
): AppHashProof {
  const proof = proveAppHash(roots, appHash, memStores);
  if (proof === undefined) {
    throw new VerificationError(
      'APP_HASH',
      'the stores have an AppHash other than the trusted one',
      {
        path,
        expected: appHash?.toUpperCase(),
        found: proveAppHash(roots, undefined, memStores)?.appHash,
        hint: `check the trusted AppHash against header.app_hash of the RPC query ${appHashQuery(height)}; if it is right, get another snapshot`,
      },
    );
  }
  if (!proof.isProved) {
    note(
      `nothing was proved: AppHash ${proof.appHash} was computed, but there was none to compare it with; give ` +
        `--app-hash the header.app_hash that a trusted node returns for ${appHashQuery(height)}`,
    );
  }
  if (newestVersion < height) {
    note(
      `no node of the stores has version ${height}, the newest has ${newestVersion}: the height is only a ` +
        `label, and the AppHash may belong to another height`,
    );
  }
  return proof;
}

/** The note about byte code that no store lists. */
export function unprovedCodes({ count }: ByteCodes, fate: 'skipped' | 'copied'): string {
  return `${fate} ${count} byte codes of the extension wasm: without a store wasm, nothing proves them`;
}

async function leftExtension({ name, format, payloads }: Extension): Promise<string> {
  let [count, bytes] = [0, 0];
  for await (const size of payloads) {
    count += 1;
    bytes += size;
  }
  return `skipped extension ${name}, format ${format}: ${count} payloads, ${bytes} bytes in total`;
}

/** Every node of a chain with a SwingStore has export data: a snapshot without it is from another chain, or too old. */
export function refuseNoExportData(path: string): never {
  throw new VerificationError('NO_EXPORT_DATA', 'the state-sync snapshot has no export data', {
    path,
    expected: 'keys swingStore.… in its store swingset',
    found: 'none',
    hint: 'check that it comes from an Agoric chain, at agoric-upgrade-11 or later',
  });
}
