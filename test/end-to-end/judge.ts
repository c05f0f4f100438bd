/** Asks the reference importer and swingsnap for their verdicts on the same export directory. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { SwingSnapError } from '../../src/errors.ts';
import type { RestoreMode } from '../../src/swing-store-export/artifact-mode.ts';
import { listTree } from '../fixtures/directories.ts';
import { dumpStore, type StoreDump } from '../fixtures/dump-store.ts';
import { ReferenceRefusal, referenceImport } from '../fixtures/reference.ts';
import { restore } from './operations.ts';

/** The result of an import: the store's content, or why it was refused. */
export type Verdict =
  | { readonly accepted: true; readonly dump: StoreDump }
  | { readonly accepted: false; readonly why: string };

export function verdictOf({ accepted }: Verdict): 'accepted' | 'refused' {
  return accepted ? 'accepted' : 'refused';
}

/** A verdict in one line, for a message. */
export function tellVerdict(verdict: Verdict): string {
  return verdict.accepted ? 'accepted' : `refused: ${verdict.why}`;
}

/** Some streams of the reference have no listener for errors: the process fails when it cannot read their file. */
function isCrash(error: unknown): error is Error {
  return error instanceof Error && error.message === CRASH;
}
const CRASH = 'the reference process ended: code 255, signal null';

let lastTurn: Promise<unknown> = Promise.resolve();

/** One call at a time: a crash fails every call that the process has. */
export async function judgeByReference(
  exportDir: string,
  stateDir: string,
  mode?: RestoreMode,
): Promise<Verdict> {
  const turn = lastTurn.then(async () => askReference(exportDir, stateDir, mode));
  lastTurn = turn.catch(() => undefined);
  return turn;
}

async function askReference(
  exportDir: string,
  stateDir: string,
  mode: RestoreMode | undefined,
): Promise<Verdict> {
  try {
    await referenceImport(exportDir, stateDir, mode === undefined ? {} : { artifactMode: mode });
  } catch (error) {
    if (!(error instanceof ReferenceRefusal || isCrash(error))) throw error;
    return { accepted: false, why: error.message };
  }
  return { accepted: true, dump: await dumpStore(stateDir) };
}

/** Also asserts that a refusal is one of our own errors and leaves nothing behind. */
export async function judgeByUs(
  source: string,
  stateDir: string,
  mode?: RestoreMode,
): Promise<Verdict> {
  await mkdir(path.dirname(stateDir), { recursive: true });
  try {
    await restore(source, stateDir, mode);
  } catch (error) {
    if (!(error instanceof SwingSnapError)) throw error;
    expect(await listTree(path.dirname(stateDir))).toEqual({});
    return { accepted: false, why: `${error.code} ${error.message}` };
  }
  return { accepted: true, dump: await dumpStore(stateDir) };
}
