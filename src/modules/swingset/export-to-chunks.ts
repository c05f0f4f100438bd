/** Turns an export into chunks of the module `swingset`. */
import { VerificationError } from '../../errors.ts';
import { DigestTap, sha256Hex } from '../../io/bytes/digest.ts';
import type { HeldState, StateEntry, UnreadChunk } from '../../snapshot/module-contract.ts';
import { refuseUnlike } from '../../swing-store-export/artifact-writer.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ArtifactDigest,
  type ExpectedArtifact,
  type ExportSink,
  type ExportSummary,
  type Visit,
  type Visited,
} from '../../swing-store-export/swing-store-export.ts';
import { Group, GROUP_MIN_BYTES, refuseTooManyParts } from '../kit/group.ts';
import { ArtifactParts, type EmitChunk } from './artifact-parts.ts';
import { unverified } from './description.ts';
import { artifactEntryName, SEGMENT_NAME, segmentEntryName, SWINGSET } from './layout.ts';
import { SegmentCutter } from './segment-cutter.ts';
import { SharedGroups } from './shared-groups.ts';

export interface ChunkExportOptions {
  /** Most raw bytes of an entry. */
  readonly chunkBytes: number;
  readonly held?: HeldState | undefined;
  /** Takes artifacts that are to be read and packed together; undefined if there must be none. */
  readonly emitUnread?: ((chunk: UnreadChunk) => Promise<void>) | undefined;
}

/** Passes its chunks to `emit`, in order. */
export class ChunkExport implements ExportSink<ExportSummary> {
  readonly #emit: EmitChunk;
  readonly #options: ChunkExportOptions;
  readonly #cutter = new SegmentCutter();
  readonly #parts: ArtifactParts;
  readonly #group = new Group();
  readonly #shared: SharedGroups | undefined;
  #exportDataEnded = false;
  #artifactBytes = 0;
  /** Takes visits only if chunks may be unread. */
  readonly visit?: (visit: Visit) => Promise<Visited>;

  constructor(emit: EmitChunk, options: ChunkExportOptions) {
    this.#emit = emit;
    this.#options = options;
    this.#parts = new ArtifactParts(emit, options);
    const { emitUnread } = options;
    if (emitUnread === undefined) return;
    this.#shared = new SharedGroups(emitUnread);
    this.visit = async (visit) => this.#visit(visit);
  }

  async expect(artifacts: Iterable<ExpectedArtifact>): Promise<void> {
    if (this.#shared === undefined) return;
    const { held } = this.#options;
    const heaps: ExpectedArtifact[] = [];
    function* noted(): Generator<ExpectedArtifact> {
      for (const artifact of artifacts) {
        if (parseArtifactName(artifact.name).kind === 'snapshot') heaps.push(artifact);
        yield artifact;
      }
    }
    if (held === undefined) for (const _ of noted());
    else await held.keep(SWINGSET, noted());
    const isNew = ({ identity }: ExpectedArtifact): boolean =>
      held?.artifact(SWINGSET, identity) === undefined;
    this.#shared.expectHeaps(heaps.filter(isNew).length);
  }

  async #visit(visit: Visit): Promise<Visited> {
    if (this.#shared === undefined) throw new Error('this export takes no visits');
    await this.#endExportData();
    const { digests } = await this.#shared.add(visit);
    const counted = digests.then((found) => {
      for (const digest of found) this.#artifactBytes += digest?.size ?? 0;
      return found;
    });
    counted.catch(() => undefined);
    return { digests: counted };
  }

  async visited(): Promise<void> {
    await this.#shared?.end();
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
    if (this.#options.held?.use(SWINGSET, { name, identity }) === true) {
      const { size } =
        'digest' in content ? content.digest : await this.#readKept(name, content, identity);
      this.#artifactBytes += size;
      return;
    }
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

  /** Reads content that a kept chunk has too: its source does not tell beforehand that it is there. */
  async #readKept(
    name: string,
    content: ArtifactContent,
    identity: string,
  ): Promise<ArtifactDigest> {
    const tap = new DigestTap();
    for await (const _ of tap.through(piecesOf(content)));
    const found = tap.finish();
    refuseUnlike(name, this.holds(identity)?.sha256, found.sha256);
    return found;
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
    // Otherwise there is nothing to clean up: this sink does not own the chunks that it emitted.
    this.#shared?.fail(new Error('the export was aborted'));
  }
}
