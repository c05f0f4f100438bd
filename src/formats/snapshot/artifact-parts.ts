/** Artifacts in parts of at most a chunk. */
import { SwingSnapError } from '../../errors.ts';
import { DigestTap, sha256Hex } from '../../io/digest.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ArtifactDigest,
  type HeldContent,
  type WholeContent,
} from '../../swing-store-export/swing-store-export.ts';
import type { ChunkWriter, PendingEntry } from './chunk-writer.ts';
import type { EarlierSnapshot } from './earlier.ts';
import { artifactEntryName, MAX_PARTS } from './layout.ts';

/** The digest of an artifact, and what is left to be written of it. */
export interface WrittenParts extends ArtifactDigest {
  readonly last: LastPart | undefined;
}

/** The last part of an artifact, or all of it. */
interface LastPart {
  /** Its number, or undefined if it is all. */
  readonly part: number | undefined;
  readonly data: PendingEntry['data'];
  /** Bytes of the part. */
  readonly partSize: number;
}

interface PartsOptions {
  /** Bytes of a part at most. */
  readonly chunkBytes: number;
  readonly earlier?: EarlierSnapshot | undefined;
}

export class ArtifactParts {
  readonly #chunks: ChunkWriter;
  readonly #options: PartsOptions;

  constructor(chunks: ChunkWriter, options: PartsOptions) {
    this.#chunks = chunks;
    this.#options = options;
  }

  /** Writes all parts of an artifact but the last, or that too. */
  async write(name: string, content: ArtifactContent, identity: string): Promise<WrittenParts> {
    const { chunkBytes } = this.#options;
    if ('digest' in content) {
      const { canWait, digest } = content;
      if (canWait && digest.size <= chunkBytes) return heldPart(content);
      const taken = await this.#takeOver(name, digest, identity);
      if (taken === 'all') return { ...digest, last: undefined };
      return this.#writePieces(name, piecesOf(content), taken);
    }
    if ('bytes' in content && content.bytes.length <= chunkBytes) return onePart(content);
    return this.#writePieces(name, piecesOf(content), 0);
  }

  /** @returns how many parts of a held artifact could be taken over */
  async #takeOver(
    name: string,
    { size, sha256 }: ArtifactDigest,
    identity: string,
  ): Promise<number | 'all'> {
    const { earlier, chunkBytes } = this.#options;
    const parts = earlier?.artifact(identity)?.entries ?? [];
    if (parts.length === 0) return 0;
    if (parts.some((part, at) => part.size !== chunkBytes && at < parts.length - 1)) return 0;
    const parsed = parseArtifactName(name);
    for (const [at, part] of parts.entries()) {
      const entry = { ...part, name: artifactEntryName(parsed, parts.length > 1 ? at : undefined) };
      const artifact = at === parts.length - 1 ? { name, size, sha256, identity } : undefined;
      if (!(await this.#chunks.addHeld(entry, artifact))) return at;
    }
    return 'all';
  }

  /** @param taken how many of the parts are written already */
  async #writePieces(
    name: string,
    pieces: AsyncIterable<Uint8Array>,
    taken: number,
  ): Promise<WrittenParts> {
    const parsed = parseArtifactName(name);
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
          const entry = { name: artifactEntryName(parsed, part), data, size: length };
          if (part >= taken) await this.#chunks.add([entry]);
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
    const data = Buffer.concat(held);
    const last = { part: part === 0 ? undefined : part, data, partSize: length };
    return { ...whole.finish(), last };
  }
}

/** @throws {SwingSnapError} `TOO_LARGE` if `part` is a number that no part may have */
export function refuseTooManyParts(part: number, what: string): void {
  if (part < MAX_PARTS) return;
  throw new SwingSnapError('TOO_LARGE', `${what} is too large for chunks of this size`, {
    expected: `at most ${String(MAX_PARTS)} parts`,
    hint: 'use a larger --chunk-size',
  });
}

function onePart({ bytes, sha256 = sha256Hex(bytes) }: WholeContent): WrittenParts {
  const size = bytes.length;
  return { size, sha256, last: { part: undefined, data: bytes, partSize: size } };
}

/** An artifact of one part that is read only if its chunk cannot be taken over. */
function heldPart(content: HeldContent): WrittenParts {
  const data = async (): Promise<Uint8Array> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of piecesOf(content)) pieces.push(piece);
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  };
  const { digest } = content;
  return { ...digest, last: { part: undefined, data, partSize: digest.size } };
}
