/** Byte code in the extension `wasm`, checked against the code hashes of the store `wasm`. */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { findStateSync } from '../../../src/formats/state-sync/find.ts';
import { openStateSync } from '../../../src/formats/state-sync/open.ts';
import type { ByteCode } from '../../../src/formats/state-sync/payload/code-payload.ts';
import { copyVerified } from '../../../src/swing-store-export/copy-verified.ts';
import { nullSink } from '../../../src/swing-store-export/null-sink.ts';
import { useTempDir } from '../../fixtures/directories.ts';
import { runCli } from '../../fixtures/run-cli.ts';
import {
  makeChain,
  someLeaves,
  storeItems,
  swingsetItems,
  swingsetLeaves,
  wasmItems,
  wasmLeaves,
  type Leaf,
} from '../../fixtures/state-sync/make-chain.ts';
import {
  extensionItem,
  payloadItem,
  cut,
  streamOf,
  writeChunks,
} from '../../fixtures/state-sync/make-snapshot.ts';

const HEIGHT = 1000;
const exportDir = new URL('../../fixtures/state-sync/export/', import.meta.url).pathname;
const tempDir = useTempDir();

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const code = (n: number): Buffer => Buffer.from(`\0asm${String(n).repeat(500)}`);
const codes = Array.from({ length: 20 }, (_, n) => code(n));

/** A chain with these leaves in its store `wasm`, and these items after the extension `swingset`. */
async function chainWith(wasm: readonly Leaf[] | undefined, items: readonly Buffer[]) {
  const chain = makeChain(HEIGHT, {
    bank: someLeaves(20, 1),
    swingset: await swingsetLeaves(exportDir),
    ...(wasm !== undefined && { wasm }),
  });
  const stream = streamOf([...storeItems(chain), ...(await swingsetItems(exportDir)), ...items]);
  const dir = await writeChunks(await tempDir(), HEIGHT, 3, cut(stream, 5000));
  return { dir, appHash: chain.appHash };
}

async function read({ dir, appHash }: { readonly dir: string; readonly appHash: string }) {
  const notes: string[] = [];
  const given: ByteCode[] = [];
  const scratchDir = await tempDir();
  const opened = openStateSync(findStateSync(dir)!, {
    appHash,
    scratchDir,
    note: (message) => void notes.push(message),
    onCode: async (each) => void given.push(each),
  });
  try {
    await copyVerified(opened, async () => nullSink(), { scratchDir });
    return { codes: opened.codes, notes, given };
  } finally {
    await opened.close();
    expect(await readdir(scratchDir)).toEqual([]);
  }
}

describe('stores that are read ahead', () => {
  it('are read once, show whether there are byte codes, and are released if nothing else is read', async () => {
    const scratchDir = await tempDir();
    const said = async (wasm: readonly Leaf[] | undefined, read: boolean): Promise<boolean> => {
      const { dir, appHash } = await chainWith(wasm, wasm === undefined ? [] : wasmItems(codes));
      const options = { appHash, scratchDir, note: () => undefined };
      const opened = openStateSync(findStateSync(dir)!, options);
      const { hasCodes } = await opened.readStores();
      expect(await opened.readStores()).toEqual({ hasCodes });
      expect(opened.proof?.isProved).toBe(true);
      // The chunks without the first are enough: no store is read again.
      if (read) {
        await rm(path.join(dir, '0'));
        const { summary } = await copyVerified(opened, async () => nullSink(), { scratchDir });
        expect(summary.exportData.entries).toBeGreaterThan(0);
      }
      await opened.close();
      return hasCodes;
    };
    expect(await said(wasmLeaves(codes), true)).toBe(true);
    expect(await said(wasmLeaves(codes), false)).toBe(true);
    expect(await said(undefined, true)).toBe(false);
    expect(await readdir(scratchDir)).toEqual([]);
  });

  it('are read again if the export data is requested again', async () => {
    const { dir, appHash } = await chainWith(wasmLeaves(codes), wasmItems(codes));
    const scratchDir = await tempDir();
    const options = { appHash, scratchDir, note: () => undefined };
    const opened = openStateSync(findStateSync(dir)!, options);
    await opened.readStores();
    const read = async (): Promise<string> => {
      const blocks: Uint8Array[] = [];
      for await (const block of opened.exportData()) blocks.push(block);
      return sha256(Buffer.concat(blocks));
    };
    expect(await read()).toBe(await read());
    await opened.close();
  });
});

