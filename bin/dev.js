#!/usr/bin/env node
// Runs the sources, without a build. The manifest is ignored: it may be older than they are.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { register } from 'tsx/esm/api';

register();
const { main } = await import('../src/cli/main.ts');

const root = fileURLToPath(new URL('..', import.meta.url));
const pjson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
pjson.oclif.commands.target = './src/commands';
await main(process.argv.slice(2), { root, pjson, ignoreManifest: true });
