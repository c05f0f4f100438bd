/** Says of a fault in a source where it is, and what to do about it. */
import { isAbsolute } from 'node:path';
import { VerificationError } from '../errors.ts';
import { shellQuote } from '../io/shell-quote.ts';
import type { Source } from '../source/source.ts';

type Named = Pick<Source, 'form' | 'path' | 'height'>;

/** Faults of artifacts, which the stores of a state-sync snapshot do not share. */
const OF_ARTIFACTS = new Set([
  ...['ARTIFACT_MISMATCH', 'ARTIFACT_NAME', 'BUNDLE_MISMATCH', 'BUNDLE_TOO_LARGE'],
  ...['DUPLICATE_ARTIFACT', 'INCOMPLETE', 'NO_CURRENT_SPAN', 'NO_RECORD', 'SHORT_ITEMS'],
]);

/**
 * Runs `work` on a source. Its reader knows a fault by the name of an artifact or a key only: the error gets the path of
 * the source, and a hint for its form.
 */
export async function aboutSource<Result>(
  source: Named,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof VerificationError ? located(error, source) : error;
  }
}

function located(error: VerificationError, source: Named): VerificationError {
  const { code, message, path, expected, found, hint } = error;
  const isOurs = path === undefined || !isAbsolute(path);
  if (!isOurs && !path.startsWith(source.path)) return error;
  const isArtifact = source.form === 'state-sync snapshot' && OF_ARTIFACTS.has(code);
  // If history was wanted, other artifacts do not help: nodes put none into a state-sync snapshot.
  const isHint = !isArtifact || code === 'INCOMPLETE';
  return new VerificationError(code, message, {
    path: isOurs ? [source.path, ...(path === undefined ? [] : [path])].join(': ') : path,
    expected,
    found,
    hint: (isHint ? hint : undefined) ?? nextStep(source, isArtifact),
    cause: error,
  });
}

function nextStep({ form, path, height }: Named, isArtifact: boolean): string {
  const word = shellQuote(path);
  switch (form) {
    case 'snapshot':
      return 'do not use it: take another copy of this height or another height, or make a new one with: swingsnap retrieve';
    case 'export directory':
      return 'do not use it: get another copy of this export, or make it again';
    case 'live store':
      return `the store itself is damaged: restore it with: swingsnap restore SOURCE --state-dir ${word} --replace`;
    case 'state-sync snapshot':
      return isArtifact
        ? `its stores do not share this fault; take the artifacts from an export of height ${height}: swingsnap retrieve --format state-sync --stores-from ${word} --export-dir DIR --snapshot-dir DIR`
        : 'get the state-sync snapshot again, or another one';
  }
}
