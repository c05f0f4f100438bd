/** Rewrites the extensions of a state-sync snapshot in the order of their names, as Go does. */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { UsageError } from '../../../errors.ts';
import {
  copyVerified,
  type VerifiedCopyOptions,
} from '../../../swing-store-export/copy-verified.ts';
import type {
  ExportSummary,
  SwingStoreExport,
} from '../../../swing-store-export/swing-store-export.ts';
import { damaged } from '../layout.ts';
import { unprovedCodes, type ByteCodes } from '../open.ts';
import { readCodeFile } from '../payload/code-files.ts';
import { readCode } from '../payload/code-payload.ts';
import type { CodeHashes } from '../proof/code-hashes.ts';
import type { ChunkStream } from '../stream/chunk-stream.ts';
import type { OtherItem } from '../stream/decode-item.ts';
import { extensionItem, payloadHead } from '../stream/encode-item.ts';
import { extensionsOf, KNOWN_FORMAT, refuseFormat, type Extension } from '../stream/extensions.ts';
import type { ItemReader } from '../stream/items.ts';
import { artifactSink } from './artifact-sink.ts';

export interface RewriteOptions extends Pick<VerifiedCopyOptions, 'progress' | 'signal' | 'pool'> {
  /** Reader of the source, after its stores have been read. */
  readonly reader: ItemReader;
  readonly stream: ChunkStream;
  readonly hashes: CodeHashes;
  /** Hash of the export data in the stores. */
  readonly exportDataHash: string;
  /** Its artifacts become the extension `swingset`. */
  readonly artifacts: SwingStoreExport;
  /** A directory with the byte code of the chain, used in place of that in the source. */
  readonly wasmDir?: string | undefined;
  readonly scratchDir: string;
  readonly note: (message: string) => void;
}

export interface RewrittenExtensions {
  readonly summary: ExportSummary;
  /** Undefined without a store `wasm`. */
  readonly codes: ByteCodes | undefined;
}

/** Item limit of a node on the upstream Cosmos SDK; that of Agoric's own SDK is eight times as large. */
const UPSTREAM_MAX_ITEM_BYTES = 64_000_000;

const gzipBytes = promisify(gzip);

/**
 * Reads the extensions of the source and writes their replacements: `swingset` from the export, `wasm` from the
 * directory if one is given, all others unchanged.
 * @param behind the first item after the stores
 * @throws {VerificationError} `EXPORT_DATA`, and for any bad artifact or byte code
 * @throws {UsageError} `WASM_DIR` if a directory is given for a chain without byte code
 */
export async function rewriteExtensions(
  behind: OtherItem | undefined,
  options: RewriteOptions,
): Promise<RewrittenExtensions> {
  const { reader, hashes, wasmDir } = options;
  if (wasmDir !== undefined && !hashes.hasStore) throw noCode(wasmDir);
  const rewriter = new Rewriter(options);
  let last = '';
  for await (const extension of extensionsOf(reader, behind)) {
    const { name } = extension;
    if (name <= last) {
      damaged('the extensions are out of order', { path: reader.where, found: name });
    }
    await rewriter.writeBetween(last, name);
    await rewriter.take(extension);
    last = name;
  }
  await rewriter.writeBetween(last, undefined);
  return rewriter.finish();
}

function noCode(path: string): UsageError {
  return new UsageError('WASM_DIR', 'the stores list no byte code', {
    path,
    expected: 'a store wasm',
    found: 'none',
    hint: 'leave out --wasm-dir',
  });
}

class Rewriter {
  readonly #options: RewriteOptions;
  readonly #codes = { count: 0, size: 0 };
  #summary: ExportSummary | undefined;

  constructor(options: RewriteOptions) {
    this.#options = options;
  }

  /** Writes the extensions between `last` and `next` that the source lacks. */
  async writeBetween(last: string, next: string | undefined): Promise<void> {
    const isBetween = (name: string): boolean => last < name && (next === undefined || name < next);
    if (isBetween('swingset')) await this.#writeArtifacts();
    if (isBetween('wasm')) await this.#writeCodes();
  }

  /** Writes the replacement for an extension of the source. */
  async take(extension: Extension): Promise<void> {
    const { reader, wasmDir } = this.#options;
    const { name } = extension;
    if (name !== 'swingset' && name !== 'wasm') return this.#copy(extension);
    refuseFormat(extension, reader.where);
    // The replaced content in the source is not read, even if it is malformed.
    if (name === 'swingset') return this.#writeArtifacts();
    return wasmDir === undefined ? this.#copyCodes(extension) : this.#writeCodes();
  }

  finish(): RewrittenExtensions {
    const { hashes } = this.#options;
    hashes.refuseMissing();
    if (this.#summary === undefined) throw new Error('the artifacts were not written');
    return { summary: this.#summary, codes: hashes.hasStore ? this.#codes : undefined };
  }

  async #writeArtifacts(): Promise<void> {
    const { stream, artifacts, exportDataHash, scratchDir, progress, signal, pool, note } =
      this.#options;
    await stream.write(extensionItem('swingset', KNOWN_FORMAT));
    const large: string[] = [];
    const onArtifact = (name: string, size: number): void => {
      if (size > UPSTREAM_MAX_ITEM_BYTES) large.push(name);
    };
    const { location } = artifacts;
    const options = { scratchDir, exportDataHash, location, onArtifact };
    // A node that restores the archive needs at least these artifacts.
    const artifactMode = artifacts.artifactMode === 'none' ? 'operational' : undefined;
    const copied = await copyVerified(artifacts, async () => artifactSink(stream, options), {
      progress,
      signal,
      pool,
      scratchDir,
      artifactMode,
    });
    this.#summary = copied.summary;
    if (large.length > 0) {
      note(
        `${large.length} artifacts, such as ${large[0] ?? ''}, are larger than the ${UPSTREAM_MAX_ITEM_BYTES} bytes that a node on the upstream Cosmos SDK restores`,
      );
    }
  }

  async #writeCodes(): Promise<void> {
    const { stream, hashes, wasmDir } = this.#options;
    if (wasmDir === undefined) return;
    await stream.write(extensionItem('wasm', KNOWN_FORMAT));
    for (const checksum of hashes.checksums()) {
      const data = await readCodeFile(wasmDir, checksum);
      hashes.noteFound(checksum, wasmDir);
      await this.#writeCode(await gzipBytes(data), data.length);
    }
  }

  async #copyCodes({ payloads }: Extension): Promise<void> {
    const { reader, stream, hashes, note } = this.#options;
    await stream.write(extensionItem('wasm', KNOWN_FORMAT));
    for await (const size of payloads) {
      const { checksum, data, gzipped } = await readCode(reader, size);
      if (hashes.hasStore) hashes.noteFound(checksum, reader.where);
      await this.#writeCode(gzipped, data.length);
    }
    if (!hashes.hasStore && this.#codes.count > 0) note(unprovedCodes(this.#codes, 'copied'));
  }

  async #writeCode(gzipped: Uint8Array, size: number): Promise<void> {
    await this.#options.stream.write(payloadHead(gzipped.length));
    await this.#options.stream.write(gzipped);
    this.#codes.count += 1;
    this.#codes.size += size;
  }

  async #copy({ name, format, payloads }: Extension): Promise<void> {
    const { reader, stream } = this.#options;
    await stream.write(extensionItem(name, format));
    for await (const size of payloads) {
      await stream.write(payloadHead(size));
      for (let piece = await reader.read(); piece !== undefined; piece = await reader.read()) {
        await stream.write(piece);
      }
    }
  }
}
