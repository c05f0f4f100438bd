/** Builds a snapshot: export data and artifacts become entries, entries become chunks, chunks become files. */
import { SwingSnapError, VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/digest.ts';
import { inlinePool, type WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { SnapshotStorage, StagedSnapshot } from '../../storage/contract.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import {
  type ArtifactContent,
  type ArtifactDigest,
  type ExportSink,
  type ExportSummary,
} from '../../swing-store-export/swing-store-export.ts';
import { ChunkWriter, type PendingEntry, type Reused, type WrittenChunks } from './chunk-writer.ts';
import type { EarlierSnapshot } from './earlier.ts';
import { existingSnapshot } from './existing.ts';
import { ArtifactParts, refuseTooManyParts } from './artifact-parts.ts';
import { cutsAfter, SegmentCutter } from './cut.ts';
import {
  artifactEntryName,
  GROUP_MAX_BYTES,
  GROUP_MEAN_REST_BYTES,
  GROUP_MIN_BYTES,
  MANIFEST_FILE,
  MAX_CHUNK_ENTRIES,
  segmentEntryName,
  snapshotName,
} from './layout.ts';
import { encodeSnapshotManifest, type SnapshotManifest } from './manifest.ts';

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
  /** What need not be read or packed again is taken over from it. */
  readonly earlier?: EarlierSnapshot | undefined;
  /** Whether chunks are hashed again before they are taken over; by default they are. */
  readonly recheck?: boolean | undefined;
  /** Name and version of the program, for the manifest. */
  readonly madeBy: string;
}

export interface WrittenSnapshot {
  readonly manifest: SnapshotManifest;
  /** False when the very same snapshot was there already. */
  readonly written: boolean;
  /** What was taken over from an earlier snapshot. */
  readonly reused: Reused;
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
  readonly #parts: ArtifactParts;
  #exportDataEnded = false;
  /** Small artifacts that will share a chunk. */
  #group: PendingEntry[] = [];
  #groupBytes = 0;
  #artifactBytes = 0;

  constructor(storage: SnapshotStorage, staged: StagedSnapshot, options: WriteSnapshotOptions) {
    const { codec, level, pool = inlinePool, earlier, recheck = true } = options;
    this.#storage = storage;
    this.#staged = staged;
    this.#options = options;
    this.#chunks = new ChunkWriter(staged, { codec, level, pool, earlier, recheck });
    this.#parts = new ArtifactParts(this.#chunks, options);
  }

  holds(identity: string): ArtifactDigest | undefined {
    const held = this.#options.earlier?.artifact(identity);
    return held === undefined ? undefined : { size: held.size, sha256: held.sha256 };
  }

  async writeExportData(block: Uint8Array): Promise<void> {
    const lines = Buffer.from(block.buffer, block.byteOffset, block.length);
    for (const segment of this.#cutter.add(lines)) await this.#writeSegment(segment);
  }

  async #writeSegment(data: Buffer): Promise<void> {
    const { chunkBytes } = this.#options;
    if (data.length <= chunkBytes) {
      await this.#chunks.add([{ name: undefined, data, size: data.length }]);
      return;
    }
    const sha256 = sha256Hex(data);
    for (let part = 0; part * chunkBytes < data.length; part += 1) {
      refuseTooManyParts(part, 'a line of export data');
      const piece = data.subarray(part * chunkBytes, (part + 1) * chunkBytes);
      const name = segmentEntryName(sha256, part);
      await this.#chunks.add([{ name, data: piece, size: piece.length }]);
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
    const { size, sha256, last } = await this.#parts.write(name, content, identity);
    this.#artifactBytes += size;
    if (last === undefined) return;
    const { part, data, partSize } = last;
    const parsed = parseArtifactName(name);
    const entry = {
      name: artifactEntryName(parsed, part),
      data,
      size: partSize,
      sha256: part === undefined ? sha256 : undefined,
      artifact: { name, size, sha256, identity },
    };
    if (size >= GROUP_MIN_BYTES) await this.#chunks.add([entry]);
    // A name that a span keeps while it grows.
    else await this.#addToGroup(entry, artifactEntryName(parsed, 0));
  }

  async #addToGroup(entry: PendingEntry, stableName: string): Promise<void> {
    if (this.#groupBytes + entry.size > GROUP_MAX_BYTES) await this.#endGroup();
    this.#group.push(entry);
    this.#groupBytes += entry.size;
    const ends =
      this.#groupBytes >= GROUP_MIN_BYTES &&
      cutsAfter(Buffer.from(stableName), entry.size, GROUP_MEAN_REST_BYTES);
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
    const { reused, ...written } = await this.#chunks.finish();
    const manifest = this.#manifest(summary, written);
    const existing = await existingSnapshot(this.#storage, manifest, this.#options);
    if (existing !== undefined) {
      await this.#staged.discard();
      return { manifest: existing, written: false, reused };
    }
    await this.#staged.put(MANIFEST_FILE, encodeSnapshotManifest(manifest));
    await this.#staged.publish(this.#options.replace);
    return { manifest, written: true, reused };
  }

  #manifest(summary: ExportSummary, written: Omit<WrittenChunks, 'reused'>): SnapshotManifest {
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

  async abort(): Promise<void> {
    await this.#chunks.settled();
    await this.#staged.discard();
  }
}

function unverified(): SwingSnapError {
  return new SwingSnapError('UNVERIFIED', 'only a verified export can become a snapshot');
}
