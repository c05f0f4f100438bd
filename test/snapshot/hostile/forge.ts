/**
 * Forges snapshots. Whatever is wrong with one, its hashes are right at all levels, so that only the tested check can
 * refuse it. Uses nothing of the program's own writer.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ZstdCodec } from '../../../src/io/zstd/codec.ts';
import { packTar } from '../../../src/snapshot/tar.ts';
import { computeContentHash } from '../../../src/swing-store-export/content-hash.ts';
import { ExportDataHasher } from '../../../src/swing-store-export/export-data/export-data-hasher.ts';
import { RecordIndex } from '../../../src/swing-store-export/export-data/record-index.ts';
import { parseArtifactName } from '../../../src/swing-store-export/names.ts';
import type { MadeArtifact, MadeContent } from '../made-export.ts';

export interface DraftEntry {
  name: string;
  data: Buffer;
  /** On the last entry of an artifact. */
  artifact?: { name: string; size: number; sha256: string; identity: string };
  /** Fields of the line that replace the true ones. */
  line?: Record<string, unknown>;
}

export interface DraftChunk {
  entries: DraftEntry[];
  /** Instead of the tar of the entries. */
  tar?: Buffer;
  /** Instead of the compressed tar. */
  file?: Buffer;
  /** Entries in the list, if they differ from those in the tar. */
  listed?: DraftEntry[];
}

/** The parts of a manifest that cases change. */
export interface DraftManifest {
  [field: string]: unknown;
  format: string;
  version: number;
  height: number;
  contentHash: string;
  modules: {
    [module: string]: unknown;
    swingset: {
      artifactMode: string;
      exportDataHash: string;
      operationalHash: string;
      exportData: { entries: number; size: number };
      artifacts: { count: number; size: number };
    };
  };
  entries: { count: number; size: number; sha256: string };
  chunks: { count: number; size: number };
  made: Record<string, unknown>;
}

export interface Draft {
  codec: ZstdCodec;
  content: MadeContent;
  chunks: DraftChunk[];
  /** Changes the lines of the list, without newlines. */
  lines?: (lines: string[]) => string[];
  /** Makes the file of the list from its text. */
  list?: (text: Buffer) => Uint8Array;
  /** Changes the manifest, last. */
  manifest?: (manifest: DraftManifest) => void;
  /** Makes the text of the manifest. */
  text?: (manifest: DraftManifest) => string;
}

export const sha256 = (data: Uint8Array | string): string =>
  createHash('sha256').update(data).digest('hex');

const PART = 4 * 1024 * 1024;

export function segmentEntry(data: Buffer): DraftEntry {
  return { name: `swingset/export-data/${sha256(data)}.jsonl`, data };
}

/** The entries of an artifact, split at 4 MiB. */
export function artifactEntries(artifact: MadeArtifact): DraftEntry[] {
  const { name, data, identity } = artifact;
  const whole = { name, size: data.length, sha256: sha256(data), identity };
  const prefix = 'swingset/artifacts/';
  if (data.length <= PART) return [{ name: prefix + name, data, artifact: whole }];
  const stem = name.startsWith('transcript.') ? name.replace(/\.\d+$/u, '') : name;
  const entries: DraftEntry[] = [];
  for (let part = 0; part * PART < data.length; part += 1) {
    const piece = data.subarray(part * PART, (part + 1) * PART);
    entries.push({ name: `${prefix}${stem}/${String(part).padStart(6, '0')}`, data: piece });
  }
  entries.at(-1)!.artifact = whole;
  return entries;
}

/** An honest draft: one segment, each part in a chunk of its own, all small artifacts in one chunk. */
export function draftOf(content: MadeContent, codec: ZstdCodec): Draft {
  const small = content.artifacts.filter(({ data }) => data.length <= PART);
  const large = content.artifacts.filter(({ data }) => data.length > PART);
  return {
    codec,
    content,
    chunks: [
      { entries: [segmentEntry(Buffer.from(content.lines.join('')))] },
      ...large.flatMap((artifact) =>
        artifactEntries(artifact).map((entry) => ({ entries: [entry] })),
      ),
      { entries: small.flatMap(artifactEntries) },
    ],
  };
}

