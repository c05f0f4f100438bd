/** Reads and checks a whole artifact in one visit of a thread; `verify-artifact.ts` has the rules. */
import { VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import { gather } from '../../io/bytes/pieces.ts';
import { inlinePool, type WorkerPool } from '../../io/threads/pool.ts';
import { follow, outputThere } from '../../io/threads/recipe.ts';
import { bytesIn, workerTask } from '../../io/threads/task.ts';
import type { WholeContent, WholeRecipe } from '../swing-store-export.ts';
import type { ExpectedContent } from './expected-content.ts';
import { verifyArtifact } from './verify-artifact.ts';

interface WholeCheck {
  readonly name: string;
  readonly expected: ExpectedContent;
  readonly recipe: WholeRecipe;
}

/** Content that matches its record. SHA-256 as hex. */
export interface CheckedWhole extends WholeContent {
  readonly sha256: string;
}

/**
 * Reads an artifact and checks it against its record, in a worker if that takes long.
 * @returns its content as an exporter writes it, with its SHA-256; undefined as the recipe
 * @throws {VerificationError} as `verifyArtifact`, or what the recipe throws
 */
export async function verifyWhole(
  { name, expected, recipe }: WholeCheck,
  pool: WorkerPool = inlinePool,
): Promise<CheckedWhole | undefined> {
  const { bytes, sha256 } = outputThere(recipe) ?? {};
  if (expected.kind !== 'snapshot' || bytes === undefined || sha256 === undefined) {
    return pool.run(checking, { name, expected, recipe }, bytesIn(recipe.input), recipe.size);
  }
  if (sha256 === expected.hash) return { bytes, sha256 };
  throw new VerificationError('ARTIFACT_MISMATCH', `heap snapshot ${name} has the wrong hash`, {
    path: name,
    expected: expected.hash,
    found: sha256,
  });
}

/** The slow part of {@link verifyWhole}. */
export async function checkWhole(check: WholeCheck): Promise<CheckedWhole | undefined> {
  const { name, expected, recipe } = check;
  const content = await follow(recipe);
  if (content === undefined) return undefined;
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
