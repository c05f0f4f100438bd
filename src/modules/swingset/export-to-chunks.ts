/** Turns an export into chunks of the module `swingset`. */
import { VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import type { HeldState, StateEntry } from '../../snapshot/module-contract.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import type {
  ArtifactContent,
  ArtifactDigest,
  ExportSink,
  ExportSummary,
} from '../../swing-store-export/swing-store-export.ts';
import { Group, GROUP_MIN_BYTES, refuseTooManyParts } from '../kit/group.ts';
import { ArtifactParts, type EmitChunk } from './artifact-parts.ts';
import { unverified } from './description.ts';
import { artifactEntryName, SEGMENT_NAME, segmentEntryName, SWINGSET } from './layout.ts';
import { SegmentCutter } from './segment-cutter.ts';

export interface ChunkExportOptions {
  /** Most raw bytes of an entry. */
  readonly chunkBytes: number;
  readonly held?: HeldState | undefined;
}

/** Passes its chunks to `emit`, in order. */
export class ChunkExport implements ExportSink<ExportSummary> {
  readonly #emit: EmitChunk;
  readonly #options: ChunkExportOptions;
  readonly #cutter = new SegmentCutter();
  readonly #parts: ArtifactParts;
  readonly #group = new Group();
  #exportDataEnded = false;
  #artifactBytes = 0;

  constructor(emit: EmitChunk, options: ChunkExportOptions) {
    this.#emit = emit;
    this.#options = options;
    this.#parts = new ArtifactParts(emit, options);
  }

  holds(identity: string): ArtifactDigest | undefined {
    const held = this.#options.held?.artifact(SWINGSET, identity);
    return held === undefined ? undefined : { size: held.size, sha256: held.sha256 };
  }

  async writeExportData(block: Uint8Array): Promise<void> {
    const lines = Buffer.from(block.buffer, block.byteOffset, block.length);
    for (const segment of this.#cutter.add(lines)) await this.#writeSegment(segment);
  }

  async #writeSegment(data: Buffer): Promise<void> {
    const { chunkBytes } = this.#options;
    if (data.length <= chunkBytes) {
      await this.#emit({ entries: [{ name: SEGMENT_NAME, data, size: data.length }] });
      return;
    }
    const sha256 = sha256Hex(data);
    for (let part = 0; part * chunkBytes < data.length; part += 1) {
      refuseTooManyParts(part, 'a line of export data');
      const piece = data.subarray(part * chunkBytes, (part + 1) * chunkBytes);
      const name = segmentEntryName(sha256, part);
      await this.#emit({ entries: [{ name, data: piece, size: piece.length }] });
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
    if (size >= GROUP_MIN_BYTES) await this.#emit({ entries: [entry] });
    // The stable name is the one that a span keeps while it grows.
    else await this.#emitEach(this.#group.add(entry, artifactEntryName(parsed, 0)));
  }

  async #emitEach(chunks: Iterable<readonly StateEntry[]>): Promise<void> {
    for (const entries of chunks) await this.#emit({ entries });
  }

  async finish(summary: ExportSummary): Promise<ExportSummary> {
    await this.#endExportData();
    await this.#emitEach(this.#group.end());
    if (this.#artifactBytes !== summary.artifacts.size) {
      throw new VerificationError(
        'NOT_CANONICAL',
        'an artifact is not written the way an exporter writes it',
        {
          expected: `${this.#artifactBytes} bytes in all`,
          found: `${summary.artifacts.size} bytes`,
          hint: 'a usual cause is a transcript span whose last line has no newline',
        },
      );
    }
    return summary;
  }

  async abort(): Promise<void> {
    // Nothing to clean up: this sink does not own the chunks that it emitted.
  }
}
