/** Commands on small stores, with what each may leave when it is interrupted, and what it must have made in the end. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noProgress } from '../../src/io/progress.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { buildStore } from '../fixtures/reference.ts';
import { loadArchive } from '../fixtures/state-sync/load-archive.ts';
import {
  makeChain,
  storeItems,
  swingsetItems,
  swingsetLeaves,
  wasmItems,
  wasmLeaves,
} from '../fixtures/state-sync/make-chain.ts';
import { streamOf, writeChunks } from '../fixtures/state-sync/make-snapshot.ts';
import type { StoreSpec } from '../fixtures/store-spec.ts';
import { sha256 } from '../modules/hashes.ts';
import { makePlace, run, type Place, type Process } from './faults.ts';

const smallSpec: StoreSpec = {
  height: 1000,
  generatedKeys: [{ count: 20, valueBytes: 100, seed: 1 }],
  vats: [
    {
      vatID: 'v1',
      incarnations: [
        {
          spans: [
            { items: { count: 3, size: 100, seed: 1 }, heap: { size: 5000, seed: 1 } },
            { items: { count: 2, size: 100, seed: 2 } },
          ],
        },
      ],
    },
  ],
  bundles: [{ format: 'b1', size: 1500, seed: 1 }],
};

/** What the target of a command holds. */
export type Holding = 'old' | 'nothing' | 'new';

export interface Scene {
  readonly name: string;
  /** The process that takes the steps. */
  readonly role: Process;
  readonly args: readonly string[];
  /** Paths below the root that the template must have. */
  readonly needs: readonly string[];
  /** What the target holds. Throws if that is something incomplete. */
  readonly holds: (place: Place, stores: Template) => Promise<Holding>;
  /** Exit codes that a second run may have if the first one had already done everything. */
  readonly refusedWhenDone: readonly number[];
  /** What the target holds when the command has succeeded. */
  readonly makes: Holding;
}

/** Everything that scenes start from. It is made once, and copied for each run. */
export interface Template {
  readonly dir: string;
  /** Content hash of an export of `state`. */
  readonly contentHash: string;
  /** Content hash of an export of `other`, a store of the same height. */
  readonly otherHash: string;
}

/**
 * Makes, below `dir`:
 * - the stores `state` (with a `-wal`), `other` and `old` (with a `-wal`, for `restored`)
 * - `export`, an export of `state`
 * - `chain`, the home of a node with a state-sync snapshot of the same height
 * - `wasm` and `ibc`, the states of modules
 * - `chain-with`, the same as `chain` with all artifacts and `wasm`
 * - the snapshot dirs `snapshots-with` (with all of it), `snapshots-new`, `snapshots-other` and `snapshots-many`
 */
export async function makeTemplate(dir: string): Promise<Template> {
  const place = await makePlace(dir);
  const at = (name: string): string => join(place.root, name);
  const other = { ...smallSpec, generatedKeys: [{ count: 5, valueBytes: 50, seed: 9 }] };
  await buildStore(at('state'), { ...smallSpec, leaveWal: 'last-commit' });
  await buildStore(at('other'), other);
  await buildStore(at('old'), { ...other, height: 900, leaveWal: 'last-commit' });
  await buildStore(at('store-998'), { ...other, height: 998 });
  await buildStore(at('store-999'), { ...other, height: 999 });
  const succeed = async (...args: string[]): Promise<unknown> => {
    const result = await run(place, [...args, '--json']);
    if (result.exitCode !== 0) throw new Error(result.stdout + result.stderr);
    return result.json;
  };
  const retrieve = async (from: string, to: string): Promise<string> => {
    const result = await succeed('retrieve', '--create', '--state-dir', from, '--snapshot-dir', to);
    return (result as { contentHash: string }).contentHash;
  };
  await succeed('export', '--state-dir', 'state', '--export-dir', 'export');
  const contentHash = await retrieve('state', 'snapshots-new');
  await makeModules(at);
  await succeed(
    'retrieve',
    '--create',
    '--state-dir',
    'state',
    '--snapshot-dir',
    'snapshots-with',
    ...modules,
  );
  const otherHash = await retrieve('other', 'snapshots-other');
  const swingset = await swingsetLeaves(at('export'));
  const chain = makeChain(1000, { bank: [], swingset });
  await writeChunks(at('chain'), 1000, 3, [streamOf(storeItems(chain))]);
  const withCodes = makeChain(1000, { bank: [], swingset, wasm: wasmLeaves(CODES) });
  const extensions = [...(await swingsetItems(at('export'))), ...wasmItems(CODES)];
  const stream = streamOf([...storeItems(withCodes), ...extensions]);
  await writeChunks(at('chain-with'), 1000, 3, [stream]);
  await retrieve('store-998', 'snapshots-many');
  await retrieve('store-999', 'snapshots-many');
  return { dir: place.root, contentHash, otherHash };
}

