/** `manifest.json`, which describes a snapshot. */
import * as v from 'valibot';
import { NotFoundError, VerificationError } from '../errors.ts';
import { sha256Hex } from '../io/bytes/digest.ts';
import type { StoredSnapshot } from '../storage/contract.ts';
import { ARTIFACT_MODES } from '../swing-store-export/artifact-mode.ts';
import {
  damaged,
  FORMAT_VERSIONS,
  heightOfName,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  MAX_MODULES,
} from './layout.ts';
import { isModuleName, MODULE_NAMES, type ModuleFields } from './module-contract.ts';

/** Of objects and arrays; a manifest has four, plus any that `made` may get. */
const MAX_LEVELS = 32;
/** Most lines of the list per byte of its file: two hashes and a name do not compress to a quarter of a byte. */
const MAX_LINES_PER_BYTE = 4;

/** A number of items or bytes. */
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/u, 'a SHA-256 in lower-case hex'));

/** The fields of the module that every snapshot has. */
const swingsetSchema = v.strictObject({
  artifactMode: v.picklist(ARTIFACT_MODES),
  exportDataHash: sha256,
  operationalHash: sha256,
  exportData: v.strictObject({ entries: count, size: count }),
  artifacts: v.strictObject({ count, size: count }),
});

/** The fields of any other module. */
const moduleSchema = v.strictObject({
  kind: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/u, 'the name of a kind of module')),
  contentHash: sha256,
  artifacts: v.strictObject({ count, size: count }),
});

// A reader refuses unknown fields except in `made`: a change of the format is a new version.
const manifestSchema = v.strictObject({
  format: v.literal('swingsnap-snapshot'),
  version: v.picklist(FORMAT_VERSIONS),
  height: count,
  contentHash: sha256,
  modules: v.pipe(
    // Before `objectWithRest`, which skips some of the invalid names.
    v.custom<Readonly<Record<string, unknown>>>(hasModuleNames, `modules, each of ${MODULE_NAMES}`),
    v.objectWithRest({ swingset: swingsetSchema }, moduleSchema),
    v.check(
      (modules) => Object.keys(modules).length <= MAX_MODULES,
      `at most ${MAX_MODULES} modules`,
    ),
  ),
  /** The file `entries.jsonl.zst`: its number of lines, size in bytes and SHA-256. */
  entries: v.strictObject({ count, size: count, sha256 }),
  /** The files in `chunks/`: their number and total bytes. */
  chunks: v.strictObject({ count, size: count }),
  /** How the snapshot was made; nothing depends on it. `chunkSize` in raw bytes. */
  made: v.looseObject({ by: v.string(), codec: v.string(), level: v.number(), chunkSize: count }),
});

function hasModuleNames(modules: unknown): boolean {
  return (
    typeof modules === 'object' && modules !== null && Object.keys(modules).every(isModuleName)
  );
}

/** Sizes in bytes, hashes as lower-case hex SHA-256. */
export type SwingsetFields = v.InferOutput<typeof swingsetSchema>;

/** Sizes in bytes, hashes as lower-case hex SHA-256. */
export type SnapshotManifest = Omit<v.InferOutput<typeof manifestSchema>, 'modules'> & {
  readonly modules: {
    readonly swingset: SwingsetFields;
    readonly [name: string]: SwingsetFields | ModuleFields;
  };
};

/** The modules other than `swingset`, in the order of their names. */
export function otherModules({
  modules,
}: SnapshotManifest): [name: string, fields: ModuleFields][] {
  return moduleNames(modules).flatMap((name) => {
    const fields = modules[name];
    return fields !== undefined && 'kind' in fields ? [[name, fields]] : [];
  });
}

/** The names of modules, in the order of their sections. */
export function moduleNames(modules: object): string[] {
  return Object.keys(modules).sort();
}

