/** Writes the payloads of the extension `swingset` from an export. */
import { createHash } from 'node:crypto';
import { closeSync, readSync, writeSync } from 'node:fs';
import { VerificationError } from '../../../errors.ts';
import { openScratchFile } from '../../../io/files/scratch.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ExportSink,
} from '../../../swing-store-export/swing-store-export.ts';
import type { ChunkStream } from '../stream/chunk-stream.ts';
import { artifactHead } from '../stream/encode-item.ts';

const PIECE_BYTES = 1024 * 1024;

export interface ArtifactSinkOptions {
  /** Directory for scratch files of artifacts whose size is known only at their end. */
  readonly scratchDir: string;
  /** Hash of the export data in the stores; the export must have the same. */
  readonly exportDataHash: string;
  /** Names the export in errors. */
  readonly location: string;
  /** Receives the name and size of each artifact. */
  readonly onArtifact: (name: string, size: number) => void;
}

/**
 * A sink for artifacts that the export data in the stores proves. It does not write the export data of the export, but
 * compares it with that of the stores.
 * @throws {VerificationError} `EXPORT_DATA` if they differ, before any artifact is written
 */
export function artifactSink(stream: ChunkStream, options: ArtifactSinkOptions): ExportSink<void> {
  const hash = createHash('sha256');
  let isCompared = false;
  const compare = (): void => {
    if (isCompared) return;
    isCompared = true;
    const found = hash.digest('hex');
    if (found === options.exportDataHash) return;
    throw new VerificationError(
      'EXPORT_DATA',
      'the export and the stores have different export data',
      {
        path: options.location,
        expected: options.exportDataHash,
        found,
        hint: 'name an export of the same commit as the state-sync snapshot',
      },
    );
  };
  return {
    writeExportData: async (block) => {
      hash.update(block);
    },
    writeArtifact: async (name, content) => {
      compare();
      const size = await writePayload(stream, name, content, options.scratchDir);
      options.onArtifact(name, size);
    },
    finish: async () => {
      compare();
    },
    abort: async () => undefined,
  };
}

async function writePayload(
  stream: ChunkStream,
  name: string,
  content: ArtifactContent,
  scratchDir: string,
): Promise<number> {
  if ('bytes' in content) {
    await stream.write(artifactHead(name, content.bytes.length));
    await stream.write(content.bytes);
    return content.bytes.length;
  }
  // The length precedes the content, but is known only once the artifact has been read and checked to its end.
  const file = openScratchFile(scratchDir);
  try {
    let size = 0;
    for await (const piece of piecesOf(content)) {
      for (let at = 0; at < piece.length;) at += writeSync(file, piece, at);
      size += piece.length;
    }
    await stream.write(artifactHead(name, size));
    for (let at = 0; at < size;) {
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, size - at));
      const read = readSync(file, piece, 0, piece.length, at);
      if (read === 0) throw new Error('a scratch file is shorter than what was written to it');
      at += read;
      await stream.write(piece.subarray(0, read));
    }
    return size;
  } finally {
    closeSync(file);
  }
}
