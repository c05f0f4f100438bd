/**
 * What is in a place: whole heights, and what is none, each with its reason. Reads manifests and lists, and looks for
 * chunks without reading them. Whole means that the manifest and the list are right, and that every chunk is there with its size.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NotFoundError, SwingSnapError } from '../../errors.ts';
import type { ZstdCodec } from '../../io/zstd/codec.ts';
import { isFaultOfStored } from '../../snapshot/gone.ts';
import { ENTRIES_FILE, heightOfName, MANIFEST_FILE, snapshotName } from '../../snapshot/layout.ts';
import { madeAt, readManifestFile, type ManifestFile } from '../../snapshot/manifest.ts';
import { findChunks, type StoredChunk } from '../../snapshot/read/quick-verify.ts';
import { isSnapshot } from '../../snapshot/write/existing.ts';
import type {
  SnapshotPlace,
  StoredFileFacts,
  StoredSnapshot,
  UnfinishedWork,
} from '../../storage/contract.ts';

/** A height that can be restored, unless the bytes of a chunk are wrong. */
export interface WholeHeight {
  readonly state: 'whole';
  readonly height: number;
  readonly name: string;
  readonly stored: StoredSnapshot;
  readonly file: ManifestFile;
  readonly made: MadeAt;
  /** In the order of the list. Let go of them: a place has many heights. */
  readonly chunks: readonly StoredChunk[];
  /** What is known of its files: the chunks, the manifest and the list. */
  readonly files: readonly StoredFileFacts[];
  /** Bytes of all its files. */
  readonly storedBytes: number;
  /** Bytes of the files that have no other name: what is free once the height is removed. */
  readonly ownBytes: number;
}

/** When a height was made. */
export interface MadeAt {
  readonly at: Date;
  /** Whether the manifest does not say it, as in version 0.1.0, and the time of its file is taken. */
  readonly isOfFile: boolean;
}

/** A height that is not whole, or that this user cannot read. */
export interface DamagedHeight {
  readonly state: 'damaged';
  readonly height: number;
  readonly name: string;
  readonly reason: string;
}

/** A snapshot that was not published, or not removed to the end. */
export interface HalfMade extends UnfinishedWork {
  readonly state: 'half-made';
  readonly name: string;
  readonly reason: string;
}

/** Something that is no snapshot of this place, and that nothing here touches. */
export interface Foreign {
  readonly state: 'foreign';
  /** Any bytes that the file system takes. */
  readonly name: string;
  readonly reason: string;
}

export type PlaceItem = WholeHeight | DamagedHeight | HalfMade | Foreign;

export interface PlaceReadOptions {
  readonly codec: ZstdCodec;
  readonly signal?: AbortSignal | undefined;
}

/** How often a height is looked at that is replaced meanwhile. */
const LOOKS = 3;
/** Between two looks. A replacement takes two renames. */
const LOOK_AGAIN_MS = 50;

/**
 * All that is in a place, one thing at a time: first what is no height, in no order, then the heights, the highest first. What
 * is removed meanwhile is left out.
 * @throws system errors of the place itself
 */
export async function* readPlace(
  place: SnapshotPlace,
  { codec, signal }: PlaceReadOptions,
): AsyncGenerator<PlaceItem> {
  const heights: number[] = [];
  for await (const { name, kind, what } of place.contents()) {
    signal?.throwIfAborted();
    if (kind === 'unfinished') {
      const work = await place.unfinished(name);
      if (work !== undefined) yield halfMade(name, work);
      continue;
    }
    const height = heightOfName(name);
    if (kind === 'snapshot' && height !== undefined) heights.push(height);
    else yield { state: 'foreign', name, reason: whyForeign(what, height) };
  }
  heights.sort((a, b) => b - a);
  for (const height of heights) {
    signal?.throwIfAborted();
    const item = await readHeight(place, height, codec);
    if (item !== undefined) yield item;
  }
}

/**
 * One height of a place.
 * @returns undefined if there is none, or it was removed meanwhile
 */
export async function readHeight(
  place: SnapshotPlace,
  height: number,
  codec: ZstdCodec,
): Promise<WholeHeight | DamagedHeight | Foreign | undefined> {
  const name = snapshotName(height);
  for (let look = 1; ; look += 1) {
    const last = look === LOOKS;
    const stored = await openIfThere(place, name);
    if (stored === undefined) {
      if (last) return undefined;
      await sleep(LOOK_AGAIN_MS);
      continue;
    }
    let file: ManifestFile | undefined;
    try {
      if (!(await isSnapshot(stored))) {
        const reason = `neither ${MANIFEST_FILE} nor ${ENTRIES_FILE} in it`;
        return { state: 'foreign', name, reason };
      }
      file = await readManifestFile(stored);
      const chunks = await findChunks(stored, file.manifest, codec);
      return await wholeHeight(stored, height, file, chunks);
    } catch (error) {
      if (!isFaultOfStored(error)) throw error;
      const isOther = await isReplaced(stored, file);
      if (!isOther || last) {
        if (error instanceof NotFoundError) return undefined;
        return { state: 'damaged', height, name, reason: reasonOf(error) };
      }
    }
  }
}

async function openIfThere(
  place: SnapshotPlace,
  name: string,
): Promise<StoredSnapshot | undefined> {
  return place.open(name).catch((error: unknown) => {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  });
}

/** Whether another manifest is there than the one that was read: a list of one does not fit the other. */
async function isReplaced(
  stored: StoredSnapshot,
  file: ManifestFile | undefined,
): Promise<boolean> {
  return readManifestFile(stored).then(
    ({ sha256 }) => sha256 !== file?.sha256,
    () => file !== undefined,
  );
}

async function wholeHeight(
  stored: StoredSnapshot,
  height: number,
  file: ManifestFile,
  chunks: readonly StoredChunk[],
): Promise<WholeHeight> {
  const manifest = await stored.facts(MANIFEST_FILE);
  const files = [manifest, await stored.facts(ENTRIES_FILE), ...chunks];
  const said = madeAt(file.manifest);
  return {
    state: 'whole',
    height,
    name: stored.name,
    stored,
    file,
    made: { at: said ?? manifest.modified, isOfFile: said === undefined },
    chunks,
    files,
    storedBytes: bytesOf(files),
    ownBytes: bytesOf(files.filter(({ links }) => links === 1)),
  };
}

function bytesOf(files: readonly { readonly size: number }[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

function halfMade(name: string, work: UnfinishedWork): HalfMade {
  const reason = {
    process: 'a process is at work in it',
    'ended process': 'left by a process that has ended',
    'other user': 'work of another user',
  }[work.holder];
  return { state: 'half-made', name, reason, ...work };
}

function whyForeign(what: string, height: number | undefined): string {
  if (height !== undefined) return `${what} with the name of a height`;
  return `${what} that is not named after a height`;
}

function reasonOf(error: Error): string {
  const path = error instanceof SwingSnapError ? error.path : undefined;
  return path === undefined ? error.message : `${error.message}: ${path}`;
}
