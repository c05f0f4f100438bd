/** Checks the b1 bundles of an export directory, and prints how long it took: `node check-bundles.js EXPORT_DIR`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkBundle } from '../../dist/swing-store-export/bundle/check-bundle.js';

const [exportDir = ''] = process.argv.slice(2);
let bytes = 0;
let milliseconds = 0;
for (const name of readdirSync(exportDir)) {
  if (!name.startsWith('bundle.b1-')) continue;
  const bundle = readFileSync(join(exportDir, name));
  const start = performance.now();
  checkBundle(name.slice('bundle.'.length), bundle);
  milliseconds += performance.now() - start;
  bytes += bundle.length;
}
process.stdout.write(JSON.stringify({ bytes, milliseconds }));
