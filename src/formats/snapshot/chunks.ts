/** Chunks as a reader meets them: which entries each should hold, and what it holds. */
import { NotFoundError } from '../../errors.ts';
import type { ExpansionLimit } from '../../io/expansion-limit.ts';
import type { WorkerPool } from '../../io/worker-pool/pool.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { moduleOf } from '../../modules/contract.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { readEntries, type SnapshotEntry } from './entries.ts';
import {
  chunkFile,
  damaged,
  MAX_CHUNK_BYTES,
  MAX_CHUNK_ENTRIES,
  MAX_CHUNK_FILE_BYTES,
} from './layout.ts';
import { moduleNames, type SnapshotManifest } from './manifest.ts';
import { refuseGone } from './gone.ts';
import { unpacking } from './pack-chunk.ts';

/** The entries of one chunk, which stand together in the list. */
export interface PlannedChunk {
  readonly chunk: string;
  readonly entries: readonly SnapshotEntry[];
}

/**
 * The chunks of a snapshot in order, by its list of entries; no chunk is read. Those of a module stand together, and
 * modules in the order of their names.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`
 */
export async function* planChunks(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
): AsyncGenerator<PlannedChunk> {
  const named = new Set<string>();
  let section = '';
  let entries: SnapshotEntry[] = [];
  let bytes = 0;
  for await (const entry of readEntries(snapshot, manifest, codec)) {
    const [first] = entries;
    const isNew = first?.chunk !== entry.chunk;
    const module = moduleOf(entry.name);
    if (
      module !== section &&
      (!isNew || module < section || !Object.hasOwn(manifest.modules, module))
    ) {
      damaged('an entry stands where none of its module can', {
        path: snapshot.location,
        expected: moduleNames(manifest.modules).join(', '),
        found: entry.name.slice(0, 200),
      });
    }
    section = module;
    if (first !== undefined && isNew) {
      yield { chunk: first.chunk, entries };
      entries = [];
      bytes = 0;
    }
    if (isNew) {
      if (named.has(entry.chunk)) {
        // Entries have names of their own, which are part of the bytes.
        damaged('a chunk is named in two places', { path: chunkFile(entry.chunk) });
      }
      named.add(entry.chunk);
    }
    entries.push(entry);
    bytes += entry.size;
    if (entries.length > MAX_CHUNK_ENTRIES || bytes > MAX_CHUNK_BYTES) {
      damaged('a chunk has more entries, or longer ones, than the format allows', {
        path: chunkFile(entry.chunk),
      });
    }
  }
  const [first] = entries;
  if (first !== undefined) yield { chunk: first.chunk, entries };
  if (named.size !== manifest.chunks.count) {
    damaged('the snapshot holds another number of chunks than it says', {
      path: snapshot.location,
      expected: manifest.chunks.count,
      found: named.size,
    });
  }
}

/**
 * Reads a chunk and checks all of it.
 * @param limit told what goes in and comes out
 * @returns the contents of its entries, and the size of its file in bytes
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, or as the codec and the storage
 */
export async function loadChunk(
  snapshot: StoredSnapshot,
  codec: ZstdCodec,
  { chunk, entries }: PlannedChunk,
  pool: WorkerPool,
  limit: ExpansionLimit,
): Promise<{ contents: Uint8Array[]; fileBytes: number }> {
  const { path, bytes } = await readChunkFile(snapshot, chunk);
  const fileBytes = bytes.length;
  limit.taken += fileBytes;
  limit.give(entries.reduce((sum, { size }) => sum + size, 0));
  const file = { path, chunk, entries, bytes, codec: codec.name };
  return { contents: await pool.run(unpacking, file, [bytes]), fileBytes };
}

/**
 * The bytes of a chunk's file, unchecked, and its path.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is missing, or as the storage
 */
export async function readChunkFile(
  snapshot: StoredSnapshot,
  chunk: string,
): Promise<{ path: string; bytes: Uint8Array }> {
  const path = `${snapshot.location}/${chunkFile(chunk)}`;
  const bytes = await snapshot
    .read(chunkFile(chunk), MAX_CHUNK_FILE_BYTES)
    .catch(missingChunk(snapshot, chunk));
  return { path, bytes };
}

/** What to do with what a storage throws when it is asked for a chunk: one that is not there is missing, or gone. */
export function missingChunk(
  snapshot: StoredSnapshot,
  chunk: string,
): (cause: unknown) => Promise<never> {
  return async (cause) => {
    if (!(cause instanceof NotFoundError)) throw cause;
    await refuseGone(snapshot, cause);
    return damaged('a chunk is missing', {
      path: `${snapshot.location}/${chunkFile(chunk)}`,
      cause,
    });
  };
}
