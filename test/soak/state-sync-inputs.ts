/** Small state-sync snapshots, with little content in many pieces, or much content in few. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDeflate, gzipSync } from 'node:zlib';
import {
  artifactPayload,
  bytesField,
  extensionItem,
  nodeItem,
  payloadItem,
  sized,
  storeItem,
  uvarint,
  writeArchive,
} from '../fixtures/state-sync/make-snapshot.ts';
import { bundles } from './bundle-inputs.ts';
import type { Input } from './input.ts';

const HEIGHT = 900;
const MB = 1_000_000;
type Leaf = readonly [key: string, value: Buffer | string];
type Items = Iterable<Buffer>;

const repeated = (count: number, of: (i: number) => Buffer): Items => ({
  *[Symbol.iterator]() {
    for (let i = 0; i < count; i += 1) yield of(i);
  },
});

const joined = (...parts: readonly Items[]): Items => ({
  *[Symbol.iterator]() {
    for (const part of parts) yield* part;
  },
});

/** A message with `size` times the same byte in one field, without one buffer for all of them. */
function* zerosItem(key: string, size: number, byte: number): Generator<Buffer> {
  const head = Buffer.concat([bytesField(1, Buffer.from(key)), Buffer.of(0x12), uvarint(size)]);
  const tail = Buffer.of(0x18, 1);
  const body = head.length + size + tail.length;
  const before = Buffer.concat([Buffer.of(0x12), uvarint(body)]);
  yield Buffer.concat([uvarint(before.length + body), before, head]);
  const piece = Buffer.alloc(MB, byte);
  for (let left = size; left > 0; left -= MB) yield piece.subarray(0, left);
  yield tail;
}

/** A store as an honest chain has it: leaves in the order of their keys, with a tree above them. */
function* store(name: string, leaves: Iterable<Leaf>): Generator<Buffer> {
  const sorted = [...leaves].sort(([a], [b]) => (a < b ? -1 : 1));
  yield sized(storeItem(name));
  const grow = function* grow(from: number, to: number): Generator<Buffer, number> {
    const [key = '', value = ''] = sorted[from] ?? [];
    if (to - from === 1) {
      const node = { key: Buffer.from(key), value: Buffer.from(value), version: 1, height: 0 };
      yield sized(nodeItem(node));
      return 0;
    }
    const middle = (from + to) >> 1;
    const [left, right] = [yield* grow(from, middle), yield* grow(middle, to)];
    const height = Math.max(left, right) + 1;
    const smallest = Buffer.from(sorted[middle]?.[0] ?? '');
    yield sized(nodeItem({ key: smallest, value: Buffer.alloc(0), version: 1, height }));
    return height;
  };
  if (sorted.length > 0) yield* grow(0, sorted.length);
}

/** The same bytes in larger pieces, to save calls. */
function* inPieces(items: Items): Generator<Buffer> {
  let piece: Buffer[] = [];
  let size = 0;
  for (const item of items) {
    piece.push(item);
    size += item.length;
    if (size < MB) continue;
    yield Buffer.concat(piece);
    piece = [];
    size = 0;
  }
  yield Buffer.concat(piece);
}

/** Writes a snapshot of one chunk, and returns the arguments that verify it. */
async function chunk(dir: string, items: Items): Promise<string[]> {
  const home = join(dir, String(HEIGHT), '3');
  await mkdir(home, { recursive: true });
  const file = await open(join(home, '0'), 'w');
  const deflate = createDeflate({ level: 9 });
  const writing = (async () => {
    for await (const piece of deflate as AsyncIterable<Buffer>) await file.write(piece);
  })();
  for (const item of inPieces(items)) {
    if (!deflate.write(item)) await new Promise<void>((resolve) => deflate.once('drain', resolve));
  }
  deflate.end();
  await writing;
  await file.close();
  return ['verify', home];
}

async function archive(dir: string, items: Items): Promise<string[]> {
  const [, home = ''] = await chunk(dir, items);
  const path = await writeArchive(dir, HEIGHT, 3, [await readFile(join(home, '0'))]);
  return ['verify', path];
}

const payloads = (name: string, count: number, of: (i: number) => Buffer): Items =>
  joined(
    [sized(extensionItem(name, 1))],
    repeated(count, (i) => sized(payloadItem(of(i)))),
  );

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

