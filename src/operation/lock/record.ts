/**
 * The record of an export operation, in its export directory. With the directory's lock, it shows any later command the
 * true state: an operation that is not `done` or `failed` is alive if the lock is held, and dead otherwise. The lock
 * belongs to the directory itself (by device and inode), so a copied directory is never taken for alive.
 */
import { join } from 'node:path';
import * as v from 'valibot';
import { SwingSnapError, VerificationError, EXIT_CODES, type ExitCode } from '../../errors.ts';
import { RECORD_FILE } from '../../formats/export-directory/layout.ts';
import { withShownPaths } from '../../io/files/descriptor-names.ts';
import { publishFile } from '../../io/files/publish-file.ts';
import { SourceFile } from '../../io/files/source-file.ts';
import { systemCode, systemTrouble } from '../../io/files/system-error.ts';
import { ARTIFACT_MODES } from '../../swing-store-export/artifact-mode.ts';
import { operationOn } from './lock.ts';
import { progressSchema } from './notice.ts';

/** Hundreds of times the size of a record. */
const MAX_RECORD_BYTES = 256 * 1024;

const height = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const errorSchema = v.object({
  code: v.string(),
  message: v.string(),
  // A failed operation is not done, whatever its record says.
  exitCode: v.pipe(v.picklist(Object.values(EXIT_CODES)), v.notValue(EXIT_CODES.done)),
  path: v.optional(v.string()),
  expected: v.optional(v.union([v.string(), v.number()])),
  found: v.optional(v.union([v.string(), v.number()])),
  hint: v.optional(v.string()),
});

/** An error as data, for a record or another process. */
export type ErrorReport = v.InferOutput<typeof errorSchema>;

const recordSchema = v.object({
  format: v.literal('swingsnap-operation'),
  version: v.literal(1),
  /** `waiting` for a height, with no view pinned yet; `started` from the moment that the view is pinned. */
  state: v.picklist(['waiting', 'started', 'done', 'failed']),
  /** State dir of the exported store. */
  stateDir: v.optional(v.string()),
  /** Path of the source that is exported instead of a store. */
  source: v.optional(v.string()),
  exportDir: v.string(),
  /** Whether the operation belongs to a worker that outlives the command. */
  detached: v.boolean(),
  height: v.optional(height),
  awaitedHeight: v.optional(height),
  artifactMode: v.picklist(ARTIFACT_MODES),
  exportDataMode: v.picklist(['all', 'skip']),
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  host: v.pipe(v.string(), v.maxLength(255)),
  /** ISO 8601, UTC. */
  startedAt: v.pipe(v.string(), v.isoTimestamp()),
  endedAt: v.optional(v.pipe(v.string(), v.isoTimestamp())),
  progress: v.optional(progressSchema),
  /** Number of artifact files, once all are made. */
  files: v.optional(v.number()),
  error: v.optional(errorSchema),
});

export type OperationRecord = v.InferOutput<typeof recordSchema>;

/**
 * Writes the record durably, over the previous one.
 * @param dir the path by which the export directory is reached
 */
export async function writeRecord(record: OperationRecord, dir = record.exportDir): Promise<void> {
  await publishFile(join(dir, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * Reads the record of an export directory.
 * @returns undefined if there is none: the directory is not ours
 * @throws {VerificationError} `RECORD_DAMAGED`
 */
export async function readRecord(exportDir: string): Promise<OperationRecord | undefined> {
  const path = join(exportDir, RECORD_FILE);
  const text = await readText(path);
  if (text === undefined) return undefined;
  try {
    return v.parse(recordSchema, JSON.parse(text), { abortEarly: true });
  } catch (cause) {
    return refuseDamaged(path, cause);
  }
}

async function readText(path: string): Promise<string | undefined> {
  let file: SourceFile;
  try {
    file = SourceFile.open(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    if (!file.stats.isFile() || file.stats.size > MAX_RECORD_BYTES) return refuseDamaged(path);
    return (await file.readWhole()).toString();
  } finally {
    file.close();
  }
}

function refuseDamaged(path: string, cause?: unknown): never {
  throw new VerificationError('RECORD_DAMAGED', 'the record of the operation is not valid', {
    path,
    hint: 'look at the directory and remove it by hand',
    cause,
  });
}

/** The fate of the operation in an export directory. */
export type Fate = 'running' | 'done' | 'failed' | 'dead';

/** @returns undefined if the directory has no record */
export async function fateOf(
  exportDir: string,
): Promise<{ readonly fate: Fate; readonly record: OperationRecord } | undefined> {
  let before = await readRecord(exportDir);
  for (;;) {
    const isHeld = operationOn(exportDir) !== undefined;
    const record = await readRecord(exportDir);
    if (record === undefined) return undefined;
    if (hasEnded(record)) return { fate: record.state, record };
    if (isHeld) return { fate: 'running', record };
    // The lock was free between two reads of the same record: the operation had neither just begun nor ended.
    if (before !== undefined && isSameRun(before, record)) return { fate: 'dead', record };
    before = record;
  }
}

/** Whether the operation has written its final state. */
export function hasEnded(
  record: OperationRecord,
): record is OperationRecord & { readonly state: 'done' | 'failed' } {
  return record.state === 'done' || record.state === 'failed';
}

function isSameRun(a: OperationRecord, b: OperationRecord): boolean {
  return a.pid === b.pid && a.startedAt === b.startedAt && a.host === b.host;
}

/** An error as data. */
export function reportOf(error: unknown): ErrorReport {
  if (!(error instanceof SwingSnapError)) {
    const message = withShownPaths(error instanceof Error ? error.message : String(error));
    const { path, ...trouble } = systemTrouble(error) ?? {
      code: systemCode(error) ?? 'UNEXPECTED',
      exitCode: EXIT_CODES.failed,
    };
    return { message, ...trouble, ...(path === undefined ? {} : { path }) };
  }
  const { code, exitCode, expected, found, hint } = error;
  const message = withShownPaths(error.message);
  const path = error.path === undefined ? undefined : withShownPaths(error.path);
  const facts = { path, expected, found, hint };
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return { code, message, exitCode, ...Object.fromEntries(known) };
}

/** An error that another process reported. */
export class ReportedError extends SwingSnapError {
  override readonly exitCode: ExitCode;

  constructor(report: ErrorReport) {
    super(report.code, report.message, report);
    this.exitCode = report.exitCode;
  }
}
