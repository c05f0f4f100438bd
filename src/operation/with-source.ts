/** Runs an operation on a source. */
import { NotFoundError } from '../errors.ts';
import { noProgress } from '../io/progress.ts';
import { withWorkerPool, type WorkerPool } from '../io/threads/pool.ts';
import { loadZstdCodec } from '../io/zstd/load-codec.ts';
import { findSource, type FoundSource } from '../source/find.ts';
import { openSource } from '../source/open.ts';
import type { Source } from '../source/source.ts';
import { aboutSource } from './about-source.ts';
import type { SourceOptions } from './options.ts';

export interface SourceNeeds {
  /** A directory that has passed its checks. */
  readonly scratchDir: string;
  /** Whether a state-sync snapshot without a SwingStore is refused at once. */
  readonly needsExportData?: boolean;
  /** Called with the source that was found, before it is opened; throws to refuse it. */
  readonly refuse?: (found: FoundSource) => Promise<void>;
}

/** Runs `work` with the source, and closes the source in any case. Throws what {@link openSourceAt} throws. */
export async function withSource<Result>(
  options: SourceOptions,
  needs: SourceNeeds,
  work: (source: Source, pool: WorkerPool) => Promise<Result>,
): Promise<Result> {
  return withWorkerPool(options.concurrency, async (pool) => {
    const source = await openSourceAt(options, { ...needs, pool });
    try {
      return await aboutSource(source, async () => work(source, pool));
    } finally {
      await source.close();
    }
  });
}

/**
 * Finds and opens a source, which the caller closes.
 * @throws {NotFoundError} `SOURCE_MISSING`, `NO_SNAPSHOT`, `HEIGHT`
 * @throws as `openSource`
 */
export async function openSourceAt(
  options: SourceOptions,
  { refuse, ...needs }: SourceNeeds & { readonly pool: WorkerPool },
): Promise<Source> {
  const { note } = options.progress ?? noProgress;
  const { height } = options;
  const { scratchDir } = needs;
  const found = await findSource(options.source, { height, scratchDir, note });
  await refuse?.(found);
  const codec = await loadZstdCodec();
  const source = await openSource(found, { ...options, ...needs, codec, note });
  try {
    refuseHeight(source, height);
    return source;
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** @throws {NotFoundError} `HEIGHT` if a height is expected and the source is at another */
export function refuseHeight(
  { height, path }: Pick<Source, 'height' | 'path'>,
  expected: number | undefined,
): void {
  if (expected === undefined || height === expected) return;
  throw new NotFoundError('HEIGHT', 'the source is at another height', {
    path,
    expected,
    found: height,
    hint: 'leave out --height, or name the height of the source',
  });
}
