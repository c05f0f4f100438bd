/**
 * One operation of the reference in a process of its own, as `export-kernel-db` and `import-kernel-db` are:
 * `export STATE_DIR EXPORT_DIR` or `import EXPORT_DIR STATE_DIR`.
 */
import '@endo/init';

import { exportStore } from '../fixtures/reference/export-store.js';
import { importStore } from '../fixtures/reference/import-store.js';

const [operation, from, to] = process.argv.slice(2);
if (operation === 'export') await exportStore(from, to, { exportDataMode: 'all' });
else if (operation === 'import') await importStore(from, to, {});
else throw Error(`no such operation: ${operation}`);
