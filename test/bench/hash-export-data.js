/** Reads and hashes the export data of a live store, and does nothing else: `node hash-export-data.js STATE_DIR`. */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { openSwingStore } from '../../dist/index.js';

const [stateDir = ''] = process.argv.slice(2);
const note = () => undefined;
const store = await openSwingStore(stateDir, {
  artifactMode: 'operational',
  scratchDir: tmpdir(),
  note,
});
const hash = createHash('sha256');
for await (const block of store.exportData()) hash.update(block);
process.stdout.write(`${hash.digest('hex')}\n`);
await store.close();
