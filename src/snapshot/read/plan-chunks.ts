/** The chunks of a stored snapshot and their expected entries, from its list of entries. */
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { readEntries, type SnapshotEntry } from '../entries.ts';
import { chunkFile, damaged, MAX_CHUNK_ENTRIES, maxChunkBytes } from '../layout.ts';
import { moduleNames, type SnapshotManifest } from '../manifest.ts';
import { moduleOf } from '../module-contract.ts';

/** A chunk and its entries, which are adjacent in the list. */
export interface PlannedChunk {
  readonly chunk: string;
  readonly entries: readonly SnapshotEntry[];
}

/**
 * The chunks of a snapshot in order, from its list of entries; reads no chunk. The chunks of a module are adjacent, and
 * modules are in the order of their names.
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
  const maxBytes = maxChunkBytes(manifest.version);
  for await (const entry of readEntries(snapshot, manifest, codec)) {
    const [first] = entries;
    const isNew = first?.chunk !== entry.chunk;
    const module = moduleOf(entry.name);
    if (
      module !== section &&
      (!isNew || module < section || !Object.hasOwn(manifest.modules, module))
    ) {
      damaged('the list of entries has an entry outside the section of its module', {
        path: snapshot.location,
        expected: moduleNames(manifest.modules).join(', '),
        found: entry.name.slice(0, 200),
      });
    }
    section = module;
    if (first !== undefined && isNew) {
      yield planned(first.chunk, entries);
      entries = [];
      bytes = 0;
    }
    if (isNew) {
      if (named.has(entry.chunk)) {
        // Entry names are unique and are part of the bytes, so no two chunks are equal.
        damaged('the list of entries names a chunk in two places', {
          path: chunkFile(entry.chunk),
        });
      }
      named.add(entry.chunk);
    }
    entries.push(entry);
    bytes += entry.size;
    if (entries.length > MAX_CHUNK_ENTRIES || bytes > maxBytes) {
      damaged('a chunk has more entries or bytes than the format allows', {
        path: chunkFile(entry.chunk),
      });
    }
  }
  const [first] = entries;
  if (first !== undefined) yield planned(first.chunk, entries);
  if (named.size !== manifest.chunks.count) {
    damaged('the snapshot does not have the number of chunks that its manifest says', {
      path: snapshot.location,
      expected: manifest.chunks.count,
      found: named.size,
    });
  }
}

/** @throws {VerificationError} `SNAPSHOT_DAMAGED` if nothing in the chunk is used */
function planned(chunk: string, entries: readonly SnapshotEntry[]): PlannedChunk {
  if (entries.some(({ unused }) => unused !== true)) return { chunk, entries };
  return damaged('the list of entries names a chunk of which nothing is used', {
    path: chunkFile(chunk),
  });
}