const CODES = ['one code', 'another code', ''].map((text) => Buffer.from(text));

/** Makes `wasm` and `ibc`, the states of a node's modules. */
async function makeModules(at: (name: string) => string): Promise<void> {
  await mkdir(at('wasm'));
  for (const code of CODES) await writeFile(join(at('wasm'), sha256(code)), code);
  await mkdir(join(at('ibc'), 'clients', 'empty'), { recursive: true });
  await writeFile(join(at('ibc'), 'clients', 'a'), 'a client');
  await writeFile(join(at('ibc'), 'state'), 'a state', { mode: 0o600 });
}

const modules = ['--module', 'wasm=wasm:wasm', '--module', 'ibc=files:ibc'];

/** Names in a template that are different where a scene runs. */
const RENAMED: Readonly<Record<string, string>> = {
  'snapshots-other': 'snapshots',
  'snapshots-many': 'snapshots',
  old: 'restored',
};

/** A fresh place with what the scene needs. */
export async function setScene(dir: string, scene: Scene, template: Template): Promise<Place> {
  await rm(dir, { recursive: true, force: true });
  const place = await makePlace(dir);
  for (const name of scene.needs) {
    const to = join(place.root, RENAMED[name] ?? name);
    await cp(join(template.dir, name), to, { recursive: true, preserveTimestamps: true });
  }
  return place;
}

async function contentHashOf(source: string): Promise<string | undefined> {
  const { summary } = await verify({ source, progress: noProgress });
  return summary.hashes?.contentHash;
}

async function exportHolds({ root }: Place, { contentHash }: Template): Promise<Holding> {
  const dir = join(root, 'export');
  if (!existsSync(join(dir, 'export-manifest.json'))) return 'nothing';
  if ((await contentHashOf(dir)) !== contentHash) throw new Error('another export');
  return 'new';
}

async function snapshotHolds({ root }: Place, template: Template): Promise<Holding> {
  const dir = join(root, 'snapshots', '1000');
  if (!existsSync(dir)) return 'nothing';
  const hash = await contentHashOf(dir);
  if (hash === template.contentHash) return 'new';
  if (hash === template.otherHash) return 'old';
  throw new Error('another snapshot');
}

function archiveHolds({ root }: Place): Promise<Holding> {
  const file = join(root, 'archives', '1000-3.tar.gz');
  if (!existsSync(file)) return Promise.resolve('nothing');
  // Throws if the archive is incomplete.
  return Promise.resolve(loadArchive(file).height === 1000 ? 'new' : 'old');
}

const STORE_FILES = ['swingstore.sqlite', 'swingstore.sqlite-wal'];

/** SHA-256 of a store's database and `-wal`; undefined if either is missing. */
export function bytesOfStore(dir: string): string | undefined {
  const hash = createHash('sha256');
  for (const name of STORE_FILES) {
    if (!existsSync(join(dir, name))) return undefined;
    hash.update(readFileSync(join(dir, name)));
  }
  return hash.digest('hex');
}

