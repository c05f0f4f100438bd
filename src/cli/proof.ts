import type { AppHashProof } from '../formats/state-sync/app-hash.ts';
import { appHashQuery } from '../formats/state-sync/open.ts';

/** What the AppHash says of a state-sync snapshot, in lines. */
export function renderProof(
  { appHash, memStores, isProved }: AppHashProof,
  height: number,
): string[] {
  const counted =
    memStores.length === 0 ? '' : `, with memory stores ${memStores.join(', ')} counted`;
  return [
    `  appHash          ${appHash}${counted}`,
    isProved
      ? 'proved: app hash'
      : `proved: nothing; compare it with header.app_hash of a trusted node: ${appHashQuery(height)}`,
  ];
}
