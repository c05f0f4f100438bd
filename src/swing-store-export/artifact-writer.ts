/** The artifacts of a copy on their way to its sink. */
import { VerificationError } from '../errors.ts';
import { DigestTap } from '../io/bytes/digest.ts';
import { Breath } from '../io/flow/breath.ts';
import type { Progress } from '../io/progress.ts';
import type { WorkerPool } from '../io/threads/pool.ts';
import { artifactIdentity, type ExpectedContent } from './artifact/expected-content.ts';
import { ItemBudget } from './artifact/item-budget.ts';
import { verifyArtifact } from './artifact/verify-artifact.ts';
import { checkedRecipe } from './artifact/verify-whole.ts';
import type {
  ArtifactDigest,
  ExportArtifact,
  ExportSink,
  HeldContent,
  ReadContent,
  Visit,
  Visited,
} from './swing-store-export.ts';
import { handedOver, hashedRecipe, USUAL_ARTIFACT_BYTES, visitsWithBytes } from './visits.ts';

/** An artifact and what a copy does with it. */
export interface PlannedArtifact {
  readonly artifact: ExportArtifact;
  /** Whether the sink gets it. */
  readonly isWanted: boolean;
  /** What it must be; undefined in an unverified copy. */
  readonly expected?: ExpectedContent | undefined;
  /** Known without reading the artifact, since the sink has it. */
  readonly held?: ArtifactDigest | undefined;
}

/** What artifacts were; undefined for one whose digest is neither known nor asked for. */
type Digests = readonly (ArtifactDigest | undefined)[];

export interface Written {
  readonly digests: Promise<Digests>;
}

interface WriterOptions {
  readonly pool: WorkerPool;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
  /** Whether to read artifacts that are not wanted, if their digests are not known. */
  readonly wantsDigests: boolean;
}

