/**
 * Groups of artifacts for the chunks of version 2. Heap snapshots of a chain share most of their bytes with each other, and
 * so do bundles: packed together they take half of what they take alone. What is packed together stays together at later
 * heights, so there is no rule by which another writer would make the same groups.
 */
import { MAX_SHARED_CHUNK_BYTES } from '../../snapshot/layout.ts';
import type { UnreadChunk } from '../../snapshot/module-contract.ts';
import { parseArtifactName, type ArtifactName } from '../../swing-store-export/names.ts';
import type { ArtifactDigest, Visit } from '../../swing-store-export/swing-store-export.ts';
import { bytesOf } from '../../swing-store-export/visits.ts';
import { artifactEntryName } from './layout.ts';

type Kind = ArtifactName['kind'];

/**
 * Most heap snapshots of a chunk. Eight take 0.55 of the bytes that they take alone, four 0.6, twelve 0.51; but if one of
 * them changes, all are unpacked for the others.
 */
const MAX_HEAPS = 8;
/** Bytes of spans, or of bundles, that a chunk aims at. */
const SMALL_BYTES = 32 * 1024 * 1024;
/** Most spans, or bundles, of a chunk. */
const MAX_SMALL = 512;

interface Waiting {
  readonly visit: Visit;
  readonly resolve: (digests: readonly (ArtifactDigest | undefined)[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Gathers visits, and passes each group on when it is complete. */
export class SharedGroups {
  readonly #emit: (chunk: UnreadChunk) => Promise<void>;
  readonly #groups = new Map<Kind, Waiting[]>();
  /** Heap snapshots of a group. */
  #heaps = MAX_HEAPS;

  constructor(emit: (chunk: UnreadChunk) => Promise<void>) {
    this.#emit = emit;
  }

  /** @param heaps number of heap snapshots that will come, at most */
  expectHeaps(heaps: number): void {
    const rest = heaps % MAX_HEAPS;
    // A thread has the rest, and the bundles, while another has the last full group. A few heaps alone take more bytes.
    const isEnough = rest === 0 || rest >= MAX_HEAPS / 2;
    this.#heaps = isEnough ? MAX_HEAPS : Math.ceil(heaps / Math.ceil(heaps / MAX_HEAPS));
  }

  /** @returns what the artifacts of the visit were, once their chunk is packed */
  async add(visit: Visit): Promise<{ digests: Promise<readonly (ArtifactDigest | undefined)[]> }> {
    const [first] = visit.artifacts;
    if (first === undefined) return { digests: Promise.resolve([]) };
    const { kind } = parseArtifactName(first.name);
    const group = this.#groups.get(kind) ?? [];
    if (group.length > 0 && !this.#fits(kind, [...group.map(({ visit: one }) => one), visit])) {
      await this.#close(kind);
    }
    let waiting: Waiting | undefined;
    const digests = new Promise<readonly (ArtifactDigest | undefined)[]>((resolve, reject) => {
      waiting = { visit, resolve, reject };
    });
    digests.catch(() => undefined);
    const now = this.#groups.get(kind) ?? [];
    if (waiting !== undefined) now.push(waiting);
    this.#groups.set(kind, now);
    if (this.#isFull(kind, now)) await this.#close(kind);
    return { digests };
  }

  #fits(kind: Kind, visits: readonly Visit[]): boolean {
    const { count, bytes } = total(visits);
    return kind === 'snapshot'
      ? count <= this.#heaps && bytes <= MAX_SHARED_CHUNK_BYTES
      : count <= MAX_SMALL && bytes <= SMALL_BYTES;
  }

  #isFull(kind: Kind, group: readonly Waiting[]): boolean {
    const { count } = total(group.map(({ visit }) => visit));
    return count >= (kind === 'snapshot' ? this.#heaps : MAX_SMALL);
  }

  async #close(kind: Kind): Promise<void> {
    const group = this.#groups.get(kind) ?? [];
    this.#groups.delete(kind);
    if (group.length > 0) await this.#emit(chunkOf(group));
  }

  /** Passes on the groups that are not complete. */
  async end(): Promise<void> {
    for (const kind of [...this.#groups.keys()]) await this.#close(kind);
  }

  /** Gives up the groups that are not complete. */
  fail(error: unknown): void {
    for (const { reject } of [...this.#groups.values()].flat()) reject(error);
    this.#groups.clear();
  }
}

function total(visits: readonly Visit[]): { count: number; bytes: number } {
  const artifacts = visits.flatMap((visit) => visit.artifacts);
  return { count: artifacts.length, bytes: bytesOf(artifacts) };
}

function chunkOf(group: readonly Waiting[]): UnreadChunk {
  return {
    artifacts: group.flatMap(({ visit }) =>
      visit.artifacts.map(({ name, identity = '', size }) => ({
        entry: artifactEntryName(parseArtifactName(name), undefined),
        name,
        identity,
        size,
      })),
    ),
    recipes: async () => {
      const recipes = [];
      for (const { visit } of group) recipes.push(await visit.recipe());
      return recipes;
    },
    wereRead: (digests) => {
      let at = 0;
      for (const { visit, resolve } of group) {
        const { length } = visit.artifacts;
        resolve(digests.slice(at, at + length));
        at += length;
      }
    },
    failed: (error) => {
      for (const { reject } of group) reject(error);
    },
  };
}
