/** What `retrieve --format state-sync` takes and tells. */
import * as Flags from '@oclif/core/flags';
import type { ByteCodes } from '../../formats/state-sync/open.ts';
import type { AppHashProof } from '../../formats/state-sync/proof/app-hash.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import type { RetrievedStateSync } from '../../operation/retrieve/state-sync-archive.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import { renderProof } from '../report.ts';
import { formatBytes } from '../text/format.ts';
import { directory } from './flags.ts';

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
  /** No flag names a hash that would cover it. */
  readonly heightProved: false;
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
    heightProved: false,
    exportData,
    artifacts,
    ...(codes === undefined ? {} : { codes }),
  };
}

export function renderStateSync(result: StateSyncResult): string[] {
  const { path, height, format, chunks, exportData, artifacts, codes } = result;
  const verb = result.written ? 'archive of' : 'there already, the same archive of';
  return [
    `${verb} height ${height}, format ${format}: ${path}`,
    `  stores           ${result.stores}`,
    `  export data      ${exportData.entries} entries, ${formatBytes(exportData.size)}`,
    `  artifacts        ${artifacts.count}, ${formatBytes(artifacts.size)}`,
    ...(codes === undefined
      ? []
      : [`  byte codes       ${codes.count}, ${formatBytes(codes.size)}`]),
    `  chunks           ${chunks.count}, ${formatBytes(chunks.size)}`,
    `  hash             ${result.hash}`,
    ...renderProof(result.appHash, result),
    `next: swingsnap verify ${shellQuote(path)}, then load it into a node: agd snapshots load ${shellQuote(path)}`,
  ];
}
