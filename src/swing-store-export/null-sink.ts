import { piecesOf, type ExportSink } from './swing-store-export.ts';

/** A sink that keeps nothing: what is copied into it is only verified. */
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
