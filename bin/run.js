#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(built)) {
  const { main } = await import(built.href);
  await main(process.argv.slice(2), import.meta.url);
} else {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const quoted = `'${root.replaceAll("'", String.raw`'\\''`)}'`;
  process.stderr.write(
    `swingsnap: it is not built: there is no ${fileURLToPath(built)}\nhint: cd ${quoted} && npm install && npm run build\n`,
  );
  process.exitCode = 1;
}
