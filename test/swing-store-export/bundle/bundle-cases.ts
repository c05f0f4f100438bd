/** Bundle artifacts, sound and unsound, for a comparison of verdicts. The judge decides which are sound. */
import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { ZipReader } from '@endo/zip/reader.js';
import { COMPARTMENT_MAPS, PRECOMPILED, POLICIES } from './compartment-map-cases.ts';
import { rawZip, type RawEnd, type RawEntry } from './raw-zip.ts';

export interface BundleCase {
  readonly name: string;
  readonly bundleID: string;
  readonly bytes: Uint8Array;
}

/** JSON of any shape, for editing. */
export type Json = null | boolean | number | string | Json[] | JsonObject;

export interface JsonObject {
  [key: string]: Json;
}

const MAP = 'compartment-map.json';

export const sha512 = (content: Uint8Array | string): string =>
  createHash('sha512').update(content).digest('hex');

const b1 = (name: string, map: Uint8Array | string, bytes: Uint8Array): BundleCase => ({
  name,
  bundleID: `b1-${sha512(map)}`,
  bytes,
});

function filesOf(zip: Uint8Array): Map<string, Uint8Array> {
  const reader = new ZipReader(zip);
  return new Map([...reader.files.keys()].map((name: string) => [name, reader.read(name)]));
}

const entriesOf = (files: ReadonlyMap<string, Uint8Array>): RawEntry[] =>
  [...files].map(([name, content]) => ({ name, content }));

/** Small archives written from scratch, each with one peculiarity. */
export function* handmadeCases(): Generator<BundleCase> {
  for (const [name, { map, files }] of Object.entries(COMPARTMENT_MAPS)) {
    const text = typeof map === 'string' ? map : JSON.stringify(map);
    const entries = Object.entries(files).map(([path, content]) => ({
      name: path,
      content: Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
    }));
    yield b1(name, text, rawZip([{ name: MAP, content: Buffer.from(text) }, ...entries]));
  }
  for (const [name, policy] of Object.entries(POLICIES)) {
    const map = JSON.stringify({
      entry: { compartment: 'c', module: './a' },
      compartments: {
        c: {
          location: 'c',
          name: 'c',
          label: 'c',
          modules: { './a': { location: 'a', parser: 'text' } },
          policy,
        },
      },
    });
    const entries = [
      { name: MAP, content: Buffer.from(map) },
      { name: 'c/a', content: Buffer.from('text') },
    ];
    yield b1(`policy ${name}`, map, rawZip(entries));
  }
  for (const [name, { parser, content }] of Object.entries(PRECOMPILED)) {
    const map = JSON.stringify({
      entry: { compartment: 'c', module: './a' },
      compartments: {
        c: { location: 'c', name: 'c', label: 'c', modules: { './a': { location: 'a', parser } } },
      },
    });
    const entries = [
      { name: MAP, content: Buffer.from(map) },
      { name: 'c/a', content: Buffer.from(content) },
    ];
    yield b1(`module ${name}`, map, rawZip(entries));
  }
}

