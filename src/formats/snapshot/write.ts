/** Builds a snapshot: export data and artifacts become entries, entries become chunks, chunks become files. */
import { NotFoundError, SwingSnapError, VerificationError } from '../../errors.ts';
import { DigestTap, sha256Hex } from '../../io/digest.ts';
import { inlinePool, type WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StagedSnapshot, StoredSnapshot } from '../../storage/contract.ts';
import { parseArtifactName, type ArtifactName } from '../../swing-store-export/names.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ArtifactDigest,
  type ExportSink,
  type ExportSummary,
  type WholeContent,
} from '../../swing-store-export/swing-store-export.ts';
import { ChunkWriter, type PendingEntry, type WrittenChunks } from './chunk-writer.ts';
import { cutsAfter, SegmentCutter } from './cut.ts';
import {
  artifactEntryName,
  ENTRIES_FILE,
  GROUP_MAX_BYTES,
  GROUP_MEAN_REST_BYTES,
  GROUP_MIN_BYTES,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  MAX_CHUNK_ENTRIES,
  MAX_PARTS,
  segmentEntryName,
  snapshotName,
} from './layout.ts';
import { encodeSnapshotManifest, readSnapshotManifest, type SnapshotManifest } from './manifest.ts';
import { quickVerifySnapshot } from './quick-verify.ts';

export interface WriteSnapshotOptions {
  readonly height: number;
  readonly codec: ZstdCodec;
  /** zstd level, 1 to the codec's `maxLevel`. */
  readonly level: number;
  /** Raw bytes of an entry at most: 4 to 64 MiB. */
  readonly chunkBytes: number;
  /** Whether another snapshot of this height may be replaced. */
  readonly replace: boolean;
  /** Packs chunks; by default this thread does. */
  readonly pool?: WorkerPool | undefined;
  /** Name and version of the program, for the manifest. */
  readonly madeBy: string;
}

export interface WrittenSnapshot {
  readonly manifest: SnapshotManifest;
  /** False when the very same snapshot was there already. */
  readonly written: boolean;
}

/** Starts a snapshot in `storage`. */
export async function writeSnapshot(
  storage: SnapshotStorage,
  options: WriteSnapshotOptions,
): Promise<ExportSink<WrittenSnapshot>> {
  return new SnapshotWriter(storage, await storage.stage(snapshotName(options.height)), options);
}

class SnapshotWriter implements ExportSink<WrittenSnapshot> {
  readonly #storage: SnapshotStorage;
  readonly #staged: StagedSnapshot;
  readonly #options: WriteSnapshotOptions;
  readonly #cutter = new SegmentCutter();
  readonly #chunks: ChunkWriter;
  #exportDataEnded = false;
  /** Small artifacts that will share a chunk. */
  #group: PendingEntry[] = [];
  #groupBytes = 0;
  #artifactBytes = 0;

  constructor(storage: SnapshotStorage, staged: StagedSnapshot, options: WriteSnapshotOptions) {
    const { codec, level, pool = inlinePool } = options;
    this.#storage = storage;
    this.#staged = staged;
    this.#options = options;
    this.#chunks = new ChunkWriter(staged, { codec, level, pool });
  }

  async writeExportData(block: Uint8Array): Promise<void> {
    const lines = Buffer.from(block.buffer, block.byteOffset, block.length);
    for (const segment of this.#cutter.add(lines)) await this.#writeSegment(segment);
  }

  async #writeSegment(data: Buffer): Promise<void> {
    const { chunkBytes } = this.#options;
    if (data.length <= chunkBytes) {
      await this.#chunks.add([{ name: undefined, data }]);
      return;
    }
    const sha256 = sha256Hex(data);
    for (let part = 0; part * chunkBytes < data.length; part += 1) {
      refuseTooManyParts(part, 'a line of export data');
      const piece = data.subarray(part * chunkBytes, (part + 1) * chunkBytes);
      await this.#chunks.add([{ name: segmentEntryName(sha256, part), data: piece }]);
    }
  }

