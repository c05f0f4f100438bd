/**
 * The contract of every form of an export that can be read: the suite that each form passes, on an export that the
 * reference exporter has written too.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ArtifactMode } from '../../src/swing-store-export/artifact-mode.ts';
import { computeContentHash } from '../../src/swing-store-export/content-hash.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { NotCanonicalError } from '../../src/swing-store-export/export-data/canonical-blocks.ts';
import { nullSink } from '../../src/swing-store-export/null-sink.ts';
import type { SwingStoreExport } from '../../src/swing-store-export/swing-store-export.ts';
import { ExportFiles } from '../end-to-end/export-files.ts';
import { useTempDir } from '../fixtures/directories.ts';

/** An export as the reference wrote it, which every form of it must reproduce. */
export interface ExpectedExport {
  readonly height: number;
  readonly artifactMode: ArtifactMode;
  /** Canonical. */
  readonly exportData: Buffer;
  /** In the order of the export. */
  readonly artifacts: readonly (readonly [name: string, bytes: Buffer])[];
}

/** @param dir an export directory of the reference */
export async function readExpectedExport(dir: string): Promise<ExpectedExport> {
  const { manifest, files, data } = await ExportFiles.read(dir);
  return {
    height: manifest['blockHeight'] as number,
    artifactMode: manifest['artifactMode'] as ArtifactMode,
    exportData: data,
    artifacts: manifest.artifacts.map(([name, file]) => [name, files.get(file)!]),
  };
}

export interface ReadableForm {
  /** Opens the form again. */
  open(): Promise<SwingStoreExport>;
  readonly expected: ExpectedExport;
  /** Whether its export data is in canonical order and text. */
  readonly canonical: boolean;
  /** Whether it records its mode. */
  readonly labelled: boolean;
}

export async function collect(data: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of data) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Hashes of what the reference wrote, computed only from its files. */
export function expectedHashes({ height, exportData, artifacts }: ExpectedExport) {
  const exportDataHash = sha256(exportData);
  const present = artifacts.map(([name, bytes]) => ({
    name,
    size: bytes.length,
    sha256: sha256(bytes),
  }));
  return { exportDataHash, contentHash: computeContentHash(height, exportDataHash, present) };
}

/** @param form called in each test; its result must outlive the test */
export function describeReadableForm(name: string, form: () => Promise<ReadableForm>): void {
  const tempDir = useTempDir();

  async function opened<T>(
    use: (source: SwingStoreExport, form: ReadableForm, scratchDir: string) => Promise<T>,
  ): Promise<T> {
    const made = await form();
    const source = await made.open();
    try {
      return await use(source, made, await tempDir());
    } finally {
      await source.close();
    }
  }

  describe(`${name}, as a readable form`, () => {
    it('reports its height, its mode and its size', async () => {
      await opened(async (source, { expected, labelled }) => {
        expect(source.height).toBe(expected.height);
        expect(source.artifactMode).toBe(labelled ? expected.artifactMode : undefined);
        expect(source.location).not.toBe('');
        for (const part of ['export data', 'artifacts'] as const) {
          const { bytes, items } = source.estimate(part);
          expect(bytes ?? items).toBeTypeOf('number');
        }
      });
    });

    it('yields the export data of the reference, byte for byte, in blocks of whole lines', async () => {
      await opened(async (source, { expected }, scratchDir) => {
        for await (const block of source.exportData({ scratchDir }))
          expect(block.at(-1)).toBe(0x0a);
        const again = await collect(source.exportData({ scratchDir }));
        expect(again.equals(expected.exportData)).toBe(true);
      });
    });

    it('needs a scratch directory for its export data only if that is not canonical', async () => {
      await opened(async (source, { expected, canonical }) => {
        const reading = collect(source.exportData());
        if (canonical) expect((await reading).equals(expected.exportData)).toBe(true);
        else await expect(reading).rejects.toThrow(NotCanonicalError);
      });
    });

    it('yields the artifacts of the reference, byte for byte, in its order', async () => {
      await opened(async (source, { expected }, scratchDir) => {
        await collect(source.exportData({ scratchDir }));
        const found: string[] = [];
        const bytes = new Map(expected.artifacts);
        for await (const artifact of source.artifacts()) {
          found.push(artifact.name);
          const data = await collect(artifact.data());
          expect(data.equals(bytes.get(artifact.name)!)).toBe(true);
          if (artifact.declared !== undefined) {
            const { size, sha256: hash } = artifact.declared;
            expect({ size, hash }).toEqual({ size: data.length, hash: sha256(data) });
          }
        }
        expect(found).toEqual(expected.artifacts.map(([artifact]) => artifact));
      });
    });

    it('allows any artifact to be skipped or read in part', async () => {
      await opened(async (source, { expected }, scratchDir) => {
        await collect(source.exportData({ scratchDir }));
        const bytes = new Map(expected.artifacts);
        let at = 0;
        for await (const artifact of source.artifacts()) {
          if (at % 3 === 0) {
            expect((await collect(artifact.data())).equals(bytes.get(artifact.name)!)).toBe(true);
          } else if (at % 3 === 1) {
            for await (const _ of artifact.data()) break;
          }
          at += 1;
        }
        expect(at).toBe(expected.artifacts.length);
      });
    });

    it('can be read again from the start after an interrupted read', async () => {
      await opened(async (source, { expected }, scratchDir) => {
        for await (const _ of source.exportData({ scratchDir })) break;
        await collect(source.exportData({ scratchDir }));
        for await (const _ of source.artifacts()) break;
        const again = await collect(source.exportData({ scratchDir }));
        expect(again.equals(expected.exportData)).toBe(true);
        let count = 0;
        for await (const artifact of source.artifacts()) {
          await collect(artifact.data());
          count += 1;
        }
        expect(count).toBe(expected.artifacts.length);
      });
    });

    it('passes a verified copy, with the hashes of the export', async () => {
      await opened(async (source, { expected }, scratchDir) => {
        const { artifactMode } = expected;
        const options = { artifactMode, scratchDir };
        const { summary } = await copyVerified(source, async () => nullSink(), options);
        expect(summary.hashes).toMatchObject(expectedHashes(expected));
        expect(summary.exportData.size).toBe(expected.exportData.length);
        expect(summary.artifacts.count).toBe(expected.artifacts.length);
        const { promised } = source;
        if (promised !== undefined) expect(promised).toEqual(summary.hashes);
      });
    });

    it('can be closed twice, unread and in the middle of a read', async () => {
      await opened(async (source) => {
        await source.close();
        await source.close();
      });
      await opened(async (source, _, scratchDir) => {
        for await (const _block of source.exportData({ scratchDir })) break;
        await source.close();
        await source.close();
      });
    });
  });
}
