/** Reads and checks whole artifacts in one visit of a thread; `verify-artifact.ts` has the rules. */
import { VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import { gather } from '../../io/bytes/pieces.ts';
import { noteSpent } from '../../io/flow/spent-memory.ts';
import { follow, recipeFor, type Recipe } from '../../io/threads/recipe.ts';
import { workerTask } from '../../io/threads/task.ts';
import type { CheckedContent, Contents, WholeContent } from '../swing-store-export.ts';
import type { ExpectedContent } from './expected-content.ts';
import { verifyArtifact } from './verify-artifact.ts';

/** An artifact and what its record says. */
export interface NamedExpectation {
  readonly name: string;
  readonly expected: ExpectedContent;
}

interface Check {
  readonly contents: Recipe<Contents>;
  readonly artifacts: readonly NamedExpectation[];
}

/**
 * How to read artifacts and check them against their records, in one thread.
 * @param contents how to read them, in the order of `artifacts`
 */
export function checkedRecipe(
  contents: Recipe<Contents>,
  artifacts: readonly NamedExpectation[],
): Recipe<Contents<CheckedContent>> {
  return recipeFor(checking, { contents, artifacts });
}

/**
 * Contents as an exporter writes them, each once it matches its record.
 * @throws {VerificationError} as `verifyArtifact`, or what the recipe throws
 */
export async function* checkContents({
  contents,
  artifacts,
}: Check): AsyncGenerator<CheckedContent | undefined> {
  let at = 0;
  for await (const content of await follow(contents)) {
    const artifact = artifacts[at];
    at += 1;
    if (artifact === undefined) throw new Error('a visit has more contents than artifacts');
    yield content && (await checked(artifact, content));
    noteSpent(content?.bytes.length ?? 0);
  }
}

const checking = workerTask(import.meta.url, checkContents);

async function checked(
  { name, expected }: NamedExpectation,
  content: WholeContent,
): Promise<CheckedContent> {
  if (expected.kind === 'snapshot') {
    const { bytes, sha256 = sha256Hex(bytes) } = content;
    if (sha256 === expected.hash) return { bytes, sha256 };
    throw new VerificationError('ARTIFACT_MISMATCH', `heap snapshot ${name} has the wrong hash`, {
      path: name,
      expected: expected.hash,
      found: sha256,
    });
  }
  const bytes = await gather(verifyArtifact(name, expected, only(content.bytes)));
  const isSame = bytes.length === content.bytes.length;
  const sha256 = isSame && content.sha256 !== undefined ? content.sha256 : sha256Hex(bytes);
  return { bytes, sha256 };
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
