import { piecesOf, type ExportSink } from './swing-store-export.ts';

/** A sink that discards everything: a copy into it only verifies. */
export function nullSink(): ExportSink<void> {
  return {
    writeExportData: async () => undefined,
    writeArtifact: async (_name, content) => {
      for await (const _ of piecesOf(content));
    },
    finish: async () => undefined,
    abort: async () => undefined,
  };
}
