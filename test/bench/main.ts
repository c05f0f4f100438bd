/**
 * The benchmark: `npm run bench -- [--size 1x,3x,10x] [--runs 5] [--only TEXT] [--json FILE] [--write] [--smoke]`.
 * Run it on built code. `--smoke` is a tiny store and one run: it shows that the benchmark works, and no more.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { racesOn } from './races.ts';
import { document, surroundings, table } from './report.ts';
import { runRace, type Result } from './run.ts';
import { BENCH_DIR, storeOfSize } from './stores.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1x' },
    runs: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
  },
});
const runs = values.smoke ? 1 : Number(values.runs);
const names = values.smoke ? ['tiny'] : values.size.split(',');

async function measureSize(name: string): Promise<Result[]> {
  const store = await storeOfSize(name);
  const work = await mkdtemp(join(BENCH_DIR, 'run-'));
  const results: Result[] = [];
  try {
    const ground = {
      store,
      export: join(work, 'export'),
      snapshots: join(work, 'snapshots'),
      restored: join(work, 'restored'),
      tarball: join(work, 'export.tar.zst'),
      unpacked: join(work, 'unpacked'),
    };
    for (const race of racesOn(ground)) {
      // A race that is left out is still run once, since later ones build on what it makes.
      const wanted = race.title.includes(values.only);
      const result = await runRace(race, wanted ? runs : 1);
      if (!wanted) continue;
      results.push(result);
      process.stderr.write(`${name}: ${race.title}: ratio ${result.ratio.toFixed(2)}\n`);
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return results;
}

await mkdir(BENCH_DIR, { recursive: true });
const sizes: Record<string, readonly Result[]> = {};
for (const name of names) sizes[name] = await measureSize(name);

const report = { ...surroundings(), runs, sizes };
for (const [name, results] of Object.entries(sizes)) {
  process.stdout.write(`\n${name}\n${table(results)}\n`);
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (values.write) {
  const path = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
  const style = await resolveConfig(path);
  await writeFile(path, await format(document(report), { ...style, parser: 'markdown' }));
}
