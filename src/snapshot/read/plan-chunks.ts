/** Which chunks a stored snapshot has, and which entries each of them should hold, by its list of entries. */
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import { readEntries, type SnapshotEntry } from '../entries.ts';
import { chunkFile, damaged, MAX_CHUNK_BYTES, MAX_CHUNK_ENTRIES } from '../layout.ts';
import { moduleNames, type SnapshotManifest } from '../manifest.ts';
import { moduleOf } from '../module-contract.ts';

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