describe('byte codes', () => {
  it('are all delivered, each once, with the checksum by which the chain knows it', async () => {
    const found = await read(await chainWith(wasmLeaves(codes), wasmItems(codes)));
    expect(found.given.map(({ checksum }) => checksum)).toEqual(codes.map(sha256));
    expect(found.given.map(({ data }) => Buffer.from(data))).toEqual(codes);
    expect(found.codes).toEqual({ count: 20, size: Buffer.concat(codes).length });
    expect(found.notes).toEqual([]);
  });

  it('are accepted in any order, and once if two codes share one', async () => {
    const twice = wasmLeaves([...codes, code(3), code(0)]);
    const found = await read(await chainWith(twice, wasmItems(codes.toReversed())));
    expect(found.codes?.count).toBe(20);
  });

  it('may be absent, with or without the extension', async () => {
    expect((await read(await chainWith(wasmLeaves([]), wasmItems([])))).codes?.count).toBe(0);
    expect((await read(await chainWith(wasmLeaves([]), []))).codes?.count).toBe(0);
    const without = await read(await chainWith(undefined, []));
    expect(without).toEqual({ codes: undefined, notes: [], given: [] });
  });

  it('are skipped with a note if no store lists them', async () => {
    const found = await read(await chainWith(undefined, wasmItems(codes)));
    expect(found).toMatchObject({ codes: undefined, given: [] });
    expect(found.notes).toEqual([expect.stringContaining('20 byte codes')]);
  });

  it.each<[string, string, readonly Buffer[], string]>([
    ['a missing one', 'MISSING_CODE', wasmItems(codes.toSpliced(7, 1)), sha256(code(7))],
    ['all of them missing', 'MISSING_CODE', [], sha256(code(0))],
    [
      'one that belongs to no code',
      'UNKNOWN_CODE',
      wasmItems([...codes, code(77)]),
      sha256(code(77)),
    ],
    ['a changed one', 'UNKNOWN_CODE', wasmItems(codes.with(4, code(78))), sha256(code(78))],
    ['one that appears twice', 'DUPLICATE_CODE', wasmItems([...codes, code(5)]), sha256(code(5))],
  ])('are refused with %s, and the error names its checksum', async (_, error, items, checksum) => {
    const chain = await chainWith(wasmLeaves(codes), items);
    const refusal = await read(chain).catch((thrown: unknown) => thrown);
    expect(refusal).toMatchObject({ code: error, exitCode: 3 });
    expect(JSON.stringify(refusal)).toContain(checksum);
  });

  const gzipped = gzipSync(code(0));
  it.each<[string, Buffer]>([
    ['two gzip members', Buffer.concat([gzipped, gzipSync(Buffer.from('more'))])],
    ['gzip with a byte after it', Buffer.concat([gzipped, Buffer.of(1)])],
    ['half a gzip', gzipped.subarray(0, 20)],
    ['raw byte code', code(0)],
    ['nothing', Buffer.alloc(0)],
    ['byte code above the size limit', gzipSync(Buffer.alloc(65 * 1024 * 1024))],
  ])('are refused with a payload of %s, even if no store lists them', async (_, payload) => {
    const items = [extensionItem('wasm', 1), payloadItem(payload)];
    for (const leaves of [wasmLeaves([code(0)]), undefined]) {
      await expect(read(await chainWith(leaves, items))).rejects.toMatchObject({
        code: 'STATE_SYNC_DAMAGED',
        exitCode: 3,
      });
    }
  });

  it('are refused in an unknown format, and if a code in the store has no hash', async () => {
    const items = [extensionItem('wasm', 2), ...wasmItems(codes).slice(1)];
    const unknown = await chainWith(wasmLeaves(codes), items);
    await expect(read(unknown)).rejects.toMatchObject({ code: 'STATE_SYNC_DAMAGED' });
    const [[key]] = wasmLeaves(codes) as [Leaf];
    for (const value of ['', '0a03616161', '1a03616161', '0a40']) {
      const leaves: Leaf[] = [[key, Buffer.from(value, 'hex')]];
      await expect(read(await chainWith(leaves, []))).rejects.toMatchObject({ exitCode: 3 });
    }
  });

  it('are checked by verify, restore, retrieve and export alike, and a refusal leaves no output', async () => {
    const right = await chainWith(wasmLeaves(codes), wasmItems(codes));
    const wrong = await chainWith(wasmLeaves(codes), wasmItems(codes.slice(1)));
    const out = await tempDir();
    const commands = (source: string): string[][] => [
      ['verify', source],
      ['restore', source, '--state-dir', path.join(out, 'S'), '--leave-module', 'wasm'],
      ['retrieve', '--create', '--from', source, '--snapshot-dir', path.join(out, 'D')],
      ['export', '--from', source, '--export-dir', path.join(out, 'E'), '--leave-module', 'wasm'],
    ];
    for (const command of commands(wrong.dir)) {
      const { exitCode, json } = await runCli([...command, '--app-hash', wrong.appHash, '--json']);
      expect({ exitCode, json }).toMatchObject({
        exitCode: 3,
        json: { error: { code: 'MISSING_CODE', expected: sha256(code(0)) } },
      });
    }
    expect(await readdir(out)).toEqual([]);
    for (const command of commands(right.dir)) {
      const { exitCode, json } = await runCli([...command, '--app-hash', right.appHash, '--json']);
      const left = '20 byte codes were left out: an export directory has no place for them';
      const notes = command[0] === 'export' ? [left] : [];
      expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { notes } });
      if (command[0] === 'verify') expect(json).toMatchObject({ codes: { count: 20 } });
    }
  });
});
