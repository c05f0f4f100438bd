/** What `--real` names in a smoke run: exports of tiny stores, whose heaps have the form of those of XS. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buildStore, closeReference } from '../../fixtures/reference.ts';
import type { StoreSpec, VatSpec } from '../../fixtures/store-spec.ts';
import { quoted, REFERENCE } from '../contenders.ts';
import { measure } from '../measure.ts';
import { cached, changedStore } from '../stores.ts';
import { joined, randomOf, type Random } from './later-heap.ts';

const KINDS = [0x00, 0x03, 0x05, 0x0a, 0x0b, 0x0d, 0x13, 0x26];

/** A store of four vats. */
export const TINY_CHAIN: StoreSpec = {
  height: 1_000_001,
  generatedKeys: [{ count: 500, valueBytes: 200, seed: 1 }],
  vats: Array.from({ length: 4 }, (_, i) => vatOf(i)),
  bundles: [{ format: 'b1', size: 50_000, seed: 1 }],
};

/** A directory with a chain, and a kernel at three heights. */
export async function tinyReal(work: string): Promise<string> {
  const chain = await cached('tiny-real', async (making) => {
    await buildStore(making, TINY_CHAIN);
    await closeReference();
  });
  const exported = join(work, 'real');
  await rm(exported, { recursive: true, force: true });
  const stores = {
    chain,
    'kernel-h': chain,
    'kernel-h+1': await changedStore(chain, 'keys'),
    'kernel-h+20': await changedStore(chain, 'vats'),
  };
  for (const [name, stateDir] of Object.entries(stores)) {
    const dir = join(exported, name);
    await measure(
      `mkdir -p ${quoted([dir])} && ${quoted([...REFERENCE, 'export', stateDir, dir, 'archival'])}`,
    );
  }
  return exported;
}

function vatOf(number: number): VatSpec {
  const items = { count: 20, size: 500, seed: number };
  return {
    vatID: `v${number + 1}`,
    incarnations: [
      {
        spans: [
          { items, heap: { base64: tinyHeap(randomOf(number)).toString('base64') } },
          { items: { ...items, seed: number + 100 } },
        ],
      },
    ],
  };
}

/** A heap of 4,000 slots. */
export function tinyHeap(random: Random): Buffer {
  const slotCount = 4_000;
  const block = Buffer.from(
    Array.from({ length: 10_000 }, () => Math.floor(random() * 1e6).toString(36)).join(' '),
  );
  const slots = Buffer.alloc(slotCount * 32);
  for (let i = 0; i < slotCount; i += 1) {
    const at = i * 32;
    slots.writeUInt32LE((i + 1) % slotCount, at);
    slots[at + 8] = KINDS[Math.floor(random() * KINDS.length)]!;
    slots.writeUInt32LE(Math.floor(random() * slotCount), at + 16);
    slots.writeUInt32LE(Math.floor(random() * slotCount), at + 24);
  }
  return joined([
    { name: 'VERS', content: Buffer.of(13, 3, 0, 32) },
    { name: 'BLOC', content: block },
    { name: 'HEAP', content: slots },
    { name: 'STAC', content: Buffer.alloc(4_992) },
  ]);
}
