/** The contract of every module, on both sides of a transfer, for any kind of state. */
import { describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import { inlinePool } from '../../src/io/threads/pool.ts';
import { bytesOf, nameOf } from '../../src/modules/kit/entry.ts';
import type {
  ChunkedWritable,
  ReadContext,
  StateChunk,
  StateContext,
  StateDescription,
  StateEntry,
  StateModule,
} from '../../src/snapshot/module-contract.ts';
import { inBytes } from '../fixtures/chunks.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { sha256 } from '../modules/hashes.ts';

export interface ModuleAtWork {
  /** Reads a state of several chunks. */
  readonly sender: StateModule;
  /** The height of the state; undefined if the module does not know it. */
  readonly stateHeight?: number | undefined;
  /** A module of the same kind that installs into an empty place. */
  readonly receiver: StateModule;
  /** Every place where a leftover could show, for `toEqual`. */
  readonly state: () => Promise<unknown>;
  /** Whether the place holds the state that the sender reads. */
  readonly isInstalled: () => Promise<boolean>;
}

const HEIGHT = 7;

/** @param make called in each test; its result must outlive the test */
export function describeModule(name: string, make: () => Promise<ModuleAtWork>): void {
  const tempDir = useTempDir();

  async function contextOf(others: Partial<ReadContext> = {}): Promise<ReadContext> {
    return {
      height: HEIGHT,
      chunkBytes: 4 * 1024 * 1024,
      scratchDir: await tempDir(),
      pool: inlinePool,
      progress: noProgress,
      ...others,
    };
  }

  /** All chunks, loaded, so that they can be written more than once. */
  async function readAll(
    module: StateModule,
  ): Promise<{ chunks: StateChunk[]; description: StateDescription }> {
    const readable = await module.beginReadState(await contextOf());
    const chunks: StateChunk[] = [];
    for (;;) {
      const chunk = inBytes(await readable.readChunk());
      if (chunk === undefined) break;
      chunks.push({ entries: await Promise.all(chunk.entries.map(loaded)) });
    }
    return { chunks, description: await readable.done() };
  }

  async function begin(
    module: StateModule,
    { fields, height }: StateDescription,
    others: Partial<StateContext> = {},
  ): Promise<ChunkedWritable> {
    return module.beginWriteState(await contextOf({ height, trusted: fields, ...others }));
  }

  const copies = (chunks: readonly StateChunk[]): StateChunk[] =>
    chunks.map(({ entries }) => ({
      entries: entries.map((entry) => ({ ...entry, data: Buffer.from(entry.data as Uint8Array) })),
    }));

  /** Makes several calls concurrently, as the driver of a module does. */
  async function writeAll(writable: ChunkedWritable, chunks: readonly StateChunk[]): Promise<void> {
    const writing = copies(chunks).map(async (chunk) => writable.writeChunk(chunk));
    // A module may hold back the last chunk until it knows that no other follows.
    writing.forEach((write) => {
      write.catch(() => undefined);
    });
    await Promise.race([Promise.all(writing), new Promise((resolve) => setTimeout(resolve, 200))]);
  }

  describe(`${name}, as a module`, () => {
    it('reads chunks of its own entries, and describes them once, at the end', async () => {
      const { sender } = await make();
      const readable = await sender.beginReadState(await contextOf());
      await expect(readable.done()).rejects.toMatchObject({ code: 'MODULE_STATE' });
      let chunks = 0;
      for (;;) {
        const chunk = inBytes(await readable.readChunk());
        if (chunk === undefined) break;
        chunks += 1;
        for (const entry of chunk.entries) {
          const bytes = await bytesOf(entry);
          expect(nameOf({ ...entry, data: bytes }).startsWith(`${sender.name}/`)).toBe(true);
          expect(bytes.length).toBe(entry.size);
        }
      }
      expect(chunks).toBeGreaterThan(1);
      expect((await readable.done()).height).toBe(HEIGHT);
      await expect(readable.done()).rejects.toMatchObject({ code: 'MODULE_STATE' });
    });

    it('reads the same chunks each time', async () => {
      const { sender } = await make();
      const [one, two] = [await readAll(sender), await readAll(sender)];
      expect(two.chunks.map(digestsOf)).toEqual(one.chunks.map(digestsOf));
      expect(two.description.fields).toEqual(one.description.fields);
    });

    it('can be aborted at every chunk of a read, even twice, and read again', async () => {
      const { sender } = await make();
      const { chunks } = await readAll(sender);
      for (let at = 0; at <= chunks.length; at += 1) {
        const readable = await sender.beginReadState(await contextOf());
        for (let n = 0; n < at; n += 1) await readable.readChunk();
        await readable.abort(new Error('enough'));
        await readable.abort(new Error('enough'));
        await expect(readable.readChunk()).rejects.toThrow();
      }
      expect((await readAll(sender)).chunks).toHaveLength(chunks.length);
    });

    it('shows nothing before install, and everything after it', async () => {
      const { sender, receiver, isInstalled } = await make();
      const { chunks, description } = await readAll(sender);
      const writable = await begin(receiver, description);
      await writeAll(writable, chunks);
      expect(await isInstalled()).toBe(false);
      const written = await writable.done();
      expect(await isInstalled()).toBe(false);
      expect(written.description.fields).toEqual(description.fields);
      const { path } = await written.install();
      expect(path).toBeTypeOf('string');
      expect(await isInstalled()).toBe(true);
    });

    it('is done only once', async () => {
      const { sender, receiver } = await make();
      const { chunks, description } = await readAll(sender);
      const writable = await begin(receiver, description);
      await writeAll(writable, chunks);
      await writable.done();
      await expect(writable.done()).rejects.toMatchObject({ code: 'MODULE_STATE' });
      const [again] = copies(chunks);
      await expect(writable.writeChunk(again!)).rejects.toThrow();
      await writable.abort(new Error('enough'));
    });

    it('leaves nothing behind when it is aborted, at every chunk and after done, even twice', async () => {
      const { sender, receiver, state } = await make();
      const before = await state();
      const { chunks, description } = await readAll(sender);
      for (let at = 0; at <= chunks.length + 1; at += 1) {
        const writable = await begin(receiver, description);
        await writeAll(writable, chunks.slice(0, at));
        if (at > chunks.length) await writable.done();
        await writable.abort(new Error('enough'));
        expect(await state(), `${at} chunks`).toEqual(before);
        await writable.abort(new Error('enough'));
        expect(await state(), `${at} chunks`).toEqual(before);
        const [again] = copies(chunks);
        await expect(writable.writeChunk(again!)).rejects.toThrow();
      }
    });

    const wrongEntries: readonly (readonly [string, (entry: StateEntry) => StateEntry])[] = [
      ['an entry of another module', (entry) => ({ ...entry, name: `x${nameOf(entry)}` })],
      ['an entry with the wrong size', (entry) => ({ ...entry, size: entry.size + 1 })],
      ['an entry with the wrong hash', (entry) => ({ ...entry, sha256: '0'.repeat(64) })],
    ];
    it.each(wrongEntries)('rejects a chunk with %s when it is written', async (_what, change) => {
      const { sender, receiver, state } = await make();
      const before = await state();
      const { chunks, description } = await readAll(sender);
      const writable = await begin(receiver, description);
      const [first] = copies(chunks);
      const [head, ...rest] = first!.entries;
      const spelled = { ...head!, name: nameOf(head!) };
      const chunk = { entries: [change(spelled), ...rest] };
      await expect(writable.writeChunk(chunk)).rejects.toMatchObject({ exitCode: 3 });
      await writable.abort(new Error('enough'));
      expect(await state()).toEqual(before);
    });

    it('refuses in done a state that lacks a chunk, and leaves nothing behind', async () => {
      const { sender, receiver, state } = await make();
      const before = await state();
      const { chunks, description } = await readAll(sender);
      const writable = await begin(receiver, description);
      await writeAll(writable, chunks.slice(0, -1));
      await expect(writable.done()).rejects.toMatchObject({ exitCode: 3 });
      await writable.abort(new Error('enough'));
      expect(await state()).toEqual(before);
    });

    it('accepts its chunks in any order if it declares so', async () => {
      const { sender, receiver, state, isInstalled } = await make();
      const before = await state();
      const { chunks, description } = await readAll(sender);
      expect(receiver.anyOrder).toBe(sender.anyOrder);
      const writable = await begin(receiver, description);
      const writing = writeAll(writable, inReverse(chunks));
      if (receiver.anyOrder) {
        await writing;
        await (await writable.done()).install();
        expect(await isInstalled()).toBe(true);
      } else {
        await writing.catch(() => undefined);
        await expect(writable.done()).rejects.toMatchObject({ exitCode: 3 });
        await writable.abort(new Error('enough'));
        expect(await state()).toEqual(before);
      }
    });

    it('refuses in done a state that the context describes differently', async () => {
      const { sender, receiver, state } = await make();
      const before = await state();
      const { chunks, description } = await readAll(sender);
      const hashes = Object.entries(description.fields).filter(
        ([, value]) => typeof value === 'string' && /^[0-9a-f]{64}$/u.test(value),
      );
      expect(hashes.length).toBeGreaterThan(0);
      for (const [field] of hashes) {
        const fields = { ...description.fields, [field]: '0'.repeat(64) };
        const writable = await begin(receiver, { ...description, fields });
        await writeAll(writable, chunks);
        await expect(writable.done()).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
        await writable.abort(new Error('enough'));
        expect(await state()).toEqual(before);
      }
    });

    it('refuses at the end of a read a state that the context describes differently', async () => {
      const { sender } = await make();
      const { fields } = (await readAll(sender)).description;
      for (const [field, value] of Object.entries(fields)) {
        if (typeof value !== 'string' || !/^[0-9a-f]{64}$/u.test(value)) continue;
        const trusted = { [field]: '0'.repeat(64) };
        const readable = await sender.beginReadState(await contextOf({ trusted }));
        while ((await readable.readChunk()) !== undefined);
        await expect(readable.done()).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
        await readable.abort(new Error('enough'));
      }
    });

    it('refuses to read a state whose height differs from that of the context, if it has one', async () => {
      const { sender, stateHeight } = await make();
      if (stateHeight === undefined) return;
      const readable = await sender.beginReadState(await contextOf({ height: stateHeight + 1 }));
      while ((await readable.readChunk()) !== undefined);
      await expect(readable.done()).rejects.toMatchObject({ code: 'HEIGHT_MISMATCH' });
      await readable.abort(new Error('enough'));
    });

    it('can be reverted after install, unless it comes last', async () => {
      const { sender, receiver, state } = await make();
      if (receiver.installs === 'last') return;
      const before = await state();
      const { chunks, description } = await readAll(sender);
      const writable = await begin(receiver, description);
      await writeAll(writable, chunks);
      const installed = await (await writable.done()).install();
      await installed.undo();
      expect(await state()).toEqual(before);
    });
  });
}

/** Reverses the chunks, but keeps the parts of one artifact in order. */
function inReverse(chunks: readonly StateChunk[]): StateChunk[] {
  const runs: StateChunk[][] = [];
  let run: StateChunk[] = [];
  for (const chunk of chunks) {
    run.push(chunk);
    if (chunk.entries.at(-1)?.artifact === undefined) continue;
    runs.push(run);
    run = [];
  }
  return [...runs, run].reverse().flat();
}

const digestsOf = ({ entries }: StateChunk) =>
  entries.map(({ data, ...rest }) => ({ ...rest, bytes: sha256(data as Uint8Array) }));

async function loaded(entry: StateEntry): Promise<StateEntry> {
  const data = await bytesOf(entry);
  return { ...entry, name: nameOf({ ...entry, data }), data };
}