async function storeHolds(place: Place, template: Template): Promise<Holding> {
  const dir = join(place.root, 'restored');
  const database = join(dir, 'swingstore.sqlite');
  if (!existsSync(database)) return 'nothing';
  const old = join(template.dir, 'old');
  if (bytesOfStore(dir) === bytesOfStore(old)) return 'old';
  // Opening the store leaves SQLite's own files beside it, so a copy is opened.
  const copy = join(place.shadow, 'look');
  await rm(copy, { recursive: true, force: true });
  await mkdir(copy, { recursive: true });
  for (const name of STORE_FILES) {
    if (existsSync(join(dir, name))) await cp(join(dir, name), join(copy, name));
  }
  const source = join(template.dir, 'snapshots-new', '1000');
  await verify({ source, stateDir: copy, progress: noProgress });
  await rm(copy, { recursive: true, force: true });
  return 'new';
}

/** The old store must always be whole somewhere: where it was, or where it was moved to. */
async function replacedStoreHolds(place: Place, template: Template): Promise<Holding> {
  const dir = join(place.root, 'restored');
  const names = (await readdir(dir)).filter((name) => name.startsWith('before-'));
  const places = [dir, ...names.map((name) => join(dir, name))];
  const old = bytesOfStore(join(template.dir, 'old'));
  if (!places.some((at) => bytesOfStore(at) === old)) throw new Error('the old store is lost');
  return storeHolds(place, template);
}

const PLACES = [
  { name: 'wasm', kind: 'wasm' },
  { name: 'ibc', kind: 'files' },
] as const;

/** Each module is whole or absent, and all are there if the store is. */
async function nodeHolds(
  place: Place,
  template: Template,
  source = join(template.dir, 'snapshots-with', '1000'),
  places: readonly (typeof PLACES)[number][] = PLACES,
): Promise<Holding> {
  const at = (name: string): string => join(place.root, `node-${name}`);
  const held = await storeHolds(place, template);
  for (const { name, kind } of places) {
    const isHeld = await verify({
      source,
      modules: [{ name, kind, dir: at(name) }],
      progress: noProgress,
    }).then(
      () => true,
      () => false,
    );
    if (isHeld) continue;
    if (held === 'new') throw new Error(`the store is there without ${name}`);
    if (name === 'ibc' && existsSync(at(name))) throw new Error('half of the files are there');
  }
  for (const code of await readdir(at('wasm')).catch(() => [])) {
    if (code.startsWith('.')) continue;
    if (sha256(readFileSync(join(at('wasm'), code))) !== code) throw new Error('half a byte code');
  }
  return held;
}

/** Throws unless the snapshot, if there is one, holds the states of modules at these places. */
async function snapshotOfModulesHolds(
  { root }: Place,
  held: readonly (typeof PLACES)[number][],
  wasm: string,
  trees = root,
): Promise<Holding> {
  const dir = join(root, 'snapshots', '1000');
  if (!existsSync(dir)) return 'nothing';
  const places = held.map(({ name, kind }) => ({
    ...{ name, kind },
    dir: name === 'wasm' ? wasm : join(trees, name),
  }));
  await verify({ source: dir, modules: places, progress: noProgress });
  return 'new';
}

const CHAIN = join('chain-with', 'data', 'snapshots');
const fromStore = ['retrieve', '--create', '--state-dir', 'state', '--snapshot-dir', 'snapshots'];

