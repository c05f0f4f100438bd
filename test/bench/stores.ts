/** The stores that are measured. The reference library makes each once, and it is kept outside the repository. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { SAME_SQLITE } from '../fixtures/same-sqlite.ts';
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

/** `BENCHMARK_SIZE` with `factor` times as much of everything. A single blob keeps its size. */
function times(factor: number): StoreSize {
  const { keys, vats, bundles } = BENCHMARK_SIZE;
  return { ...BENCHMARK_SIZE, keys: keys * factor, vats: vats * factor, bundles: bundles * factor };
}

/** The least that a store can hold once a node has started on it. */
const EMPTY: StoreSize = { ...TINY, keys: 1, vats: 1, heapBytes: 1_000, items: 2, bundles: 0 };

/** By the name that `--size` takes. */
export const SIZES: Readonly<Record<string, StoreSize>> = {
  empty: EMPTY,
  tiny: TINY,
  '0.1x': times(0.1),
  '1x': times(1),
  '3x': times(3),
  '10x': times(10),
};

/** The directory of the stores and of what a run makes: `SWINGSNAP_BENCH_DIR`, else under the temporary directory. */
export const BENCH_DIR = process.env['SWINGSNAP_BENCH_DIR'] ?? join(tmpdir(), 'swingsnap-bench');

/** The state dir of the store of a size. The store is built if it is not there yet. */
export async function storeOfSize(name: string): Promise<string> {
  const size = SIZES[name];
  if (size === undefined) {
    throw new Error(`no size ${name}: take one of ${Object.keys(SIZES).join(', ')}`);
  }
  return cached(`${name}-${Object.values(size).join('-')}`, async (making) => {
    await buildStore(making, sizedSpec(size));
    await closeReference();
  });
}

/** What `change-store.js` changes. */
export type Change = 'vats' | 'keys';

/** The store of a state dir beside the others, at its next height. */
export async function changedStore(before: string, change: Change): Promise<string> {
  return cached(`${basename(before)}-${change}`, async (making) => {
    await cp(before, making, { recursive: true });
    const script = fileURLToPath(new URL('change-store.js', import.meta.url));
    await promisify(execFile)(process.execPath, [...SAME_SQLITE, script, change, making]);
  });
}

/** The state dir of a store that is made once, and kept under its name. */
export async function cached(
  name: string,
  make: (making: string) => Promise<void>,
): Promise<string> {
  const stateDir = join(BENCH_DIR, 'stores', name);
  if (existsSync(stateDir)) return stateDir;
  const making = `${stateDir}.making`;
  await rm(making, { recursive: true, force: true });
  await mkdir(join(BENCH_DIR, 'stores'), { recursive: true });
  await make(making);
  await rename(making, stateDir);
  return stateDir;
}
