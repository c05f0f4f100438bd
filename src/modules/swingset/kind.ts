/** The module `swingset` of a state directory, for callers that make modules by place. */
import { UsageError } from '../../errors.ts';
import { DEFAULT_GZIP_LEVEL } from '../../formats/swing-store/heap-blob.ts';
import { openSwingStore } from '../../formats/swing-store/read/open.ts';
import {
  noSuchSide,
  type ChunkedReadable,
  type ReadContext,
  type StateModule,
} from '../../snapshot/module-contract.ts';
import type { ModuleKind, ModulePlace } from '../place.ts';
import { newStore, nowhere, type StoreDestination } from './destinations.ts';
import { SWINGSET } from './layout.ts';
import { swingsetModule } from './module.ts';

export const swingsetKind: ModuleKind = {
  kind: SWINGSET,
  make(place) {
    if (place.name !== SWINGSET) {
      throw new UsageError('MODULE_NAME', 'the module of the SwingStore must be named swingset', {
        expected: SWINGSET,
        found: place.name,
      });
    }
    const { dir, purpose } = place;
    if (purpose === 'read' && dir !== undefined) return readingFrom(dir);
    const destination = destinationOf(place);
    if (destination === undefined) throw noSuchSide(SWINGSET, 'written');
    return swingsetModule({ target: { destination, location: 'snapshot' } });
  },
};

function destinationOf({
  dir,
  purpose,
  replace = false,
}: ModulePlace): StoreDestination | undefined {
  if (purpose === 'verify') return nowhere();
  if (purpose !== 'install' || dir === undefined) return undefined;
  return newStore(dir, { replace, gzipLevel: DEFAULT_GZIP_LEVEL });
}

/** Reads the operational artifacts of the store in `stateDir`, and closes the store after reading. */
function readingFrom(stateDir: string): StateModule {
  return {
    ...swingsetModule({}),
    beginReadState: async (context) => open(stateDir, context),
  };
}

async function open(stateDir: string, context: ReadContext): Promise<ChunkedReadable> {
  const { scratchDir, progress } = context;
  const store = await openSwingStore(stateDir, {
    artifactMode: 'operational',
    scratchDir,
    note: progress.note,
  });
  try {
    const readable = await swingsetModule({ source: store }).beginReadState(context);
    return {
      readChunk: async () => readable.readChunk(),
      done: async () => {
        const description = await readable.done();
        await store.close();
        return description;
      },
      abort: async (error) => {
        await readable.abort(error);
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
