/**
 * Which artifacts an export contains, in the terms of `export-kernel-db` and `@agoric/swing-store`.
 */

/**
 * - `none`: no artifacts, only export data
 * - `operational`: what a node needs to continue: heap snapshots in use, current spans, bundles
 * - `replay`: also every span of each vat's current incarnation
 * - `archival`: every span of every live vat
 * - `debug`: everything, including historical heap snapshots
 */
export const ARTIFACT_MODES = ['none', 'operational', 'replay', 'archival', 'debug'] as const;
export type ArtifactMode = (typeof ARTIFACT_MODES)[number];

/** Modes from which a SwingStore can be built. */
export const RESTORE_MODES = ['operational', 'replay', 'archival', 'debug'] as const;
export type RestoreMode = (typeof RESTORE_MODES)[number];

/**
 * Whether an export of mode `held` may serve a restore of mode `wanted`, judging only by the labels, as
 * `import-kernel-db` does. An export without a label or of mode `debug` may serve any restore: its content decides.
 * So may an export of mode `none`, which suffices only if no artifact is needed.
 */
export function maySatisfy(held: ArtifactMode | undefined, wanted: RestoreMode): boolean {
  if (held === undefined || held === 'debug' || held === 'none') return true;
  const ranks: Record<RestoreMode, number> = { debug: 0, operational: 0, replay: 1, archival: 2 };
  return ranks[held] >= ranks[wanted];
}
