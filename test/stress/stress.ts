/**
 * Runs ordinary commands, one after the other, on a real store: `npm run stress -- [COMMANDS]`, 60 by default. A
 * command that does not exit 0 (a native abort is signal SIGABRT, or exit 134) ends the run, which then prints
 * everything that the command printed.
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { makeTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { sizedSpec } from '../fixtures/store-spec.ts';

const SPEC = sizedSpec({
  keys: 30_000,
  valueBytes: 400,
  vats: 6,
  heapBytes: 2_000_000,
  items: 60,
  itemBytes: 2000,
  bundles: 4,
  bundleBytes: 200_000,
  b1Share: 0.5,
});

async function run(...args: readonly string[]): Promise<void> {
  const { exitCode, signal, stdout, stderr } = await runCli(args);
  if (exitCode === 0) return;
  process.stderr.write(`${stdout}${stderr}`);
  throw new Error(`swingsnap ${args.join(' ')} ended: code ${exitCode}, signal ${signal}`);
}

/** Each command uses what those before it made. */
function roundOf(dir: string): readonly (readonly string[])[] {
  const stateDir = path.join(dir, 'agoric');
  const [exportDir, restored] = [path.join(dir, 'export'), path.join(dir, 'restored')];
  const [live, packed] = [path.join(dir, 'live'), path.join(dir, 'packed')];
  return [
    ['retrieve', '--create', '--state-dir', stateDir, '--snapshot-dir', live],
    ['verify', live],
    ['restore', live, '--state-dir', restored],
    ['verify', live, '--state-dir', restored],
    ['export', '--state-dir', restored, '--export-dir', exportDir],
    ['verify', exportDir],
    ['retrieve', '--create', '--export-dir', exportDir, '--snapshot-dir', packed],
    ['status', '--state-dir', stateDir],
  ];
}

async function stress(dir: string, commands: number): Promise<void> {
  await buildStore(path.join(dir, 'agoric'), SPEC);
  for (let count = 0; count < commands;) {
    for (const args of roundOf(dir)) {
      await run(...args);
      count += 1;
    }
    for (const made of ['export', 'restored', 'live', 'packed']) {
      await rm(path.join(dir, made), { recursive: true, force: true });
    }
  }
}

const commands = Number(process.argv[2] ?? 60);
const dir = await makeTempDir('swingsnap-stress-');
try {
  await stress(dir, commands);
  process.stdout.write(`stress passed: ${commands} commands on Node ${process.version}\n`);
} catch (error) {
  process.exitCode = 1;
  process.stdout.write(
    `stress failed: ${error instanceof Error ? error.message : String(error)}\n`,
  );
} finally {
  await closeReference();
  await rm(dir, { recursive: true, force: true });
}
