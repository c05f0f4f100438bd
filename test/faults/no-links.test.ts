/** A file system without hard links, as FAT and some network disks are. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { makePlace, run, runFaulty, temporariesLeft, type Fault, type Place } from './faults.ts';

const fileDir = useTempDir('file');
const CODE = Buffer.from('byte code');
const CHECKSUM = createHash('sha256').update(CODE).digest('hex');
const wasm = ['--module', 'wasm=wasm:wasm'];
let place: Place;

beforeAll(async () => {
  place = await makePlace(await fileDir());
  const at = (name: string): string => join(place.root, name);
  await buildStore(at('state'), tinySpec);
  await buildStore(at('older'), { ...tinySpec, height: 900 });
  await buildStore(at('restored'), { ...tinySpec, height: 800, leaveWal: 'last-commit' });
  await mkdir(at('wasm'));
  await writeFile(join(at('wasm'), CHECKSUM), CODE);
});
afterAll(closeReference);

async function succeeds(...args: string[]): Promise<void> {
  const fault = { role: 'command', from: 1, when: 'before', type: 'error' } as const;
  for (const code of ['EPERM', 'ENOTSUP']) {
    const unlinked: Fault = { ...fault, calls: ['link'], code };
    const result = await runFaulty(place, args, unlinked);
    expect(result).toMatchObject({ exitCode: 0 });
  }
  expect(temporariesLeft(place)).toEqual([]);
}

it('takes further snapshots, whose chunks are copied', async () => {
  const to = ['--snapshot-dir', 'snapshots', ...wasm];
  await succeeds('retrieve', '--create', '--state-dir', 'older', ...to);
  await succeeds('retrieve', '--state-dir', 'state', ...to);
  expect(await run(place, ['verify', 'snapshots'])).toMatchObject({ exitCode: 0 });
});

it('takes a restored store with its byte code, and keeps the old store whole', async () => {
  const old = await listTree(join(place.root, 'restored'));
  expect(Object.keys(old)).toContain('swingstore.sqlite-wal');
  const to = ['--state-dir', 'restored', '--module', 'wasm=wasm:new-wasm'];
  await succeeds('restore', 'snapshots', ...to, '--replace');
  const [first = ''] = (await readdir(join(place.root, 'restored')))
    .filter((name) => name.startsWith('before-'))
    .sort();
  expect(await listTree(join(place.root, 'restored', first))).toEqual(old);
  expect(await readdir(join(place.root, 'new-wasm'))).toEqual([CHECKSUM]);
  expect(await run(place, ['verify', 'snapshots', ...to])).toMatchObject({ exitCode: 0 });
});
