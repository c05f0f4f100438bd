import type { AppHashProof } from '../formats/state-sync/app-hash.ts';
import { appHashQuery } from '../formats/state-sync/open.ts';
import type { Proof } from '../operation/restore-store.ts';

/** A height, and whether a trusted hash covers it. */
export interface ProvableHeight {
  readonly height: number;
  readonly heightProved: boolean;
}

/** What the AppHash says of a state-sync snapshot, in lines. */
export function renderProof(
  { appHash, memStores, isProved }: AppHashProof,
  height: ProvableHeight,
): string[] {
  const counted =
    memStores.length === 0 ? '' : `, with memory stores ${memStores.join(', ')} counted`;
  return [
    `  appHash          ${appHash}${counted}`,
    isProved
      ? proofLine('app hash', height)
      : `proved: nothing; compare it with header.app_hash of a trusted node: ${appHashQuery(height.height)}`,
  ];
}

/** What is proved, and what is only said. A content hash covers the height. */
export function proofLine(proved: Proof, { height, heightProved }: ProvableHeight): string {
  if (proved !== 'app hash') return `proved: ${proved}`;
  return heightProved
    ? 'proved: app hash, and the height by the expected hash'
    : `proved: app hash (the height ${String(height)} is a label: the AppHash does not cover it)`;
}
