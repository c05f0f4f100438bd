/** Runs the examples of docs/library.md and README.md unchanged. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const STATE_SYNC = fileURLToPath(new URL('../fixtures/state-sync/', import.meta.url));
const APP_HASH = '30f7c8ceedfecd75e25c0960db0c7e0706b2c9d6563f6ed1477e9de1a5bdc9d0';
const tempDir = useTempDir();
afterAll(closeReference);

/** Writes the example with that number as a script. */
async function exampleIn(dir: string, number: number, of = 'docs/library.md'): Promise<string> {
  const text = await readFile(new URL(`../../${of}`, import.meta.url), 'utf8');
  const examples = [...text.matchAll(/^```js\n(.*?)^```$/gmsu)].map(([, example = '']) => example);
  const built = new URL('../../dist/index.js', import.meta.url).href;
  const script = join(dir, 'example.mjs');
  await writeFile(script, (examples[number] ?? '').replace("'swingsnap'", JSON.stringify(built)));
  return script;
}

it('makes a backup in ten lines, and checks that it restores in ten more', async () => {
  const dir = await tempDir();
  const at = (name: string): string => join(dir, name);
  await buildStore(at('S'), tinySpec);
  const run = async (number: number, ...args: string[]): Promise<string[]> => {
    const script = await exampleIn(dir, number);
    const { stdout } = await promisify(execFile)(process.execPath, [script, ...args]);
    return stdout.trim().split(' ');
  };
  const [path = '', contentHash = ''] = await run(0, at('S'), at('D'));
  const { json, exitCode } = await runCli(['verify', path, '--json']);
  expect(exitCode).toBe(0);
  expect(json).toMatchObject({ hashes: { contentHash } });
  const { height, artifacts } = json as { height: number; artifacts: { count: number } };
  const checked = await run(1, at('D'), at('S2'), contentHash);
  expect(checked).toEqual([String(height), String(artifacts.count)]);
  await expect(run(1, at('D'), at('S3'), contentHash.replace(/./gu, '0'))).rejects.toMatchObject({
    stderr: expect.stringContaining('HASH_MISMATCH') as string,
  });
  for (const number of [0, 1]) {
    const lines = (await readFile(await exampleIn(dir, number), 'utf8')).split('\n');
    expect(lines.filter((line) => line !== '').length).toBeLessThanOrEqual(10);
  }
});

it('proves a state-sync snapshot in a few lines, and refuses another', async () => {
  const script = await exampleIn(await tempDir(), 0, 'README.md');
  const prove = (name: string) =>
    promisify(execFile)(process.execPath, [
      script,
      join(STATE_SYNC, name, '1000-3.tar.gz'),
      APP_HASH,
    ]);
  const { stdout } = await prove('format3');
  const { json } = await runCli(['verify', join(STATE_SYNC, 'export'), '--json']);
  const { hashes } = json as { readonly hashes: { readonly exportDataHash: string } };
  expect(stdout).toBe(`true ${hashes.exportDataHash}\n`);
  await expect(prove('bad-value')).rejects.toMatchObject({
    stderr: expect.stringContaining('an AppHash other than the trusted one') as string,
  });
});

it('packs a custom module with a store, and unpacks both elsewhere', async () => {
  const dir = await tempDir();
  const at = (name: string): string => join(dir, name);
  await buildStore(at('S'), tinySpec);
  await writeFile(at('note'), 'a text');
  const script = await exampleIn(dir, 2);
  const args = [script, at('S'), at('note'), at('D'), at('S2'), at('note2')];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toBe('motd, swingset\n');
  expect(await readFile(at('note2'), 'utf8')).toBe('a text');
  await runCli(['retrieve', '--create', '--state-dir', at('S'), '--snapshot-dir', at('alone')]);
  const compared = await runCli(['verify', at('alone'), '--state-dir', at('S2')]);
  expect(compared.exitCode).toBe(0);
  // Without the module, the snapshot is refused, and the error names the module.
  const { json, exitCode } = await runCli(['verify', at('D'), '--json']);
  expect({ json, exitCode }).toMatchObject({
    exitCode: 3,
    json: { error: { code: 'UNKNOWN_MODULE', path: `${at('D')}/1000: motd`, found: 'note' } },
  });
});
