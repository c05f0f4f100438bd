/**
 * Advances a store to its next height, as a kernel does. `vats` changes everything of two vats (keys, heap snapshots,
 * transcripts), `keys` changes every hundredth key. `node change-store.js vats|keys STATE_DIR`, in a process of its
 * own.
 */
import '@endo/init';

import { openSwingStore } from '@agoric/swing-store';
import { streamHeap } from '../fixtures/reference/build-store.js';
import { generateItems } from '../fixtures/reference/generate.js';

const ITEMS = 100;
const ITEM_BYTES = 3_000;
const HEAP_BYTES = 3_000_000;

const [what, stateDir] = process.argv.slice(2);
const { kernelStorage, hostStorage, debug } = openSwingStore(stateDir);
const { kvStore, transcriptStore, snapStore } = kernelStorage;
const select = (sql) => debug.getDatabase().prepare(sql).pluck().all();
const vatIDs = select('SELECT vatID FROM transcriptSpans WHERE isCurrent = 1 ORDER BY vatID');
const changedVats = vatIDs.slice(0, 2);
const keys =
  what === 'vats'
    ? changedVats.flatMap((vatID) => select(`SELECT key FROM kvStore WHERE key GLOB '${vatID}.*'`))
    : select(`SELECT key FROM kvStore WHERE key GLOB 'v*'`).filter((_, i) => i % 100 === 0);

kernelStorage.startCrank();
for (const key of keys) kvStore.set(key, [...kvStore.get(key)].reverse().join(''));
if (what === 'vats') {
  for (const [i, vatID] of changedVats.entries()) {
    const seed = 77_000_000 + i;
    const { endPos } = transcriptStore.getCurrentSpanBounds(vatID);
    await snapStore.saveSnapshot(vatID, endPos, streamHeap({ size: HEAP_BYTES, seed }));
    transcriptStore.rolloverSpan(vatID);
    for (const item of generateItems({ count: ITEMS, size: ITEM_BYTES, seed })) {
      transcriptStore.addItem(vatID, item);
    }
  }
}
kernelStorage.emitCrankHashes();
kernelStorage.endCrank();
hostStorage.kvStore.set('host.height', `${Number(hostStorage.kvStore.get('host.height')) + 1}`);
await hostStorage.commit();
await hostStorage.close();
