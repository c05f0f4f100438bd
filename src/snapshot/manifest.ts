/** `manifest.json`: what a snapshot is. */
import * as v from 'valibot';
import { NotFoundError, VerificationError } from '../errors.ts';
import { sha256Hex } from '../io/bytes/digest.ts';
import type { StoredSnapshot } from '../storage/contract.ts';
import { ARTIFACT_MODES } from '../swing-store-export/artifact-mode.ts';
import { damaged, heightOfName, MANIFEST_FILE, MAX_MANIFEST_BYTES, MAX_MODULES } from './layout.ts';
import { isModuleName, MODULE_NAMES, type ModuleFields } from './module-contract.ts';

/** Of objects and arrays; a manifest has four, and whatever `made` may have one day. */
const MAX_LEVELS = 32;
/** Lines of the list for each byte of its file: two hashes and a name are no fraction of a byte. */
const MAX_LINES_PER_BYTE = 4;

/** Number of things, or of bytes. */
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/u, 'a SHA-256 in lower-case hex'));

/** What version 1 says of the module that every snapshot has. */
const swingsetSchema = v.strictObject({
  artifactMode: v.picklist(ARTIFACT_MODES),
  exportDataHash: sha256,
  operationalHash: sha256,
  exportData: v.strictObject({ entries: count, size: count }),
  artifacts: v.strictObject({ count, size: count }),
});

/** And of any other. */
const moduleSchema = v.strictObject({
  kind: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/u, 'the name of a kind of module')),
  contentHash: sha256,
  artifacts: v.strictObject({ count, size: count }),
});

// A field that a reader does not know is refused, since a change of the format is a new version; except in `made`.
const manifestSchema = v.strictObject({
  format: v.literal('swingsnap-snapshot'),
  version: v.literal(1),
  height: count,
  contentHash: sha256,
  modules: v.pipe(
    // Ahead of what takes the object apart, which passes over some of the names that are none.
    v.custom<Readonly<Record<string, unknown>>>(hasModuleNames, `modules, each of ${MODULE_NAMES}`),
    v.objectWithRest({ swingset: swingsetSchema }, moduleSchema),
    v.check(
      (modules) => Object.keys(modules).length <= MAX_MODULES,
      `at most ${MAX_MODULES} modules`,
    ),
  ),
  /** The file `entries.jsonl.zst`: its lines, its size in bytes and its SHA-256. */
  entries: v.strictObject({ count, size: count, sha256 }),
  /** Files in `chunks/`, and their bytes. */
  chunks: v.strictObject({ count, size: count }),
  /** How the bytes came to be; nothing depends on it. `chunkSize` in raw bytes. */
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

/** The modules beside `swingset`, in the order of their names. */
export function otherModules({
  modules,
}: SnapshotManifest): [name: string, fields: ModuleFields][] {
  return moduleNames(modules).flatMap((name) => {
    const fields = modules[name];
    return fields !== undefined && 'kind' in fields ? [[name, fields]] : [];
  });
}

/** Names of modules in the order of their sections. */
export function moduleNames(modules: object): string[] {
  return Object.keys(modules).sort();
}

/** The bytes of `manifest.json`. */
export function encodeSnapshotManifest(manifest: object): Buffer {
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * @param bytes hostile
 * @param path names the manifest in errors
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, `SNAPSHOT_VERSION` for a version that this program does not know
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
    return damaged('the snapshot manifest is nested too deep', { path });
  }
  refuseForeign(raw, path);
  const result = v.safeParse(manifestSchema, raw, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    return damaged('the snapshot manifest is not one', {
      path: `${path}: ${v.getDotPath(issue) ?? 'the whole'}`,
      expected: issue.expected ?? issue.message,
      found: issue.received,
    });
  }
  // One text for each manifest, so that a program which reads it with a pattern, as a shell does, reads what we read.
  if (`${JSON.stringify(raw, null, 2)}\n` !== text) {
    return damaged('the snapshot manifest has another text than the one that was written', {
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
    return damaged('the snapshot holds artifacts and says that it has none', {
      path,
      expected: 0,
      found: artifacts.count,
    });
  }
  return result.output;
}

const foreignSchema = v.object({ format: v.literal('swingsnap-snapshot'), version: v.number() });
function refuseForeign(raw: unknown, path: string): void {
  const known = v.safeParse(foreignSchema, raw);
  if (!known.success) return;
  const { version } = known.output;
  if (version !== 1) {
    throw new VerificationError(
      'SNAPSHOT_VERSION',
      'the snapshot has a format version that this program does not know',
      {
        path,
        expected: 1,
        found: version,
        hint: 'install the swingsnap that made it',
      },
    );
  }
}

/** A manifest as it was read, once: what it says, and what names it. */
export interface ManifestFile {
  readonly manifest: SnapshotManifest;
  /** SHA-256 of its bytes, which cover the list of entries, and through it the bytes of all chunks. */
  readonly sha256: string;
}

/** Reads the manifest of a stored snapshot. Throws as {@link readManifestFile}. */
export async function readSnapshotManifest(snapshot: StoredSnapshot): Promise<SnapshotManifest> {
  return (await readManifestFile(snapshot)).manifest;
}

/**
 * Reads the manifest of a stored snapshot, which must be that of the height which the snapshot is called by, if it is
 * called by one. Throws as {@link decodeSnapshotManifest} and as the storage.
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
    damaged('the snapshot is called by another height than its own', {
      path: snapshot.location,
      expected: manifest.height,
      found: height,
      hint: 'rename its directory if that is the mistake, else get the snapshot again',
    });
  }
  return { manifest, sha256: sha256Hex(bytes) };
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Whether a text has more than so many levels of arrays and objects; of one that is no JSON, whatever it seems. */
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
