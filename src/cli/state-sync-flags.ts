/** What `retrieve --format state-sync` takes and tells. */
import * as Flags from '@oclif/core/flags';
import type { AppHashProof } from '../formats/state-sync/app-hash.ts';
import type { ByteCodes } from '../formats/state-sync/open.ts';
import type { RetrievedStateSync } from '../operation/retrieve-state-sync.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';
import { directory } from './flags.ts';
import { formatBytes } from './format.ts';
import { renderProof } from './proof.ts';
import { shellQuote } from '../io/shell-quote.ts';

export const stateSyncFlags = {
  format: Flags.option({
    summary: 'Write a snapshot of our own, or an archive that `snapshots load` of a node takes.',
    options: ['swingsnap', 'state-sync'] as const,
    default: 'swingsnap',
  })(),
  'stores-from': directory({
    summary: 'With --format state-sync: the state-sync snapshot whose stores are taken.',
    helpValue: 'SOURCE',
  }),
  'wasm-dir': directory({
    summary:
      "With --format state-sync: take the byte code of contracts from here, <home>/wasm/wasm/state/wasm. [default: from SOURCE's own]",
    helpValue: 'DIR',
  }),
};

export interface StateSyncResult {
  /** The archive. */
  readonly path: string;
  readonly height: number;
  readonly format: number;
  /** False if the very same archive was there already. */
  readonly written: boolean;
  /** SHA-256 of all chunks: what a node calls the hash of the snapshot. */
  readonly hash: string;
  readonly chunks: { readonly count: number; readonly size: number };
  readonly stores: number;
  readonly appHash: AppHashProof;
  readonly exportData: ExportSummary['exportData'];
  readonly artifacts: ExportSummary['artifacts'];
  /** Only with a store `wasm`. */
  readonly codes?: ByteCodes;
}

export function stateSyncResult({
  summary,
  proof,
  codes,
  ...rest
}: RetrievedStateSync): StateSyncResult {
  const { path, height, format, written, hash, chunks, stores } = rest;
  const { exportData, artifacts } = summary;
  return {
    ...{ path, height, format, written, hash, chunks, stores },
    appHash: proof,
    exportData,
    artifacts,
    ...(codes === undefined ? {} : { codes }),
  };
}

export function renderStateSync(result: StateSyncResult): string[] {
  const { path, height, format, chunks, exportData, artifacts, codes } = result;
  const verb = result.written ? 'archive of' : 'there already, the same archive of';
  return [
    `${verb} height ${String(height)}, format ${String(format)}: ${path}`,
    `  stores           ${String(result.stores)}`,
    `  export data      ${String(exportData.entries)} entries, ${formatBytes(exportData.size)}`,
    `  artifacts        ${String(artifacts.count)}, ${formatBytes(artifacts.size)}`,
    ...(codes === undefined
      ? []
      : [`  byte codes       ${String(codes.count)}, ${formatBytes(codes.size)}`]),
    `  chunks           ${String(chunks.count)}, ${formatBytes(chunks.size)}`,
    `  hash             ${result.hash}`,
    ...renderProof(result.appHash, height),
    `next: swingsnap verify ${shellQuote(path)}, then load it into a node: agd snapshots load ${shellQuote(path)}`,
  ];
}
