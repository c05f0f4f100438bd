/** Bundles are stored as they are, so one that SQLite cannot keep is known before anything is built. */
import { resolveInside } from '../../formats/export-directory/layout.ts';
import { readExportManifest } from '../../formats/export-directory/manifest.ts';
import { blobTooLarge, MAX_BLOB_BYTES } from '../../formats/swing-store/layout.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { readEntries } from '../../snapshot/entries.ts';
import { readSnapshotManifest } from '../../snapshot/manifest.ts';
import type { FoundSource } from '../source/open.ts';

/** @throws {SwingSnapError} `BLOB_TOO_LARGE`; as the form, if what lists its artifacts is damaged */
export async function refuseLargeBundles(found: FoundSource, codec: ZstdCodec): Promise<void> {
  // A state-sync snapshot lists nothing: what is too large is refused where it comes.
  if (found.form === 'state-sync snapshot') return;
  const sizes = found.form === 'snapshot' ? sizesIn(found, codec) : sizesBelow(found.path);
  for await (const { name, size } of sizes) {
    if (name.startsWith('bundle.') && size > MAX_BLOB_BYTES) throw blobTooLarge(name, size);
  }
}

interface ArtifactSize {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

async function* sizesIn(
  { snapshot }: Extract<FoundSource, { form: 'snapshot' }>,
  codec: ZstdCodec,
): AsyncGenerator<ArtifactSize> {
  const manifest = await readSnapshotManifest(snapshot);
  for await (const { artifact } of readEntries(snapshot, manifest, codec)) {
    if (artifact !== undefined) yield artifact;
  }
}

async function* sizesBelow(exportDir: string): AsyncGenerator<ArtifactSize> {
  const { artifacts } = await readExportManifest(exportDir);
  for (const [name, file] of artifacts) {
    // A file that is missing, or may not be named, is refused where it is read, if it is.
    if (!name.startsWith('bundle.') || file === '') continue;
    yield { name, size: statIfThere(resolveInside(exportDir, file))?.size ?? 0 };
  }
}
