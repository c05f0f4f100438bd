/** Reads chunks of the module `swingset` as an export. */
import { sha256Hex } from '../../io/bytes/digest.ts';
import { countLines } from '../../io/bytes/lines.ts';
import { mapAhead } from '../../io/flow/ahead.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import { aheadOf, type WorkerPool } from '../../io/threads/pool.ts';
import { given } from '../../io/threads/recipe.ts';
import { damaged, MIN_CHUNK_BYTES } from '../../snapshot/layout.ts';
import type { SwingsetFields } from '../../snapshot/manifest.ts';
import {
  bytesOfEntries,
  type StateArtifact,
  type StateChunk,
  type StateEntry,
} from '../../snapshot/module-contract.ts';
import { artifactIdentity } from '../../swing-store-export/artifact/expected-content.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { NotCanonicalError } from '../../swing-store-export/export-data/canonical-blocks.ts';
import { readExportData } from '../../swing-store-export/export-data/export-data.ts';
import { parseArtifactName, type ArtifactName } from '../../swing-store-export/names.ts';
import {
  WHOLE_MAX_BYTES,
  type ArtifactVisit,
  type ExportArtifact,
  type PromisedHashes,
  type SwingStoreExport,
  type WholeContent,
} from '../../swing-store-export/swing-store-export.ts';
import { bytesOf, nameOf } from '../kit/entry.ts';
import { MAX_PARTS } from '../kit/group.ts';
import { artifactEntryName, isSegmentEntry } from './layout.ts';
import { SegmentChecker } from './segment-checker.ts';

export interface EntriesExportOptions {
  /** Names the snapshot in errors. */
  readonly location: string;
  readonly height: number;
  /** Its declared fields, as far as known; compared with what is read. */
  readonly fields: Partial<SwingsetFields>;
  /** Undefined if it covers more than this export. */
  readonly contentHash: string | undefined;
  /** Its chunks, from the start at each call. */
  readonly chunks: () => AsyncGenerator<StateChunk>;
  /** Waits until no chunk is loading, and checks that all of them were right. */
  readonly settle?: () => Promise<unknown>;
  readonly pool: WorkerPool;
  /** Called when the export is closed. */
  readonly close?: () => Promise<void>;
}

/** An entry and how to load it. */
interface Part {
  readonly name: string;
  readonly size: number;
  readonly sha256: string | undefined;
  readonly artifact: StateArtifact | undefined;
  readonly load: () => Promise<Uint8Array>;
}

/** The parts of an artifact, and how to read it if it is whole. */
interface ArtifactParts {
  readonly parts: readonly Part[];
  readonly visit: ArtifactVisit | undefined;
}

/** Checks everything as it is read. Artifacts are loaded only if the caller reads them. */
export class EntriesExport implements SwingStoreExport {
  readonly location: string;
  readonly height: number;
  readonly promised?: PromisedHashes;
  readonly #options: EntriesExportOptions;
  /** Continues after the export data when the artifacts are read. */
  #chunks: AsyncGenerator<StateChunk> | undefined;
  #next: StateChunk | undefined;

  constructor(options: EntriesExportOptions) {
    this.#options = options;
    this.location = options.location;
    this.height = options.height;
    const { fields, contentHash } = options;
    const { exportDataHash, operationalHash } = fields;
    if (exportDataHash !== undefined && operationalHash !== undefined) {
      this.promised = { exportDataHash, operationalHash, contentHash };
    }
  }

  get artifactMode(): ArtifactMode | undefined {
    return this.#options.fields.artifactMode;
  }

  estimate(part: 'export data' | 'artifacts'): ProgressTotal {
    const { exportData, artifacts } = this.#options.fields;
    return part === 'export data'
      ? { bytes: exportData?.size, items: exportData?.entries, unit: 'entries' }
      : { bytes: artifacts?.size, items: artifacts?.count, unit: 'artifacts' };
  }

