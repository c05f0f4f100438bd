/** Exports made up in memory, with true records, so that tests of the format need no store. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { updateSpanHash } from '../../src/swing-store-export/artifact/verify-artifact.ts';
import type { ArtifactMode } from '../../src/swing-store-export/artifact-mode.ts';
import type { SwingStoreExport } from '../../src/swing-store-export/swing-store-export.ts';

export interface MadeVat {
  readonly vatID: string;
  /** The heap snapshot in use, taken at the start of the current span. */
  readonly heap?: Buffer;
  /** Items of each span; the last is the current one. */
  readonly spans: readonly (readonly string[])[];
}

export interface MadeSpec {
  readonly height?: number;
  readonly artifactMode?: ArtifactMode;
  readonly kv?: Readonly<Record<string, string>>;
  /** Sorted by id. */
  readonly vats?: readonly MadeVat[];
}

export interface MadeArtifact {
  readonly name: string;
  readonly data: Buffer;
  readonly identity: string;
}

/** The content of an export, in canonical order. */
export interface MadeContent {
  readonly height: number;
  readonly artifactMode: ArtifactMode;
  /** Lines with their newlines. */
  readonly lines: readonly string[];
  readonly artifacts: readonly MadeArtifact[];
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

const spanHash = (items: readonly string[]): string =>
  items.reduce(updateSpanHash, sha256('start of transcript span'));

/** Every span and every heap snapshot is an artifact, so the mode is `archival` unless the spec says otherwise. */
export function makeContent(spec: MadeSpec): MadeContent {
  const { kv = {}, vats = [], height = 7, artifactMode = 'archival' } = spec;
  const entries: [string, string][] = Object.entries(kv)
    .map(([key, value]): [string, string] => [`kv.${key}`, value])
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const artifacts: MadeArtifact[] = [];
  for (const { vatID, heap, spans } of vats) {
    if (heap === undefined) continue;
    const snapPos = spans.slice(0, -1).flat().length;
    const name = `snapshot.${vatID}.${snapPos}`;
    const hash = sha256(heap);
    entries.push([name, JSON.stringify({ vatID, snapPos, hash, inUse: 1 })]);
    entries.push([`snapshot.${vatID}.current`, name]);
    artifacts.push({ name, data: heap, identity: `heap:${hash}` });
  }
  for (const { vatID, spans } of vats) {
    let startPos = 0;
    for (const [i, items] of spans.entries()) {
      const endPos = startPos + items.length;
      const isCurrent = i === spans.length - 1 ? 1 : 0;
      const hash = spanHash(items);
      entries.push([
        `transcript.${vatID}.${isCurrent ? 'current' : startPos}`,
        JSON.stringify({ vatID, startPos, endPos, hash, isCurrent, incarnation: 0 }),
      ]);
      artifacts.push({
        name: `transcript.${vatID}.${startPos}.${endPos}`,
        data: Buffer.from(items.map((item) => `${item}\n`).join('')),
        identity: `span:${hash}:${endPos}`,
      });
      startPos = endPos;
    }
  }
  const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`);
  return { height, artifactMode, lines, artifacts };
}

/** The content as an export that can be copied. */
export function openContent(content: MadeContent): SwingStoreExport {
  const { height, artifactMode, lines, artifacts } = content;
  return {
    location: 'made up',
    height,
    artifactMode,
    estimate: () => ({}),
    async *exportData() {
      for (let at = 0; at < lines.length; at += 100) {
        yield Buffer.from(lines.slice(at, at + 100).join(''));
      }
    },
    async *artifacts() {
      for (const { name, data } of artifacts) {
        yield {
          name,
          async *data() {
            for (let at = 0; at < data.length; at += 1_000_003) {
              yield data.subarray(at, at + 1_000_003);
            }
          },
        };
      }
    },
    close: async () => undefined,
  };
}

/** The content as an export directory, written as the reference would. */
export async function writeExportDir(dir: string, content: MadeContent): Promise<string> {
  const { height, artifactMode, lines, artifacts } = content;
  await mkdir(dir, { recursive: true });
  await writeFile(path.join(dir, 'export-data.jsonl'), lines.join(''));
  for (const { name, data } of artifacts) await writeFile(path.join(dir, name), data);
  const manifest = {
    blockHeight: height,
    artifactMode,
    artifacts: artifacts.map(({ name }) => [name, name]),
    data: 'export-data.jsonl',
  };
  await writeFile(path.join(dir, 'export-manifest.json'), JSON.stringify(manifest));
  return dir;
}

/** Text that hardly compresses; the same seed gives the same text. */
export function noise(bytes: number, seed: number | string): string {
  let text = '';
  for (let i = 0; text.length < bytes; i += 1) text += sha256(`${seed}/${i}`);
  return text.slice(0, bytes);
}

const MIB = 1024 * 1024;

/** A small export with two artifacts that chunks of 4 MiB split; `v1` has history. */
export const splitSpec: MadeSpec = {
  kv: { 'vat.names': '["one","two"]', odd: 'line\nbreak \u2028 \u{1f600} "' },
  vats: [
    {
      vatID: 'v1',
      heap: Buffer.alloc(9 * MIB, 'heap '),
      spans: [
        ['one', 'two'],
        ['"'.repeat(3 * MIB), 'x'.repeat(2 * MIB)],
      ],
    },
    { vatID: 'v2', spans: [['only']] },
  ],
};

/** A small export without split artifacts. */
export const smallSpec: MadeSpec = {
  kv: { a: '1', b: '2', c: '3' },
  vats: [
    { vatID: 'v1', heap: Buffer.from('heap of v1'), spans: [['one', 'two'], ['three']] },
    { vatID: 'v2', spans: [['four']] },
  ],
};

/** Keys for several segments of export data. */
export const severalSegments = Object.fromEntries(
  Array.from({ length: 3000 }, (_, i) => [`k${String(i).padStart(5, '0')}`, noise(1000, i)]),
);

/** Vats with heaps of 1 MiB and more that share nothing. */
export const sixVats: readonly MadeVat[] = Array.from({ length: 6 }, (_, i) => ({
  vatID: `v${i}`,
  heap: Buffer.from(noise(1024 * 1024 + i, `heap ${i}`)),
  spans: [['one'], ['two']],
}));
