/**
 * The records of one export, in a scratch database: what each artifact must be, which artifacts were seen, and
 * whether they suffice. It behaves like the reference importer's own tables (the same keys and constraints), without
 * the artifacts' content.
 */
import { VerificationError } from '../../errors.ts';
import { openScratchDatabase } from '../../io/files/scratch.ts';
import type { Database, Statement } from '../../io/sqlite.ts';
import type { ExpectedContent } from '../artifact/expected-content.ts';
import type { ArtifactMode, RestoreMode } from '../artifact-mode.ts';
import { formatArtifactName, type ArtifactName } from '../names.ts';
import type { ArtifactDigest } from '../swing-store-export.ts';
import {
  bundleEntry,
  decodeBundleRecord,
  decodeHeapSnapshotRecord,
  decodeTranscriptSpanRecord,
  heapSnapshotEntries,
  transcriptSpanEntry,
  type ExportEntry,
  type HeapSnapshotRecord,
  type TranscriptSpanRecord,
} from './records.ts';

// size and sha256 are NULL until the artifact is known to be part of the export; held is 1 once it has been read.
const SCHEMA = `
  CREATE TABLE snapshots (
    vatID TEXT, snapPos INTEGER, inUse INTEGER CHECK (inUse = 1), hash TEXT, size INTEGER, sha256 TEXT, held INTEGER,
    PRIMARY KEY (vatID, snapPos), UNIQUE (vatID, inUse)
  ) WITHOUT ROWID;
  CREATE TABLE spans (
    vatID TEXT, startPos INTEGER, endPos INTEGER, hash TEXT, isCurrent INTEGER CHECK (isCurrent = 1),
    incarnation INTEGER, size INTEGER, sha256 TEXT, held INTEGER,
    PRIMARY KEY (vatID, startPos), UNIQUE (vatID, isCurrent)
  ) WITHOUT ROWID;
  CREATE INDEX incarnations ON spans (vatID, incarnation, startPos);
  CREATE INDEX present ON spans (vatID, startPos) WHERE size IS NOT NULL AND startPos < endPos;
  CREATE TABLE bundles (bundleID TEXT PRIMARY KEY, size INTEGER, sha256 TEXT, held INTEGER) WITHOUT ROWID;
`;

interface SnapshotRow {
  vatID: string;
  snapPos: number;
  hash: string;
  inUse: 1 | null;
}

interface SpanRow {
  vatID: string;
  startPos: number;
  endPos: number;
  hash: string;
  isCurrent: 1 | null;
  incarnation: number;
}

/** An artifact that is part of the export, with its digest. */
export interface PresentArtifact extends ArtifactDigest {
  readonly name: string;
}

export class RecordIndex {
  readonly #db: Database;
  readonly #statements = new Map<string, Statement>();

  /** @param scratchDir directory for the scratch file; see `io/files/scratch.ts` for errors */
  constructor(scratchDir: string) {
    this.#db = openScratchDatabase(scratchDir);
    this.#db.exec(SCHEMA);
  }

  #sql(text: string): Statement {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }

