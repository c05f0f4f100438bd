/** The snapshot layer, driving modules other than the built-in ones. */
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { moduleRegistry } from '../../src/modules/registry.ts';
import { nowhere } from '../../src/modules/swingset/destinations.ts';
import { swingsetModule } from '../../src/modules/swingset/module.ts';
import { openSnapshot } from '../../src/modules/swingset/snapshot-form.ts';
import { quicklyVerify, verify } from '../../src/operation/verify/verify.ts';
import { readEntries } from '../../src/snapshot/entries.ts';
import { readSnapshotManifest } from '../../src/snapshot/manifest.ts';
import type { StateModule } from '../../src/snapshot/module-contract.ts';
import { unpackModules } from '../../src/snapshot/read/unpack-modules.ts';
import { EarlierSnapshot } from '../../src/snapshot/write/earlier.ts';
import { packModules } from '../../src/snapshot/write/pack-modules.ts';
import type { SnapshotStorage } from '../../src/storage/contract.ts';
import { directoryStorage } from '../../src/storage/directory.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import type { SwingStoreExport } from '../../src/swing-store-export/swing-store-export.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { notesModule, type Notes } from '../modules/toy.ts';
import { ourOwn } from './beliefs.ts';
import { makeContent, openContent, smallSpec, splitSpec, type MadeSpec } from './made-export.ts';

const MIB = 1024 * 1024;
const tempDir = useTempDir();
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

const notesOf = (...texts: string[]): Notes => new Map(texts.map((text, i) => [`note ${i}`, text]));
const numbered = (count: number): Notes =>
  notesOf(...Array.from({ length: count }, (_, i) => `text ${i}`));
const manyNotes = numbered(40);
/** Enough that their list has several frames. */
const frames = numbered(5000);

const sending = (spec: MadeSpec): StateModule =>
  swingsetModule({ source: openContent(makeContent(spec)) });
const receiving = (): StateModule =>
  swingsetModule({ target: { destination: nowhere(), location: 'a test' } });

async function pack(
  storage: SnapshotStorage,
  modules: readonly StateModule[],
  options: { height?: number; earlier?: EarlierSnapshot | undefined; signal?: AbortSignal } = {},
) {
  const pack = {
    height: 7,
    codec,
    level: 1,
    chunkBytes: 4 * MIB,
    replace: false,
    madeBy: 'a test',
  };
  return packModules(storage, modules, { ...pack, ...options });
}

const unpack = async (
  storage: SnapshotStorage,
  modules: readonly StateModule[],
  expect_?: string,
) => unpackModules(await storage.open('7'), modules, { codec, expect: expect_ });

/** A module that fails at the step `at`. */
function failing(
  module: StateModule,
  at: 'begin' | 'readChunk' | 'writeChunk' | 'done' | 'install',
): StateModule {
  const fail = (): never => {
    throw new Error(`no ${at}`);
  };
  return {
    ...module,
    beginReadState: async (context) => {
      if (at === 'begin') fail();
      const readable = await module.beginReadState(context);
      let chunks = 0;
      return {
        readChunk: async () => {
          chunks += 1;
          return at === 'readChunk' && chunks > 2 ? fail() : readable.readChunk();
        },
        done: async () => (at === 'done' ? fail() : readable.done()),
        abort: async (error) => readable.abort(error),
      };
    },
    beginWriteState: async (context) => {
      if (at === 'begin') fail();
      const writable = await module.beginWriteState(context);
      return {
        writeChunk: async (chunk) => (at === 'writeChunk' ? fail() : writable.writeChunk(chunk)),
        done: async () => {
          if (at === 'done') fail();
          const written = await writable.done();
          return at === 'install' ? { ...written, install: async () => fail() } : written;
        },
        abort: async (error) => writable.abort(error),
      };
    },
  };
}

/** Waits until that many callers have arrived. */
function gate(count: number): () => Promise<void> {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let come = 0;
  return async () => {
    come += 1;
    if (come === count) open();
    await opened;
  };
}

/** The same modules; on either side, none goes beyond its second chunk before all have reached it. */
function meeting(modules: readonly StateModule[]): StateModule[] {
  const [readers, writers] = [gate(modules.length), gate(modules.length)];
  return modules.map((module) => ({
    ...module,
    beginReadState: async (context) => {
      const readable = await module.beginReadState(context);
      let chunks = 0;
      return {
        readChunk: async () => {
          chunks += 1;
          if (chunks === 2) await readers();
          return readable.readChunk();
        },
        done: async () => readable.done(),
        abort: async (error) => readable.abort(error),
      };
    },
    beginWriteState: async (context) => {
      const writable = await module.beginWriteState(context);
      let chunks = 0;
      return {
        writeChunk: async (chunk) => {
          chunks += 1;
          const writing = writable.writeChunk(chunk);
          if (chunks === 2) await Promise.all([writing, writers()]);
          await writing;
        },
        done: async () => writable.done(),
        abort: async (error) => writable.abort(error),
      };
    },
  }));
}