  /** Export data must be in canonical order and text in a snapshot: any other is refused, not sorted. */
  async *exportData(): AsyncGenerator<Uint8Array> {
    try {
      yield* readExportData(this.#segments(), this.location, { pool: this.#options.pool });
    } catch (cause) {
      if (!(cause instanceof NotCanonicalError)) throw cause;
      damaged('the export data of a snapshot is not in canonical order and text', {
        path: this.location,
        found: cause.message,
        cause,
      });
    }
  }

  async *#segments(): AsyncGenerator<Uint8Array> {
    await this.#endPass();
    this.#chunks = this.#options.chunks();
    this.#next = undefined;
    const found = { entries: 0, size: 0 };
    const checker = new SegmentChecker(this.location);
    const loading = mapAhead(
      this.#segmentChunks(),
      aheadOf(this.#options.pool, ({ entries }: StateChunk) => bytesOfEntries(entries)),
      async ({ entries }) => Promise.all(entries.map(loaded)),
    );
    for await (const segments of loading) {
      for (const { name, sha256, data } of segments) {
        checker.next({ name, size: data.length, sha256 }, data);
        found.size += data.length;
        found.entries += countLines(data);
        yield data;
      }
    }
    checker.finish();
    const { exportData } = this.#options.fields;
    this.#compare('export data', 'entries', exportData?.entries, found.entries);
    this.#compare('export data', 'bytes', exportData?.size, found.size);
  }

  /** The chunks of the export data. */
  async *#segmentChunks(): AsyncGenerator<StateChunk> {
    for await (const chunk of this.#rest()) {
      const [first] = chunk.entries;
      if (first === undefined || !isSegmentEntry(nameOf(first))) {
        this.#next = chunk;
        return;
      }
      yield chunk;
    }
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    const found = { count: 0, size: 0 };
    for await (const { parts, visit } of this.#artifactParts()) {
      const artifact = parts.at(-1)?.artifact;
      if (artifact === undefined) continue;
      this.#checkParts(parts, artifact);
      found.count += 1;
      found.size += artifact.size;
      const data = (): AsyncIterable<Uint8Array> => this.#readParts(parts);
      yield { name: artifact.name, declared: artifact, data, visit };
    }
    const { artifacts } = this.#options.fields;
    this.#compare('artifacts', 'artifacts', artifacts?.count, found.count);
    this.#compare('artifacts', 'bytes', artifacts?.size, found.size);
    await this.#options.settle?.();
  }