  /**
   * Adds the record of one export data entry that is not a `kv.` entry.
   * @throws {VerificationError} `RECORD` if it is not a valid record or contradicts another, `UNKNOWN_TAG` for other
   *   entries
   */
  add(key: string, value: string): void {
    const [tag = ''] = key.split('.', 1);
    switch (tag) {
      case 'snapshot': {
        const record = decodeHeapSnapshotRecord(key, value);
        if (record !== undefined) this.#addSnapshot(key, record);
        return;
      }
      case 'transcript':
        this.#addSpan(key, decodeTranscriptSpanRecord(key, value));
        return;
      case 'bundle':
        this.#insert(key, 'INSERT INTO bundles (bundleID) VALUES (?)', [
          decodeBundleRecord(key, value),
        ]);
        return;
      default:
        throw new VerificationError(
          'UNKNOWN_TAG',
          'the export data has an entry of an unknown kind',
          {
            path: key,
            expected: 'kv., snapshot., transcript. or bundle.',
            found: tag,
          },
        );
    }
  }

  #addSnapshot(key: string, { vatID, snapPos, inUse, hash }: HeapSnapshotRecord): void {
    this.#insert(key, 'INSERT INTO snapshots (vatID, snapPos, inUse, hash) VALUES (?, ?, ?, ?)', [
      vatID,
      snapPos,
      inUse ? 1 : null,
      hash,
    ]);
  }

  #addSpan(key: string, record: TranscriptSpanRecord): void {
    const { vatID, startPos, endPos, hash, isCurrent, incarnation } = record;
    this.#insert(
      key,
      'INSERT INTO spans (vatID, startPos, endPos, hash, isCurrent, incarnation) VALUES (?, ?, ?, ?, ?, ?)',
      [vatID, startPos, endPos, hash, isCurrent ? 1 : null, incarnation],
    );
  }

  #insert(key: string, sql: string, values: readonly unknown[]): void {
    try {
      this.#sql(sql).run(...values);
    } catch (cause) {
      const code = (cause as { code?: unknown }).code;
      if (typeof code !== 'string' || !code.startsWith('SQLITE_CONSTRAINT')) throw cause;
      throw new VerificationError('RECORD', `record ${JSON.stringify(key)} contradicts another`, {
        path: key,
        cause,
      });
    }
  }

  /** The entries of all records, in canonical order and text. */
  *entries(): Generator<ExportEntry> {
    const bySnapshot = (condition: string): IterableIterator<SnapshotRow> =>
      this.#sql(
        `SELECT vatID, snapPos, hash, inUse FROM snapshots WHERE inUse ${condition} ORDER BY vatID, snapPos`,
      ).iterate() as IterableIterator<SnapshotRow>;
    for (const row of bySnapshot('= 1')) yield* heapSnapshotEntries({ ...row, inUse: true });
    for (const row of bySnapshot('IS NULL')) yield* heapSnapshotEntries({ ...row, inUse: false });
    const spans = this.#sql('SELECT * FROM spans ORDER BY vatID, startPos').iterate();
    for (const row of spans as IterableIterator<SpanRow>) {
      yield transcriptSpanEntry({ ...row, isCurrent: row.isCurrent === 1 });
    }
    const bundles = this.#sql('SELECT bundleID FROM bundles ORDER BY bundleID').iterate();
    for (const row of bundles as IterableIterator<{ bundleID: string }>) {
      yield bundleEntry(row.bundleID);
    }
  }

  /** All artifacts that an export of `mode` may hold, and what their records expect. */
  *wanted(mode: ArtifactMode): Generator<{ name: string; expected: ExpectedContent }> {
    const of = (name: ArtifactName): { name: string; expected: ExpectedContent }[] => {
      const expected = this.expect(name, mode);
      return expected === undefined ? [] : [{ name: formatArtifactName(name), expected }];
    };
    const snapshots = this.#sql('SELECT vatID, snapPos FROM snapshots ORDER BY vatID, snapPos');
    for (const row of snapshots.iterate() as IterableIterator<SnapshotRow>)
      yield* of({ kind: 'snapshot', ...row });
    // An artifact of a vat without a current span is refused, so none can come.
    const spans = this.#sql(
      `SELECT vatID, startPos, endPos FROM spans
       WHERE $isAny OR vatID IN (SELECT vatID FROM spans WHERE isCurrent = 1) ORDER BY vatID, startPos`,
    );
    for (const row of spans.iterate({
      isAny: mode === 'replay' ? 0 : 1,
    }) as IterableIterator<SpanRow>)
      yield* of({ kind: 'transcript', ...row });
    const bundles = this.#sql('SELECT bundleID FROM bundles ORDER BY bundleID');
    for (const row of bundles.iterate() as IterableIterator<{ bundleID: string }>)
      yield* of({ kind: 'bundle', ...row });
  }

  /**
   * What the record of an artifact expects, or undefined if an export of `mode` does not need the artifact.
   * @throws {VerificationError} `NO_RECORD` if no record validates it
   */
  expect(name: ArtifactName, mode: ArtifactMode): ExpectedContent | undefined {
    switch (name.kind) {
      case 'snapshot': {
        const row = this.#sql(
          'SELECT hash, inUse FROM snapshots WHERE vatID = ? AND snapPos = ?',
        ).get(name.vatID, name.snapPos) as SnapshotRow | undefined;
        if (row === undefined) throw noRecord(name);
        if (mode === 'none' || (row.inUse === null && mode !== 'debug')) return undefined;
        return { kind: 'snapshot', hash: row.hash };
      }
      case 'transcript': {
        const row = this.#sql('SELECT * FROM spans WHERE vatID = ? AND startPos = ?').get(
          name.vatID,
          name.startPos,
        ) as SpanRow | undefined;
        if (row?.endPos !== name.endPos) throw noRecord(name, row);
        if (!this.#wantsSpan(name.vatID, row, mode)) return undefined;
        const { hash, startPos, endPos } = row;
        return { kind: 'transcript', hash, items: endPos - startPos, endPos };
      }
      case 'bundle': {
        const found = this.#sql('SELECT 1 FROM bundles WHERE bundleID = ?').get(name.bundleID);
        if (found === undefined) throw noRecord(name);
        return mode === 'none' ? undefined : { kind: 'bundle', bundleID: name.bundleID };
      }
    }
  }

  #wantsSpan(vatID: string, row: SpanRow, mode: ArtifactMode): boolean {
    switch (mode) {
      case 'none':
        return false;
      case 'operational':
        return row.isCurrent === 1;
      case 'replay': {
        const start = this.#sql(
          `SELECT min(startPos) AS start FROM spans WHERE vatID = $vatID AND incarnation =
             (SELECT incarnation FROM spans WHERE vatID = $vatID AND isCurrent = 1)`,
        ).get({ vatID }) as { start: number | null };
        if (start.start === null) {
          throw new VerificationError(
            'NO_CURRENT_SPAN',
            `transcript artifact of vat ${vatID}, which has no current span`,
          );
        }
        return row.startPos >= start.start;
      }
      case 'archival':
      case 'debug':
        return true;
    }
  }

  /**
   * Notes that an artifact is part of the export.
   * @param held whether it was read and matches its record; otherwise it is only listed, and {@link missing} does not
   *   count it
   * @throws {VerificationError} `DUPLICATE_ARTIFACT` if it was noted before, or is a span that overlaps another
   */
  notePresent(name: ArtifactName, { size, sha256 }: ArtifactDigest, held: boolean): void {
    const [table, where, keys] =
      name.kind === 'snapshot'
        ? (['snapshots', 'vatID = ? AND snapPos = ?', [name.vatID, name.snapPos]] as const)
        : name.kind === 'transcript'
          ? (['spans', 'vatID = ? AND startPos = ?', [name.vatID, name.startPos]] as const)
          : (['bundles', 'bundleID = ?', [name.bundleID]] as const);
    const changed = this.#sql(
      `UPDATE ${table} SET size = ?, sha256 = ?, held = ? WHERE ${where} AND size IS NULL`,
    ).run(size, sha256, held ? 1 : null, ...keys);
    if (changed.changes !== 1 || (name.kind === 'transcript' && this.#overlaps(name))) {
      throw new VerificationError(
        'DUPLICATE_ARTIFACT',
        `artifact ${formatArtifactName(name)} occurs more than once, in whole or in part`,
      );
    }
  }

  /** Noted spans do not overlap each other: of all that start before the end of this one, the last one ends last. */
  #overlaps(name: { vatID: string; startPos: number; endPos: number }): boolean {
    if (name.startPos >= name.endPos) return false;
    const before = this.#sql(
      `SELECT endPos FROM spans INDEXED BY present WHERE vatID = ? AND size IS NOT NULL AND startPos < endPos
         AND startPos < ? AND startPos != ? ORDER BY startPos DESC LIMIT 1`,
    ).get(name.vatID, name.endPos, name.startPos) as SpanRow | undefined;
    return before !== undefined && before.endPos > name.startPos;
  }

  /**
   * What an export of `mode` lacks, by the reference importer's rules: names of artifacts or vats.
   * `debug` requires the same as `operational`, `none` requires nothing.
   */
  missing(mode: ArtifactMode): string[] {
    if (mode === 'none') return [];
    return [
      ...this.#missingBundles(),
      ...this.#missingSpans(mode === 'debug' ? 'operational' : mode),
      ...this.#missingSnapshots(),
    ];
  }

  #missingBundles(): string[] {
    const rows = this.#sql('SELECT bundleID FROM bundles WHERE held IS NULL LIMIT 10').all();
    return (rows as { bundleID: string }[]).map(({ bundleID }) => `bundle.${bundleID}`);
  }

  #missingSnapshots(): string[] {
    const rows = this.#sql(
      'SELECT vatID, snapPos FROM snapshots WHERE inUse = 1 AND held IS NULL ORDER BY vatID LIMIT 10',
    ).all();
    return (rows as SnapshotRow[]).map((row) => formatArtifactName({ kind: 'snapshot', ...row }));
  }

  #missingSpans(mode: Exclude<RestoreMode, 'debug'>): string[] {
    const from = {
      operational: 'c.startPos',
      replay:
        '(SELECT min(startPos) FROM spans WHERE vatID = c.vatID AND incarnation = c.incarnation)',
      archival: '0',
    }[mode];
    // An item counts if a span that was read contains it, so a span without items needs no artifact.
    const rows = this.#sql(
      `SELECT vatID, start, endPos FROM
         (SELECT c.vatID AS vatID, c.endPos AS endPos, ${from} AS start FROM spans c WHERE c.isCurrent = 1) AS need
       WHERE endPos - start != (
         SELECT coalesce(sum(max(0, min(s.endPos, need.endPos) - max(s.startPos, need.start))), 0)
         FROM spans s WHERE s.vatID = need.vatID AND s.held = 1)
       ORDER BY vatID LIMIT 10`,
    ).all() as { vatID: string; start: number; endPos: number }[];
    return rows.map(
      ({ vatID, start, endPos }) => `transcript items ${start} to ${endPos} of vat ${vatID}`,
    );
  }

  /** How many artifacts an export of `mode` holds: as {@link expect} wants them. */
  count(mode: Exclude<ArtifactMode, 'debug'>): number {
    if (mode === 'none') return 0;
    const spans = {
      operational: 'isCurrent = 1',
      replay:
        'incarnation = (SELECT incarnation FROM spans c WHERE c.vatID = spans.vatID AND c.isCurrent = 1)',
      archival: 'vatID IN (SELECT vatID FROM spans WHERE isCurrent = 1)',
    }[mode];
    const { artifacts } = this.#sql(
      `SELECT (SELECT count(*) FROM snapshots WHERE inUse = 1) + (SELECT count(*) FROM bundles) +
         (SELECT count(*) FROM spans WHERE ${spans}) AS artifacts`,
    ).get() as { artifacts: number };
    return artifacts;
  }

  /** The artifacts that were noted, in canonical order. */
  *present(): Generator<PresentArtifact> {
    for (const condition of ['= 1', 'IS NULL']) {
      const rows = this.#sql(
        `SELECT * FROM snapshots WHERE inUse ${condition} AND size IS NOT NULL ORDER BY vatID, snapPos`,
      ).iterate() as IterableIterator<SnapshotRow & ArtifactDigest>;
      for (const row of rows) {
        yield {
          name: formatArtifactName({ kind: 'snapshot', ...row }),
          size: row.size,
          sha256: row.sha256,
        };
      }
    }
    const spans = this.#sql(
      'SELECT * FROM spans WHERE size IS NOT NULL ORDER BY vatID, startPos',
    ).iterate() as IterableIterator<SpanRow & ArtifactDigest>;
    for (const row of spans) {
      yield {
        name: formatArtifactName({ kind: 'transcript', ...row }),
        size: row.size,
        sha256: row.sha256,
      };
    }
    const bundles = this.#sql(
      'SELECT * FROM bundles WHERE size IS NOT NULL ORDER BY bundleID',
    ).iterate() as IterableIterator<{ bundleID: string } & ArtifactDigest>;
    for (const { bundleID, size, sha256 } of bundles) {
      yield { name: `bundle.${bundleID}`, size, sha256 };
    }
  }

  /** Whether artifacts were read that an export of mode `operational` does not contain. */
  hasHistory(): boolean {
    const row = this.#sql(
      `SELECT 1 FROM snapshots WHERE inUse IS NULL AND held = 1
       UNION ALL SELECT 1 FROM spans WHERE isCurrent IS NULL AND held = 1 LIMIT 1`,
    ).get();
    return row !== undefined;
  }

  close(): void {
    this.#db.close();
  }
}

function noRecord(name: ArtifactName, row?: SpanRow): VerificationError {
  const spelled = formatArtifactName(name);
  return new VerificationError('NO_RECORD', `no record in the export data validates ${spelled}`, {
    path: spelled,
    expected: row === undefined ? undefined : `a span that ends at ${row.endPos}`,
    found: row === undefined ? undefined : spelled,
  });
}