/** Zips with the files of a sound archive, and one wrong or strange thing in the zip itself. */
export function* zipCases(zip: Uint8Array): Generator<BundleCase> {
  const files = filesOf(zip);
  const map = files.get(MAP) ?? new Uint8Array();
  const entries = entriesOf(files);
  const last = entries.length - 1;
  const make = (name: string, list: readonly RawEntry[], end: RawEnd = {}) =>
    b1(`zip ${name}`, map, rawZip(list, end));
  const edit = (name: string, change: Partial<RawEntry>, index = last) =>
    make(
      name,
      entries.map((entry, at) => (at === index ? { ...entry, ...change } : entry)),
    );
  const extra = { name: 'extra', content: Buffer.from('extra') };
  const bytes = Buffer.from('some bytes');
  const lastEntry = entries[last] ?? extra;

  yield make('rewritten', entries);
  yield make('in reverse', [...entries].reverse());
  yield make('with an extra file', [...entries, extra]);
  yield make('with an extra directory', [...entries, { ...extra, externalAttributes: 0x10 }]);
  yield make('with an empty directory', [
    ...entries,
    { name: 'directory/', content: new Uint8Array(), externalAttributes: 0x10 },
  ]);
  yield make('with a directory by name only', [
    ...entries,
    { name: 'directory/', content: new Uint8Array() },
  ]);
  for (const [index, entry] of entries.entries()) {
    const at = typeof entry.name === 'string' ? entry.name : '';
    yield make(`without ${at}`, entries.toSpliced(index, 1));
    yield make(`with ${at} twice`, [...entries, entry]);
    yield make(`with another ${at} after`, [...entries, { ...entry, content: bytes }]);
    yield make(`with another ${at} before`, [{ ...entry, content: bytes }, ...entries]);
    yield edit(`with other content for ${at}`, { content: bytes }, index);
    yield edit(`with ${at} renamed`, { name: `${at}.js` }, index);
    yield edit(`with ./${at}`, { name: `./${at}` }, index);
    yield edit(`with a directory for ${at}`, { externalAttributes: 0x10 }, index);
    yield edit(`with backslashes for ${at}`, { name: at.replaceAll('/', '\\') }, index);
    yield edit(
      `with central backslashes for ${at}`,
      { central: { name: at.replaceAll('/', '\\') } },
      index,
    );
  }
  yield make('of no files', []);
  yield make('of the map alone', entries.slice(0, 1));
  yield make('of the map twice', [...entries.slice(0, 1), ...entries.slice(0, 1)]);
  const deflated = deflateRawSync(lastEntry.content);
  yield edit('deflated', {
    content: deflated,
    both: { method: 8, size: lastEntry.content.length },
  });
  yield edit('with another method', { both: { method: 8 } });
  yield edit('with another local method', { local: { method: 8 } });
  yield edit('with another central method', { central: { method: 8 } });
  yield edit('encrypted', { both: { flags: 1 } });
  yield edit('with flags', { both: { flags: 0x0808 } });
  yield edit('with local flags', { local: { flags: 0x0800 } });
  yield edit('with dates', { both: { date: 0xffffffff } });
  yield edit('with another local date', { local: { date: 0x12345678 } });
  yield edit('with another CRC', { both: { crc32: 1 } });
  yield edit('with another central CRC', { central: { crc32: 1 } });
  yield edit('with another size', { both: { size: 1 } });
  yield edit('with another local size', { local: { size: 1 } });
  yield edit('with a shorter content', { both: { compressedSize: 3 } });
  yield edit('with a longer content', { both: { compressedSize: 0xfffffff } });
  yield edit('with a zip64 size', { both: { size: 0xffffffff } });
  yield edit('with a zip64 compressed size', { central: { compressedSize: 0xffffffff } });
  yield edit('with a zip64 start', { start: 0xffffffff });
  yield edit('with a disk number', { diskNumber: 0xffff });
  yield edit('with a start of another entry', { start: 0 });
  yield edit('with a start beyond its end', { start: 0xfffffff });
  yield edit('with another local signature', { local: { signature: 0x12345678 } });
  yield edit('with another central signature', { central: { signature: 0x12345678 } });
  yield edit('with another local name', { local: { name: 'other' } });
  yield edit('with another central name', { central: { name: 'other' } });
  yield edit('with a name that is not UTF-8', { name: Buffer.from([0x61, 0xff, 0xfe]) });
  yield edit('with an extra field', { both: { extra: bytes } });
  yield edit('with a local extra field', { local: { extra: bytes } });
  yield edit('with a central extra field', { central: { extra: bytes } });
  yield edit('with a zip64 extra field', { both: { extra: Buffer.from('01001000', 'hex') } });
  yield edit('with a comment', { comment: bytes });
  yield make('with an archive comment', entries, { comment: bytes });
  yield make('with an empty comment that claims length', entries, { commentLength: 4 });
  yield make('with a prefix', entries, { prefix: bytes });
  yield make('with a prefix of 200 bytes', entries, { prefix: Buffer.alloc(200) });
  yield make('with a prefix longer than the zip', entries, { prefix: Buffer.alloc(20_000) });
  yield make('with a disk', entries, { disk: 1, directoryDisk: 1 });
  yield make('with a zip64 disk', entries, { disk: 0xffff });
  yield make('with a zip64 directory disk', entries, { directoryDisk: 0xffff });
  yield make('with zip64 records here', entries, { recordsHere: 0xffff });
  yield make('with zip64 records', entries, { records: 0xffff });
  yield make('with a zip64 directory size', entries, { directorySize: 0xffffffff });
  yield make('with a zip64 directory offset', entries, { directoryOffset: 0xffffffff });
  yield make('with other records here', entries, { recordsHere: 1 });
  yield make('with fewer records', entries, { records: entries.length - 1 });
  yield make('with more records', entries, { records: entries.length + 1 });
  yield make('with another directory size', entries, { directorySize: 10 });
  yield make('with another directory offset', entries, { directoryOffset: 10 });
  yield make('with an offset beyond its end', entries, { directoryOffset: 0xfffffff });
  for (const length of [0, 1, 21, 22, 23, 100, zip.length - 23, zip.length - 22, zip.length - 1]) {
    yield b1(`zip cut to ${length} bytes`, map, zip.slice(0, length));
    yield b1(`zip without its first ${length} bytes`, map, zip.slice(length));
  }
  for (const length of [1, 22, 4096]) {
    yield b1(`zip and ${length} zeros`, map, Buffer.concat([zip, Buffer.alloc(length)]));
    yield b1(`${length} zeros and zip`, map, Buffer.concat([Buffer.alloc(length), zip]));
  }
  yield b1('zip twice', map, Buffer.concat([zip, zip]));
  for (const bundleID of ['b1-', `b1-${sha512(map).toUpperCase()}`, `b1-${sha512(zip)}`]) {
    yield { name: `id ${bundleID}`, bundleID, bytes: zip };
  }
}

