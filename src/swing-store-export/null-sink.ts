import { inlinePool, type WorkerPool } from '../io/threads/pool.ts';
import { piecesOf, type ExportSink } from './swing-store-export.ts';
import { digestingContents, Visits } from './visits.ts';

/** A sink that discards everything: a copy into it only verifies. */
export function nullSink(pool: WorkerPool = inlinePool): ExportSink<void> {
  const visits = new Visits(pool, digestingContents);
  return {
    writeExportData: async () => undefined,
    visit: async (visit) => visits.begin(visit, undefined, 0),
    writeArtifact: async (_name, content) => {
      for await (const _ of piecesOf(content));
    },
    finish: async () => visits.end(),
    abort: async () => visits.settled(),
  };
}
