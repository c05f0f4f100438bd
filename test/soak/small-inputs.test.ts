/**
 * Small inputs of every format that swingsnap reads, made to be expensive. The command line reads each in a process of
 * its own. It may take at most sixty times the time of an honest input, and 400 MB more memory.
 */
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { exportInputs } from './export-inputs.ts';
import { runBounded } from './run-bounded.ts';
import { snapshotInputs } from './snapshot-inputs.ts';
import { stateSyncInputs } from './state-sync-inputs.ts';

const isSoak = process.env['SWINGSNAP_SOAK'] !== undefined;
const seed = Number(process.env['SWINGSNAP_SEED'] ?? Date.now() % 1_000_000);
const only = process.env['SWINGSNAP_INPUT'] ?? '';

/** Bytes on disk. A larger input may take longer. */
const SMALL_BYTES = 2_500_000;
const TIMES = 60;
const MORE_BYTES = 400_000_000;

const HONEST = ['frozen/snapshot-1', 'state-sync/format3/1000-3.tar.gz', 'state-sync/export'].map(
  (path) => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url)),
);

/** Park and Miller's generator. */
let state = seed + 1;
const random = (): number => {
  state = (state * 48_271) % 2_147_483_647;
  return state / 2_147_483_647;
};

const sizeOf = (dir: string): number =>
  Number(execFileSync('du', ['-sb', dir]).toString().split('\t')[0]);

describe.skipIf(!isSoak)(`small inputs, seed ${seed}`, () => {
  const tempDir = useTempDir('file');
  let maxMs = 0;
  let maxBytes = 0;

  beforeAll(async () => {
    const dir = await tempDir();
    for (const source of HONEST) {
      const { exitCode, ms, peak = 0 } = await runBounded(['verify', source], dir, 60_000);
      expect(exitCode, source).toBe(0);
      maxMs = Math.max(maxMs, TIMES * ms);
      maxBytes = Math.max(maxBytes, peak + MORE_BYTES);
    }
  });

  const inputs = [
    ...stateSyncInputs(random),
    ...snapshotInputs(random),
    ...exportInputs(random),
  ].filter(({ name }) => name.includes(only));

  it.each(inputs.map((input) => [input.name, input] as const))(
    '%s',
    { timeout: 300_000 },
    async (_, { make }) => {
      const dir = await tempDir();
      const args = await make(dir);
      expect(sizeOf(dir)).toBeLessThan(SMALL_BYTES);
      const { exitCode, code, ms, peak = Infinity } = await runBounded(args, dir, maxMs);
      console.log(`${exitCode} ${code ?? ''} ${ms.toFixed(0)} ms, ${(peak / 1e6).toFixed(0)} MB`);
      await rm(dir, { recursive: true });
      expect(exitCode, 'it took too long').toBeTypeOf('number');
      expect(code).not.toBe('UNEXPECTED');
      expect(peak).toBeLessThan(maxBytes);
    },
  );
});
