/** `entries.jsonl.zst`: one line per entry of a chunk, in reading order, in frames of about 1 MiB. */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { NotFoundError } from '../errors.ts';
import { cutAround } from '../io/first-difference.ts';
import type { ZstdCodec } from '../io/zstd/codec.ts';
import { readZstdFrames } from '../io/zstd/read-frames.ts';
import type { StoredSnapshot } from '../storage/contract.ts';
import type { ArtifactDigest } from '../swing-store-export/swing-store-export.ts';
import { refuseGone } from './gone.ts';
import {
  damaged,
  ENTRIES_FILE,
  MAX_CHUNK_BYTES,
  MAX_ENTRIES_FRAME_BYTES,
  MAX_ENTRIES_FRAME_RAW_BYTES,
  MAX_NAME_UNITS,
  refuseUnreadable,
} from './layout.ts';
import type { SnapshotManifest } from './manifest.ts';

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/u));

const name = v.pipe(v.string(), v.maxLength(MAX_NAME_UNITS));

// In the order of a line's fields.
const entrySchema = v.strictObject({
  /** SHA-256 of the chunk's file. */
  chunk: sha256,
  /** Name of the tar entry. */
  name,
  size: v.pipe(size, v.maxValue(MAX_CHUNK_BYTES)),
  sha256,
  /** On the last (or only) entry of an artifact: the whole artifact. */
  artifact: v.optional(
    v.strictObject({
      name,
      size,
      sha256,
      /** Names the content by its record in the export data; see `artifactIdentity`. */
      identity: name,
    }),
  ),
  /** Version 2: its chunk holds it, but the snapshot has no use for it. Such an entry has no artifact. */
  unused: v.optional(v.literal(true)),
});

/** A whole artifact. `identity` names its content: artifacts with the same identity hold the same bytes. */
export interface SnapshotArtifact extends ArtifactDigest {
  readonly name: string;
  readonly identity: string;
}

/** One entry of a chunk. Sizes in bytes, hashes as lower-case hex SHA-256. */
export interface SnapshotEntry extends ArtifactDigest {
  readonly chunk: string;
  readonly name: string;
  readonly artifact?: SnapshotArtifact | undefined;
  readonly unused?: true | undefined;
}

const FRAME_RAW_BYTES = 1024 * 1024;

/** Gathers lines into compressed frames. */
export class EntriesWriter {
  readonly #codec: ZstdCodec;
  readonly #level: number;
  #lines: string[] = [];
  #length = 0;
  count = 0;

  constructor(codec: ZstdCodec, level: number) {
    this.#codec = codec;
    this.#level = level;
  }

  /** @returns a frame, once there are enough lines */
  add(entry: SnapshotEntry): Uint8Array | undefined {
    const line = `${JSON.stringify(entry)}\n`;
    this.#lines.push(line);
    // Bytes, not UTF-16 units: a reader accepts at most twice this limit.
    this.#length += Buffer.byteLength(line);
    this.count += 1;
    return this.#length >= FRAME_RAW_BYTES ? this.#frame() : undefined;
  }

  /** @returns the frame of the remaining lines, if there are any; an empty list is one empty frame */
  finish(): Uint8Array | undefined {
    return this.#lines.length > 0 || this.count === 0 ? this.#frame() : undefined;
  }

  #frame(): Uint8Array {
    const frame = this.#codec.compress(Buffer.from(this.#lines.join('')), this.#level);
    this.#lines = [];
    this.#length = 0;
    return frame;
  }
}

/**
 * The entries of a snapshot, from its list, whose hash must match the manifest. They are yielded before the hash of the
 * whole file is known: the caller must not make anything visible before the iteration ends.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`
 */
export async function* readEntries(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
): AsyncGenerator<SnapshotEntry> {
  const path = `${snapshot.location}/${ENTRIES_FILE}`;
  const expected = manifest.entries;
  let count = 0;
  try {
    const frames = readZstdFrames(checked(snapshot, expected, path), {
      maxFrameBytes: MAX_ENTRIES_FRAME_BYTES,
    });
    for await (const frame of frames) {
      const raw = codec.decompress(frame, MAX_ENTRIES_FRAME_RAW_BYTES);
      for (const line of linesOfFrame(raw, expected.count, path)) {
        count += 1;
        if (count > expected.count) refuseCount(path, expected.count, count);
        const entry = decodeEntry(line, path);
        if (entry.unused === true && (manifest.version === 1 || entry.artifact !== undefined)) {
          damaged('a line of the list of entries is not an entry', {
            path,
            expected: 'no unused entry in version 1, and no artifact in an unused one',
            found: line.slice(0, 200),
          });
        }
        yield entry;
      }
    }
  } catch (cause) {
    if (cause instanceof NotFoundError) {
      await refuseGone(snapshot, cause);
      damaged('the list of entries is missing', { path, cause });
    }
    refuseUnreadable(cause, 'the list of entries', path);
  }
  if (count !== expected.count) refuseCount(path, expected.count, count);
}

function refuseCount(path: string, expected: number, found: number): never {
  return damaged('the list of entries has the wrong number of lines', { path, expected, found });
}

/** The bytes of the list. Throws at the end if their hash or size is wrong. */
async function* checked(
  snapshot: StoredSnapshot,
  expected: ArtifactDigest,
  path: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of snapshot.stream(ENTRIES_FILE)) {
    hash.update(piece);
    size += piece.length;
    yield piece;
  }
  const found = hash.digest('hex');
  if (found !== expected.sha256 || size !== expected.size) {
    damaged('the list of entries has the wrong hash', {
      path,
      expected: `${expected.sha256}, ${expected.size} bytes`,
      found: `${found}, ${size} bytes`,
    });
  }
}

/** A frame holds whole lines, so no line is longer than a frame. */
function linesOfFrame(raw: Uint8Array, entries: number, path: string): string[] {
  if (raw.length === 0 && entries === 0) return [];
  if (raw.at(-1) !== 0x0a || !isUtf8(raw)) {
    damaged('a frame of the list of entries does not hold whole lines', { path });
  }
  return Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString().split('\n').slice(0, -1);
}

function decodeEntry(line: string, path: string): SnapshotEntry {
  const entry = parseEntry(line, path);
  // Only one text is valid for an entry, so that a reader that matches patterns, such as a shell script, agrees with us.
  if (JSON.stringify(entry) !== line) {
    const [expected, found] = cutAround(JSON.stringify(entry), line, 200);
    damaged('a line of the list of entries is not in canonical form', { path, expected, found });
  }
  return entry;
}

function parseEntry(line: string, path: string): SnapshotEntry {
  try {
    return v.parse(entrySchema, JSON.parse(line), { abortEarly: true });
  } catch (cause) {
    return damaged('a line of the list of entries is not an entry', {
      path,
      found: line.slice(0, 200),
      cause,
    });
  }
}
