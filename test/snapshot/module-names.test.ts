/** Everything published can be read: an odd name is refused before anything is read, or survives the round trip. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { nowhere } from '../../src/modules/swingset/destinations.ts';
import { swingsetModule } from '../../src/modules/swingset/module.ts';
import { MANIFEST_FILE } from '../../src/snapshot/layout.ts';
import { decodeSnapshotManifest, encodeSnapshotManifest } from '../../src/snapshot/manifest.ts';
import type { StateChunk, StateModule } from '../../src/snapshot/module-contract.ts';
import { quickVerifySnapshot } from '../../src/snapshot/read/quick-verify.ts';
import { unpackModules } from '../../src/snapshot/read/unpack-modules.ts';
import { packModules } from '../../src/snapshot/write/pack-modules.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { notesModule, type Notes } from '../modules/toy.ts';
import { makeContent, openContent, smallSpec } from './made-export.ts';

let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

const content = makeContent(smallSpec);

async function pack(storage: ReturnType<typeof memoryStorage>, modules: readonly StateModule[]) {
  const options = { height: 7, codec, level: 1, chunkBytes: 4 << 20, replace: false };
  const source = openContent(content);
  await packModules(storage, [swingsetModule({ source }), ...modules], {
    ...options,
    madeBy: 'a test',
  });
}

/** Packs notes as these modules and unpacks them. */
async function carry(names: readonly string[], notes: Notes): Promise<readonly Notes[]> {
  const storage = memoryStorage();
  try {
    await pack(
      storage,
      names.map((name) => notesModule(name, notes)),
    );
  } catch (error) {
    expect(await storage.list()).toEqual([]);
    throw error;
  }
  const stored = await storage.open('7');
  await quickVerifySnapshot(stored, codec);
  const received = names.map((): Notes => new Map());
  const swingset = swingsetModule({ target: { destination: nowhere(), location: 'a test' } });
  const modules = names.map((name, at) => notesModule(name, received[at]!));
  await unpackModules(stored, [swingset, ...modules], { codec });
  return received;
}

/** Names of properties that every object has, and other names that programs get wrong. */
const NASTY = [
  ...Object.getOwnPropertyNames(Object.prototype),
  ...Object.getOwnPropertyNames(Object.prototype).map((name) => name.toLowerCase()),
  ...Object.getOwnPropertyNames(Function),
  ...['__proto__', 'proto', 'then', 'swingset', 'Wasm', 'wasm', 'length', 'null', 'undefined'],
  ...['', ' ', '.', '..', 'a/b', '/', 'a.b', '1', '-1', '1e3', 'a b', 'a\n', 'a\0', 'é', 'e\u0301'],
  ...[
    'a'.repeat(32),
    'a'.repeat(33),
    'manifest',
    'chunks',
    'entries',
    'a-',
    'a_',
    '-a',
    '_a',
    'ａ',
  ],
];

describe('a module', () => {
  it('is refused for its name before anything is read, or survives the round trip', async () => {
    const notes: Notes = new Map([['a note', 'its text']]);
    const any = fc.oneof(fc.constantFrom(...NASTY), fc.stringMatching(/^[a-z][a-z0-9_-]{0,31}$/u));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(any, { minLength: 1, maxLength: 3 }), async (names) => {
        let received: readonly Notes[];
        try {
          received = await carry(names, notes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'MODULE_NAME' });
          return;
        }
        expect(received).toEqual(names.map(() => notes));
      }),
      { numRuns: 150, examples: NASTY.map((name) => [[name]]) },
    );
  });

  it.each(['constructor', 'prototype', '__proto__', 'toString'])(
    'named %s is refused in a manifest for that name, whatever its fields',
    async (name) => {
      const storage = memoryStorage();
      await pack(storage, [notesModule('honest', new Map())]);
      const bytes = await (await storage.open('7')).read(MANIFEST_FILE, 1 << 20);
      const text = Buffer.from(bytes).toString().replace('"honest"', JSON.stringify(name));
      expect(() => decodeSnapshotManifest(Buffer.from(text), 'a test')).toThrow(
        expect.objectContaining({ code: 'SNAPSHOT_DAMAGED', path: 'a test: modules' }),
      );
    },
  );

  it('is refused before anything is read if there are too many', async () => {
    const names = Array.from({ length: 16 }, (_, i) => `m${i}`);
    await expect(carry(names, new Map())).rejects.toMatchObject({ code: 'MODULE_COUNT' });
    expect(await carry(names.slice(1), new Map([['a', 'b']]))).toHaveLength(15);
  });
});

describe('an artifact', () => {
  it.each([
    ['long, of wide characters', (i: number) => `${'字'.repeat(900)}${i}`],
    ['that differ only in normal form', (i: number) => ['é', 'e\u0301', 'ﬁ', 'fi'][i] ?? `x${i}`],
    ['that differ only in case', (i: number) => ['a', 'A', 'ß', 'SS', 'ss'][i] ?? `x${i}`],
    ['of quotes, backslashes and control characters', (i: number) => `"\\\b\u0001\u007f${i}`],
  ])('is carried among many with names %s', async (_what, nameOf) => {
    const notes: Notes = new Map(
      Array.from({ length: 1000 }, (_, i) => [nameOf(i), `text ${i}`] as const),
    );
    const [received] = await carry(['notes'], notes);
    expect(new Map([...received!].sort())).toEqual(new Map([...notes].sort()));
  });
});

describe('a module that gives chunks that readers would refuse', () => {
  const digest = { data: Buffer.from('x'), size: 1 };
  const artifact = { name: 'x', size: 1, sha256: '0'.repeat(64), identity: 'x' };
  it.each<[string, StateChunk]>([
    ['an empty chunk', { entries: [] }],
    ['a name of another module', { entries: [{ ...digest, name: 'swingset/x' }] }],
    ['the name of the module alone', { entries: [{ ...digest, name: 'odd' }] }],
    ['a long name', { entries: [{ ...digest, name: `odd/${'x'.repeat(1021)}` }] }],
    [
      'a long identity',
      {
        entries: [
          { ...digest, name: 'odd/x', artifact: { ...artifact, identity: 'x'.repeat(1025) } },
        ],
      },
    ],
    [
      'too many entries',
      { entries: Array.from({ length: 16_385 }, (_, i) => ({ ...digest, name: `odd/${i}` })) },
    ],
  ])('publishes nothing: %s', async (_what, chunk) => {
    const storage = memoryStorage();
    const honest = notesModule('odd', new Map());
    const chunks: StateChunk[] = [chunk];
    const odd: StateModule = {
      ...honest,
      beginReadState: async (context) => {
        const read = await honest.beginReadState(context);
        return {
          readChunk: async () => chunks.shift() ?? read.readChunk(),
          done: async () => read.done(),
          abort: async (error) => read.abort(error),
        };
      },
    };
    await expect(pack(storage, [odd])).rejects.toMatchObject({ code: 'MODULE_CHUNK' });
    expect(await storage.list()).toEqual([]);
  });
});

it('a manifest is refused if it has a field that every object inherits', () => {
  const manifest = { format: 'swingsnap-snapshot', version: 1, constructor: 1 };
  expect(() => decodeSnapshotManifest(encodeSnapshotManifest(manifest), 'a test')).toThrow();
});
