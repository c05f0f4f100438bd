/**
 * The contract of every form of an export that can be built: nothing is visible before `finish`, and `abort` leaves
 * nothing behind, at any point.
 */
import { describe, expect, it } from 'vitest';
import { artifactIdentity } from '../../src/swing-store-export/artifact/expected-content.ts';
import { copyVerified } from '../../src/swing-store-export/copy-verified.ts';
import { ExportDataHasher } from '../../src/swing-store-export/export-data/export-data-hasher.ts';
import { RecordIndex } from '../../src/swing-store-export/export-data/record-index.ts';
import { parseArtifactName } from '../../src/swing-store-export/names.ts';
import { nullSink } from '../../src/swing-store-export/null-sink.ts';
import type {
  ExportSink,
  ExportSummary,
  SwingStoreExport,
} from '../../src/swing-store-export/swing-store-export.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { collect, expectedHashes, type ExpectedExport } from './readable-form.ts';

export interface BuildableForm {
  /** The export to build. */
  readonly expected: ExpectedExport;
  start(): Promise<ExportSink<unknown>>;
  /** Opens the built export; rejects if there is none. */
  open(): Promise<SwingStoreExport>;
  /** Every place where a leftover could show, for `toEqual`. */
  state(): Promise<unknown>;
  /** Turns a summary that `finish` accepts into one that it must refuse; undefined if it refuses none. */
  readonly refused?: (summary: ExportSummary) => ExportSummary;
}

class ReadError extends Error {}

async function* failing(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, bytes.length >> 1);
  throw new ReadError('cannot be read');
}

async function* whole(bytes: Buffer): AsyncGenerator<Uint8Array> {
  const half = bytes.length >> 1;
  yield bytes.subarray(0, half);
  yield bytes.subarray(half);
}

interface Driver {
  readonly sink: ExportSink<unknown>;
  readonly expected: ExpectedExport;
  readonly identities: ReadonlyMap<string, string>;
}

/** Identities of the artifacts, as a verified copy passes them to a sink. */
async function identitiesOf(expected: ExpectedExport, scratchDir: string) {
  const index = new RecordIndex(scratchDir);
  try {
    new ExportDataHasher(index).add(expected.exportData);
    return new Map(
      expected.artifacts.map(([name]) => [
        name,
        artifactIdentity(index.expect(parseArtifactName(name), 'debug')!),
      ]),
    );
  } finally {
    index.close();
  }
}

const halfOfLines = (data: Buffer): number => data.indexOf('\n', data.length >> 1) + 1;

async function writeExportData({ sink, expected }: Driver): Promise<void> {
  const half = halfOfLines(expected.exportData);
  await sink.writeExportData(expected.exportData.subarray(0, half));
  await sink.writeExportData(expected.exportData.subarray(half));
}

async function writeArtifacts(driver: Driver, from: number, to: number): Promise<void> {
  for (const [name, bytes] of driver.expected.artifacts.slice(from, to)) {
    await driver.sink.writeArtifact(name, whole(bytes), driver.identities.get(name));
  }
}

/** Points where a build may end. Each function drives a new sink to its point. */
const POINTS: Readonly<Record<string, (driver: Driver) => Promise<void>>> = {
  'before anything': async () => undefined,
  'in the middle of the export data': async ({ sink, expected: { exportData } }) =>
    sink.writeExportData(exportData.subarray(0, halfOfLines(exportData))),
  'after the export data': writeExportData,
  'when the first artifact cannot be read': async (driver) => {
    await writeExportData(driver);
    const [[name, bytes] = ['', Buffer.alloc(0)]] = driver.expected.artifacts;
    const write = driver.sink.writeArtifact(name, failing(bytes), driver.identities.get(name));
    await expect(write).rejects.toThrow(ReadError);
  },
  'between two artifacts': async (driver) => {
    await writeExportData(driver);
    await writeArtifacts(driver, 0, 2);
  },
  'when a later artifact cannot be read': async (driver) => {
    await writeExportData(driver);
    await writeArtifacts(driver, 0, -1);
    const [name, bytes] = driver.expected.artifacts.at(-1)!;
    const write = driver.sink.writeArtifact(name, failing(bytes), driver.identities.get(name));
    await expect(write).rejects.toThrow(ReadError);
  },
  'before finish': async (driver) => {
    await writeExportData(driver);
    await writeArtifacts(driver, 0, driver.expected.artifacts.length);
  },
};

