/**
 * The whole job on a small SwingStore, as an operator sees it: `npm run demo`. `@agoric/swing-store` builds the store
 * and judges it at the end. Everything between is the real command line. Exits 1 if anything fails.
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeTempDir } from '../fixtures/directories.ts';
import {
  buildStore,
  closeReference,
  nextBlocks,
  referenceContinue,
  type ContinueStep,
} from '../fixtures/reference.ts';
import { sizedSpec } from '../fixtures/store-spec.ts';

const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

const SPEC = sizedSpec({
  keys: 5000,
  valueBytes: 400,
  vats: 4,
  heapBytes: 1_000_000,
  items: 60,
  itemBytes: 2000,
  bundles: 4,
  bundleBytes: 100_000,
  b1Share: 0.5,
});
const HEIGHT = SPEC.height ?? 0;
const VATS = (SPEC.vats ?? []).map(({ vatID }) => vatID);

const stop = new AbortController();

function say(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Shows the command line and runs it, with its output as it comes. Rejects unless it exits 0. */
async function swingsnap(dir: string, ...args: readonly string[]): Promise<void> {
  stop.signal.throwIfAborted();
  say(`$ swingsnap ${args.join(' ')}`);
  const env = { ...process.env };
  // If these are set, they may lead a command of the demo to the user's own node.
  for (const name of Object.keys(env)) {
    if (name === 'AGORIC_HOME' || name.startsWith('SWINGSNAP_')) Reflect.deleteProperty(env, name);
  }
  const child = spawn(process.execPath, [runPath, ...args], { cwd: dir, env, stdio: 'inherit' });
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  if (exitCode !== 0) throw new Error(`swingsnap ${args.join(' ')} exited ${exitCode}`);
}

/** The hash that an operator would copy from what `retrieve` printed. */
async function contentHashOf(snapshot: string): Promise<string> {
  const manifest = JSON.parse(await readFile(path.join(snapshot, 'manifest.json'), 'utf8')) as {
    readonly contentHash: string;
  };
  return manifest.contentHash;
}

/** Continues the original store and the restored one with the same blocks. */
async function continueBoth(original: string, restored: string): Promise<string> {
  const script: readonly ContinueStep[] = nextBlocks(HEIGHT, VATS);
  const expected = await referenceContinue(original, script);
  const found = await referenceContinue(restored, script);
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error('the restored store does not continue as the original does');
  }
  return found.activityhash;
}

async function demo(dir: string): Promise<void> {
  const store = path.join('data', 'agoric');
  const original = path.join(dir, 'old-node', store);
  const restored = path.join(dir, 'new-node', store);

  say('A node at work: a small SwingStore, built with @agoric/swing-store.');
  await buildStore(original, SPEC);
  say(`  old-node/${store}/swingstore.sqlite, height ${HEIGHT}`);

  say('', 'Export it. On a real machine the node keeps running.');
  await swingsnap(dir, 'export', '--home', 'old-node', '--export-dir', 'export');

  say('', 'Package the export as a snapshot: checked, compressed, in chunks.');
  await swingsnap(
    dir,
    'retrieve',
    '--create',
    '--export-dir',
    'export',
    '--snapshot-dir',
    'snapshots',
  );

  say('', 'Prove that the snapshot is whole.');
  await swingsnap(dir, 'verify', 'snapshots');

  say('', 'Restore it for another node. --expect takes the contentHash that retrieve printed.');
  await mkdir(path.join(dir, 'new-node', 'data'), { recursive: true });
  const hash = await contentHashOf(path.join(dir, 'snapshots', String(HEIGHT)));
  await swingsnap(dir, 'restore', 'snapshots', '--home', 'new-node', '--expect', hash);

  say('', 'Prove that the restored store holds what the snapshot holds.');
  await swingsnap(dir, 'verify', 'snapshots', '--home', 'new-node');

  say('', `Run the two blocks after ${HEIGHT} on both stores with @agoric/swing-store.`);
  stop.signal.throwIfAborted();
  const activityhash = await continueBoth(original, restored);
  say(`  both end with activity hash ${activityhash}`);
}

/** After a signal the current step still ends, so that what was made is removed. */
async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stop.abort(new Error(`stopped by ${signal}`));
    });
  }
  const dir = await makeTempDir('swingsnap-demo-');
  try {
    await demo(dir);
    say(
      '',
      'demo passed: the reference opened the restored store and continued on it as on the original',
    );
  } catch (error) {
    process.exitCode = 1;
    const cause: unknown = stop.signal.aborted ? stop.signal.reason : error;
    say('', `demo failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  } finally {
    await closeReference();
    await rm(dir, { recursive: true, force: true });
  }
}

await main();
