/** `manifest.json`: what a snapshot is. */
import * as v from 'valibot';
import { VerificationError } from '../../errors.ts';
import { ARTIFACT_MODES } from '../../swing-store-export/artifact-mode.ts';
import { damaged, MANIFEST_FILE, MAX_MANIFEST_BYTES } from './layout.ts';

/** Number of things, or of bytes. */
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/u, 'a SHA-256 in lower-case hex'));

const manifestSchema = v.object({
  format: v.literal('swingsnap-snapshot'),
  version: v.literal(1),
  height: count,
  contentHash: sha256,
  modules: v.strictObject({
    swingset: v.object({
      artifactMode: v.picklist(ARTIFACT_MODES),
      exportDataHash: sha256,
      operationalHash: sha256,
      exportData: v.object({ entries: count, size: count }),
      artifacts: v.object({ count, size: count }),
    }),
  }),
  /** The file `entries.jsonl.zst`: its lines, its size in bytes and its SHA-256. */
  entries: v.object({ count, size: count, sha256 }),
  /** Files in `chunks/`, and their bytes. */
  chunks: v.object({ count, size: count }),
  /** How the bytes came to be; nothing depends on it. */
  made: v.object({ by: v.string(), codec: v.string(), level: v.number() }),
});

/** Sizes in bytes, hashes as lower-case hex SHA-256. */
export type SnapshotManifest = v.InferOutput<typeof manifestSchema>;

/** The bytes of `manifest.json`. */
export function encodeSnapshotManifest(manifest: SnapshotManifest): Buffer {
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * @param bytes hostile
 * @param path names the manifest in errors
 * @throws {VerificationError} `SNAPSHOT_DAMAGED`, `SNAPSHOT_VERSION` for a version that this program does not know,
 *   `UNKNOWN_MODULE`
 */
export function decodeSnapshotManifest(bytes: Uint8Array, path: string): SnapshotManifest {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    return damaged('the snapshot manifest is not JSON', { path, cause });
  }
  refuseForeign(raw, path);
  const result = v.safeParse(manifestSchema, raw);
  if (result.success) return result.output;
  const [issue] = result.issues;
  return damaged('the snapshot manifest is not one', {
    path: `${path}: ${v.getDotPath(issue) ?? 'the whole'}`,
    expected: issue.expected ?? issue.message,
    found: issue.received,
  });
}

function refuseForeign(raw: unknown, path: string): void {
  const known = v.safeParse(
    v.object({
      format: v.literal('swingsnap-snapshot'),
      version: v.number(),
      modules: v.record(v.string(), v.unknown()),
    }),
    raw,
  );
  if (!known.success) return;
  const { version, modules } = known.output;
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
  const unknown = Object.keys(modules).find((name) => name !== 'swingset');
  if (unknown !== undefined) {
    throw new VerificationError(
      'UNKNOWN_MODULE',
      'the snapshot holds a module that this program does not know',
      {
        path,
        expected: 'swingset',
        found: unknown,
        hint: 'install a swingsnap that knows it',
      },
    );
  }
}

/** Reads the manifest of a stored snapshot. Throws as {@link decodeSnapshotManifest} and as the storage. */
export async function readSnapshotManifest(snapshot: {
  readonly location: string;
  read(file: string, maxBytes: number): Promise<Uint8Array>;
}): Promise<SnapshotManifest> {
  const bytes = await snapshot.read(MANIFEST_FILE, MAX_MANIFEST_BYTES);
  return decodeSnapshotManifest(bytes, `${snapshot.location}/${MANIFEST_FILE}`);
}
