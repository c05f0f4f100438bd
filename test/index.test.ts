/** The library's surface: whoever changes it changes this list, and says so in the changelog. */
import { expect, it } from 'vitest';

import * as library from '../src/index.ts';

it('has these values, and no others', () => {
  expect(Object.keys(library).sort()).toEqual([
    'ARTIFACT_MODES',
    'BusyError',
    'EXIT_CODES',
    'IavlHasher',
    'InterruptedError',
    'NotFoundError',
    'RESTORE_MODES',
    'StorageError',
    'SwingSnapError',
    'TimeoutError',
    'UsageError',
    'VerificationError',
    'ZSTD_CODEC_NAMES',
    'appHashQuery',
    'buildSwingStore',
    'computeAppHash',
    'copyVerified',
    'directoryStorage',
    'findStateSync',
    'inlinePool',
    'loadZstdCodec',
    'memoryStorage',
    'noProgress',
    'nullSink',
    'openExportDirectory',
    'openSnapshot',
    'openStateSync',
    'openSwingStore',
    'proveAppHash',
    'repackStateSync',
    'storedDirectory',
    'withWorkerPool',
    'writeExportDirectory',
    'writeSnapshot',
  ]);
});
