/** Artifacts that are read by the thread that needs them: from a source's visits to what its sink makes of them. */
import { sha256Hex } from '../io/bytes/digest.ts';
import { InOrder } from '../io/flow/in-order.ts';
import { NO_LIMITS, Room } from '../io/flow/room.ts';
import { noteSpent } from '../io/flow/spent-memory.ts';
import { queueFor, type WorkerPool } from '../io/threads/pool.ts';
import { bytesHeldBy, follow, recipeFor, type Recipe } from '../io/threads/recipe.ts';
import { workerTask, type WorkerTask } from '../io/threads/task.ts';
import type {
  ArtifactDigest,
  ArtifactVisit,
  CheckedContent,
  Contents,
  ExportArtifact,
  ExportSink,
  Visit,
  Visited,
  VisitedArtifact,
  WholeContent,
} from './swing-store-export.ts';

/** Artifacts of one visit, or one that is not read as a whole. */
export type VisitGroup = readonly ExportArtifact[];

/** Gathers the artifacts of each visit. */
export async function* groupsOf(
  artifacts: AsyncIterable<ExportArtifact>,
): AsyncGenerator<VisitGroup> {
  let group: ExportArtifact[] = [];
  for await (const artifact of artifacts) {
    const [first] = group;
    if (first !== undefined && (artifact.visit === undefined || artifact.visit !== first.visit)) {
      yield group;
      group = [];
    }
    group.push(artifact);
    if (artifact.visit !== undefined) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/**
 * A visit of one artifact.
 * @param held bytes of its content that are in memory already
 */
export function visitOfOne(
  content: () => Promise<Recipe<WholeContent | undefined>>,
  held = 0,
): ArtifactVisit {
  return {
    held,
    recipe: async ([isWanted]) =>
      recipeFor(followingOne, isWanted === true ? await content() : undefined),
  };
}

/** Follows a recipe when its turn comes. */
export async function* oneContent(
  recipe: Recipe<WholeContent | undefined> | undefined,
): AsyncGenerator<WholeContent | undefined> {
  if (recipe !== undefined) yield await follow(recipe);
}

const followingOne = workerTask(import.meta.url, oneContent);

/** Contents that were not checked, with their hashes. */
export function hashedRecipe(contents: Recipe<Contents>): Recipe<Contents<CheckedContent>> {
  return recipeFor(hashing, contents);
}

export async function* hashContents(
  contents: Recipe<Contents>,
): AsyncGenerator<CheckedContent | undefined> {
  for await (const content of await follow(contents)) {
    yield content && { ...content, sha256: content.sha256 ?? sha256Hex(content.bytes) };
    noteSpent(content?.bytes.length ?? 0);
  }
}

const hashing = workerTask(import.meta.url, hashContents);

/** The input of a task that works on the contents of a visit. */
export interface VisitInput<Rest> {
  readonly contents: Recipe<Contents<CheckedContent>>;
  readonly rest: Rest;
}

/** What a task makes of one artifact; its digest, and more. */
export type Made<Rest> = (ArtifactDigest & Rest) | undefined;

/** Visits of a pool. Their results are taken one after the other, in order, or each as soon as it is there. */
export class Visits<Rest, Output extends object> {
  readonly #pool: WorkerPool;
  readonly #task: WorkerTask<VisitInput<Rest>, readonly Made<Output>[]>;
  readonly #takes: 'in order' | 'in any order';
  readonly #room: Room;
  /** So that the first error is that of the first visit that fails, whichever thread is faster. */
  readonly #errors = new InOrder<void>(NO_LIMITS, () => undefined);
  /** Settles when the results of all visits so far were taken. */
  #last: Promise<void> = Promise.resolve();

  /** @param task reads the contents, and says what it has made of each */
  constructor(
    pool: WorkerPool,
    task: WorkerTask<VisitInput<Rest>, readonly Made<Output>[]>,
    takes: 'in order' | 'in any order' = 'in order',
  ) {
    this.#pool = pool;
    this.#task = task;
    this.#takes = takes;
    this.#room = new Room(queueFor(pool));
  }

  /**
   * Begins a visit. Waits while enough visits are under way.
   * @param bytes that the results will have
   * @param take is called with what was made
   * @throws the error of this visit, or of an earlier one
   */
  async begin(
    visit: Visit,
    rest: Rest,
    bytes: number,
    take: (made: readonly Made<Output>[]) => Promise<void> | void = () => undefined,
  ): Promise<Visited> {
    const before = this.#last;
    const held = Math.max(bytes, visit.held);
    this.#room.enter(held);
    const digests = (async () => {
      try {
        const made = await this.#work(visit, rest);
        if (this.#takes === 'in order') await before;
        await take(made);
        return made;
      } finally {
        this.#room.leave(held);
      }
    })();
    // The caller that waits for the digests gets the error.
    const taken = digests.then(() => undefined);
    this.#last = taken.catch(() => undefined);
    await this.#errors.add(taken, 0);
    await this.#room.isFree();
    return { digests };
  }

  async #work(visit: Visit, rest: Rest): Promise<readonly Made<Output>[]> {
    const contents = await visit.recipe();
    const gives = bytesHeldBy(contents);
    return this.#pool.run(this.#task, { contents, rest }, gives, bytesOf(visit.artifacts));
  }

  /** Waits until no visit is under way, and throws the first error. */
  async end(): Promise<void> {
    await this.#errors.end();
  }

  /** Waits until no visit is under way. */
  async settled(): Promise<void> {
    await this.#errors.settled();
  }
}

/** Assumed size in bytes of an artifact that does not tell its own: that of a usual span or bundle. */
export const USUAL_ARTIFACT_BYTES = 1024 * 1024;

/** About how many bytes artifacts have. */
export function bytesOf(artifacts: readonly Pick<VisitedArtifact, 'size'>[]): number {
  return artifacts.reduce((sum, { size = USUAL_ARTIFACT_BYTES }) => sum + size, 0);
}

/** Only reads contents. */
export async function digestContents({
  contents,
}: VisitInput<undefined>): Promise<readonly Made<object>[]> {
  const made: Made<object>[] = [];
  for await (const content of await follow(contents)) {
    made.push(content && { size: content.bytes.length, sha256: content.sha256 });
  }
  return made;
}

export const digestingContents = workerTask(import.meta.url, digestContents);

/** Gives contents to the thread that asks for them. */
export async function handOverContents({
  contents,
}: VisitInput<undefined>): Promise<readonly Made<CheckedContent>[]> {
  const made: Made<CheckedContent>[] = [];
  for await (const content of await follow(contents)) {
    made.push(content && { ...content, size: content.bytes.length });
  }
  return made;
}

const handingOver = workerTask(import.meta.url, handOverContents);

/** Follows a recipe in a thread of the pool, and gives the contents to this one. */
export async function handedOver(
  contents: Recipe<Contents<CheckedContent>>,
  pool: WorkerPool,
  bytes: number,
): Promise<readonly Made<CheckedContent>[]> {
  return pool.run(handingOver, { contents, rest: undefined }, bytesHeldBy(contents), bytes);
}

/** Visits for a sink that takes bytes. */
export function visitsWithBytes(sink: ExportSink<unknown>, pool: WorkerPool) {
  const visits = new Visits<undefined, CheckedContent>(pool, handingOver);
  return {
    visit: async (visit: Visit): Promise<Visited> =>
      visits.begin(visit, undefined, bytesOf(visit.artifacts), async (made) => {
        for (const [at, content] of made.entries()) {
          const artifact = visit.artifacts[at];
          if (content === undefined || artifact === undefined) continue;
          await sink.writeArtifact(artifact.name, content, artifact.identity);
        }
      }),
    settled: async () => visits.settled(),
  };
}
