#!/usr/bin/env node
// Runs the sources, without a build. The manifest is ignored: it may be older than they are.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const loader = import.meta.resolve('tsx');
if (process.execArgv.includes(loader)) {
  const { main } = await import('../src/cli/main.ts');
  const root = fileURLToPath(new URL('..', import.meta.url));
  const pjson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  pjson.oclif.commands.target = './src/commands';
  pjson.oclif.helpClass.target = './src/cli/help.ts';
  await main(process.argv.slice(2), { root, pjson, ignoreManifest: true });
} else {
  // Only as a flag of the process does the loader reach its children too.
  const args = ['--import', loader, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const { status, signal } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (signal !== null) process.kill(process.pid, signal);
  process.exitCode = status ?? 1;
}