/** @param form called in each test; its result must outlive the test */
export function describeBuildableForm(name: string, form: () => Promise<BuildableForm>): void {
  const tempDir = useTempDir();

  async function started(made: BuildableForm): Promise<Driver> {
    const identities = await identitiesOf(made.expected, await tempDir());
    return { sink: await made.start(), expected: made.expected, identities };
  }

  function summaryOf(expected: ExpectedExport): ExportSummary {
    const { height, artifactMode, exportData, artifacts } = expected;
    return {
      height,
      artifactMode,
      exportData: {
        entries: exportData.toString().split('\n').length - 1,
        size: exportData.length,
      },
      artifacts: {
        count: artifacts.length,
        size: artifacts.reduce((sum, [, bytes]) => sum + bytes.length, 0),
      },
      hashes: { ...expectedHashes(expected), operationalHash: '0'.repeat(64) },
    };
  }

  describe(`${name}, as a form that is built`, () => {
    it.each(Object.entries(POINTS))(
      'shows nothing and leaves nothing behind when it is aborted %s, even twice',
      async (_, drive) => {
        const made = await form();
        const before = await made.state();
        const driver = await started(made);
        await drive(driver);
        await expect(made.open()).rejects.toThrow();
        await driver.sink.abort();
        expect(await made.state()).toEqual(before);
        await driver.sink.abort();
        expect(await made.state()).toEqual(before);
        await expect(made.open()).rejects.toThrow();
      },
    );

    it('is the whole export when it is built after an aborted build', async () => {
      const made = await form();
      const aborted = await started(made);
      await POINTS['between two artifacts']!(aborted);
      await aborted.sink.abort();

      const driver = await started(made);
      await POINTS['before finish']!(driver);
      await expect(made.open()).rejects.toThrow();
      const scratchDir = await tempDir();
      const summary = summaryOf(made.expected);
      // The only hash that cannot be computed from the expected files.
      const index = new RecordIndex(scratchDir);
      const hasher = new ExportDataHasher(index);
      hasher.add(made.expected.exportData);
      const { operationalHash } = hasher.finish();
      index.close();
      await driver.sink.finish({ ...summary, hashes: { ...summary.hashes!, operationalHash } });

      const source = await made.open();
      try {
        expect(source.height).toBe(made.expected.height);
        expect((await collect(source.exportData())).equals(made.expected.exportData)).toBe(true);
        const found: [string, Buffer][] = [];
        for await (const artifact of source.artifacts()) {
          found.push([artifact.name, await collect(artifact.data())]);
        }
        expect(found.map(([artifact]) => artifact)).toEqual(
          made.expected.artifacts.map(([artifact]) => artifact),
        );
        found.forEach(([, bytes], i) => {
          expect(bytes.equals(made.expected.artifacts[i]![1])).toBe(true);
        });
        const { summary: copied } = await copyVerified(source, async () => nullSink(), {
          artifactMode: made.expected.artifactMode,
          scratchDir,
        });
        expect(copied.hashes).toMatchObject(expectedHashes(made.expected));
      } finally {
        await source.close();
      }
    });

    it('leaves nothing behind when finish refuses the summary', async () => {
      const made = await form();
      if (made.refused === undefined) return;
      const before = await made.state();
      const driver = await started(made);
      await writeExportData(driver);
      const summary = made.refused(summaryOf(made.expected));
      await expect(driver.sink.finish(summary)).rejects.toThrow();
      await driver.sink.abort();
      expect(await made.state()).toEqual(before);
    });
  });
}
