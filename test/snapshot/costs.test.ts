/** Small snapshots that would take much time or memory to verify. */
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { errorLines, reportError } from '../../src/cli/exit/exit.ts';
import { inlinePool } from '../../src/io/threads/pool.ts';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { decodeSnapshotManifest, type SnapshotManifest } from '../../src/snapshot/manifest.ts';
import { ChunkReader } from '../../src/snapshot/read/chunk-reader.ts';
import { planChunks } from '../../src/snapshot/read/plan-chunks.ts';
import { packTar } from '../../src/snapshot/tar.ts';
import type { StoredSnapshot } from '../../src/storage/contract.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { draftOf, forge, sha256, writeFiles, type Draft } from './hostile/forge.ts';
import { makeContent, smallSpec } from './made-export.ts';
import { verify, verifyQuickly } from './refusal.ts';

const MAX_MS = 5000;
const tempDir = useTempDir();
const content = makeContent(smallSpec);
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

async function forged(change: (draft: Draft) => void): Promise<string> {
  const draft = draftOf(content, codec);
  change(draft);
  const dir = path.join(await tempDir(), 'snapshot');
  await writeFiles(dir, await forge(draft));
  return dir;
}

async function soon<T>(work: () => T): Promise<Awaited<T>> {
  const started = performance.now();
  const result = await work();
  expect(performance.now() - started).toBeLessThan(MAX_MS);
  return result;
}

const damaged = (message: string) => ({ exitCode: 3, code: 'SNAPSHOT_DAMAGED', message });

describe('a list of entries is refused at once', () => {
  it('that names two chunks alternately, as often as the manifest says', async () => {
    const times = 50_000;
    const dir = await forged((draft) => {
      draft.lines = (lines) => Array.from({ length: times }, () => [lines[0]!, lines[1]!]).flat();
      draft.list = (text) => {
        const pair = text.subarray(0, text.length / times);
        const most = 2000;
        const frame = draft.codec.compress(Buffer.concat(Array(most).fill(pair) as Buffer[]), 3);
        return Buffer.concat(Array.from({ length: times / most }, () => frame));
      };
      draft.manifest = (manifest) => {
        manifest.chunks.count = 2 * times;
        // Pretends that the bytes are enough for so many lines.
        manifest.entries.count = Math.min(2 * times, 4 * manifest.entries.size);
      };
    });
    expect(await soon(async () => verifyQuickly(dir))).toEqual(
      damaged('the list of entries names a chunk in two places'),
    );
  });

  it('that has more lines than its bytes can hold, or than the manifest says', async () => {
    const line = (lines: string[]): string[] => Array.from({ length: 5000 }, () => lines[0]!);
    const dense = await forged((draft) => {
      draft.lines = line;
    });
    expect(await soon(async () => verifyQuickly(dense))).toEqual(
      damaged('the list of entries has more lines than its bytes can hold'),
    );
    const long = await forged((draft) => {
      draft.lines = line;
      draft.manifest = (manifest) => {
        manifest.entries.count = 5;
      };
    });
    expect(await soon(async () => verifyQuickly(long))).toEqual(
      damaged('the list of entries has the wrong number of lines'),
    );
  });
});

describe('a manifest is refused at once', () => {
  const decode = (text: string): unknown => decodeSnapshotManifest(Buffer.from(text), 'm');

  it('that is nested so deeply that its text grows quadratically', async () => {
    const deep = `${'['.repeat(3000)}${']'.repeat(3000)}`;
    const text = `{"format":"swingsnap-snapshot","version":1,"made":[${Array(150).fill(deep).join(',')}]}`;
    await soon(() => {
      expect(() => decode(text)).toThrow('nested too deeply');
    });
  });

  it('with nine hundred thousand blanks in a field, with short error lines', async () => {
    const text = JSON.stringify({
      format: 'swingsnap-snapshot',
      version: 1,
      height: `a${' '.repeat(900_000)}b`,
    });
    const lines = await soon(() => {
      try {
        return decode(text);
      } catch (error) {
        return errorLines(reportError(error, 'swingsnap verify'));
      }
    });
    expect(Math.max(...(lines as string[]).map(({ length }) => length))).toBeLessThan(5000);
  });

  it('unless it is nested no deeper than it needs to be', async () => {
    const dir = await forged((draft) => {
      draft.manifest = (manifest) => {
        Object.assign(manifest.made, { at: { a: [{ text: '[[{"' }] } });
      };
    });
    expect(await verify(dir)).toBeUndefined();
  });
});

describe('chunks', () => {
  it('that expand further than any store are refused before they are unpacked', async () => {
    const data = Buffer.alloc(60 * 1024 * 1024);
    const entry = {
      name: 'swingset/artifacts/bundle.b1-x',
      size: data.length,
      sha256: sha256(data),
    };
    const bytes = codec.compress(await packTar([{ name: entry.name, data }]), 3);
    // The same bytes under different names: their hashes are checked later.
    const lines = Array.from({ length: 60 }, (_, i) =>
      JSON.stringify({ chunk: sha256(String(i)), ...entry }),
    );
    const list = codec.compress(Buffer.from(lines.map((line) => `${line}\n`).join('')), 3);
    const stored = {
      location: 'a test',
      stream: async function* stream() {
        yield list;
      },
      read: async () => Buffer.from(bytes),
      size: async () => bytes.length,
    } as unknown as StoredSnapshot;
    const manifest = {
      entries: { count: lines.length, size: list.length, sha256: sha256(list) },
      chunks: { count: lines.length, size: lines.length * bytes.length },
      modules: { swingset: {} },
    } as unknown as SnapshotManifest;
    const unpacked: number[] = [];
    const pool = { ...inlinePool, run: async () => [unpacked.push(1)] as never };
    const planned = () => planChunks(stored, manifest, codec);
    const reader = new ChunkReader({ stored, manifest, codec, pool, planned });
    const reading = async (): Promise<void> => {
      for await (const { entries } of reader.chunks('swingset')) {
        for (const { data: load } of entries) if (load instanceof Function) await load();
      }
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'SNAPSHOT_DAMAGED',
      message: 'the compressed chunks expand to more than any store holds',
    });
    expect(unpacked.length).toBeLessThan(40);
  });
});
