/**
 * swingsnap as a library. Only what this file exports is public.
 *
 * The verbs are the commands: `exportStore`, `exportFrom`, `retrieve`, `retrieveStateSync`, `restore`, `verify`,
 * `quicklyVerify`, `discard`, `status`, `listPlace`, `showSnapshot`, `prune`, `removeSnapshots`, `copy` and
 * `verifyPlace` take the options of the commands, and return what the commands print. Below them are the forms of an export, the storages, and the contract of modules, for programs that bring their own.
 */
export * from './errors.ts';
export { noProgress, type PlannedPhase, type Progress, type ProgressTotal } from './io/progress.ts';
export { withWorkerPool, type WorkerPool } from './io/threads/pool.ts';
export { lowerPriority } from './io/threads/priority.ts';
export { ZSTD_CODEC_NAMES, type ZstdCodec, type ZstdCodecName } from './io/zstd/codec.ts';
export { loadZstdCodec } from './io/zstd/load-codec.ts';

// The verbs.
export {
  copy,
  type CopiedSnapshots,
  type CopiedHeight,
  type CopyOptions,
} from './operation/copy/copy.ts';
export { discard, type Discarded, type DiscardOptions } from './operation/discard.ts';
export {
  exportFrom,
  type ExportedFrom,
  type ExportFromOptions,
} from './operation/export/export-from.ts';
export {
  exportStore,
  type ExportOptions,
  type ExportRequest,
} from './operation/export/export-store.ts';
export type { OperationOptions, SourceOptions } from './operation/options.ts';
export type { HeightFacts, OtherFacts } from './operation/place/facts.ts';
export { listPlace, refuseTooOld, type Listed, type ListOptions } from './operation/place/list.ts';
export {
  prune,
  type Pruned,
  type PrunedHeight,
  type PruneOptions,
} from './operation/place/prune.ts';
export { removeSnapshots, type Removed, type RemoveOptions } from './operation/place/remove.ts';
export type { KeepRules } from './operation/place/rules.ts';
export { showSnapshot, type Shown } from './operation/place/show.ts';
export type { NamedPlace } from './operation/places.ts';
export type { Proof, ProofOptions } from './operation/proof.ts';
export { restore, type Restored, type RestoreOptions } from './operation/restore/restore.ts';
export type {
  ExportDirectorySource,
  LiveStoreSource,
  OtherSource,
  RetrieveSource,
} from './operation/retrieve/read-source.ts';
export { retrieve, type Retrieved, type RetrieveOptions } from './operation/retrieve/retrieve.ts';
export {
  retrieveStateSync,
  type RetrievedStateSync,
  type RetrieveStateSyncOptions,
} from './operation/retrieve/state-sync-archive.ts';
export { status, type OperationStatus, type StatusOptions } from './operation/status.ts';
export type { StoreComparison } from './operation/verify/compare-with-store.ts';
export {
  quicklyVerify,
  verify,
  type QuicklyVerified,
  type QuicklyVerifyOptions,
  type Verified,
  type VerifyOptions,
} from './operation/verify/verify.ts';
export {
  verifyPlace,
  type VerifiedHeight,
  type VerifiedPlace,
  type VerifyPlaceOptions,
} from './operation/verify/verify-place.ts';
export type { ModuleResult } from './source/receive.ts';

// The forms of an export, and the copy between them.
export { openExportDirectory } from './formats/export-directory/open.ts';
export { writeExportDirectory } from './formats/export-directory/write.ts';
export { findStateSync } from './formats/state-sync/find.ts';
export type { FoundStateSync } from './formats/state-sync/layout.ts';
export { newestStateSync, type NewestStateSyncOptions } from './formats/state-sync/newest.ts';
export {
  appHashQuery,
  openStateSync,
  type ByteCodes,
  type OpenStateSyncOptions,
  type StateSyncExport,
} from './formats/state-sync/open.ts';
export type { ByteCode } from './formats/state-sync/payload/code-payload.ts';
export type { AppHashProof, StoreRoot } from './formats/state-sync/proof/app-hash.ts';
export {
  openSwingStore,
  type LiveSwingStore,
  type OpenSwingStoreOptions,
} from './formats/swing-store/read/open.ts';
export { openSnapshot } from './modules/swingset/snapshot-form.ts';
export {
  ARTIFACT_MODES,
  RESTORE_MODES,
  type ArtifactMode,
  type RestoreMode,
} from './swing-store-export/artifact-mode.ts';
export {
  copyVerified,
  type Copied,
  type VerifiedCopyOptions,
} from './swing-store-export/copy-verified.ts';
export { nullSink } from './swing-store-export/null-sink.ts';
export type {
  ArtifactDigest,
  ExportArtifact,
  ExportHashes,
  ExportSink,
  ExportSummary,
  PromisedHashes,
  SwingStoreExport,
} from './swing-store-export/swing-store-export.ts';

// Modules, and the snapshots made of them.
export type { ModuleKind, ModulePlace } from './modules/place.ts';
export { ModuleRegistry, moduleRegistry } from './modules/registry.ts';
export type { Belief } from './snapshot/belief.ts';
export type { ManifestFile, SnapshotManifest } from './snapshot/manifest.ts';
export {
  BeginAgainError,
  ModuleHasher,
  refuseOtherState,
  type ChunkedReadable,
  type ChunkedWritable,
  type ComparedState,
  type EntryDigest,
  type HeldArtifact,
  type HeldState,
  type InstalledState,
  type ModuleFields,
  type NameByHash,
  type ReadContext,
  type StateArtifact,
  type StateChunk,
  type StateContext,
  type StateDescription,
  type StateEntry,
  type StateModule,
  type WrittenState,
} from './snapshot/module-contract.ts';
export type { OpenSnapshotOptions } from './snapshot/read/opened-snapshot.ts';
export {
  unpackModules,
  type UnpackedModule,
  type UnpackedSnapshot,
  type UnpackModulesOptions,
} from './snapshot/read/unpack-modules.ts';
export type { WriteSnapshotOptions, WrittenSnapshot } from './snapshot/write/build.ts';
export { packModules, type PackModulesOptions } from './snapshot/write/pack-modules.ts';

// Storages.
export type { SnapshotStorage, StagedSnapshot, StoredSnapshot } from './storage/contract.ts';
export { directoryStorage, storedDirectory } from './storage/directory.ts';
export { memoryStorage } from './storage/memory.ts';
