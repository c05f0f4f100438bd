/** Splits artifacts into parts of at most a chunk. */
import { DigestTap, sha256Hex } from '../../io/bytes/digest.ts';
import { gather, splitEvery } from '../../io/bytes/pieces.ts';
import type { HeldState, StateChunk, StateEntry } from '../../snapshot/module-contract.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ArtifactDigest,
  type HeldContent,
  type WholeContent,
} from '../../swing-store-export/swing-store-export.ts';
import { refuseTooManyParts } from '../kit/group.ts';
import { artifactEntryName, SWINGSET } from './layout.ts';

/** The digest of an artifact, and its part that is not written yet. */
export interface WrittenParts extends ArtifactDigest {
  readonly last: LastPart | undefined;
}

/** The last part of an artifact, or the whole artifact. */
interface LastPart {
  /** Its number, or undefined for the whole artifact. */
  readonly part: number | undefined;
  readonly data: StateEntry['data'];
  /** Bytes of the part. */
  readonly partSize: number;
}

interface PartsOptions {
  /** Most bytes of a part. */
  readonly chunkBytes: number;
  readonly held?: HeldState | undefined;
}

/** Takes a finished chunk; resolves when there is room for the next. */
export type EmitChunk = (chunk: StateChunk) => Promise<void>;

export class ArtifactParts {
  readonly #emit: EmitChunk;
  readonly #options: PartsOptions;

  constructor(emit: EmitChunk, options: PartsOptions) {
    this.#emit = emit;
    this.#options = options;
  }

  /** Writes all parts of an artifact, except that the last may be left to the caller. */
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

  /** @returns how many parts of a held artifact were reused */
  async #takeOver(
    name: string,
    { size, sha256 }: ArtifactDigest,
    identity: string,
  ): Promise<number | 'all'> {
    const { held, chunkBytes } = this.#options;
    const parts = held?.artifact(SWINGSET, identity)?.entries ?? [];
    if (held === undefined || parts.length === 0) return 0;
    if (parts.some((part, at) => part.size !== chunkBytes && at < parts.length - 1)) return 0;
    const parsed = parseArtifactName(name);
    for (const [at, part] of parts.entries()) {
      const entry = { ...part, name: artifactEntryName(parsed, parts.length > 1 ? at : undefined) };
      if (!(await held.take([entry]))) return at;
      const artifact = at === parts.length - 1 ? { name, size, sha256, identity } : undefined;
      await this.#emit({ entries: [{ ...entry, data: neverAsked, artifact }] });
    }
    return 'all';
  }

  /** @param taken number of parts that are written already */
  async #writePieces(
    name: string,
    pieces: AsyncIterable<Uint8Array>,
    taken: number,
  ): Promise<WrittenParts> {
    const parsed = parseArtifactName(name);
    const whole = new DigestTap();
    const { chunkBytes } = this.#options;
    let part = 0;
    for await (const { data, isLast } of splitEvery(whole.through(pieces), chunkBytes)) {
      if (isLast) {
        const last = { part: part === 0 ? undefined : part, data, partSize: data.length };
        return { ...whole.finish(), last };
      }
      // One more part follows this one.
      refuseTooManyParts(part + 1, name);
      const entry = { name: artifactEntryName(parsed, part), data, size: data.length };
      if (part >= taken) await this.#emit({ entries: [entry] });
      part += 1;
    }
    throw new Error('a stream has no parts');
  }
}

/** The data of a reused entry. */
async function neverAsked(): Promise<Uint8Array> {
  throw new Error('the data of a reused entry was requested');
}

function onePart({ bytes, sha256 = sha256Hex(bytes) }: WholeContent): WrittenParts {
  const size = bytes.length;
  return { size, sha256, last: { part: undefined, data: bytes, partSize: size } };
}

/** An artifact of one part, read only if its chunk cannot be reused. */
function heldPart(content: HeldContent): WrittenParts {
  const data = async (): Promise<Uint8Array> => gather(piecesOf(content));
  const { digest } = content;
  return { ...digest, last: { part: undefined, data, partSize: digest.size } };
}
