/**
 * `export-manifest.json`, as `export-kernel-db` and the node's Go side write it (`StateSyncManifest` in
 * `cosmic-swingset/src/export-kernel-db.js`, `exportManifest` in `swing_store_exports_handler.go`).
 */
import { join } from 'node:path';
import * as v from 'valibot';
import { NotFoundError, VerificationError } from '../../errors.ts';
import { SourceFile } from '../../io/files/source-file.ts';
import { kindOf } from '../../io/files/stat-if-there.ts';
import { isMissing } from '../../io/files/system-error.ts';
import { ARTIFACT_MODES, type ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import { UNTRUSTED_EXPORT_DATA } from '../../swing-store-export/names.ts';
import { MANIFEST_FILE } from './layout.ts';

export interface ExportManifest {
  /** 0 if the manifest has none: Go omits zero values. */
  readonly blockHeight: number;
  readonly artifactMode: ArtifactMode | undefined;
  /** File name of the export data; undefined if the export has none. */
  readonly data: string | undefined;
  /** Artifact names and their files, both unchecked. */
  readonly artifacts: readonly (readonly [name: string, file: string])[];
}

const manifestSchema = v.object({
  blockHeight: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 0),
  artifactMode: v.optional(v.picklist(ARTIFACT_MODES)),
  data: v.optional(v.string()),
  artifacts: v.nullish(v.array(v.looseTuple([v.string(), v.string()]))),
});

/**
 * @param path names the manifest in errors
 * @throws {VerificationError} `MANIFEST`; `DUPLICATE_ARTIFACT` if two files claim to be the same artifact;
 *   `ARTIFACT_NAME` for a reserved name
 */
export function decodeExportManifest(text: string, path: string): ExportManifest {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw new VerificationError('MANIFEST', 'the export manifest is not JSON', { path, cause });
  }
  const result = v.safeParse(manifestSchema, raw);
  if (!result.success) {
    const [issue] = result.issues;
    throw new VerificationError('MANIFEST', 'the export manifest is malformed', {
      path: `${path}: ${v.getDotPath(issue) ?? 'the whole'}`,
      expected: issue.expected ?? issue.message,
      found: issue.received,
    });
  }
  const { blockHeight, artifactMode, data, artifacts } = result.output;
  const names = new Set<string>();
  const pairs = (artifacts ?? []).map(([name, file]) => {
    if (names.has(name) || name === UNTRUSTED_EXPORT_DATA) {
      throw new VerificationError(
        name === UNTRUSTED_EXPORT_DATA ? 'ARTIFACT_NAME' : 'DUPLICATE_ARTIFACT',
        'the export manifest names an artifact twice, or uses a reserved name',
        { path, found: JSON.stringify(name) },
      );
    }
    names.add(name);
    return [name, file] as const;
  });
  return { blockHeight, artifactMode, data: data === '' ? undefined : data, artifacts: pairs };
}

/**
 * Reads the manifest of an export directory.
 * @throws {NotFoundError} `NO_EXPORT` if there is none
 * @throws {VerificationError} what {@link readManifestAt} throws
 */
export async function readExportManifest(exportDir: string): Promise<ExportManifest> {
  const path = join(exportDir, MANIFEST_FILE);
  try {
    return await readManifestAt(path);
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new NotFoundError('NO_EXPORT', 'there is no export in this directory', {
      path,
      hint: 'make one with: swingsnap export --export-dir <dir>',
      cause,
    });
  }
}

/**
 * Reads the manifest at `path`. Does not wait for a pipe.
 * @throws {VerificationError} `MANIFEST`, also if it is not a regular file; what {@link decodeExportManifest} throws;
 *   system errors
 */
export async function readManifestAt(path: string): Promise<ExportManifest> {
  const file = SourceFile.open(path);
  try {
    if (!file.stats.isFile()) {
      throw new VerificationError('MANIFEST', 'the export manifest is not a regular file', {
        path,
        found: kindOf(file.stats),
      });
    }
    return decodeExportManifest((await file.readWhole()).toString(), path);
  } finally {
    file.close();
  }
}