export const scenes: readonly Scene[] = [
  {
    name: 'export',
    role: 'worker',
    args: ['export', '--state-dir', 'state', '--export-dir', 'export'],
    needs: ['state'],
    holds: exportHolds,
    refusedWhenDone: [1],
    makes: 'new',
  },
  {
    name: 'export --from',
    role: 'command',
    args: ['export', '--from', 'snapshots-new', '--export-dir', 'export'],
    needs: ['snapshots-new'],
    holds: exportHolds,
    refusedWhenDone: [1],
    makes: 'new',
  },
  {
    name: 'retrieve from an export directory',
    role: 'command',
    args: ['retrieve', '--create', '--export-dir', 'export', '--snapshot-dir', 'snapshots'],
    needs: ['state', 'export'],
    holds: snapshotHolds,
    refusedWhenDone: [5],
    makes: 'new',
  },
  {
    name: 'retrieve --format state-sync',
    role: 'command',
    args: [
      ...['retrieve', '--format', 'state-sync', '--stores-from', 'chain/data/snapshots'],
      ...['--export-dir', 'export', '--snapshot-dir', 'archives'],
    ],
    needs: ['chain', 'export'],
    holds: archiveHolds,
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'retrieve from the store',
    role: 'command',
    args: fromStore,
    needs: ['state'],
    holds: snapshotHolds,
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'retrieve --replace',
    role: 'command',
    args: [...fromStore, '--replace'],
    needs: ['state', 'snapshots-other'],
    holds: snapshotHolds,
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'retrieve --keep-last',
    role: 'command',
    args: [...fromStore, '--keep-last', '1'],
    needs: ['state', 'snapshots-many'],
    holds: snapshotHolds,
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'copy',
    role: 'command',
    args: ['copy', 'snapshots-with', 'snapshots', '--create'],
    needs: ['snapshots-with'],
    holds: async (place, { dir }) => snapshotOfModulesHolds(place, PLACES, join(dir, 'wasm'), dir),
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'copy --replace',
    role: 'command',
    args: ['copy', 'snapshots-new', 'snapshots', '--replace'],
    needs: ['snapshots-new', 'snapshots-other'],
    holds: snapshotHolds,
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'restore',
    role: 'command',
    args: ['restore', 'snapshots-new', '--state-dir', 'restored'],
    needs: ['snapshots-new'],
    holds: storeHolds,
    refusedWhenDone: [1],
    makes: 'new',
  },
  {
    name: 'restore --replace',
    role: 'command',
    args: ['restore', 'snapshots-new', '--state-dir', 'restored', '--replace'],
    needs: ['snapshots-new', 'old'],
    holds: replacedStoreHolds,
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'retrieve with modules',
    role: 'command',
    args: [...fromStore, ...modules],
    needs: ['state', 'wasm', 'ibc'],
    holds: async (place) => snapshotOfModulesHolds(place, PLACES, join(place.root, 'wasm')),
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'restore with modules',
    role: 'command',
    args: [
      ...['restore', 'snapshots-with', '--state-dir', 'restored'],
      ...['--module', 'wasm=wasm:node-wasm', '--module', 'ibc=files:node-ibc'],
    ],
    needs: ['snapshots-with'],
    holds: nodeHolds,
    refusedWhenDone: [1],
    makes: 'new',
  },
  {
    name: 'retrieve --from a state-sync snapshot',
    role: 'command',
    args: ['retrieve', '--create', '--from', CHAIN, '--snapshot-dir', 'snapshots'],
    needs: ['chain-with'],
    holds: async (place, template) =>
      snapshotOfModulesHolds(place, PLACES.slice(0, 1), join(template.dir, 'wasm')),
    refusedWhenDone: [],
    makes: 'new',
  },
  {
    name: 'restore of a state-sync snapshot',
    role: 'command',
    args: [
      ...['restore', CHAIN, '--state-dir', 'restored'],
      ...['--module', 'wasm=wasm:node-wasm'],
    ],
    needs: ['chain-with'],
    holds: async (place, template) =>
      nodeHolds(place, template, join(template.dir, CHAIN), PLACES.slice(0, 1)),
    refusedWhenDone: [1],
    makes: 'new',
  },
  {
    name: 'discard',
    role: 'command',
    args: ['discard', '--export-dir', 'export'],
    needs: ['state', 'export'],
    holds: exportHolds,
    // A kill before the removal of the directory leaves it empty, and an empty directory is no export.
    refusedWhenDone: [1],
    makes: 'nothing',
  },
];