/** Variants of a JSON bundle and of its id. */
export function* nestedEvaluateCases(bytes: Uint8Array): Generator<BundleCase> {
  const text = Buffer.from(bytes).toString();
  const hash = (content: string) => createHash('sha256').update(content).digest('hex');
  const bundle = JSON.parse(text) as { source: string };
  const variants: Record<string, Uint8Array | string> = {
    'is as it was': text,
    'has another order': JSON.stringify(Object.fromEntries(Object.entries(bundle).reverse())),
    'has spaces': JSON.stringify(bundle, undefined, 2),
    'has more properties': JSON.stringify({ ...bundle, more: 1 }),
    'has a __proto__': text.replace('{', '{"__proto__":{"source":"x"},'),
    'has a property twice': text.replace('{', '{"source":"x",'),
    'has another source': JSON.stringify({ ...bundle, source: `${bundle.source};` }),
    'starts with a byte order mark': `\ufeff${text}`,
    'ends with a newline': `${text}\n`,
    'ends with text': `${text}x`,
    'is cut': text.slice(0, -1),
    'has bytes that are not UTF-8': Buffer.from(
      text.replace('use strict', 'use\xffstrict'),
      'latin1',
    ),
    'has a lone surrogate': text.replace('use strict', 'use\\ud800strict'),
  };
  for (const [name, content] of Object.entries(variants)) {
    yield { name: `b0 that ${name}`, bundleID: `b0-${hash(text)}`, bytes: Buffer.from(content) };
    const own = Buffer.from(content).toString();
    yield {
      name: `b0 that ${name}, by own hash`,
      bundleID: `b0-${hash(own)}`,
      bytes: Buffer.from(content),
    };
  }
  for (const content of ['', 'null', '{}', '[]', '5', 'true', '"text"', '{"source":{"a":[1]}}']) {
    for (const named of ['{}', content]) {
      const bundleID = `b0-${hash(named)}`;
      yield { name: `b0 ${content} as ${named}`, bundleID, bytes: Buffer.from(content) };
    }
  }
  yield { name: 'b0 by upper case', bundleID: `b0-${hash(text).toUpperCase()}`, bytes };
  yield { name: 'b0 named b1', bundleID: `b1-${hash(text)}`, bytes };
  for (const bundleID of ['', 'b', 'b0', 'b0-', 'b1', 'b2-00', `B0-${hash(text)}`, hash(text)]) {
    yield { name: `id ${JSON.stringify(bundleID)}`, bundleID, bytes };
  }
}

/** Variants of a zip with one byte changed, for every byte. */
export function* flippedCases(zip: Uint8Array, stride: number): Generator<BundleCase> {
  const map = filesOf(zip).get(MAP) ?? new Uint8Array();
  for (let at = 0; at < zip.length; at += stride) {
    const bytes = Buffer.from(zip);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at & 7));
    yield b1(`zip with byte ${at} flipped`, map, bytes);
  }
}

