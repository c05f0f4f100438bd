/**
 * The benchmark: `npm run bench -- [OPTIONS]`.
 *
 * - `--real DIR`: exports of nodes, to run on real stores too (`real/stores.ts` says what the directory has)
 * - `--stores LIST`: of `generated` and the real ones, which; without it, all
 * - `--large GB`: heap snapshots of the large store that is put together of the real ones
 * - `--runs N`: of each contender; on the large store at most 3
 * - `--threads N`: of our commands and of the floor on real stores
 * - `--only TEXT`: measures only the races with this in their title
 * - `--size 1x`, `--growth 3x,10x`: of the generated store; in `growth` only our commands run, once
 * - `--json FILE`: writes the figures
 * - `--write`: writes docs/performance.md, and keeps what a person wrote at its end
 * - `--smoke`: runs once on tiny stores, which only shows that the benchmark works
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { measure, type Command } from './measure.ts';
import { checkBundles, makeTinySnapshot, measureFloors, racesOn, type Ground } from './races.ts';
import { realRaces } from './real/races.ts';
import type { RealResults } from './real/report.ts';
import { REAL_STORES, realStore, SMOKE_STORES } from './real/stores.ts';
import { tinyReal } from './real/tiny.ts';
import {
  chapters,
  document,
  surroundings,
  type Alone,
  type Floors,
  type Generated,
  type Report,
} from './report.ts';
import { runAlone, runRaces } from './run.ts';
import { stateSyncRaces } from './state-sync.ts';
import { BENCH_DIR, changedStore, storeOfSize } from './stores.ts';
import { measureWriter } from './writer.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1x' },
    runs: { type: 'string', default: '5' },
    growth: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    real: { type: 'string' },
    stores: { type: 'string' },
    large: { type: 'string', default: '3.2' },
    threads: { type: 'string', default: '2' },
  },
});
/** Runs on the large store, at most: one takes minutes. */
const LARGE_RUNS = 3;

const wantedStores = values.stores?.split(',') ?? [
  'generated',
  ...(values.smoke ? SMOKE_STORES : REAL_STORES),
];
const runs = values.smoke ? 1 : Number(values.runs);
const name = values.smoke ? 'tiny' : values.size;
const larger = values.smoke ? ['0.1x'] : values.growth.split(',').filter((size) => size !== '');

/** Prepares the directories for races on a store of the given size. */
async function onGround<Made>(
  size: string,
  race: (ground: Ground) => Promise<Made>,
): Promise<Made> {
  const store = await storeOfSize(size);
  const stores = {
    store,
    changedVats: await changedStore(store, 'vats'),
    changedKeys: await changedStore(store, 'keys'),
    emptyStore: await storeOfSize('empty'),
  };
  const work = await mkdtemp(join(BENCH_DIR, 'run-'));
  try {
    const tinySnapshots = join(work, 'tiny');
    await measure(makeTinySnapshot(stores.emptyStore, tinySnapshots));
    return await race({
      ...stores,
      work,
      tinySnapshots,
      export: join(work, 'export'),
      snapshots: join(work, 'snapshots'),
      restored: join(work, 'restored'),
      tarball: join(work, 'export.tar.zst'),
      unpacked: join(work, 'unpacked'),
      second: join(work, 'second'),
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function raceOn(ground: Ground): Promise<Omit<Generated, 'size' | 'sizes'>> {
  const races = [...racesOn(ground), ...(await stateSyncRaces(name))];
  const results = await runRaces(name, races, runs, values.only);
  const told = async (command: Command): Promise<unknown> =>
    JSON.parse((await measure(command)).stdout);
  const floors = (await told(measureFloors(ground.store, ground.export, ground.work))) as Floors;
  const bundles = (await told(checkBundles(ground.export))) as Generated['bundles'];
  const writer = await measureWriter(ground.store, ground.work, values.smoke ? 1 : 30);
  return { results, bundles, floors, writer };
}

async function aloneOn(ground: Ground): Promise<Alone[]> {
  const figures: Alone[] = [];
  for (const race of racesOn(ground)) {
    figures.push({ title: race.title, ours: await runAlone(race) });
  }
  return figures;
}

/** The races on the stores that are made of the exports in a directory. */
async function raceOnReal(realDir: string): Promise<RealResults[]> {
  const all: RealResults[] = [];
  for (const storeName of REAL_STORES.filter((each) => wantedStores.includes(each))) {
    const store = await realStore(
      storeName,
      realDir,
      1e9 * Number(values.smoke ? 0.002 : values.large),
    );
    if (typeof store === 'string') {
      process.stderr.write(`${storeName} is left out: ${store}\n`);
      continue;
    }
    const work = await mkdtemp(join(BENCH_DIR, 'run-'));
    try {
      const races = realRaces({ ...store, work, threads: Number(values.threads) });
      const storeRuns = storeName === 'large' ? Math.min(runs, LARGE_RUNS) : runs;
      const results = await runRaces(storeName, races, storeRuns, values.only);
      all.push({ name: storeName, mode: store.mode, runs: storeRuns, results });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  return all;
}

async function realResults(): Promise<RealResults[]> {
  if (values.real !== undefined) return raceOnReal(values.real);
  if (!values.smoke) return [];
  const work = await mkdtemp(join(BENCH_DIR, 'run-'));
  try {
    return await raceOnReal(await tinyReal(work));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function generatedResults(): Promise<Generated> {
  const raced = await onGround(name, raceOn);
  const sizes: Record<string, readonly Alone[]> = { [name]: raced.results };
  for (const size of larger) sizes[size] = await onGround(size, aloneOn);
  return { size: name, ...raced, sizes };
}

await mkdir(BENCH_DIR, { recursive: true });
const report: Report = {
  ...surroundings(),
  runs,
  threads: Number(values.threads),
  real: await realResults(),
  generated: wantedStores.includes('generated') ? await generatedResults() : undefined,
};
process.stdout.write(`${chapters(report)}\n`);
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (values.write) {
  const path = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
  const style = await resolveConfig(path);
  const text = document(report, existsSync(path) ? await readFile(path, 'utf8') : '');
  await writeFile(path, await format(text, { ...style, parser: 'markdown' }));
}