  /** The entries of each artifact: a single one, or its parts, of which the last names the artifact. */
  async *#artifactParts(): AsyncGenerator<ArtifactParts> {
    let parts: Part[] = [];
    for await (const chunk of this.#rest()) {
      const visit = parts.length === 0 ? visitOf(chunk) : undefined;
      for (const entry of chunk.entries) {
        const { size, sha256, artifact } = entry;
        const name = nameOf(entry);
        parts.push({ name, size, sha256, artifact, load: async () => bytesOf(entry) });
        if (artifact !== undefined) {
          yield { parts, visit };
          parts = [];
        } else if (parts.length >= MAX_PARTS) {
          damaged('an artifact has too many parts', { path: `${this.location}: ${name}` });
        }
      }
    }
    const [first] = parts;
    if (first !== undefined) {
      damaged('an artifact has no last part', { path: `${this.location}: ${first.name}` });
    }
  }

  /** Entry names follow from the artifact's name; part sizes from the first part and the artifact. */
  #checkParts(parts: readonly Part[], artifact: StateArtifact): void {
    const parsed = parseArtifactName(artifact.name);
    const isSplit = parts.length > 1;
    const partSize = isSplit ? (parts[0]?.size ?? 0) : artifact.size;
    parts.forEach(({ name, size }, part) => {
      const expected = artifactEntryName(parsed, isSplit ? part : undefined);
      if (name !== expected) {
        damaged('an entry is not the next part of its artifact', {
          path: this.location,
          expected,
          found: name,
        });
      }
      const isLast = part === parts.length - 1;
      const fits = isLast ? size <= partSize && (size > 0 || !isSplit) : size === partSize;
      if (!fits || (isSplit && partSize < MIN_CHUNK_BYTES)) {
        damaged('a part of an artifact has an invalid size', {
          path: `${this.location}: ${name}`,
          expected: partSize,
          found: size,
        });
      }
    });
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    this.#compare(artifact.name, 'bytes', artifact.size, size);
    const [only] = parts;
    const isOther = only?.sha256 !== undefined && only.sha256 !== artifact.sha256;
    if (!isSplit && isOther) {
      damaged('an entry and its artifact have different hashes', {
        path: `${this.location}: ${artifact.name}`,
        expected: artifact.sha256,
        found: only.sha256,
      });
    }
    const identity = identityOf(parsed, artifact);
    if (artifact.identity !== identity) {
      damaged('the identity of an artifact does not match its name and hash', {
        path: `${this.location}: ${artifact.name}`,
        expected: identity,
        found: artifact.identity,
      });
    }
  }

  /** The remaining chunks; does not end their generator when the caller stops early. */
  async *#rest(): AsyncGenerator<StateChunk> {
    if (this.#next !== undefined) {
      const next = this.#next;
      this.#next = undefined;
      yield next;
    }
    for (;;) {
      const result = await this.#chunks?.next();
      if (result === undefined || result.done === true) return;
      yield result.value;
    }
  }

  #readParts(parts: readonly Part[]): AsyncIterable<Uint8Array> {
    const limits = aheadOf(this.#options.pool, ({ size }: Part) => size);
    return mapAhead(eachOf(parts), limits, async ({ load }) => load());
  }

  #compare(what: string, unit: string, expected: number | undefined, found: number): void {
    if (expected === undefined || expected === found) return;
    damaged(`the snapshot does not have the number of ${unit} that it declares`, {
      path: `${this.location}: ${what}`,
      expected,
      found,
    });
  }

  async #endPass(): Promise<void> {
    await this.#chunks?.return(undefined);
  }

  async close(): Promise<void> {
    await this.#endPass();
    await this.#options.close?.();
  }
}

/** The identity of an artifact, as far as it follows from the rest; the hash of a span is taken as given. */
function identityOf(name: ArtifactName, { sha256, identity }: StateArtifact): string {
  switch (name.kind) {
    case 'snapshot':
      return artifactIdentity({ kind: 'snapshot', hash: sha256 });
    case 'transcript': {
      const { startPos, endPos } = name;
      const [hash = 'a SHA-256'] = /(?<=:)[0-9a-f]{64}(?=:)/u.exec(identity) ?? [];
      return artifactIdentity({ kind: 'transcript', hash, items: endPos - startPos, endPos });
    }
    case 'bundle':
      return artifactIdentity(name);
  }
}

/** A chunk of whole artifacts is read in one visit. */
function visitOf({ entries, contents }: StateChunk): ArtifactVisit | undefined {
  const isWhole = ({ artifact, size }: StateEntry): boolean =>
    artifact !== undefined && size <= WHOLE_MAX_BYTES;
  if (!entries.every(isWhole)) return undefined;
  return {
    held: contents === undefined ? bytesOfEntries(entries) : 0,
    recipe: contents ?? (async (wanted) => given(await contentsOf(entries, wanted))),
  };
}

async function contentsOf(
  entries: readonly StateEntry[],
  wanted: readonly boolean[],
): Promise<WholeContent[]> {
  const chosen = entries.filter((_, at) => wanted[at]);
  return Promise.all(
    chosen.map(async (entry) => ({ bytes: await bytesOf(entry), sha256: entry.sha256 })),
  );
}

/** Loads an entry. */
async function loaded(
  entry: StateEntry,
): Promise<{ name: string; sha256: string; data: Uint8Array }> {
  const data = await bytesOf(entry);
  return { name: nameOf(entry), sha256: entry.sha256 ?? sha256Hex(data), data };
}

async function* eachOf<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}
