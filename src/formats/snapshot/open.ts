/** A snapshot as an export. */
import { sha256Hex } from '../../io/digest.ts';
import { NotFoundError } from '../../errors.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { readExportData } from '../../swing-store-export/export-data.ts';
import { parseArtifactName } from '../../swing-store-export/names.ts';
import type {
  ExportArtifact,
  PromisedHashes,
  SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { readEntries, type SnapshotEntry } from './entries.ts';
import {
  artifactEntryName,
  chunkFile,
  damaged,
  isSegmentEntry,
  MAX_CHUNK_BYTES,
  MAX_CHUNK_ENTRIES,
  MAX_CHUNK_FILE_BYTES,
  tarOverheadBytes,
} from './layout.ts';
import { readSnapshotManifest, type SnapshotManifest } from './manifest.ts';
import { unpackTar } from './tar.ts';

/**
 * Opens a stored snapshot. Everything that is read from it is checked on the way; `promised` is what its manifest
 * says, for the reader of the whole to hold against what it got.
 * @throws as `readSnapshotManifest`
 */
export async function openSnapshot(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
): Promise<SwingStoreExport & { readonly manifest: SnapshotManifest }> {
  return new SnapshotExport(snapshot, await readSnapshotManifest(snapshot), codec);
}

/** The entries of one chunk, which stand together in the list. */
interface PlannedChunk {
  readonly chunk: string;
  readonly entries: readonly SnapshotEntry[];
}

class SnapshotExport implements SwingStoreExport {
  readonly #snapshot: StoredSnapshot;
  readonly #codec: ZstdCodec;
  readonly manifest: SnapshotManifest;
  /** Goes on behind the export data when the artifacts are asked for. */
  #plan: AsyncGenerator<PlannedChunk> | undefined;
  #next: PlannedChunk | undefined;
  #loaded = { count: 0, size: 0 };

  constructor(snapshot: StoredSnapshot, manifest: SnapshotManifest, codec: ZstdCodec) {
    this.#snapshot = snapshot;
    this.#codec = codec;
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

  exportData({ scratchDir }: { scratchDir?: string } = {}): AsyncIterable<Uint8Array> {
    return readExportData(this.#segments(), this.location, scratchDir);
  }

  async *#segments(): AsyncGenerator<Uint8Array> {
    this.#plan = this.#planChunks();
    this.#next = undefined;
    this.#loaded = { count: 0, size: 0 };
    const found = { entries: 0, size: 0 };
    for await (const planned of this.#chunks()) {
      if (!isSegmentEntry(planned.entries[0]?.name ?? '')) {
        this.#next = planned;
        break;
      }
      for (const data of await this.#load(planned)) {
        found.size += data.length;
        found.entries += countNewlines(data);
        yield data;
      }
    }
    const { exportData } = this.manifest.modules.swingset;
    this.#compare('export data', 'entries', exportData.entries, found.entries);
    this.#compare('export data', 'bytes', exportData.size, found.size);
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    const found = { count: 0, size: 0 };
    let earlier: { planned: PlannedChunk; entry: SnapshotEntry }[] = [];
    const loaded = new LoadedChunk(async (planned) => this.#load(planned));
    for await (const planned of this.#chunks()) {
      for (const entry of planned.entries) {
        earlier.push({ planned, entry });
        if (entry.artifact === undefined) continue;
        const parts = earlier;
        earlier = [];
        this.#checkPartNames(parts.map((part) => part.entry));
        found.count += 1;
        found.size += entry.artifact.size;
        yield {
          name: entry.artifact.name,
          declared: entry.artifact,
          data: () => this.#artifact(parts, loaded),
        };
      }
    }
    if (earlier.length > 0) damaged('an artifact has no last part', { path: this.location });
    const { artifacts } = this.manifest.modules.swingset;
    this.#compare('artifacts', 'artifacts', artifacts.count, found.count);
    this.#compare('artifacts', 'bytes', artifacts.size, found.size);
    const { chunks } = this.manifest;
    if (this.#loaded.count >= chunks.count) {
      this.#compare('chunks', 'compressed bytes', chunks.size, this.#loaded.size);
    }
  }

  async *#artifact(
    parts: readonly { planned: PlannedChunk; entry: SnapshotEntry }[],
    loaded: LoadedChunk,
  ): AsyncGenerator<Uint8Array> {
    for (const { planned, entry } of parts) {
      const contents = await loaded.get(planned);
      const data = contents[planned.entries.indexOf(entry)];
      if (data !== undefined) yield data;
    }
  }

  /** Entry names follow from the artifact's name, and sizes of parts add up to the artifact's. */
  #checkPartNames(parts: readonly SnapshotEntry[]): void {
    const artifact = parts.at(-1)?.artifact;
    if (artifact === undefined) return;
    const parsed = parseArtifactName(artifact.name);
    parts.forEach(({ name }, part) => {
      const expected = artifactEntryName(parsed, parts.length === 1 ? undefined : part);
      if (name !== expected) {
        damaged('an entry is not the part that should come', {
          path: this.location,
          expected,
          found: name,
        });
      }
    });
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    this.#compare(artifact.name, 'bytes', artifact.size, size);
    const [only] = parts;
    if (parts.length === 1 && only !== undefined && only.sha256 !== artifact.sha256) {
      damaged('an entry and its artifact have different hashes', {
        path: artifact.name,
        expected: artifact.sha256,
        found: only.sha256,
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

  async *#planChunks(): AsyncGenerator<PlannedChunk> {
    const found = { count: 0, size: 0 };
    let entries: SnapshotEntry[] = [];
    let bytes = 0;
    const take = (): PlannedChunk | undefined => {
      const [first] = entries;
      if (first === undefined) return undefined;
      const planned = { chunk: first.chunk, entries };
      entries = [];
      bytes = 0;
      found.count += 1;
      return planned;
    };
    for await (const entry of readEntries(this.#snapshot, this.manifest, this.#codec)) {
      if (entry.chunk !== entries[0]?.chunk) {
        const planned = take();
        if (planned !== undefined) yield planned;
      }
      entries.push(entry);
      bytes += entry.size;
      if (entries.length > MAX_CHUNK_ENTRIES || bytes > MAX_CHUNK_BYTES) {
        damaged('a chunk has more entries, or longer ones, than the format allows', {
          path: chunkFile(entry.chunk),
        });
      }
    }
    const planned = take();
    if (planned !== undefined) yield planned;
    this.#compare('chunks', 'chunks', this.manifest.chunks.count, found.count);
  }

  /** The contents of a chunk's entries, all checked. */
  async #load({ chunk, entries }: PlannedChunk): Promise<Uint8Array[]> {
    const path = `${this.location}/${chunkFile(chunk)}`;
    const bytes = await this.#snapshot
      .read(chunkFile(chunk), MAX_CHUNK_FILE_BYTES)
      .catch((cause: unknown) => {
        if (cause instanceof NotFoundError) damaged('a chunk is missing', { path, cause });
        throw cause;
      });
    const hash = sha256Hex(bytes);
    if (hash !== chunk) damaged('a chunk has another hash', { path, expected: chunk, found: hash });
    this.#loaded.count += 1;
    this.#loaded.size += bytes.length;
    const rawBytes = entries.reduce(
      (sum, { size }) => sum + size,
      tarOverheadBytes(entries.length),
    );
    const contents = await unpackTar(this.#codec.decompress(bytes, rawBytes), path);
    if (contents.length !== entries.length) {
      damaged('a chunk holds another number of entries', {
        path,
        expected: entries.length,
        found: contents.length,
      });
    }
    entries.forEach((expected, at) => {
      const { name = 'none', data = Buffer.alloc(0) } = contents[at] ?? {};
      if (name !== expected.name) {
        damaged('a chunk holds another entry', { path, expected: expected.name, found: name });
      }
      const found = sha256Hex(data);
      if (found !== expected.sha256 || data.length !== expected.size) {
        damaged('an entry has another hash', {
          path: `${path}: ${name}`,
          expected: expected.sha256,
          found,
        });
      }
    });
    return contents.map(({ data }) => data);
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

/** The last chunk that was loaded, since small artifacts share one. */
class LoadedChunk {
  readonly #load: (planned: PlannedChunk) => Promise<Uint8Array[]>;
  #planned: PlannedChunk | undefined;
  #contents: Uint8Array[] = [];

  constructor(load: (planned: PlannedChunk) => Promise<Uint8Array[]>) {
    this.#load = load;
  }

  async get(planned: PlannedChunk): Promise<Uint8Array[]> {
    if (planned !== this.#planned) {
      this.#contents = [];
      this.#contents = await this.#load(planned);
      this.#planned = planned;
    }
    return this.#contents;
  }
}

function countNewlines(data: Uint8Array): number {
  let count = 0;
  for (let at = data.indexOf(0x0a); at !== -1; at = data.indexOf(0x0a, at + 1)) count += 1;
  return count;
}
