/**
 * Builds an export directory: the files that the reference's `export-kernel-db` writes, byte for byte.
 *
 * Files are made under their final names, and each name is written to a journal first. They become an export in one
 * step: the rename of the manifest, once all files that it names are on disk.
 */
import { constants } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { publishFile, syncDirectory, writeFully } from '../../io/files/publish-file.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { follow } from '../../io/threads/recipe.ts';
import { workerTask } from '../../io/threads/task.ts';
import type { ArtifactMode } from '../../swing-store-export/artifact-mode.ts';
import {
  piecesOf,
  type ArtifactContent,
  type ExportSink,
  type ExportSummary,
  type Visit,
  type Visited,
} from '../../swing-store-export/swing-store-export.ts';
import { Visits, type Made, type VisitInput } from '../../swing-store-export/visits.ts';
import { readJournal } from './journal.ts';
import { EXPORT_DATA_FILE, JOURNAL_FILE, MANIFEST_FILE } from './layout.ts';

interface Header {
  readonly height: number;
  /** If undefined, the manifest gets the mode that the copy found. */
  readonly artifactMode?: ArtifactMode | undefined;
  readonly withExportData: boolean;
}

/** Maximum number of files being synced at the same time. */
const SYNCS_AT_A_TIME = 8;

/**
 * Starts an export in `exportDir`, which exists and holds nothing but the operation's record.
 * @param header for the manifest; `withExportData: false` omits the export data
 * @param pool writes files; by default the calling thread
 */
export async function writeExportDirectory(
  exportDir: string,
  header: Header,
  pool: WorkerPool = inlinePool,
): Promise<ExportSink<ExportSummary>> {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR;
  const journal = await open(join(exportDir, JOURNAL_FILE), flags);
  await syncDirectory(exportDir);
  return new ExportDirectoryWriter(exportDir, header, journal, pool);
}

class ExportDirectoryWriter implements ExportSink<ExportSummary> {
  readonly #dir: string;
  readonly #header: Header;
  /** Holds the file name of each artifact, one per line, in order. The manifest is written from it. */
  readonly #journal: FileHandle;
  #exportData: FileHandle | undefined;
  #isExportDataClosing = false;
  readonly #visits: Visits<readonly string[], object>;
  /** Names in the journal of artifacts that were too large for their visit. */
  readonly #entered = new Set<string>();
  readonly #syncs = new Set<Promise<void>>();
  #failure: Error | undefined;
  #journalSync: Promise<void> = Promise.resolve();
  #nextJournalSync: Promise<void> | undefined;

  constructor(dir: string, header: Header, journal: FileHandle, pool: WorkerPool) {
    this.#dir = dir;
    this.#header = header;
    this.#journal = journal;
    this.#visits = new Visits(pool, writingFiles);
  }

