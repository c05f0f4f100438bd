/**
 * Checks that a bundle artifact matches its id.
 *
 * A bundle id is `b<version>-<hash>`. Version 0 is a `nestedEvaluate` bundle as JSON; the hash is the SHA-256 of its
 * canonical text. Version 1 is an Endo archive (a zip); the hash is the SHA-512 of its compartment map. The verdicts
 * are those of `importBundle` in `@agoric/swing-store` and of `@endo/check-bundle`, which it calls.
 */
import { createHash } from 'node:crypto';
import { VerificationError } from '../../errors.ts';
import { EndoArchiveError } from './endo-archive-error.ts';
import { checkEndoArchive } from './endo-archive.ts';

/**
 * Checks that `bytes` are the bundle `bundleID`.
 * @param bundleID `b0-<SHA-256 hex>` or `b1-<SHA-512 hex>`
 * @param bytes the whole content of the artifact `bundle.<bundleID>`
 * @throws VerificationError `BUNDLE_MISMATCH` if they are not, with `expected` and `found` if hashes differ
 * @throws VerificationError `BUNDLE_UNSUPPORTED` if the id has another version
 */
export function checkBundle(bundleID: string, bytes: Uint8Array): void {
  if (bundleID.startsWith('b0-')) {
    checkNestedEvaluateBundle(bundleID, bytes);
  } else if (bundleID.startsWith('b1-')) {
    checkEndoZipBundle(bundleID, bytes);
  } else {
    throw new VerificationError(
      'BUNDLE_UNSUPPORTED',
      `bundle id ${bundleID} has an unknown version`,
      {
        path: `bundle.${bundleID}`,
        hint: 'bundle ids start with b0- or b1-',
      },
    );
  }
}

/**
 * The text that a store keeps for a `b0-` bundle, whose SHA-256 is in the bundle's id: the three known properties of
 * the parsed artifact in this order, everything else dropped.
 * @param bytes the whole content of the artifact, JSON in UTF-8
 * @throws VerificationError `BUNDLE_MISMATCH` if `bytes` are not JSON, or are `null`
 */
export function canonicalNestedEvaluateBundle(bytes: Uint8Array): string {
  let bundle: unknown;
  let text: string | undefined;
  try {
    // Buffer keeps a byte order mark, so JSON.parse refuses it, as it must. TextDecoder would drop it.
    bundle = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
    // The properties of a non-object are undefined, which makes the text `{}`, as in the reference.
    const { moduleFormat, source, sourceMap } = bundle as Record<string, unknown>;
    text = JSON.stringify({ moduleFormat, source, sourceMap });
  } catch (cause) {
    throw new VerificationError('BUNDLE_MISMATCH', 'a b0 bundle is not a JSON object', { cause });
  }
  return text;
}

function checkNestedEvaluateBundle(bundleID: string, bytes: Uint8Array): void {
  let text: string;
  try {
    text = canonicalNestedEvaluateBundle(bytes);
  } catch (cause) {
    throw mismatch(bundleID, 'its content is not a JSON object', { cause });
  }
  const found = `b0-${createHash('sha256').update(text).digest('hex')}`;
  if (found !== bundleID) {
    throw mismatch(bundleID, 'its content has the wrong hash', { expected: bundleID, found });
  }
}

function checkEndoZipBundle(bundleID: string, bytes: Uint8Array): void {
  try {
    checkEndoArchive(bytes, bundleID.slice('b1-'.length));
  } catch (error) {
    if (!(error instanceof EndoArchiveError)) throw error;
    const { expected, found, cause } = error;
    throw mismatch(bundleID, error.message, { expected, found, cause });
  }
}

function mismatch(
  bundleID: string,
  reason: string,
  facts: { expected?: string | undefined; found?: string | undefined; cause?: unknown },
): VerificationError {
  return new VerificationError(
    'BUNDLE_MISMATCH',
    `artifact bundle.${bundleID} is not that bundle: ${reason}`,
    {
      path: `bundle.${bundleID}`,
      ...facts,
    },
  );
}