  async #endExportData(): Promise<void> {
    if (this.#exportDataEnded) return;
    this.#exportDataEnded = true;
    for (const segment of this.#cutter.finish()) await this.#writeSegment(segment);
  }

  async writeArtifact(
    name: string,
    content: ArtifactContent,
    identity: string | undefined,
  ): Promise<void> {
    if (identity === undefined) throw unverified();
    await this.#endExportData();
    const parsed = parseArtifactName(name);
    const { size, sha256, part, data } =
      'bytes' in content && content.bytes.length <= this.#options.chunkBytes
        ? onePart(content)
        : await this.#writeParts(parsed, name, piecesOf(content));
    const entry = {
      name: artifactEntryName(parsed, part),
      data,
      sha256: part === undefined ? sha256 : undefined,
      artifact: { name, size, sha256, identity },
    };
    this.#artifactBytes += size;
    if (size >= GROUP_MIN_BYTES) await this.#chunks.add([entry]);
    // A name that a span keeps while it grows.
    else await this.#addToGroup(entry, artifactEntryName(parsed, 0));
  }

  /** Writes all parts of an artifact but the last. */
  async #writeParts(
    parsed: ArtifactName,
    name: string,
    pieces: AsyncIterable<Uint8Array>,
  ): Promise<LastPart> {
    const whole = new DigestTap();
    const { chunkBytes } = this.#options;
    let part = 0;
    let held: Uint8Array[] = [];
    let length = 0;
    for await (const piece of whole.through(pieces)) {
      // What goes beyond a part is kept for the next: an artifact of exactly one part is not split.
      for (let at = 0; at < piece.length;) {
        if (length === chunkBytes) {
          // One more part follows this one.
          refuseTooManyParts(part + 1, name);
          const data = Buffer.concat(held);
          await this.#chunks.add([{ name: artifactEntryName(parsed, part), data }]);
          part += 1;
          held = [];
          length = 0;
        }
        const slice = Buffer.from(piece.subarray(at, at + chunkBytes - length));
        held.push(slice);
        length += slice.length;
        at += slice.length;
      }
    }
    return { ...whole.finish(), part: part === 0 ? undefined : part, data: Buffer.concat(held) };
  }

  async #addToGroup(entry: PendingEntry, stableName: string): Promise<void> {
    if (this.#groupBytes + entry.data.length > GROUP_MAX_BYTES) await this.#endGroup();
    this.#group.push(entry);
    this.#groupBytes += entry.data.length;
    const ends =
      this.#groupBytes >= GROUP_MIN_BYTES &&
      cutsAfter(Buffer.from(stableName), entry.data.length, GROUP_MEAN_REST_BYTES);
    if (ends || this.#group.length >= MAX_CHUNK_ENTRIES) await this.#endGroup();
  }

  async #endGroup(): Promise<void> {
    const group = this.#group;
    this.#group = [];
    this.#groupBytes = 0;
    if (group.length > 0) await this.#chunks.add(group);
  }

  async finish(summary: ExportSummary): Promise<WrittenSnapshot> {
    await this.#endExportData();
    await this.#endGroup();
    const manifest = this.#manifest(summary, await this.#chunks.finish());
    const existing = await this.#existing(manifest);
    if (existing !== undefined) {
      await this.#staged.discard();
      return { manifest: existing, written: false };
    }
    await this.#staged.put(MANIFEST_FILE, encodeSnapshotManifest(manifest));
    await this.#staged.publish(this.#options.replace);
    return { manifest, written: true };
  }

