/** Flags and result of `retrieve --format state-sync`. */
import * as Flags from '@oclif/core/flags';
import type { ByteCodes } from '../../formats/state-sync/open.ts';
import type { AppHashProof } from '../../formats/state-sync/proof/app-hash.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import type { RetrievedStateSync } from '../../operation/retrieve/state-sync-archive.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import { renderProof } from '../report.ts';
import { formatBytes } from '../text/format.ts';
import { DESTINATION, directory, SOURCE } from './flags.ts';

export const stateSyncFlags = {
  format: Flags.option({
    helpGroup: DESTINATION,
    summary: 'Write a swingsnap snapshot, or a state-sync archive for `snapshots load` of a node.',
    options: ['swingsnap', 'state-sync'] as const,
    default: 'swingsnap',
  })(),
  'stores-from': directory({
    helpGroup: SOURCE,
    summary: 'With --format state-sync: the state-sync snapshot to take the stores from.',
    helpValue: 'SOURCE',
  }),
  'wasm-dir': directory({
    helpGroup: SOURCE,
    summary:
      'With --format state-sync: directory of contract byte code, <home>/wasm/wasm/state/wasm. [default: the byte code in --stores-from]',
    helpValue: 'DIR',
  }),
};

export interface StateSyncResult {
  /** The archive. */
  readonly path: string;
  readonly height: number;
  readonly format: number;
  /** False if the same archive already exists. */
  readonly written: boolean;
  /** SHA-256 of all chunks: the snapshot hash that a node shows. */
  readonly hash: string;
  readonly chunks: { readonly count: number; readonly size: number };
  readonly stores: number;
  readonly appHash: AppHashProof;
  /** No flag takes a hash that covers the height. */
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
    path,
    height,
    format,
    written,
    hash,
    chunks,
    stores,
    appHash: proof,
    heightProved: false,
    exportData,
    artifacts,
    ...(codes === undefined ? {} : { codes }),
  };
}

export function renderStateSync(result: StateSyncResult): string[] {
  const { path, height, format, chunks, exportData, artifacts, codes } = result;
  const verb = result.written ? 'archive of' : 'already there, the same archive of';
  return [
    `${verb} height ${height}, format ${format}: ${path}`,
    `  stores           ${result.stores}`,
    `  export data      ${exportData.entries} entries, ${formatBytes(exportData.size)}`,
    `  artifacts        ${artifacts.count}, ${formatBytes(artifacts.size)}`,
    ...(codes === undefined
      ? []
      : [`  byte code        ${codes.count}, ${formatBytes(codes.size)}`]),
    `  chunks           ${chunks.count}, ${formatBytes(chunks.size)}`,
    `  hash             ${result.hash}`,
    ...renderProof(result.appHash, result),
    `next: swingsnap verify ${shellQuote(path)}, then load it into a node: agd snapshots load ${shellQuote(path)}`,
  ];
}
