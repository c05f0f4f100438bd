/** What a list of a place says of each thing, as plain data. */
import type { SnapshotManifest } from '../../snapshot/manifest.ts';
import { moduleNames } from '../../snapshot/manifest.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import type { PlaceItem, WholeHeight } from './contents.ts';

/** A whole height. Sizes in bytes. */
export interface HeightFacts {
  readonly height: number;
  /** In UTC. */
  readonly madeAt: string;
  /** `file`: the manifest does not say it, as in version 0.1.0, and the time of its file is taken. */
  readonly madeAtFrom: 'manifest' | 'file';
  /** Program and version. */
  readonly madeBy: string;
  readonly formatVersion: number;
  readonly artifactMode: ArtifactMode;
  readonly modules: readonly string[];
  /** Of all states, unpacked. */
  readonly rawSize: number;
  /** Of all files. */
  readonly storedSize: number;
  /** Of files that no other height has: what its removal frees. */
  readonly ownSize: number;
  readonly contentHash: string;
}

export function factsOf({ height, file, made, storedBytes, ownBytes }: WholeHeight): HeightFacts {
  const { version, modules, contentHash, made: making } = file.manifest;
  return {
    height,
    madeAt: made.at.toISOString(),
    madeAtFrom: made.isOfFile ? 'file' : 'manifest',
    madeBy: making.by,
    formatVersion: version,
    artifactMode: modules.swingset.artifactMode,
    modules: moduleNames(modules),
    rawSize: rawBytes(file.manifest),
    storedSize: storedBytes,
    ownSize: ownBytes,
    contentHash,
  };
}

/** Raw bytes of all states. */
function rawBytes({ modules }: SnapshotManifest): number {
  return Object.values(modules)
    .map((fields) => fields.artifacts.size + ('exportData' in fields ? fields.exportData.size : 0))
    .reduce((a, b) => a + b, 0);
}

/** Something in a place that is no whole height. */
export interface OtherFacts {
  /** Any characters. */
  readonly name: string;
  readonly state: Exclude<PlaceItem['state'], 'whole'>;
  readonly reason: string;
  /** Of half-made ones: bytes of its files, and when the last of them changed. */
  readonly size?: number;
  readonly changedAt?: string;
}

/** How many of each state are told; the others are counted. */
const MOST_TOLD = 100;

export interface Others {
  /** The first hundred of each state. */
  readonly others: readonly OtherFacts[];
  /** How many there are besides. */
  readonly othersLeftOut: number;
}

/** Gathers what is no whole height, in bounded memory. */
export class OtherThings {
  readonly #told: OtherFacts[] = [];
  readonly #counts = new Map<string, number>();
  #leftOut = 0;

  add(item: Exclude<PlaceItem, WholeHeight>): void {
    const { name, state, reason } = item;
    const count = (this.#counts.get(state) ?? 0) + 1;
    this.#counts.set(state, count);
    if (count > MOST_TOLD) {
      this.#leftOut += 1;
      return;
    }
    const work =
      state === 'half-made' ? { size: item.size, changedAt: item.changed.toISOString() } : {};
    this.#told.push({ name, state, reason, ...work });
  }

  told(): Others {
    return { others: this.#told, othersLeftOut: this.#leftOut };
  }
}
