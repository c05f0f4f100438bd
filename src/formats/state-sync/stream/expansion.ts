/**
 * How far the compressed bytes of a state-sync snapshot may expand, whatever is in them.
 *
 * In every leaf of a chain there is a key that repeats nothing, and mostly hashes and addresses: its stores deflate to a
 * third or a fifth. Artifacts are heaps, to a tenth, and transcripts, of which each line counts, to a thirtieth at most.
 * Only a heap that is full of zeros, as a contract may make it, goes to a thousandth: it has 2 GB at most, and comes
 * behind stores that no chain with a kernel has in less than 20 MB.
 */
import { ExpansionLimit, type ExpansionBounds } from '../../../io/bytes/expansion-limit.ts';
import { damaged } from '../layout.ts';

const MIB = 1024 * 1024;

/** Of the stream, and of the byte code that is gzipped in it. */
const STREAM: ExpansionBounds = { freeBytes: 256 * MIB, ratio: 100 };
/** Of an archive: its chunks are deflated already, and deflate no more. */
const ARCHIVE: ExpansionBounds = { freeBytes: 4 * MIB, ratio: 4 };

/** @param location names the snapshot in errors */
export function streamLimit(location: string): ExpansionLimit {
  return limit(STREAM, location);
}

/** @param path names the archive in errors */
export function archiveLimit(path: string): ExpansionLimit {
  return limit(ARCHIVE, path);
}

function limit(bounds: ExpansionBounds, path: string): ExpansionLimit {
  return new ExpansionLimit(bounds, (facts) =>
    damaged('more comes out of its compressed bytes than any chain puts into them', {
      path,
      ...facts,
    }),
  );
}
