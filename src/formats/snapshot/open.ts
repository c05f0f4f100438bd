/** A snapshot as an export. */
import { mapAhead } from '../../io/ahead.ts';
import { countLines } from '../../io/lines.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import { aheadOf, inlinePool, type WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { NotCanonicalError } from '../../swing-store-export/canonical-blocks.ts';
import { readExportData } from '../../swing-store-export/export-data.ts';
import { parseArtifactName, type ArtifactName } from '../../swing-store-export/names.ts';
import { artifactIdentity } from '../../swing-store-export/expected-content.ts';
import {
  WHOLE_MAX_BYTES,
  type ExportArtifact,
  type PromisedHashes,
  type SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { loadChunk, planChunks, type PlannedChunk } from './chunks.ts';
import type { SnapshotArtifact, SnapshotEntry } from './entries.ts';
import {
  artifactEntryName,
  damaged,
  isSegmentEntry,
  MAX_PARTS,
  MIN_CHUNK_BYTES,
} from './layout.ts';
import { readSnapshotManifest, type SnapshotManifest } from './manifest.ts';
import { SegmentChecker } from './segments.ts';

/**
 * Opens a stored snapshot. Everything that is read from it is checked on the way; `promised` is what its manifest
 * says, for the reader of the whole to hold against what it got.
 * @param pool unpacks chunks; by default this thread does
 * @throws as `readSnapshotManifest`
 */
export async function openSnapshot(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  pool: WorkerPool = inlinePool,
): Promise<SwingStoreExport & { readonly manifest: SnapshotManifest }> {
  return new SnapshotExport(snapshot, await readSnapshotManifest(snapshot), codec, pool);
}

/** An entry, and how to get it. */
interface Part {
  readonly entry: SnapshotEntry;
  readonly load: () => Promise<Uint8Array>;
}

class SnapshotExport implements SwingStoreExport {
  readonly #snapshot: StoredSnapshot;
  readonly #codec: ZstdCodec;
  readonly manifest: SnapshotManifest;
  /** Goes on behind the export data when the artifacts are asked for. */
  #plan: AsyncGenerator<PlannedChunk> | undefined;
  #next: PlannedChunk | undefined;
  #loaded = { count: 0, size: 0 };
  readonly #loading = new Set<Promise<unknown>>();

  readonly #pool: WorkerPool;

  constructor(
    snapshot: StoredSnapshot,
    manifest: SnapshotManifest,
    codec: ZstdCodec,
    pool: WorkerPool,
  ) {
    this.#snapshot = snapshot;
    this.#codec = codec;
    this.#pool = pool;
    this.manifest = manifest;
  }

  get location(): string {
    return this.#snapshot.location;
  }

  get height(): number {
    return this.manifest.height;
  }

  get artifactMode(): ArtifactMode {
    return this.manifest.modules.swingset.artifactMode;
  }

  get promised(): PromisedHashes {
    const { exportDataHash, operationalHash } = this.manifest.modules.swingset;
    return { contentHash: this.manifest.contentHash, exportDataHash, operationalHash };
  }

  estimate(part: 'export data' | 'artifacts'): ProgressTotal {
    const { exportData, artifacts } = this.manifest.modules.swingset;
    return part === 'export data'
      ? { bytes: exportData.size, items: exportData.entries, unit: 'entries' }
      : { bytes: artifacts.size, items: artifacts.count, unit: 'artifacts' };
  }

  /** A snapshot holds export data in canonical order and text: no other is sorted, it is refused. */
  async *exportData(): AsyncGenerator<Uint8Array> {
    try {
      yield* readExportData(this.#segments(), this.location, { pool: this.#pool });
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
    await this.close();
    this.#plan = planChunks(this.#snapshot, this.manifest, this.#codec);
    this.#next = undefined;
    this.#loaded = { count: 0, size: 0 };
    const found = { entries: 0, size: 0 };
    const checker = new SegmentChecker(this.location);
    const loading = mapAhead(
      this.#segmentChunks(),
      aheadOf(this.#pool, rawBytes),
      async (planned) => ({ planned, contents: await this.#load(planned) }),
    );
    for await (const { planned, contents } of loading) {
      for (const [at, entry] of planned.entries.entries()) {
        const data = contents[at] ?? Buffer.alloc(0);
        checker.next(entry, data);
        found.size += data.length;
        found.entries += countLines(data);
        yield data;
      }
    }
    checker.finish();
    const { exportData } = this.manifest.modules.swingset;
    this.#compare('export data', 'entries', exportData.entries, found.entries);
    this.#compare('export data', 'bytes', exportData.size, found.size);
  }

  /** The chunks of the export data. */
  async *#segmentChunks(): AsyncGenerator<PlannedChunk> {
    for await (const planned of this.#chunks()) {
      if (!isSegmentEntry(planned.entries[0]?.name ?? '')) {
        this.#next = planned;
        return;
      }
      yield planned;
    }
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    const found = { count: 0, size: 0 };
    for await (const parts of this.#artifactParts()) {
      const artifact = parts.at(-1)?.entry.artifact;
      if (artifact === undefined) continue;
      this.#checkParts(
        parts.map(({ entry }) => entry),
        artifact,
      );
      found.count += 1;
      found.size += artifact.size;
      yield {
        name: artifact.name,
        declared: artifact,
        data: () => this.#readParts(parts),
        ...wholeOf(parts),
      };
    }
    const { artifacts } = this.manifest.modules.swingset;
    this.#compare('artifacts', 'artifacts', artifacts.count, found.count);
    this.#compare('artifacts', 'bytes', artifacts.size, found.size);
    // What was asked for ahead is counted when it is there; that it fails is for whoever asked.
    await Promise.allSettled(this.#loading);
    const { chunks } = this.manifest;
    if (this.#loaded.count >= chunks.count) {
      this.#compare('chunks', 'compressed bytes', chunks.size, this.#loaded.size);
    }
  }

  /** The entries of each artifact: one, or its parts, of which the last says what they are parts of. */
  async *#artifactParts(): AsyncGenerator<readonly Part[]> {
    let parts: Part[] = [];
    for await (const planned of this.#chunks()) {
      let loaded: Promise<Uint8Array[]> | undefined;
      for (const [at, entry] of planned.entries.entries()) {
        const load = async (): Promise<Uint8Array> => {
          loaded ??= this.#load(planned);
          return (await loaded)[at] ?? new Uint8Array();
        };
        parts.push({ entry, load });
        if (entry.artifact !== undefined) {
          yield parts;
          parts = [];
        } else if (parts.length >= MAX_PARTS) {
          damaged('an artifact has too many parts', { path: `${this.location}: ${entry.name}` });
        }
      }
    }
    const [first] = parts;
    if (first !== undefined) {
      damaged('an artifact has no last part', { path: `${this.location}: ${first.entry.name}` });
    }
  }

  /** Entry names follow from the artifact's name, sizes of parts from the first part's and the artifact's. */
  #checkParts(parts: readonly SnapshotEntry[], artifact: SnapshotArtifact): void {
    const parsed = parseArtifactName(artifact.name);
    const isSplit = parts.length > 1;
    const partSize = isSplit ? (parts[0]?.size ?? 0) : artifact.size;
    parts.forEach(({ name, size }, part) => {
      const expected = artifactEntryName(parsed, isSplit ? part : undefined);
      if (name !== expected) {
        damaged('an entry is not the part that should come', {
          path: this.location,
          expected,
          found: name,
        });
      }
      const isLast = part === parts.length - 1;
      const fits = isLast ? size <= partSize && (size > 0 || !isSplit) : size === partSize;
      if (!fits || (isSplit && partSize < MIN_CHUNK_BYTES)) {
        damaged('a part of an artifact has a size that it cannot have', {
          path: `${this.location}: ${name}`,
          expected: partSize,
          found: size,
        });
      }
    });
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    this.#compare(artifact.name, 'bytes', artifact.size, size);
    const [only] = parts;
    if (!isSplit && only !== undefined && only.sha256 !== artifact.sha256) {
      damaged('an entry and its artifact have different hashes', {
        path: `${this.location}: ${artifact.name}`,
        expected: artifact.sha256,
        found: only.sha256,
      });
    }
    const identity = identityOf(parsed, artifact);
    if (artifact.identity !== identity) {
      damaged('an artifact has another identity than its name and hash give', {
        path: `${this.location}: ${artifact.name}`,
        expected: identity,
        found: artifact.identity,
      });
    }
  }

  /** The rest of the plan, without ending it when the caller stops early. */
  async *#chunks(): AsyncGenerator<PlannedChunk> {
    if (this.#next !== undefined) {
      const next = this.#next;
      this.#next = undefined;
      yield next;
    }
    for (;;) {
      const result = await this.#plan?.next();
      if (result === undefined || result.done === true) return;
      yield result.value;
    }
  }

  async #load(planned: PlannedChunk): Promise<Uint8Array[]> {
    const loading = loadChunk(this.#snapshot, this.#codec, planned, this.#pool);
    this.#loading.add(loading);
    try {
      const { contents, fileBytes } = await loading;
      this.#loaded.count += 1;
      this.#loaded.size += fileBytes;
      return contents;
    } finally {
      this.#loading.delete(loading);
    }
  }

  #readParts(parts: readonly Part[]): AsyncIterable<Uint8Array> {
    const limits = aheadOf(this.#pool, ({ entry }: Part) => entry.size);
    return mapAhead(eachOf(parts), limits, async ({ load }) => load());
  }

  #compare(what: string, unit: string, expected: number, found: number): void {
    if (expected === found) return;
    damaged(`the snapshot holds another number of ${unit} than it says`, {
      path: `${this.location}: ${what}`,
      expected,
      found,
    });
  }

  async close(): Promise<void> {
    await this.#plan?.return(undefined);
  }
}

/** The identity of an artifact, as far as it follows from the rest; the hash of a span is taken as it stands. */
function identityOf(name: ArtifactName, { sha256, identity }: SnapshotArtifact): string {
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

/** An artifact of one part can be read as a whole. */
function wholeOf(parts: readonly Part[]): Pick<ExportArtifact, 'whole'> {
  const [part] = parts;
  if (parts.length !== 1 || part === undefined || part.entry.size > WHOLE_MAX_BYTES) return {};
  const { size, sha256 } = part.entry;
  return { whole: { size, load: async () => ({ bytes: await part.load(), sha256 }) } };
}

async function* eachOf<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}

function rawBytes({ entries }: PlannedChunk): number {
  return entries.reduce((sum, { size }) => sum + size, 0);
}