describe('a snapshot of several modules', () => {
  it('reads and writes all of them concurrently', async () => {
    const storage = memoryStorage();
    const from = [notesModule('a', manyNotes), sending(splitSpec), notesModule('z', manyNotes)];
    await pack(storage, meeting(from));
    const [a, z] = [notesOf(), notesOf()];
    await unpack(storage, meeting([notesModule('a', a), receiving(), notesModule('z', z)]));
    expect([a.size, z.size]).toEqual([manyNotes.size, manyNotes.size]);
  });

  it('gives each module its state, and has one content hash for all', async () => {
    const storage = memoryStorage();
    const modules = [
      sending(splitSpec),
      notesModule('b', manyNotes),
      notesModule('z', notesOf('x')),
    ];
    const { manifest } = await pack(storage, modules);
    const [b, z] = [notesOf(), notesOf()];
    const places = [notesModule('z', z), receiving(), notesModule('b', b)];
    const { contentHash, modules: unpacked } = await unpack(storage, places, manifest.contentHash);
    expect(contentHash).toBe(manifest.contentHash);
    expect(unpacked.map(({ name }) => name)).toEqual(['b', 'z', 'swingset']);
    expect([...b].sort()).toEqual([...manyNotes].sort());
    expect(z).toEqual(notesOf('x'));
    const others = [
      sending(splitSpec),
      notesModule('b', manyNotes),
      notesModule('z', notesOf('y')),
    ];
    const other = await pack(memoryStorage(), others);
    expect(other.manifest.contentHash).not.toBe(manifest.contentHash);
  });

  it('lists the entries of one module after those of another, whichever was faster', async () => {
    const storage = memoryStorage();
    const slow: StateModule = {
      ...notesModule('a', notesOf('1', '2', '3')),
      beginReadState: async (context) => {
        const readable = await notesModule('a', notesOf('1', '2', '3')).beginReadState(context);
        const readChunk = async () => {
          await new Promise((resolve) => setTimeout(resolve, 30));
          return readable.readChunk();
        };
        return { readChunk, done: () => readable.done(), abort: (error) => readable.abort(error) };
      },
    };
    await pack(storage, [notesModule('z', frames), sending(smallSpec), slow]);
    const stored = await storage.open('7');
    const sections: string[] = [];
    for await (const { name } of readEntries(stored, await readSnapshotManifest(stored), codec)) {
      const [section = ''] = name.split('/');
      if (sections.at(-1) !== section) sections.push(section);
    }
    expect(sections).toEqual(['a', 'swingset', 'z']);
    const place: Notes = new Map();
    const modules = [notesModule('z', place), receiving(), notesModule('a', new Map())];
    await unpack(storage, modules);
    expect(place.size).toBe(frames.size);
  });

  it('carries empty modules', async () => {
    const storage = memoryStorage();
    const empty: MadeSpec = { height: 7, artifactMode: 'operational' };
    const { manifest } = await pack(storage, [sending(empty), notesModule('none', new Map())]);
    expect(manifest).toMatchObject({ entries: { count: 0 }, chunks: { count: 0 } });
    const place: Notes = new Map();
    await unpack(storage, [receiving(), notesModule('none', place)]);
    expect(place.size).toBe(0);
  });

  it.each(['begin', 'readChunk', 'done'] as const)(
    'is not made if one of them fails (%s), whichever it is',
    async (at) => {
      for (const which of [0, 1, 2]) {
        const above = await tempDir();
        const storage = directoryStorage(path.join(above, 'made', 'D'));
        const all = [notesModule('a', manyNotes), sending(splitSpec), notesModule('z', manyNotes)];
        const modules = all.map((module, i) => (i === which ? failing(module, at) : module));
        await expect(pack(storage, modules)).rejects.toThrow(`no ${at}`);
        expect(await listTree(above)).toEqual({});
      }
    },
  );

  it.each(['begin', 'writeChunk', 'done', 'install'] as const)(
    'installs nothing of any module if one of them fails (%s), whichever it is',
    async (at) => {
      const storage = memoryStorage();
      await pack(storage, [
        notesModule('a', manyNotes),
        sending(splitSpec),
        notesModule('z', manyNotes),
      ]);
      for (const which of [0, 1, 2]) {
        const [a, z] = [notesOf('old'), notesOf()];
        const all = [notesModule('a', a), receiving(), notesModule('z', z)];
        const modules = all.map((module, i) => (i === which ? failing(module, at) : module));
        await expect(unpack(storage, modules)).rejects.toThrow(`no ${at}`);
        expect([a, z]).toEqual([notesOf('old'), new Map()]);
      }
    },
  );

  it('installs nothing if the content hash is not the expected one', async () => {
    const storage = memoryStorage();
    await pack(storage, [sending(smallSpec), notesModule('a', manyNotes)]);
    const place: Notes = new Map();
    const modules = [receiving(), notesModule('a', place)];
    await expect(unpack(storage, modules, '0'.repeat(64))).rejects.toMatchObject({
      code: 'HASH_MISMATCH',
    });
    expect(place.size).toBe(0);
  });

  it('ends when its signal is aborted, on either side', async () => {
    const reason = new Error('stop');
    const storage = memoryStorage();
    const signal = AbortSignal.abort(reason);
    const modules = [sending(splitSpec), notesModule('a', manyNotes)];
    await expect(pack(storage, modules, { signal })).rejects.toBe(reason);
    expect(await storage.list()).toEqual([]);
    await pack(storage, modules);
    const place: Notes = new Map();
    const unpacking = unpackModules(
      await storage.open('7'),
      [receiving(), notesModule('a', place)],
      {
        codec,
        signal,
      },
    );
    await expect(unpacking).rejects.toBe(reason);
    expect(place.size).toBe(0);
  });

  it('is refused with a module that has no writer, or a wrong name', async () => {
    const storage = memoryStorage();
    await pack(storage, [sending(smallSpec), notesModule('strange', manyNotes)]);
    await expect(unpack(storage, [receiving()])).rejects.toMatchObject({
      code: 'UNKNOWN_MODULE',
      found: 'strange',
    });
    const place = { name: 'strange', purpose: 'verify' } as const;
    expect(() => moduleRegistry().make('notes', place)).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_MODULE', found: 'notes' }) as Error,
    );
    for (const names of [['Notes'], ['a/b'], [''], ['a', 'a'], ['swingset']]) {
      const modules = [sending(smallSpec), ...names.map((name) => notesModule(name, manyNotes))];
      await expect(pack(storage, modules, { height: 8 })).rejects.toMatchObject({
        code: 'MODULE_NAME',
      });
    }
  });

  it('is read again from the start if export data is not in canonical order', async () => {
    const content = makeContent(smallSpec);
    const [first, second, ...rest] = content.lines;
    const odd = { ...content, lines: [second!, first!, ...rest] };
    const unsorted = openContent(odd);
    let reads = 0;
    const source: SwingStoreExport = {
      ...unsorted,
      async *exportData(options) {
        reads += 1;
        if (options?.scratchDir !== undefined) {
          yield* openContent(content).exportData();
          return;
        }
        const { NotCanonicalError } =
          await import('../../src/swing-store-export/export-data/canonical-blocks.ts');
        yield Buffer.from(second!);
        throw new NotCanonicalError('another order');
      },
    };
    const storage = memoryStorage();
    const notes: string[] = [];
    const progress = { ...noProgress, note: (message: string) => void notes.push(message) };
    const options = {
      height: 7,
      codec,
      level: 1,
      chunkBytes: 4 * MIB,
      replace: false,
      madeBy: 'a test',
    };
    const modules = [swingsetModule({ source }), notesModule('a', manyNotes)];
    const { manifest } = await packModules(storage, modules, { ...options, progress });
    expect(reads).toBe(2);
    expect(notes).toEqual([expect.stringContaining('not in canonical order')]);
    const plain = await pack(memoryStorage(), [sending(smallSpec), notesModule('a', manyNotes)]);
    expect(manifest.contentHash).toBe(plain.manifest.contentHash);
  });

  it('reuses what an earlier height has of every module', async () => {
    const dir = await tempDir();
    const storage = directoryStorage(dir);
    const modules = (spec: MadeSpec) => [
      sending(spec),
      notesModule('a', manyNotes),
      notesModule('z', notesOf('1', '2')),
    ];
    await pack(storage, modules(splitSpec));
    const notes: string[] = [];
    const earlier = await EarlierSnapshot.open(storage, 8, {
      codec,
      scratchDir: await tempDir(),
      belief: ourOwn,
      version: 2,
      note: (message) => void notes.push(message),
    });
    expect(notes).toEqual([]);
    const next = await pack(storage, modules({ ...splitSpec, height: 8 }), { height: 8, earlier });
    earlier?.close();
    expect(next.reused.chunks).toBe(next.manifest.chunks.count);
    expect(next.reused.rechecked).toBe(next.reused.chunks);
  });

  it('opens as an export of only its SwingStore', async () => {
    const storage = memoryStorage();
    await pack(storage, [
      notesModule('a', manyNotes),
      sending(smallSpec),
      notesModule('z', manyNotes),
    ]);
    const opened = await openSnapshot(await storage.open('7'), { codec });
    const lines: Uint8Array[] = [];
    for await (const block of opened.exportData()) lines.push(block);
    expect(Buffer.concat(lines).toString()).toBe(makeContent(smallSpec).lines.join(''));
    let artifacts = 0;
    for await (const _ of opened.artifacts()) artifacts += 1;
    expect(artifacts).toBe(makeContent(smallSpec).artifacts.length);
    await opened.close();
  });

  it('is refused by verify with an unknown kind of module, and its chunks are still checked', async () => {
    const dir = await tempDir();
    await pack(directoryStorage(dir), [sending(smallSpec), notesModule('a', manyNotes)]);
    const source = path.join(dir, '7');
    await expect(verify({ source, progress: noProgress })).rejects.toMatchObject({
      code: 'UNKNOWN_MODULE',
      exitCode: 3,
      path: `${source}: a`,
      found: 'notes',
    });
    const quick = await quicklyVerify({ source, progress: noProgress });
    expect(quick.chunks.count).toBeGreaterThan(2);
  });
});
