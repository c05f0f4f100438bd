/** Checks an artifact that is completely in memory; `verify-artifact.ts` has the rules. */
import { VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import { gather } from '../../io/bytes/pieces.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { workerTask } from '../../io/threads/task.ts';
import type { WholeContent } from '../swing-store-export.ts';
import type { ExpectedContent } from './expected-content.ts';
import { verifyArtifact } from './verify-artifact.ts';

interface WholeCheck {
  readonly name: string;
  readonly expected: ExpectedContent;
  readonly content: WholeContent;
}

/** Content that matches its record. SHA-256 as hex. */
export interface CheckedWhole extends WholeContent {
  readonly sha256: string;
}

/**
 * Checks an artifact against its record, in a worker if that takes long.
 * @returns its content as an exporter writes it, with its SHA-256
 * @throws {VerificationError} as `verifyArtifact`
 */
export async function verifyWhole(
  { name, expected, content }: WholeCheck,
  pool: WorkerPool = inlinePool,
): Promise<CheckedWhole> {
  const { bytes, sha256 } = content;
  if (expected.kind !== 'snapshot' || sha256 === undefined) {
    return pool.run(checking, { name, expected, content }, [bytes]);
  }
  if (sha256 === expected.hash) return { bytes, sha256 };
  throw new VerificationError('ARTIFACT_MISMATCH', `heap snapshot ${name} has the wrong hash`, {
    path: name,
    expected: expected.hash,
    found: sha256,
  });
}

/** The slow part of {@link verifyWhole}. */
export async function checkWhole(check: WholeCheck): Promise<CheckedWhole> {
  const { name, expected, content } = check;
  const bytes = await gather(verifyArtifact(name, expected, only(content.bytes)));
  if (expected.kind === 'snapshot') return { bytes, sha256: expected.hash };
  const isSame = bytes.length === content.bytes.length;
  return {
    bytes,
    sha256: isSame && content.sha256 !== undefined ? content.sha256 : sha256Hex(bytes),
  };
}

const checking = workerTask(import.meta.url, checkWhole);

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