/** Passes artifacts to a sink: those that a thread can read as recipes, others in pieces. */
export class ArtifactWriter {
  readonly #sink: ExportSink<unknown>;
  readonly #options: WriterOptions;
  readonly #budget = new ItemBudget();
  /** Visits for a sink that takes bytes. */
  readonly #withBytes: ReturnType<typeof visitsWithBytes>;
  readonly #late: {
    readonly planned: PlannedArtifact;
    readonly resolve: (digest: ArtifactDigest) => void;
    readonly reject: (error: unknown) => void;
  }[] = [];

  constructor(sink: ExportSink<unknown>, options: WriterOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#withBytes = visitsWithBytes(sink, options.pool);
  }

  /** Writes the wanted artifacts of a group. Waits while the sink has enough to do. */
  async write(group: readonly PlannedArtifact[]): Promise<Written> {
    const digests: (ArtifactDigest | undefined)[] = [];
    const toVisit: number[] = [];
    for (const [at, planned] of group.entries()) {
      const { artifact, isWanted, held } = planned;
      if (!isWanted) {
        digests[at] = artifact.declared ?? (await this.#digestOf(artifact));
      } else if (held !== undefined) {
        digests[at] = await this.#writeHeld(planned, held, group.length === 1);
      } else if (artifact.visit === undefined) {
        digests[at] = await this.#writePieces(planned);
      } else {
        toVisit.push(at);
      }
    }
    const visited = toVisit.length === 0 ? undefined : await this.#visit(group, toVisit);
    return { digests: this.#all(group, digests, toVisit, visited?.digests) };
  }

  async #visit(group: readonly PlannedArtifact[], toVisit: readonly number[]): Promise<Visited> {
    const wanted = group.map((_, at) => toVisit.includes(at));
    const visited = group.filter((_, at) => wanted[at]);
    const artifacts = visited.map(({ artifact: { name, declared, size }, expected }) => ({
      name,
      identity: expected && artifactIdentity(expected),
      size: declared?.size ?? size,
    }));
    const expectations = visited.flatMap(({ artifact: { name }, expected }) =>
      expected === undefined ? [] : [{ name, expected }],
    );
    for (const [at, { name, expected }] of expectations.entries()) {
      this.#budget.spendOn(name, expected, artifacts[at]?.size ?? USUAL_ARTIFACT_BYTES);
    }
    const of = group[0]?.artifact.visit;
    if (of === undefined) throw new Error('a group has no visit');
    const visit: Visit = {
      artifacts,
      held: of.held,
      recipe: async () => {
        const contents = await of.recipe(wanted);
        return expectations.length === 0
          ? hashedRecipe(contents)
          : checkedRecipe(contents, expectations);
      },
    };
    return this.#sink.visit === undefined ? this.#withBytes.visit(visit) : this.#sink.visit(visit);
  }

  /** The digests of a group, when all are known. */
  async #all(
    group: readonly PlannedArtifact[],
    digests: (ArtifactDigest | undefined)[],
    toVisit: readonly number[],
    visited: Promise<Digests> | undefined,
  ): Promise<Digests> {
    for (const [n, digest] of ((await visited) ?? []).entries()) {
      const at = toVisit[n];
      const planned = at === undefined ? undefined : group[at];
      if (at === undefined || planned === undefined) continue;
      if (digest !== undefined) this.#options.progress.advance(digest.size);
      digests[at] = digest ?? (await this.#later(planned));
    }
    return digests;
  }

  /** The digest of an artifact that is too large for a visit, once {@link end} has written it in pieces. */
  async #later(planned: PlannedArtifact): Promise<ArtifactDigest> {
    return new Promise((resolve, reject) => {
      this.#late.push({ planned, resolve, reject });
    });
  }

  /** Passes an artifact to a sink that already has it but may still want to read it. */
  async #writeHeld(
    planned: PlannedArtifact,
    digest: ArtifactDigest,
    isAlone: boolean,
  ): Promise<ArtifactDigest> {
    const { artifact, expected } = planned;
    const { name, visit } = artifact;
    const read = async (): Promise<ReadContent> => {
      if (visit !== undefined && isAlone && expected !== undefined) {
        const contents = checkedRecipe(await visit.recipe([true]), [{ name, expected }]);
        const [whole] = await handedOver(contents, this.#options.pool, digest.size);
        if (whole !== undefined) {
          refuseUnlike(name, digest.sha256, whole.sha256);
          return whole;
        }
      }
      return asHeld(name, digest, watched(this.#verified(planned), this.#options));
    };
    await this.#withBytes.settled();
    const held: HeldContent = { digest, canWait: visit !== undefined && isAlone, read };
    await this.#sink.writeArtifact(name, held, expected && artifactIdentity(expected));
    this.#options.progress.advance(digest.size);
    return digest;
  }

  /** Passes an artifact to the sink in pieces, and checks it on the way. */
  async #writePieces(planned: PlannedArtifact): Promise<ArtifactDigest> {
    const { artifact, expected } = planned;
    await this.#withBytes.settled();
    const tap = new DigestTap();
    const pieces = watched(tap.through(this.#verified(planned)), this.#options);
    await this.#sink.writeArtifact(artifact.name, pieces, expected && artifactIdentity(expected));
    return tap.finish();
  }

  /** The bytes of an artifact; throws at the end if they are wrong. */
  #verified({ artifact, expected }: PlannedArtifact): AsyncIterable<Uint8Array> {
    const data = artifact.data();
    return expected === undefined
      ? data
      : verifyArtifact(artifact.name, expected, data, this.#budget);
  }

  async #digestOf(artifact: ExportArtifact): Promise<ArtifactDigest | undefined> {
    const { wantsDigests, signal } = this.#options;
    if (!wantsDigests) return undefined;
    const tap = new DigestTap();
    for await (const _ of tap.through(artifact.data())) signal?.throwIfAborted();
    return tap.finish();
  }

  /** Waits for all visits, and writes what was too large for them. */
  async end(): Promise<void> {
    await this.#withBytes.settled();
    await this.#sink.visited?.();
    for (const { planned, resolve } of this.#late) {
      resolve(await this.#writePieces(planned));
    }
  }

  /** Waits until nothing is written any more, because of an error: the caller aborts the sink. */
  async fail(error: unknown): Promise<void> {
    await this.#withBytes.settled();
    await this.#sink.visited?.().catch(() => undefined);
    for (const { reject } of this.#late) reject(error);
  }
}

async function* asHeld(
  name: string,
  digest: ArtifactDigest,
  data: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const tap = new DigestTap();
  yield* tap.through(data);
  refuseUnlike(name, digest.sha256, tap.finish().sha256);
}

/**
 * Held content is wrong if it differs from the source's, which its record proves.
 * @throws {VerificationError} `HELD_CONTENT`
 */
export function refuseUnlike(name: string, held: string | undefined, found: string): void {
  if (held === found) return;
  throw new VerificationError('HELD_CONTENT', `an earlier snapshot has other content for ${name}`, {
    path: name,
    expected: found,
    found: held,
    hint: 'verify the earlier snapshots, and run the command again with --no-reuse',
  });
}

/** Passes pieces on and reports progress. */
async function* watched(
  data: AsyncIterable<Uint8Array>,
  { progress, signal }: Pick<WriterOptions, 'progress' | 'signal'>,
): AsyncGenerator<Uint8Array> {
  const breath = new Breath();
  for await (const piece of data) {
    await breath.take();
    signal?.throwIfAborted();
    // Taken first: the consumer may transfer the piece.
    const size = piece.length;
    yield piece;
    progress.advance(size);
  }
}
