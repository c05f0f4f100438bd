/**
 * Limits how far the compressed bytes of a state-sync snapshot may expand.
 *
 * Every leaf of a chain has a unique key, and most leaves hold hashes and addresses: stores deflate to a third or a
 * fifth. Heap snapshots deflate to a tenth, and transcripts, whose lines are numbered, to a thirtieth at most. Only a
 * heap full of zeros, which a contract can make, deflates to a thousandth. Such a heap has at most 2 GB, and follows
 * the stores, which take at least 20 MB on any chain with a kernel.
 */
import { ExpansionLimit, type ExpansionBounds } from '../../../io/bytes/expansion-limit.ts';
import { damaged } from '../layout.ts';

const MIB = 1024 * 1024;

/** For the stream, and the gzipped byte code in it. */
const STREAM: ExpansionBounds = { freeBytes: 256 * MIB, ratio: 100 };
/** For an archive, whose chunks are already deflated. */
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
    damaged('the compressed bytes expand more than is allowed', {
      path,
      ...facts,
    }),
  );
}
