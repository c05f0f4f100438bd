/** The record of an export operation, in its export directory: whose the directory is and how far it came. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { VerificationError } from '../errors.ts';
import { RECORD_FILE } from '../formats/export-directory/layout.ts';
import { publishFile } from '../io/publish-file.ts';
import { ARTIFACT_MODES } from '../swing-store-export/artifact-mode.ts';

const recordSchema = v.object({
  format: v.literal('swingsnap-operation'),
  version: v.literal(1),
  state: v.picklist(['started', 'done']),
  stateDir: v.string(),
  height: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  artifactMode: v.picklist(ARTIFACT_MODES),
  pid: v.number(),
  /** ISO 8601, UTC. */
  startedAt: v.string(),
});

export type OperationRecord = v.InferOutput<typeof recordSchema>;

/** Writes the record durably, over the one before. */
export async function writeRecord(exportDir: string, record: OperationRecord): Promise<void> {
  await publishFile(join(exportDir, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * Reads the record of an export directory.
 * @returns undefined if there is none: the directory is not ours
 * @throws {VerificationError} `RECORD_DAMAGED`
 */
export async function readRecord(exportDir: string): Promise<OperationRecord | undefined> {
  const path = join(exportDir, RECORD_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    return v.parse(recordSchema, JSON.parse(text));
  } catch (cause) {
    throw new VerificationError('RECORD_DAMAGED', 'the record of the operation is no record', {
      path,
      hint: 'look at the directory and remove it by hand',
      cause,
    });
  }
}
