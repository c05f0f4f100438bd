/**
 * A node that commits a block at a given pace, by the reference, until it gets a message. A block changes keys and adds
 * transcript items. Sends a message after the first block, and at the end how many milliseconds each block took, with its
 * commit: `STATE_DIR PAUSE_MS`.
 */
import '@endo/init';

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSwingStore } from '@agoric/swing-store';

const KEYS = 100;
const ITEMS = 10;
const ITEM = JSON.stringify({ d: ['message', 'o+1', { methargs: 'x'.repeat(1_000) }], sc: [] });

const [stateDir, pause] = process.argv.slice(2);
const { kernelStorage, hostStorage, debug } = openSwingStore(stateDir);
const { kvStore, transcriptStore } = kernelStorage;
const select = (sql) => debug.getDatabase().prepare(sql).pluck().all();
const vatIDs = select('SELECT vatID FROM transcriptSpans WHERE isCurrent = 1 ORDER BY vatID');
const keys = select("SELECT key FROM kvStore WHERE key GLOB 'v*' ORDER BY key");
let height = Number(hostStorage.kvStore.get('host.height'));

async function block() {
  height += 1;
  kernelStorage.startCrank();
  for (let i = 0; i < KEYS; i += 1) {
    // Far apart from each other, and others in each block.
    const key = keys[(height * 7_919 + i * Math.floor(keys.length / KEYS)) % keys.length];
    kvStore.set(key, [...kvStore.get(key)].reverse().join(''));
  }
  for (let i = 0; i < ITEMS; i += 1) transcriptStore.addItem(vatIDs[i % vatIDs.length], ITEM);
  kernelStorage.emitCrankHashes();
  kernelStorage.endCrank();
  hostStorage.kvStore.set('host.height', `${height}`);
  await hostStorage.commit();
}

let ended = false;
const end = once(process, 'message').then(() => {
  ended = true;
});
const milliseconds = [];
while (!ended) {
  const start = performance.now();
  await block();
  if (milliseconds.push(performance.now() - start) === 1) process.send('ready');
  await Promise.race([sleep(Number(pause)), end]);
}
await hostStorage.close();
process.send(milliseconds);
process.disconnect();