  async writeExportData(block: Uint8Array): Promise<void> {
    this.#exportData ??= await this.#create(EXPORT_DATA_FILE);
    await writeFully(this.#exportData, block);
  }

  async visit(visit: Visit): Promise<Visited> {
    await this.#closeExportData();
    for (const { name } of visit.artifacts) await this.#enter(name);
    const paths = visit.artifacts.map(({ name }) => join(this.#dir, name));
    return this.#visits.begin(visit, paths, 0, async (made) => {
      for (const [at, path] of paths.entries()) {
        if (made[at] === undefined) this.#entered.add(basename(path));
        else await this.#closeLater(await open(path));
      }
    });
  }

  async writeArtifact(name: string, content: ArtifactContent): Promise<void> {
    await this.#closeExportData();
    const file = await this.#create(name);
    try {
      for await (const piece of piecesOf(content)) await writeFully(file, piece);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#closeLater(file);
  }

  async #enter(name: string): Promise<void> {
    await writeFully(this.#journal, Buffer.from(`${name}\n`));
  }

  async #create(name: string): Promise<FileHandle> {
    if (!this.#entered.delete(name)) await this.#enter(name);
    return open(join(this.#dir, name), 'wx');
  }

  async #closeExportData(): Promise<void> {
    if (this.#header.withExportData) this.#exportData ??= await this.#create(EXPORT_DATA_FILE);
    const file = this.#exportData;
    if (file === undefined || this.#isExportDataClosing) return;
    this.#isExportDataClosing = true;
    await this.#closeLater(file);
  }

  /**
   * Syncs the names so far, before the bytes of their files: a discard after a power loss needs the names. A sync that
   * is already running may miss the last names, so all callers share the next one.
   */
  async #journalSynced(): Promise<void> {
    this.#nextJournalSync ??= this.#journalSync
      .catch(() => undefined)
      .then(async () => {
        this.#nextJournalSync = undefined;
        this.#journalSync = this.#journal.datasync();
        return this.#journalSync;
      });
    return this.#nextJournalSync;
  }

  /** Syncs and closes a file while others are written. */
  async #closeLater(file: FileHandle): Promise<void> {
    const sync = this.#journalSynced()
      .then(async () => file.sync())
      .catch((error: unknown) => {
        this.#failure ??= error as Error;
      })
      .then(async () => file.close())
      .finally(() => this.#syncs.delete(sync));
    this.#syncs.add(sync);
    while (this.#syncs.size >= SYNCS_AT_A_TIME) await Promise.race(this.#syncs);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async finish(summary: ExportSummary): Promise<ExportSummary> {
    await this.#closeExportData();
    await this.#visits.end();
    await Promise.all(this.#syncs);
    if (this.#failure !== undefined) throw this.#failure;
    await syncDirectory(this.#dir);
    await publishFile(join(this.#dir, MANIFEST_FILE), async (file) => {
      for await (const text of this.#manifest(summary)) await writeFully(file, Buffer.from(text));
    });
    await this.#journal.close();
    await rm(join(this.#dir, JOURNAL_FILE));
    return summary;
  }

  /** `JSON.stringify(manifest, null, 2)`, without holding the list of artifacts in memory. */
  async *#manifest(summary: ExportSummary): AsyncGenerator<string> {
    const { height, artifactMode = summary.artifactMode, withExportData } = this.#header;
    yield `{\n  "blockHeight": ${height},\n  "artifactMode": ${JSON.stringify(artifactMode)},\n  "artifacts": [`;
    let separator = '\n';
    for await (const name of readJournal(this.#dir)) {
      if (name === EXPORT_DATA_FILE) continue;
      const quoted = JSON.stringify(name);
      yield `${separator}    [\n      ${quoted},\n      ${quoted}\n    ]`;
      separator = ',\n';
    }
    yield separator === '\n' ? ']' : '\n  ]';
    yield withExportData ? `,\n  "data": ${JSON.stringify(EXPORT_DATA_FILE)}\n}` : '\n}';
  }

  async abort(): Promise<void> {
    await this.#visits.settled();
    await Promise.all(this.#syncs);
    if (this.#exportData !== undefined && this.#exportData.fd !== -1)
      await this.#exportData.close();
    if (this.#journal.fd !== -1) await this.#journal.close();
    for await (const name of readJournal(this.#dir))
      await rm(join(this.#dir, name), { force: true });
    await rm(join(this.#dir, MANIFEST_FILE), { force: true });
    await rm(join(this.#dir, JOURNAL_FILE), { force: true });
  }
}

/** Writes each artifact to a new file. The caller syncs it. */
export async function writeFiles({
  contents,
  rest: paths,
}: VisitInput<readonly string[]>): Promise<readonly Made<object>[]> {
  const made: Made<object>[] = [];
  for await (const content of await follow(contents)) {
    const path = paths[made.length] ?? '';
    made.push(content && { size: content.bytes.length, sha256: content.sha256 });
    if (content === undefined) continue;
    const file = await open(path, 'wx');
    try {
      await writeFully(file, content.bytes);
    } finally {
      await file.close();
    }
  }
  return made;
}

const writingFiles = workerTask(import.meta.url, writeFiles);