/** Records of `count` spans of `items` items each, and the spans. */
function spans(count: number, items: number, span: string, hash: string): Items {
  const record = (i: number): Leaf => [
    i === count - 1 ? 'swingStore.transcript.v1.current' : `swingStore.transcript.v1.${i * items}`,
    JSON.stringify({
      ...{ vatID: 'v1', startPos: i * items, endPos: (i + 1) * items, hash },
      isCurrent: i === count - 1 ? 1 : 0,
      incarnation: 0,
    }),
  ];
  return joined(
    store(
      'swingset',
      Array.from({ length: count }, (_, i) => record(i)),
    ),
    payloads('swingset', count, (i) =>
      artifactPayload(`transcript.v1.${i * items}.${(i + 1) * items}`, Buffer.from(span)),
    ),
  );
}

function bundle(id: string, bytes: Buffer): Items {
  return joined(
    store('swingset', [[`swingStore.bundle.${id}`, id]]),
    payloads('swingset', 1, () => artifactPayload(`bundle.${id}`, bytes)),
  );
}

/** @param random gives numbers from 0 to below 1 */
export function stateSyncInputs(random: () => number): readonly Input[] {
  const about = (size: number): number => Math.ceil(size * (0.7 + 0.6 * random()));
  const named = (name: string, items: () => Items): Input[] => [
    { name: `state-sync chunk: ${name}`, make: async (dir) => chunk(dir, items()) },
    { name: `state-sync archive: ${name}`, make: async (dir) => archive(dir, items()) },
  ];
  const kv = (count: number): Leaf[] =>
    Array.from({ length: count }, (_, i) => [`swingStore.kv.${i}`, '1']);
  const prefix = 'k'.repeat(1_000_000);
  const emptySpan = sha256('start of transcript span');
  return [
    ...named('a leaf of zeros', () =>
      joined([sized(storeItem('bank'))], zerosItem('a', about(900 * MB), 0)),
    ),
    ...named('a line of control characters', () =>
      joined([sized(storeItem('swingset'))], zerosItem('swingStore.kv.a', 63 * MB, 1)),
    ),
    ...named('a large code', () =>
      joined([sized(storeItem('wasm'))], zerosItem('\u0001aaaaaaaa', about(200 * MB), 10)),
    ),
    ...named('empty stores', () =>
      repeated(10_000, (i) => sized(storeItem(`${'s'.repeat(1000)}${String(i).padStart(6, '0')}`))),
    ),
    ...named('long keys that differ only at their end', () =>
      store(
        'bank',
        Array.from({ length: 120 }, (_, i) => [`${prefix}${String(i).padStart(3, '0')}`, '']),
      ),
    ),
    ...named('leaves without a tree', () =>
      joined(
        [sized(storeItem('bank'))],
        repeated(about(0.3 * MB), (i) => {
          const key = Buffer.alloc(8);
          key.writeUInt32BE(i + 1, 4);
          return sized(nodeItem({ key, value: Buffer.alloc(0), version: 1, height: 0 }));
        }),
      ),
    ),
    ...named('small entries of export data', () => store('swingset', kv(about(60_000)))),
    ...named('empty payloads', () => payloads('other', about(4.5 * MB), () => Buffer.alloc(0))),
    ...named('empty payloads for artifacts', () =>
      payloads('swingset', about(MB), () => Buffer.alloc(0)),
    ),
    ...named('empty extensions', () =>
      repeated(about(900), (i) => sized(extensionItem(`e${i}`, 1))),
    ),
    ...named('byte code of zeros', () => {
      const code = gzipSync(Buffer.alloc(60 * MB), { level: 9 });
      return payloads('wasm', about(40), () => code);
    }),
    ...named('empty gzips', () => {
      const code = gzipSync('');
      return payloads('wasm', about(200_000), () => code);
    }),
    ...named('a span of line breaks', () => spans(1, 100 * MB, '\n'.repeat(100 * MB), emptySpan)),
    ...named('spans of line breaks', () => spans(60, MB, '\n'.repeat(MB), emptySpan)),
    ...named('spans of one item', () => spans(about(20_000), 1, 'x\n', emptySpan)),
    ...bundles(random).flatMap(({ name, id, bytes }) =>
      named(`a bundle ${name}`, () => bundle(id, bytes())),
    ),
    ...named('a bundle of zeros', () => bundle(`b1-${'0'.repeat(128)}`, Buffer.alloc(200 * MB))),
    {
      name: 'state-sync archive: a description with hashes of empty chunks',
      make: async (dir) => [
        'verify',
        await writeArchive(
          dir,
          HEIGHT,
          3,
          Array.from({ length: 20_000 }, () => Buffer.alloc(0)),
        ),
      ],
    },
  ];
}
