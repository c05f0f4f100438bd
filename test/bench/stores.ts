/** The stores that are measured: made by the reference library once, and kept outside the repository. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { BENCHMARK_SIZE, sizedSpec, type StoreSize } from '../fixtures/store-spec.ts';

const TINY: StoreSize = {
  keys: 2_000,
  valueBytes: 900,
  vats: 4,
  heapBytes: 300_000,
  items: 20,
  itemBytes: 1_000,
  bundles: 4,
  bundleBytes: 50_000,
  b1Share: 0.5,
};

/** `BENCHMARK_SIZE` with so many times as much of everything but the size of a single blob. */
function times(factor: number): StoreSize {
  const { keys, vats, bundles } = BENCHMARK_SIZE;
  return { ...BENCHMARK_SIZE, keys: keys * factor, vats: vats * factor, bundles: bundles * factor };
}

/** By the name that `--size` takes. */
export const SIZES: Readonly<Record<string, StoreSize>> = {
  tiny: TINY,
  '0.1x': times(0.1),
  '1x': times(1),
  '3x': times(3),
  '10x': times(10),
};

/** Where stores are kept and what a run makes is put: `SWINGSNAP_BENCH_DIR`, else under the temporary directory. */
export const BENCH_DIR = process.env['SWINGSNAP_BENCH_DIR'] ?? join(tmpdir(), 'swingsnap-bench');

/** The state dir of the store of a size, which is built if it is not there yet. */
export async function storeOfSize(name: string): Promise<string> {
  const size = SIZES[name];
  if (size === undefined) {
    throw new Error(`no size ${name}: take one of ${Object.keys(SIZES).join(', ')}`);
  }
  const stateDir = join(BENCH_DIR, 'stores', `${name}-${Object.values(size).join('-')}`);
  if (existsSync(stateDir)) return stateDir;
  const making = `${stateDir}.making`;
  await rm(making, { recursive: true, force: true });
  await mkdir(join(BENCH_DIR, 'stores'), { recursive: true });
  await buildStore(making, sizedSpec(size));
  await closeReference();
  await rename(making, stateDir);
  return stateDir;
}