  #manifest(summary: ExportSummary, written: WrittenChunks): SnapshotManifest {
    const { hashes } = summary;
    if (hashes?.contentHash === undefined) throw unverified();
    if (this.#artifactBytes !== summary.artifacts.size) {
      throw new VerificationError(
        'NOT_CANONICAL',
        'an artifact has other bytes than an exporter gives it',
        {
          expected: `${String(this.#artifactBytes)} bytes in all`,
          found: `${String(summary.artifacts.size)} bytes`,
          hint: 'look for a transcript span whose last line has no end',
        },
      );
    }
    const { contentHash, exportDataHash, operationalHash } = hashes;
    const { codec, level, height, madeBy, chunkBytes } = this.#options;
    return {
      format: 'swingsnap-snapshot',
      version: 1,
      height,
      contentHash,
      modules: {
        swingset: {
          artifactMode: summary.artifactMode,
          exportDataHash,
          operationalHash,
          exportData: summary.exportData,
          artifacts: summary.artifacts,
        },
      },
      ...written,
      made: { by: madeBy, codec: codec.name, level, chunkSize: chunkBytes },
    };
  }

  /**
   * The snapshot of this height that is there already, if it is the same and its chunks are whole.
   * @throws {SwingSnapError} `SNAPSHOT_EXISTS` if it is another, or damaged, and may not be replaced
   */
  async #existing(manifest: SnapshotManifest): Promise<SnapshotManifest | undefined> {
    const there = await this.#storage
      .open(snapshotName(this.#options.height))
      .catch((error: unknown) => {
        if (error instanceof NotFoundError) return undefined;
        throw error;
      });
    if (there === undefined) return undefined;
    if (!(await isOurs(there))) throw notASnapshot(there.location);
    let found: string;
    try {
      const old = await readSnapshotManifest(there);
      found = old.contentHash;
      if (found === manifest.contentHash) {
        await quickVerifySnapshot(there, this.#options.codec);
        return old;
      }
    } catch (error) {
      found = `a damaged snapshot (${error instanceof Error ? error.message : String(error)})`;
    }
    if (this.#options.replace) return undefined;
    throw new SwingSnapError(
      'SNAPSHOT_EXISTS',
      'another snapshot of this height is there already',
      {
        path: there.location,
        expected: manifest.contentHash,
        found,
        hint: 'compare the two, then use --replace to put the new one in its place',
      },
    );
  }

  async abort(): Promise<void> {
    await this.#chunks.settled();
    await this.#staged.discard();
  }
}

function unverified(): SwingSnapError {
  return new SwingSnapError('UNVERIFIED', 'only a verified export can become a snapshot');
}

/** @throws {SwingSnapError} `TOO_LARGE` if `part` is a number that no part may have */
function refuseTooManyParts(part: number, what: string): void {
  if (part < MAX_PARTS) return;
  throw new SwingSnapError('TOO_LARGE', `${what} is too large for chunks of this size`, {
    expected: `at most ${String(MAX_PARTS)} parts`,
    hint: 'use a larger --chunk-size',
  });
}

/** The last part of an artifact, or all of it, and the digest of the whole. */
interface LastPart extends ArtifactDigest {
  /** Its number, or undefined if it is all. */
  readonly part: number | undefined;
  readonly data: Uint8Array;
}

function onePart({ bytes, sha256 = sha256Hex(bytes) }: WholeContent): LastPart {
  return { size: bytes.length, sha256, part: undefined, data: bytes };
}

/** Whether it is a snapshot, be it a damaged one: what has neither a manifest nor a list of entries is not ours. */
async function isOurs(there: StoredSnapshot): Promise<boolean> {
  const has = async (file: string, maxBytes: number): Promise<boolean> =>
    there.read(file, maxBytes).then(
      () => true,
      (error: unknown) => !(error instanceof NotFoundError),
    );
  // Nothing of the list is read, since it is longer than no bytes: it is only looked for.
  return (await has(MANIFEST_FILE, MAX_MANIFEST_BYTES)) || has(ENTRIES_FILE, 0);
}

function notASnapshot(path: string): SwingSnapError {
  return new SwingSnapError(
    'SNAPSHOT_EXISTS',
    'something else stands where the snapshot should be',
    {
      path,
      expected: 'nothing, or a snapshot',
      found: `neither ${MANIFEST_FILE} nor ${ENTRIES_FILE} in it`,
      hint: 'look at it, and move or remove it by hand',
    },
  );
}
