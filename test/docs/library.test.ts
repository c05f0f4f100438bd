/** The example of docs/library.md, run as it stands. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, expect, it } from 'vitest';

import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const tempDir = useTempDir();
afterAll(closeReference);

it('packs a store, verifies it, and prints the hash that the command finds too', async () => {
  const dir = await tempDir();
  const text = await readFile(new URL('../../docs/library.md', import.meta.url), 'utf8');
  const [, example = ''] = /^```js\n(.*?)^```$/msu.exec(text) ?? [];
  const built = new URL('../../dist/index.js', import.meta.url).href;
  const script = join(dir, 'example.mjs');
  await writeFile(script, example.replace("'swingsnap'", JSON.stringify(built)));
  await buildStore(join(dir, 'S'), tinySpec);
  const args = [script, join(dir, 'S'), join(dir, 'D')];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { json, exitCode } = await runCli(['verify', join(dir, 'D'), '--json']);
  expect(exitCode).toBe(0);
  expect(json).toMatchObject({ hashes: { contentHash: stdout.trim() } });
});
