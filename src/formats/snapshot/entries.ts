/** `entries.jsonl.zst`: one line per entry of a chunk, in the order of reading, in frames of about 1 MiB. */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { readZstdFrames } from '../../io/zstd/read-frames.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { wholeLines } from '../../io/lines.ts';
import type { StoredSnapshot } from '../../storage/contract.ts';
import type { ArtifactDigest } from '../../swing-store-export/swing-store-export.ts';
import { damaged, ENTRIES_FILE, MAX_CHUNK_BYTES, MAX_ENTRIES_FRAME_BYTES } from './layout.ts';
import type { SnapshotManifest } from './manifest.ts';

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/u));

const entrySchema = v.strictObject({
  /** SHA-256 of the chunk's file. */
  chunk: sha256,
  /** Name of the tar entry. */
  name: v.pipe(v.string(), v.maxLength(1024)),
  size: v.pipe(size, v.maxValue(MAX_CHUNK_BYTES)),
  sha256,
  /** On the last (or only) entry of an artifact: the whole of it. */
  artifact: v.optional(
    v.strictObject({
      name: v.pipe(v.string(), v.maxLength(1024)),
      size,
      sha256,
      identity: v.string(),
    }),
  ),
});

/** One entry of a chunk. Sizes in bytes, hashes as lower-case hex SHA-256. */
export interface SnapshotEntry extends ArtifactDigest {
  readonly chunk: string;
  readonly name: string;
  readonly artifact?:
    (ArtifactDigest & { readonly name: string; readonly identity: string }) | undefined;
}

const FRAME_RAW_BYTES = 1024 * 1024;
const MAX_FRAME_RAW_BYTES = 2 * FRAME_RAW_BYTES;

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

  /** @returns a frame, when enough lines have come together */
  add(entry: SnapshotEntry): Uint8Array | undefined {
    const line = `${JSON.stringify(entry)}\n`;
    this.#lines.push(line);
    this.#length += line.length;
    this.count += 1;
    return this.#length >= FRAME_RAW_BYTES ? this.finish() : undefined;
  }

  /** @returns the frame of the lines that are left; of none if there are none */
  finish(): Uint8Array {
    const frame = this.#codec.compress(Buffer.from(this.#lines.join('')), this.#level);
    this.#lines = [];
    this.#length = 0;
    return frame;
  }
}

/**
 * The entries of a snapshot, as their file gives them, which must be the one that the manifest names.
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`
 */
export async function* readEntries(
  snapshot: StoredSnapshot,
  manifest: SnapshotManifest,
  codec: ZstdCodec,
): AsyncGenerator<SnapshotEntry> {
  const path = `${snapshot.location}/${ENTRIES_FILE}`;
  const hash = createHash('sha256');
  async function* hashed(): AsyncGenerator<Uint8Array> {
    let size = 0;
    for await (const piece of snapshot.stream(ENTRIES_FILE)) {
      hash.update(piece);
      size += piece.length;
      yield piece;
    }
    const found = hash.digest('hex');
    const { entries } = manifest;
    if (found !== entries.sha256 || size !== entries.size) {
      damaged('the list of entries has another hash', {
        path,
        expected: `${entries.sha256}, ${String(entries.size)} bytes`,
        found: `${found}, ${String(size)} bytes`,
      });
    }
  }
  async function* raw(): AsyncGenerator<Uint8Array> {
    for await (const frame of readZstdFrames(hashed(), {
      maxFrameBytes: MAX_ENTRIES_FRAME_BYTES,
    })) {
      yield codec.decompress(frame, MAX_FRAME_RAW_BYTES);
    }
  }
  let count = 0;
  for await (const block of wholeLines(raw(), path)) {
    for (const line of block.toString().split('\n').slice(0, -1)) {
      count += 1;
      yield decodeEntry(line, path);
    }
  }
  if (count !== manifest.entries.count) {
    damaged('the list of entries has another length', {
      path,
      expected: manifest.entries.count,
      found: count,
    });
  }
}

function decodeEntry(line: string, path: string): SnapshotEntry {
  try {
    return v.parse(entrySchema, JSON.parse(line));
  } catch (cause) {
    return damaged('a line of the list of entries is no entry', {
      path,
      found: line.slice(0, 200),
      cause,
    });
  }
}