/** A time as writers put it: UTC, with milliseconds. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/u;

/** When the snapshot was made, by the clock of its maker; undefined if it does not say so, as version 0.1.0 did not. */
export function madeAt({ made }: SnapshotManifest): Date | undefined {
  const { at } = made;
  if (typeof at !== 'string' || !TIME.test(at)) return undefined;
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** The bytes of `manifest.json`. */
export function encodeSnapshotManifest(manifest: object): Buffer {
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * @param bytes hostile
 * @param path names the manifest in errors
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, `SNAPSHOT_VERSION` for a version unknown to this program
 */
export function decodeSnapshotManifest(bytes: Uint8Array, path: string): SnapshotManifest {
  let text: string;
  let raw: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    raw = JSON.parse(text);
  } catch (cause) {
    return damaged('the snapshot manifest is not JSON', { path, cause });
  }
  if (isNestedDeeper(text, MAX_LEVELS)) {
    return damaged('the snapshot manifest is nested too deeply', { path });
  }
  refuseForeign(raw, path);
  const result = v.safeParse(manifestSchema, raw, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    return damaged('the snapshot manifest is invalid', {
      path: `${path}: ${v.getDotPath(issue) ?? 'the whole'}`,
      expected: issue.expected ?? issue.message,
      found: issue.received,
    });
  }
  // Only one text is valid for a manifest, so that a reader that matches patterns, such as a shell script, agrees with us.
  if (`${JSON.stringify(raw, null, 2)}\n` !== text) {
    return damaged('the snapshot manifest is not in canonical form', {
      path,
      expected: 'JSON with two spaces of indentation, and a newline at the end',
    });
  }
  const { entries } = result.output;
  if (entries.count > MAX_LINES_PER_BYTE * entries.size) {
    return damaged('the list of entries has more lines than its bytes can hold', {
      path,
      expected: `at most ${MAX_LINES_PER_BYTE * entries.size} in ${entries.size} bytes`,
      found: entries.count,
    });
  }
  const { artifactMode, artifacts } = result.output.modules.swingset;
  if (artifactMode === 'none' && artifacts.count > 0) {
    return damaged('the snapshot manifest counts artifacts, but its artifact mode is none', {
      path,
      expected: 0,
      found: artifacts.count,
    });
  }
  return result.output;
}

const foreignSchema = v.object({ format: v.literal('swingsnap-snapshot'), version: v.number() });
function refuseForeign(raw: unknown, path: string): void {
  const foreign = v.safeParse(foreignSchema, raw);
  if (!foreign.success) return;
  const { version } = foreign.output;
  if (!FORMAT_VERSIONS.some((known) => known === version)) {
    throw new VerificationError(
      'SNAPSHOT_VERSION',
      'this program does not know the format version of the snapshot',
      {
        path,
        expected: FORMAT_VERSIONS.join(' or '),
        found: version,
        hint: 'install the version of swingsnap that made it',
      },
    );
  }
}

/** A manifest that was read, and the hash that names it. */
export interface ManifestFile {
  readonly manifest: SnapshotManifest;
  /** SHA-256 of its bytes. They cover the list of entries, and through the list the bytes of all chunks. */
  readonly sha256: string;
}

/** Reads the manifest of a stored snapshot. Throws as {@link readManifestFile}. */
export async function readSnapshotManifest(snapshot: StoredSnapshot): Promise<SnapshotManifest> {
  return (await readManifestFile(snapshot)).manifest;
}

/**
 * Reads the manifest of a stored snapshot. If the snapshot is named after a height, the manifest must have that height.
 * Throws as {@link decodeSnapshotManifest} and as the storage.
 */
export async function readManifestFile(snapshot: StoredSnapshot): Promise<ManifestFile> {
  const path = `${snapshot.location}/${MANIFEST_FILE}`;
  const bytes = await snapshot.read(MANIFEST_FILE, MAX_MANIFEST_BYTES).catch((cause: unknown) => {
    if (cause instanceof NotFoundError) damaged('the snapshot has no manifest', { path, cause });
    throw cause;
  });
  const manifest = decodeSnapshotManifest(bytes, path);
  const height = heightOfName(snapshot.name);
  if (height !== undefined && height !== manifest.height) {
    damaged('the snapshot is named after the wrong height', {
      path: snapshot.location,
      expected: manifest.height,
      found: height,
      hint: 'if only the name is wrong, rename the directory; otherwise get the snapshot again',
    });
  }
  return { manifest, sha256: sha256Hex(bytes) };
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Whether a JSON text has more than `levels` levels of arrays and objects. For other texts the result means nothing. */
export function isNestedDeeper(text: string, levels: number): boolean {
  let depth = 0;
  let isString = false;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) isString = !isString;
    else if (isString) at += unit === BACKSLASH ? 1 : 0;
    else if (OPENING.has(unit)) depth += 1;
    else if (CLOSING.has(unit)) depth -= 1;
    if (depth > levels) return true;
  }
  return false;
}
