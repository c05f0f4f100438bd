/**
 * swingsnap as a library: what its commands are made of. Only what is named here is public.
 *
 * An export is opened from a form (`openSwingStore`, `openExportDirectory`, `openSnapshot`, `openStateSync`) and copied
 * into another (`buildSwingStore`, `writeExportDirectory`, `writeSnapshot`, or `nullSink` to verify only) with `copyVerified`.
 * A snapshot of several modules is made with `packModules`, and its states are installed with `unpackModules`.
 */
export * from './errors.ts';
export { noProgress, type Progress, type ProgressTotal } from './io/progress.ts';
export { inlinePool, withWorkerPool, type WorkerPool } from './io/threads/pool.ts';
export { ZSTD_CODEC_NAMES, type ZstdCodec, type ZstdCodecName } from './io/zstd/codec.ts';
export { loadZstdCodec } from './io/zstd/load-codec.ts';

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
} from './swing-store-export/copy-export.ts';
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

export { openExportDirectory } from './formats/export-directory/open.ts';
export { writeExportDirectory } from './formats/export-directory/write.ts';
export type { Belief } from './snapshot/belief.ts';
export type { ManifestFile, SnapshotManifest } from './snapshot/manifest.ts';
export type { WriteSnapshotOptions, WrittenSnapshot } from './snapshot/write/build.ts';
export { packModules, type PackModulesOptions } from './snapshot/write/pack-modules.ts';
export {
  unpackModules,
  type UnpackedModule,
  type UnpackedSnapshot,
  type UnpackModulesOptions,
} from './snapshot/read/unpack-modules.ts';
export { buildSwingStore, type BuildSwingStoreOptions } from './formats/swing-store/build/build.ts';
export type { InstalledStore } from './formats/swing-store/build/install.ts';
export {
  computeAppHash,
  proveAppHash,
  type AppHashProof,
  type StoreRoot,
} from './formats/state-sync/proof/app-hash.ts';
export type { ByteCode } from './formats/state-sync/payload/code-payload.ts';
export { IavlHasher } from './formats/state-sync/proof/iavl.ts';
export type { IavlNode } from './formats/state-sync/stream/node.ts';
export { findStateSync, type FoundStateSync } from './formats/state-sync/layout.ts';
export {
  appHashQuery,
  openStateSync,
  type ByteCodes,
  type OpenStateSyncOptions,
  type StateSyncExport,
} from './formats/state-sync/open.ts';
export {
  repackStateSync,
  type Repacked,
  type RepackOptions,
} from './formats/state-sync/write/repack.ts';
export {
  openSwingStore,
  type LiveSwingStore,
  type OpenSwingStoreOptions,
} from './formats/swing-store/read/open.ts';

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
export { filesModule } from './modules/files/module.ts';
export type { ModuleKind, ModulePlace } from './modules/place.ts';
export { ModuleRegistry, moduleRegistry } from './modules/registry.ts';
export { swingsetModule, type SwingsetModuleOptions } from './modules/swingset/module.ts';
export {
  buildStoreFrom,
  verifyExport,
  type BuildOptions,
  type ReceiveOptions,
} from './modules/swingset/receivers.ts';
export { openSnapshot, writeSnapshot } from './modules/swingset/snapshot-form.ts';
export type {
  ReceivedExport,
  ReceiveExport,
  SwingsetWritableOptions,
} from './modules/swingset/writable.ts';
export { wasmModule } from './modules/wasm/module.ts';

export type { SnapshotStorage, StagedSnapshot, StoredSnapshot } from './storage/contract.ts';
export { directoryStorage, storedDirectory } from './storage/directory.ts';
export { memoryStorage } from './storage/memory.ts';
