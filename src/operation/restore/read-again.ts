/** `restore --paranoid`: reads the new store back before it is installed. */
import { VerificationError } from '../../errors.ts';
import { openSwingStore } from '../../formats/swing-store/read/open.ts';
import { ofPass, type Progress } from '../../io/progress.ts';
import type { WorkerPool } from '../../io/threads/pool.ts';
import { copyVerified } from '../../swing-store-export/copy-verified.ts';
import { nullSink } from '../../swing-store-export/null-sink.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';

/** The progress of {@link readAgain}. */
export function readingAgain(progress: Progress): Progress {
  return ofPass('read again', progress);
}

/** @throws {VerificationError} if the store in `staging` does not read back as it was written */
export async function readAgain(
  staging: string,
  written: ExportSummary,
  options: {
    progress: Progress;
    signal: AbortSignal | undefined;
    scratchDir: string;
    pool: WorkerPool;
  },
): Promise<void> {
  const { note } = options.progress;
  const { scratchDir } = options;
  const { height } = written;
  const artifactMode = written.artifactMode;
  const store = await openSwingStore(staging, { height, artifactMode, scratchDir, note });
  try {
    const { summary } = await copyVerified(store, async () => nullSink(options.pool), {
      ...options,
      progress: readingAgain(options.progress),
    });
    const expected = written.hashes?.exportDataHash;
    const found = summary.hashes?.exportDataHash;
    if (found !== expected) {
      throw new VerificationError(
        'READ_AGAIN',
        'the new SwingStore does not read back as written',
        {
          path: staging,
          expected,
          found,
          hint: 'check the disk and the memory of this machine',
        },
      );
    }
  } finally {
    await store.close();
  }
}
