/**
 * The real stores: what the reference library makes of exports of nodes. `--real DIR` names a directory with
 *
 * - `chain`: an export directory of a chain's node, in artifact mode `operational`, `archival` or `debug`
 * - `kernel-h`, `kernel-h+1` and `kernel-h+20`: exports of one kernel, at a height, at the next, and 20 blocks later
 *
 * What is not there is left out. Stores are made once, and kept beside the generated ones.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { REFERENCE } from '../contenders.ts';
import { measure } from '../measure.ts';
import { cached } from '../stores.ts';
import { makeLargeExport } from './large-export.ts';

export type Mode = 'operational' | 'archival';

/** Greatest ratios of our time to that of a rival, or to that of the same work in a new snapshot dir. */
export interface Targets {
  readonly exportOverFloor?: number;
  readonly exportOverReference?: number;
  readonly directoryOverFloor?: number;
  readonly retrieveOverFloor?: number;
  readonly retrieveOverTar?: number;
  readonly again?: number;
  readonly verifyOverFloor?: number;
  readonly restoreOverFloor?: number;
  readonly restoreOverReference?: number;
}

export interface RealStore {
  readonly name: string;
  readonly mode: Mode;
  readonly stateDir: string;
  /** The same store at later heights: a label and a state dir of each. */
  readonly later: readonly (readonly [label: string, stateDir: string])[];
  readonly targets: Targets | undefined;
}

const CHAIN_TARGETS: Targets = {
  exportOverFloor: 1.2,
  exportOverReference: 1 / 2.3,
  directoryOverFloor: 1.25,
  retrieveOverFloor: 1.25,
  retrieveOverTar: 1 / 2.1,
  again: 0.4,
  verifyOverFloor: 1.4,
  restoreOverFloor: 1.25,
  restoreOverReference: 1 / 4.3,
};

/** The names that `--stores` takes. */
export const REAL_STORES: readonly string[] = [
  'chain',
  'chain-archival',
  'kernel',
  'kernel-archival',
  'large',
];

/** Those of a smoke run. Together they go all ways. */
export const SMOKE_STORES: readonly string[] = ['kernel-archival', 'large'];

const LATER = ['h+1', 'h+20'];

/**
 * The store of a name.
 * @param largeBytes bytes of the heap snapshots of the large store
 * @returns why there is none, if the exports that it needs are not in the directory, or lack its artifacts
 */
export async function realStore(
  name: string,
  realDir: string,
  largeBytes: number,
): Promise<RealStore | string> {
  const dir = resolve(realDir);
  if (name === 'large') return largeStore(dir, largeBytes);
  const [kind = '', archival] = name.split('-');
  const mode: Mode = archival === undefined ? 'operational' : 'archival';
  const first = join(dir, kind === 'kernel' ? 'kernel-h' : kind);
  if (!existsSync(first)) return `there is no ${first}`;
  try {
    const later: [string, string][] = [];
    for (const label of kind === 'kernel' ? LATER : []) {
      const exportDir = join(dir, `kernel-${label}`);
      if (existsSync(exportDir)) later.push([label, await storeOf(exportDir, mode)]);
    }
    const targets = name === 'chain' ? CHAIN_TARGETS : undefined;
    return { name, mode, stateDir: await storeOf(first, mode), later, targets };
  } catch (error) {
    if (mode === 'operational') throw error;
    return `${first} has no whole history: ${(error as Error).message.split('\n').at(-1) ?? ''}`;
  }
}

async function largeStore(dir: string, bytes: number): Promise<RealStore | string> {
  const bases = ['chain', 'kernel-h'].map((base) => join(dir, base)).filter(existsSync);
  if (bases.length === 0) return `there are no exports in ${dir}`;
  const stateDir = await cached(`real-large-${bytes}-${await digestOf(bases)}`, async (making) => {
    const exportDir = `${making}.export`;
    await rm(exportDir, { recursive: true, force: true });
    await makeLargeExport(bases, exportDir, bytes);
    await measure([...REFERENCE, 'import', exportDir, making]);
    await rm(exportDir, { recursive: true });
  });
  const targets = { again: 0.1 };
  return { name: 'large', mode: 'operational', stateDir, later: [], targets };
}

/** The state dir of what the reference imports from an export. */
async function storeOf(exportDir: string, mode: Mode): Promise<string> {
  return cached(`real-${mode}-${await digestOf([exportDir])}`, async (making) => {
    await measure([...REFERENCE, 'import', exportDir, making, mode]);
  });
}

/** Names the content of exports. */
async function digestOf(exportDirs: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const dir of exportDirs) {
    for (const name of ['export-manifest.json', 'export-data.jsonl']) {
      for await (const piece of createReadStream(join(dir, name))) hash.update(piece as Buffer);
    }
  }
  return hash.digest('hex').slice(0, 16);
}