/** The files of a draft, by their path in the snapshot. */
export async function forge(draft: Draft): Promise<Map<string, Uint8Array>> {
  const { codec } = draft;
  const files = new Map<string, Uint8Array>();
  const lines: string[] = [];
  const hashes = new Set<string>();
  let size = 0;
  for (const { entries, tar, file, listed } of draft.chunks) {
    const bytes = file ?? codec.compress(tar ?? (await packTar(entries)), 3);
    const chunk = sha256(bytes);
    files.set(`chunks/${chunk}.tar.zst`, bytes);
    if (!hashes.has(chunk)) size += bytes.length;
    hashes.add(chunk);
    for (const { name, data, artifact, line } of listed ?? entries) {
      const entry = { chunk, name, size: data.length, sha256: sha256(data), ...line };
      lines.push(JSON.stringify(artifact === undefined ? entry : { ...entry, artifact }));
    }
  }
  const kept = draft.lines?.(lines) ?? lines;
  const text = Buffer.from(kept.map((line) => `${line}\n`).join(''));
  const list = draft.list?.(text) ?? codec.compress(text, 3);
  files.set('entries.jsonl.zst', list);
  const manifest: DraftManifest = {
    format: 'swingsnap-snapshot',
    version: 1,
    height: draft.content.height,
    ...trueHashes(draft),
    entries: { count: kept.length, size: list.length, sha256: sha256(list) },
    chunks: { count: hashes.size, size },
    made: { by: 'a forger', codec: codec.name, level: 3, chunkSize: PART },
  };
  draft.manifest?.(manifest);
  const manifestText = draft.text?.(manifest) ?? `${JSON.stringify(manifest, null, 2)}\n`;
  files.set('manifest.json', Buffer.from(manifestText));
  return files;
}

/** The hashes that an honest writer would give for the entries, as far as they have content. */
function trueHashes({ chunks, content }: Draft): Pick<DraftManifest, 'contentHash' | 'modules'> {
  const entries = chunks.flatMap((chunk) => chunk.listed ?? chunk.entries);
  const segments = entries.filter(({ name }) => name.startsWith('swingset/export-data/'));
  const exportData = Buffer.concat(segments.map(({ data }) => data));
  const artifacts = entries.flatMap(({ artifact }) => artifact ?? []);
  const index = new RecordIndex(os.tmpdir());
  let hashes = { exportDataHash: sha256(exportData), operationalHash: '0'.repeat(64) };
  let contentHash = '0'.repeat(64);
  try {
    const hasher = new ExportDataHasher(index);
    hasher.add(exportData);
    hashes = hasher.finish();
    for (const artifact of artifacts) {
      index.notePresent(parseArtifactName(artifact.name), artifact, true);
    }
    contentHash = computeContentHash(content.height, hashes.exportDataHash, index.present());
  } catch {
    // Too wrong to have an honest hash.
  } finally {
    index.close();
  }
  const { exportDataHash, operationalHash } = hashes;
  const newlines = exportData.reduce((sum, byte) => sum + (byte === 0x0a ? 1 : 0), 0);
  const swingset = {
    artifactMode: content.artifactMode,
    exportDataHash,
    operationalHash,
    exportData: { entries: newlines, size: exportData.length },
    artifacts: {
      count: artifacts.length,
      size: artifacts.reduce((sum, { size }) => sum + size, 0),
    },
  };
  return { contentHash, modules: { swingset } };
}

/** Makes a directory and writes files into it. */
export async function writeFiles(
  dir: string,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  for (const [name, bytes] of files) {
    const file = path.join(dir, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
}
