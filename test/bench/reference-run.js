/**
 * One operation of the reference in a process of its own, as `export-kernel-db` and `import-kernel-db` are:
 * `export STATE_DIR EXPORT_DIR [ARTIFACT_MODE]` or `import EXPORT_DIR STATE_DIR [ARTIFACT_MODE]`.
 */
import '@endo/init';

import { exportStore } from '../fixtures/reference/export-store.js';
import { importStore } from '../fixtures/reference/import-store.js';

const [operation, from, to, artifactMode] = process.argv.slice(2);
if (operation === 'export') await exportStore(from, to, { artifactMode, exportDataMode: 'all' });
else if (operation === 'import') await importStore(from, to, { artifactMode });
else throw Error(`no such operation: ${operation}`);
