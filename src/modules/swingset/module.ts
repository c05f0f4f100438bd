/**
 * The module `swingset`: a SwingStore, through `SwingStoreExport`. It reads any form of an export. What it receives
 * becomes an export again, for a destination that builds a store from it, compares it with one, or only verifies it.
 */
import {
  noSuchSide,
  type InstalledState,
  type StateContext,
  type StateModule,
} from '../../snapshot/module-contract.ts';
import type { SwingStoreExport } from '../../swing-store-export/swing-store-export.ts';
import { SWINGSET } from './layout.ts';
import { SwingsetReadable } from './readable.ts';
import { SwingsetWritable, type SwingsetTarget, type WrittenStore } from './writable.ts';

export interface SwingsetModuleOptions<Installed extends InstalledState = InstalledState> {
  /** The export to read, if any; the caller closes it. */
  readonly source?: SwingStoreExport | undefined;
  /** The destination of a received store, if any. */
  readonly target?: SwingsetTarget<Installed> | undefined;
}

export function swingsetModule<Installed extends InstalledState = InstalledState>({
  source,
  target,
}: SwingsetModuleOptions<Installed>): StateModule<WrittenStore<Installed>> {
  let isSorted = true;
  return {
    name: SWINGSET,
    kind: SWINGSET,
    anyOrder: false,
    installs: 'last',
    async beginReadState(context) {
      if (source === undefined) throw noSuchSide(SWINGSET, 'read');
      const asRead = isSorted ? source : sorting(source, context);
      return new SwingsetReadable(asRead, context, () => {
        isSorted = false;
      });
    },
    async beginWriteState(context) {
      if (target === undefined) throw noSuchSide(SWINGSET, 'written');
      return new SwingsetWritable(context, target);
    },
  };
}

/** The same export, with its export data sorted into canonical order first. */
function sorting(source: SwingStoreExport, { scratchDir }: StateContext): SwingStoreExport {
  const { location, height, artifactMode, promised } = source;
  return {
    location,
    height,
    artifactMode,
    ...(promised === undefined ? {} : { promised }),
    estimate: (part) => source.estimate(part),
    exportData: () => source.exportData({ scratchDir }),
    artifacts: () => source.artifacts(),
    close: async () => source.close(),
  };
}