/** Random changes of a zip's bytes, and of the JSON in it with corrected hashes. */
export function* randomCases(zip: Uint8Array, seed: number, count: number): Generator<BundleCase> {
  const random = generatorOf(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const files = filesOf(zip);
  const mapText = Buffer.from(files.get(MAP) ?? []).toString();
  for (let index = 0; index < count; index += 1) {
    const name = `seed ${seed} case ${index}`;
    if (index % 4 === 0) {
      const bytes = Buffer.from(zip);
      for (let left = 1 + below(3); left > 0; left -= 1) bytes[below(bytes.length)] = below(256);
      yield b1(`${name}: bytes`, mapText, bytes);
      continue;
    }
    const map = JSON.parse(mapText) as Json;
    const changed = new Map(files);
    if (index % 4 === 1) {
      const path = [...files.keys()].filter((key) => key !== MAP)[below(files.size - 1)] ?? '';
      const text = Buffer.from(files.get(path) ?? []).toString();
      if (text.startsWith('{')) {
        const record = JSON.parse(text) as Json;
        editJson(record, random, 1 + below(2));
        const content = Buffer.from(JSON.stringify(record));
        changed.set(path, content);
        replaceIn(map, sha512(text), sha512(content));
      }
    } else {
      editJson(map, random, 1 + below(index % 4));
    }
    const text = JSON.stringify(map);
    changed.set(MAP, Buffer.from(text));
    yield b1(`${name}: JSON`, text, rawZip(entriesOf(changed)));
  }
}

function generatorOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface JsonPlace {
  readonly parent: JsonObject | Json[];
  readonly key: string;
}

function placesIn(value: Json): JsonPlace[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [
    { parent: value, key },
    ...placesIn(item),
  ]);
}

/** Sets, drops, renames or adds properties at random places. */
function editJson(root: Json, random: () => number, edits: number): void {
  for (let left = edits; left > 0; left -= 1) {
    const places = placesIn(root);
    const pick = <T>(items: readonly T[]): T | undefined =>
      items[Math.floor(random() * items.length)];
    const place = pick(places);
    const other = pick(places);
    if (place === undefined || other === undefined) return;
    const { parent, key } = place;
    const value = Reflect.get(other.parent, other.key) as Json;
    const kind = Math.floor(random() * 5);
    if (kind === 0) Reflect.deleteProperty(parent, key);
    else if (kind === 1) Reflect.set(parent, key, pick(VALUES) ?? null);
    else if (kind === 2) Reflect.set(parent, key, structuredClone(value));
    else if (kind === 3) {
      const old = Reflect.get(parent, key) as Json;
      Reflect.deleteProperty(parent, key);
      define(parent, random() < 0.5 ? (pick(KEYS) ?? '') : other.key, old);
    } else
      define(
        parent,
        pick(KEYS) ?? '',
        structuredClone(random() < 0.5 ? (pick(VALUES) ?? null) : value),
      );
  }
}

/** Like JSON.parse, so that `__proto__` is a property like any other. */
function define(parent: object, key: string, value: Json): void {
  if (Array.isArray(parent)) parent.push(value);
  else
    Object.defineProperty(parent, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
}

function replaceIn(root: Json, from: string, to: string): void {
  for (const { parent, key } of placesIn(root)) {
    if (Reflect.get(parent, key) === from) Reflect.set(parent, key, to);
  }
}

const VALUES: readonly Json[] = [
  ...[null, true, false, 0, 1, '', 'any', './index.js', '.', 'text', 'json', 'bytes', 'mjs'],
  ...['pre-mjs-json', 'pre-cjs-json', [], ['x'], {}, { deferredError: 'later' }, { exit: 'fs' }],
  ...[{ toString: 1 }, { compartment: 'app-v1.0.0' }, { location: 'index.js', parser: 'text' }],
  ...[{ compartment: 'app-v1.0.0', module: './single.js' }, { globals: { x: true } }],
];

const KEYS: readonly string[] = [
  ...['location', 'parser', 'sha512', 'compartment', 'module', 'retained', 'exit', 'deferredError'],
  ...[
    'policy',
    'scopes',
    'types',
    'parsers',
    'modules',
    'name',
    'label',
    'tags',
    'entry',
    'imports',
  ],
  ...['__proto__', 'toString', 'constructor', '.', './', './index.js', 'dep', '<ATTENUATORS>', 'x'],
];
