/** Every module passes the suite of modules, including a third-party one. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DEFAULT_GZIP_LEVEL } from '../../src/formats/swing-store/heap-blob.ts';
import { noProgress } from '../../src/io/progress.ts';
import { filesModule } from '../../src/modules/files/module.ts';
import { newStore } from '../../src/modules/swingset/destinations.ts';
import { swingsetModule } from '../../src/modules/swingset/module.ts';
import { wasmModule } from '../../src/modules/wasm/module.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { sha256 } from '../modules/hashes.ts';
import { notesModule, type Notes } from '../modules/toy.ts';
import {
  makeContent,
  noise,
  openContent,
  splitSpec,
  writeExportDir,
} from '../snapshot/made-export.ts';
import { describeModule } from './module.ts';

const MIB = 1024 * 1024;
const tempDir = useTempDir();

async function treesEqual(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map(listTree));
  return JSON.stringify(a) === JSON.stringify(b);
}

describeModule('swingset', async () => {
  const above = await tempDir();
  const stateDir = path.join(above, 'made', 'S');
  const destination = newStore(stateDir, { replace: false, gzipLevel: DEFAULT_GZIP_LEVEL });
  const content = makeContent(splitSpec);
  const E = await writeExportDir(await tempDir(), content);
  return {
    sender: swingsetModule({ source: openContent(content) }),
    stateHeight: 7,
    receiver: swingsetModule({ target: { destination, location: 'chunks' } }),
    state: async () => listTree(above),
    isInstalled: async () => {
      try {
        await verify({ source: E, stateDir, progress: noProgress });
        return true;
      } catch {
        return false;
      }
    },
  };
});

describeModule('wasm', async () => {
  const from = await tempDir();
  for (const bytes of [0, 10, 2 * MIB, 4 * MIB, 9 * MIB + 1]) {
    const code = Buffer.from(noise(bytes, `code of ${bytes}`));
    await writeFile(path.join(from, sha256(code)), code);
  }
  const above = await tempDir();
  const to = path.join(above, 'made', 'wasm');
  return {
    sender: wasmModule({ name: 'wasm', dir: from, purpose: 'read' }),
    receiver: wasmModule({ name: 'wasm', dir: to, purpose: 'install' }),
    state: async () => listTree(above),
    isInstalled: async () => treesEqual(from, to),
  };
});

describeModule('files', async () => {
  const from = await tempDir();
  await mkdir(path.join(from, 'a', 'empty'), { recursive: true });
  await mkdir(path.join(from, 'a-b'), { mode: 0o750 });
  await writeFile(path.join(from, 'a', 'large'), noise(9 * MIB, 'large'), { mode: 0o600 });
  await writeFile(path.join(from, 'a', 'none'), '');
  await writeFile(path.join(from, 'a-b', 'run'), '#!/bin/sh\n', { mode: 0o755 });
  await writeFile(path.join(from, 'a.txt'), noise(3 * MIB, 'text'));
  const above = await tempDir();
  const to = path.join(above, 'made', 'tree');
  return {
    sender: filesModule({ name: 'ibc', dir: from, purpose: 'read' }),
    receiver: filesModule({ name: 'ibc', dir: to, purpose: 'install' }),
    state: async () => listTree(above),
    isInstalled: async () => treesEqual(from, to),
  };
});

describeModule('a module of another program', async () => {
  const from: Notes = new Map([
    ['one', 'first'],
    ['two', 'second'],
    ['three', ''],
  ]);
  const to: Notes = new Map();
  return {
    sender: notesModule('notes', from),
    receiver: notesModule('notes', to),
    state: async () => [...to],
    isInstalled: async () => to.size === from.size,
  };
});
