/**
 * The benchmark:
 * `npm run bench -- [--size 1x] [--runs 5] [--growth 3x,10x] [--only TEXT] [--json FILE] [--write] [--smoke]`.
 * `--growth` runs only our commands, once, on larger stores. `--smoke` runs once on tiny stores: it only shows that the
 * benchmark works. `--write` writes docs/performance.md, and keeps what a person wrote at its end.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { measure, type Command } from './measure.ts';
import { checkBundles, makeTinySnapshot, measureFloors, racesOn, type Ground } from './races.ts';
import {
  bundleLine,
  document,
  floorTable,
  growth,
  surroundings,
  table,
  type Alone,
  type Floors,
} from './report.ts';
import { runAlone, runRace, type Result } from './run.ts';
import { stateSyncRaces } from './state-sync.ts';
import { BENCH_DIR, changedStore, storeOfSize } from './stores.ts';
import { measureWriter, writerTable, type WriterFigures } from './writer.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1x' },
    runs: { type: 'string', default: '5' },
    growth: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
  },
});
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
    changedVats: await changedStore(size, 'vats'),
    changedKeys: await changedStore(size, 'keys'),
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

interface Raced {
  readonly results: readonly Result[];
  /** Bytes and milliseconds of the check of b1 bundles. */
  readonly bundles: { readonly bytes: number; readonly milliseconds: number };
  readonly floors: Floors;
  readonly writer: readonly WriterFigures[];
}

async function raceOn(ground: Ground): Promise<Raced> {
  const results: Result[] = [];
  for (const race of [...racesOn(ground), ...(await stateSyncRaces(name))]) {
    // A race that is left out still runs once, since later ones need what it makes.
    const wanted = race.title.includes(values.only);
    const result = await runRace(race, wanted ? runs : 1);
    if (!wanted) continue;
    results.push(result);
    process.stderr.write(`${name}: ${race.title}: ratio ${result.ratio.toFixed(2)}\n`);
  }
  const told = async (command: Command): Promise<unknown> =>
    JSON.parse((await measure(command)).stdout);
  const floors = (await told(measureFloors(ground.store, ground.export, ground.work))) as Floors;
  const bundles = (await told(checkBundles(ground.export))) as Raced['bundles'];
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

await mkdir(BENCH_DIR, { recursive: true });
const { results, bundles, floors, writer } = await onGround(name, raceOn);
const sizes: Record<string, readonly Alone[]> = { [name]: results };
for (const size of larger) sizes[size] = await onGround(size, aloneOn);

const report = { ...surroundings(), runs, size: name, results, bundles, floors, writer, sizes };
process.stdout.write(
  `\n${name}\n${table(results)}\n\n${growth(sizes)}\n\n${floorTable(floors)}\n\n${bundleLine(bundles)}\n\n${writerTable(writer)}\n`,
);
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (values.write) {
  const path = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
  const style = await resolveConfig(path);
  const text = document(report, existsSync(path) ? await readFile(path, 'utf8') : '');
  await writeFile(path, await format(text, { ...style, parser: 'markdown' }));
}
