/** The stores of a state-sync snapshot, which all come before the first extension. */
import type { StoreRoot } from './app-hash.ts';
import type { CodeHashes } from './code-hashes.ts';
import { entryOf, isExportData } from './export-data-leaf.ts';
import { IavlHasher } from './iavl.ts';
import type { Item } from './decode-item.ts';
import type { ItemReader } from './items.ts';
import { damaged } from './layout.ts';
import type { OrderedExportData } from './ordered-export-data.ts';

/** No chain has nearly as many. */
const MAX_STORES = 10_000;
const [SWINGSET, WASM] = ['swingset', 'wasm'];

/** Where to put what is wanted of the stores beside their root hashes. */
export interface WantedOfStores {
  readonly exportData?: OrderedExportData | undefined;
  readonly codes: CodeHashes;
}

/**
 * Reads all stores, of which nothing is proved before the AppHash of their roots is.
 * @param location names the snapshot in errors
 * @param height of the snapshot: no node is newer
 * @returns also the first item behind the stores, if there is one
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export async function readStores(
  reader: ItemReader,
  { location, height }: { readonly location: string; readonly height: number },
  { exportData, codes }: WantedOfStores,
): Promise<{ readonly roots: readonly StoreRoot[]; readonly behind: Item | undefined }> {
  const roots: StoreRoot[] = [];
  let item = await reader.next(() =>
    damaged('a node stands before any store', { path: reader.where }),
  );
  while (item?.kind === 'store') {
    const { name } = item;
    const isOrdered = Buffer.compare(Buffer.from(roots.at(-1)?.name ?? ''), Buffer.from(name)) < 0;
    if (!isOrdered || roots.length >= MAX_STORES) {
      damaged('the stores are out of order, or too many', { path: reader.where, found: name });
    }
    const tree = new IavlHasher(`${location}: store ${name}`, height);
    const entries = name === SWINGSET ? exportData : undefined;
    const hashes = name === WASM ? codes : undefined;
    if (hashes !== undefined) hashes.hasStore = true;
    item = await reader.next((node) => {
      tree.add(node);
      if (entries !== undefined && isExportData(node)) entries.add(...entryOf(node, location));
      hashes?.addLeaf(node);
    });
    roots.push({ name, root: tree.finish() });
  }
  return { roots, behind: item };
}
