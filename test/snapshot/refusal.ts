/** The results of `verify` and `restore` for a snapshot. */
import path from 'node:path';
import { expect } from 'vitest';
import { SwingSnapError } from '../../src/errors.ts';
import { noProgress } from '../../src/io/progress.ts';
import { restore as restoreSource } from '../../src/operation/restore/restore.ts';
import { quicklyVerify, verify as verifySource } from '../../src/operation/verify/verify.ts';
import { listTree } from '../fixtures/directories.ts';

/** An error's exit code and code; foreign errors are returned unchanged. */
export interface Verdict {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
}

async function verdict(work: Promise<unknown>): Promise<Verdict | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (!(error instanceof SwingSnapError)) throw error;
    return { exitCode: error.exitCode, code: error.code, message: error.message };
  }
}

/** @returns undefined if nothing is wrong */
export function verify(source: string): Promise<Verdict | undefined> {
  return verdict(verifySource({ source, progress: noProgress }));
}

/** @returns undefined if nothing is wrong */
export function verifyQuickly(source: string): Promise<Verdict | undefined> {
  return verdict(quicklyVerify({ source, progress: noProgress }));
}

/** Tries to restore below `dir`. If that is refused, expects that nothing is left there. */
export async function restore(source: string, dir: string): Promise<Verdict | undefined> {
  const options = { replace: false, requireProof: false, paranoid: false, progress: noProgress };
  const stateDir = path.join(dir, 'state');
  const leaveModules = ['wasm'];
  const found = await verdict(restoreSource({ ...options, source, stateDir, leaveModules }));
  if (found !== undefined) expect(await listTree(dir)).toEqual({});
  return found;
}
