/**
 * An export of many vats, put together of the heap snapshots in other exports. Each heap comes under another vat id, with the
 * transcript that follows it, and the keys of its vat. First come all heaps that differ, of every height that the
 * exports have; then, until there is enough, what they look like later (`later-heap.ts`).
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { linesOf, wholeLines } from '../../../src/io/bytes/lines.ts';
import { laterHeap } from './later-heap.ts';

interface SpanRecord {
  readonly vatID: string;
  readonly startPos: number;
  readonly endPos: number;
  readonly hash: string;
  readonly isCurrent: number;
  readonly incarnation: number;
}

interface HeapRecord {
  readonly vatID: string;
  readonly snapPos: number;
  readonly hash: string;
  readonly inUse: number;
}

type Entry = readonly [key: string, value: string];

/** What one export tells. */
interface Content {
  readonly dir: string;
  readonly height: number;
  readonly heaps: readonly HeapRecord[];
  readonly spans: readonly SpanRecord[];
  readonly bundles: readonly Entry[];
  /** By vat; the keys of no vat under the empty name. */
  readonly keys: ReadonlyMap<string, readonly Entry[]>;
}

/** A heap snapshot that is there, with what a store needs beside it. */
interface Base {
  readonly content: Content;
  readonly heap: HeapRecord;
  /** The span that begins with the heap. */
  readonly span: SpanRecord;
}

/**
 * @param exportDirs exports of which heap snapshots are taken
 * @param bytes of all heap snapshots together, at least
 */
export async function makeLargeExport(
  exportDirs: readonly string[],
  to: string,
  bytes: number,
): Promise<void> {
  const contents: Content[] = [];
  for (const dir of exportDirs) contents.push(await contentOf(dir));
  const bases = contents.flatMap(basesOf);
  const different = [...new Map(bases.map((base) => [base.heap.hash, base])).values()];
  if (different.length === 0)
    throw new Error('the exports have no heap snapshot with its transcript');
  await mkdir(to, { recursive: true });
  const artifacts: string[] = [];
  const file = await open(join(to, 'export-data.jsonl'), 'wx');
  try {
    for (const entry of contents[0]!.keys.get('') ?? []) await writeEntry(file, entry);
    for (let made = 0, vat = 0; made < bytes; vat += 1) {
      const base = different[vat % different.length]!;
      const isFirst = vat < different.length;
      made += await addVat(
        file,
        to,
        base,
        { vatID: `v${vat + 1}`, seed: isFirst ? 0 : vat },
        artifacts,
      );
    }
    for (const { dir, bundles } of contents) {
      for (const [key, value] of bundles) {
        if (artifacts.includes(key) || !existsSync(join(dir, key))) continue;
        await copyFile(join(dir, key), join(to, key));
        await writeEntry(file, [key, value]);
        artifacts.push(key);
      }
    }
  } finally {
    await file.close();
  }
  const manifest = {
    blockHeight: contents[0]!.height,
    artifactMode: 'operational',
    artifacts: artifacts.map((name) => [name, name]),
    data: 'export-data.jsonl',
  };
  await writeFile(join(to, 'export-manifest.json'), JSON.stringify(manifest, null, 2));
}

/** @returns bytes of the heap snapshot. With the seed 0, it is the real one. */
async function addVat(
  file: FileHandle,
  to: string,
  { content, heap, span }: Base,
  { vatID, seed }: { readonly vatID: string; readonly seed: number },
  artifacts: string[],
): Promise<number> {
  const { dir, spans, keys } = content;
  const real = await readFile(join(dir, heapName(heap)));
  const bytes = seed === 0 ? real : laterHeap(real, seed);
  const hash = createHash('sha256').update(bytes).digest('hex');
  const ownHeap = { ...heap, vatID, hash, inUse: 1 };
  const ownSpan = { ...span, vatID, isCurrent: 1 };
  await writeFile(join(to, heapName(ownHeap)), bytes);
  await copyFile(join(dir, spanName(span)), join(to, spanName(ownSpan)));
  artifacts.push(heapName(ownHeap), spanName(ownSpan));
  await writeEntry(file, [heapName(ownHeap), JSON.stringify(ownHeap)]);
  await writeEntry(file, [`snapshot.${vatID}.current`, heapName(ownHeap)]);
  await writeEntry(file, [`transcript.${vatID}.current`, JSON.stringify(ownSpan)]);
  for (const earlier of spans) {
    if (earlier.vatID !== heap.vatID || earlier.startPos >= span.startPos) continue;
    const record = JSON.stringify({ ...earlier, vatID, isCurrent: 0 });
    await writeEntry(file, [`transcript.${vatID}.${earlier.startPos}`, record]);
  }
  for (const [key, value] of keys.get(heap.vatID) ?? []) {
    await writeEntry(file, [`kv.${vatID}.${key}`, value]);
  }
  return bytes.length;
}

const heapName = ({ vatID, snapPos }: HeapRecord): string => `snapshot.${vatID}.${snapPos}`;
const spanName = ({ vatID, startPos, endPos }: SpanRecord): string =>
  `transcript.${vatID}.${startPos}.${endPos}`;

async function writeEntry(file: FileHandle, entry: Entry): Promise<void> {
  await file.write(`${JSON.stringify(entry)}\n`);
}

function basesOf(content: Content): Base[] {
  const { dir, heaps, spans } = content;
  return heaps.flatMap((heap) => {
    // The kernel notes that it took the snapshot as the item at `snapPos`, and begins a span behind it.
    const span = spans.find(
      ({ vatID, startPos }) =>
        vatID === heap.vatID && [heap.snapPos, heap.snapPos + 1].includes(startPos),
    );
    const isThere =
      span !== undefined &&
      existsSync(join(dir, heapName(heap))) &&
      existsSync(join(dir, spanName(span)));
    return isThere ? [{ content, heap, span }] : [];
  });
}

async function contentOf(dir: string): Promise<Content> {
  const manifest = JSON.parse(await readFile(join(dir, 'export-manifest.json'), 'utf8')) as {
    readonly blockHeight: number;
  };
  const heaps: HeapRecord[] = [];
  const spans: SpanRecord[] = [];
  const bundles: Entry[] = [];
  const keys = new Map<string, Entry[]>();
  const file = join(dir, 'export-data.jsonl');
  const add = (line: Buffer): void => {
    const [key, value] = JSON.parse(line.toString('utf8')) as Entry;
    const ofVat = /^kv\.(v\d+)\.(.*)$/su.exec(key);
    if (key.startsWith('kv.')) {
      const [, vatID = '', rest = key] = ofVat ?? [];
      const known = keys.get(vatID) ?? [];
      known.push([rest, value]);
      keys.set(vatID, known);
    } else if (key.startsWith('bundle.')) {
      bundles.push([key, value]);
    } else if (key.startsWith('transcript.')) {
      spans.push(JSON.parse(value) as SpanRecord);
    } else if (/^snapshot\.v\d+\.\d+$/u.test(key)) {
      heaps.push(JSON.parse(value) as HeapRecord);
    }
  };
  for await (const block of wholeLines(createReadStream(file), file)) {
    for (const line of linesOf(block)) add(line);
  }
  return { dir, height: manifest.blockHeight, heaps, spans, bundles, keys };
}
