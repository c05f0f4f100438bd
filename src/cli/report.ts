/** What several commands print or measure alike: checks, modules and proofs. */
import { appHashQuery } from '../formats/state-sync/open.ts';
import type { AppHashProof } from '../formats/state-sync/proof/app-hash.ts';
import type { Check } from '../operation/preflight.ts';
import type { Proof } from '../operation/proof.ts';
import type { ModuleResult } from '../source/receive.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';
import type { Measures } from './metrics/metrics-file.ts';
import { formatBytes } from './text/format.ts';

/** Result of a command under `--check`. */
export interface CheckResult {
  readonly checked: readonly Check[];
}

export function renderChecks({ checked }: CheckResult): string[] {
  return [
    ...checked.flatMap(({ check, path, free, needed, makes = [] }) => {
      const where = path === undefined ? '' : `: ${path}`;
      const need = needed === undefined ? '' : `, about ${formatBytes(needed)} needed`;
      const space = free === undefined ? '' : ` (${formatBytes(free)} free${need})`;
      return [`ok  ${check}${where}${space}`, ...makes.map((dir) => `    will make ${dir}`)];
    }),
    'nothing was done',
  ];
}

/** What a monitor must know of a state that was copied or verified. */
export function measuresOf({ height, exportData, artifacts }: ExportSummary): Measures {
  return { height, size: exportData.size + artifacts.size };
}

/** One line for each module except `swingset`, which the rest of the text describes. */
export function renderModules(
  modules: readonly ModuleResult[],
  verb: 'restored' | 'verified',
): string[] {
  return modules
    .filter(({ name }) => name !== 'swingset')
    .map(({ name, kind, path, movedTo, compared }) => {
      const what = `  module ${name} (${kind})  `;
      if (path === undefined) return `${what}verified`;
      if (compared === undefined) {
        const old = movedTo === undefined ? '' : `; the old files are in ${movedTo}`;
        return `${what}${verb}: ${path}${old}`;
      }
      const { equal, onlyThere } = compared;
      return `${what}compared: ${path}: ${equal} equal, ${onlyThere} only there`;
    });
}

/** A height, and whether a trusted hash covers it. */
export interface ProvableHeight {
  readonly height: number;
  readonly heightProved: boolean;
}

/** The AppHash of a state-sync snapshot and what it proves, as lines. */
export function renderProof(
  { appHash, memStores, isProved }: AppHashProof,
  height: ProvableHeight,
): string[] {
  const counted = memStores.length === 0 ? '' : `, including memory stores ${memStores.join(', ')}`;
  return [
    `  appHash          ${appHash}${counted}`,
    isProved
      ? proofLine('app hash', height)
      : `proved: nothing; compare it with header.app_hash of a trusted node: ${appHashQuery(height.height)}`,
  ];
}

/** What is proved and what is only claimed. A content hash covers the height. */
export function proofLine(proved: Proof, { height, heightProved }: ProvableHeight): string {
  if (proved !== 'app hash') return `proved: ${proved}`;
  return heightProved
    ? 'proved: app hash, and the height by the expected hash'
    : `proved: app hash (the height ${height} is a label: the AppHash does not cover it)`;
}
