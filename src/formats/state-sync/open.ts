/**
 * A Cosmos state-sync snapshot as an export. Its export data are leaves of the IAVL store `swingset`, which the AppHash
 * proves; its artifacts are payloads of the extension `swingset`, which only the export data proves.
 *
 * Stores come first in the stream, so one pass does: while they are read their trees are hashed, and the export data
 * goes to a scratch file; then the AppHash is held against the trusted one, before anything is delivered; then the
 * artifacts follow as they come. Two passes would inflate and parse all stores twice, of which the export data is only
 * a part, to save a scratch file of the size of the export data.
 *
 * Sources: agoric-sdk `golang/cosmos/x/swingset/keeper/{extension_snapshotter,keeper}.go`.
 */
import { isUtf8 } from 'node:buffer';
import { VerificationError } from '../../errors.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import { MAX_LINE_BYTES } from '../../io/lines.ts';
import type { ExportEntry } from '../../swing-store-export/records.ts';
import {
  WHOLE_MAX_BYTES,
  type ExportArtifact,
  type SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { proveAppHash, type AppHashProof, type StoreRoot } from './app-hash.ts';
import { readArchive } from './dump-archive.ts';
import { asBuffer, IavlHasher, type IavlNode } from './iavl.ts';
import { ItemReader, textOf, type Item } from './items.ts';
import { damaged, readChunkFiles, type FoundStateSync } from './layout.ts';
import { OrderedExportData } from './ordered-export-data.ts';

export interface OpenStateSyncOptions {
  /** The trusted AppHash, from the header of the block after the snapshot's; hex. */
  readonly appHash?: string | undefined;
  /** Memory stores that the chain counts, beside `mem_capability`, which is tried by itself. */
  readonly memStores?: readonly string[] | undefined;
  /** Whether one without a SwingStore is refused. */
  readonly needsExportData?: boolean | undefined;
  /** Where the scratch file that sorts the export data goes. */
  readonly scratchDir: string;
  /** Told, as one line each, what an operator should know. */
  readonly note: (message: string) => void;
  /** Ends the reading with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A state-sync snapshot as an export. */
export interface StateSyncExport extends SwingStoreExport {
  /** What stands behind the export data; known once it has been read. */
  readonly proof: AppHashProof | undefined;
}

/** Opens what `findStateSync` has found. Nothing is read before export data or artifacts are asked for. */
export function openStateSync(
  found: FoundStateSync,
  options: OpenStateSyncOptions,
): StateSyncExport {
  return new OpenedStateSync(found, options);
}

/** The RPC query whose answer has the AppHash of a height. */
export function appHashQuery(height: number): string {
  return `/commit?height=${String(height + 1)}`;
}

const SWINGSET = 'swingset';
const EXPORT_DATA_PREFIX = Buffer.from('swingStore.');
const EXTENSION_FORMAT = 1;
/** An artifact that some nodes add for debugging: the export data once more, which nothing proves. */
const UNTRUSTED = 'UNTRUSTED-EXPORT-DATA';
/** Tags of `SwingStoreArtifact { string name = 1; bytes data = 2 }`. */
const [NAME_TAG, DATA_TAG] = [0x0a, 0x12];
const MAX_HEADER_BYTES = 2048;
/** No chain has nearly as many. */
const MAX_STORES = 10_000;
const MAX_EXTENSIONS = 1_000;
/** What Go up to 1.18 leaves behind a zlib stream that is ended twice; later ones leave 4. */
const USUAL_BYTES_BEHIND = 9;

class OpenedStateSync implements StateSyncExport {
  readonly location: string;
  readonly height: number;
  /** The extension does not say. */
  readonly artifactMode = undefined;
  readonly #found: FoundStateSync;
  readonly #options: OpenStateSyncOptions;
  #reader: ItemReader | undefined;
  /** The first item behind the stores, if there is one, from when they have been read until it is used. */
  #behindStores: { readonly item: Item | undefined } | undefined;
  proof: AppHashProof | undefined;

  constructor(found: FoundStateSync, options: OpenStateSyncOptions) {
    this.#found = found;
    this.#options = options;
    this.location = found.path;
    this.height = found.height;
  }

  estimate(part: 'export data' | 'artifacts'): ProgressTotal {
    return { unit: part === 'export data' ? 'entries' : 'artifacts' };
  }

  async *exportData(): AsyncGenerator<Uint8Array> {
    const data = new OrderedExportData(this.#options.scratchDir);
    try {
      await this.#readStores(data);
      if (data.isEmpty && this.#options.needsExportData === true) {
        refuseNoExportData(this.location);
      }
      yield* data.blocks(this.location);
    } finally {
      data.close();
    }
  }

  /** Reads all stores, and returns only if they make the right AppHash. */
  async #readStores(data: OrderedExportData | undefined): Promise<void> {
    await this.close();
    const { kind, path } = this.#found;
    const chunks = kind === 'archive' ? readArchive(this.#found) : readChunkFiles(path);
    const reader = new ItemReader(chunks, this.location, this.#options.signal);
    this.#reader = reader;
    this.proof = undefined;
    const roots: StoreRoot[] = [];
    let item = await reader.next(() =>
      damaged('a node stands before any store', { path: reader.where }),
    );
    while (item?.kind === 'store') {
      const { name } = item;
      const isOrdered =
        Buffer.compare(Buffer.from(roots.at(-1)?.name ?? ''), Buffer.from(name)) < 0;
      if (!isOrdered || roots.length >= MAX_STORES) {
        damaged('the stores are out of order, or too many', { path: reader.where, found: name });
      }
      const tree = new IavlHasher(`${this.location}: store ${name}`, this.height);
      const exportData = name === SWINGSET ? data : undefined;
      item = await reader.next((node) => {
        tree.add(node);
        if (exportData !== undefined && isExportData(node)) {
          exportData.add(...entryOf(node, this.location));
        }
      });
      roots.push({ name, root: tree.finish() });
    }
    this.proof = this.#prove(roots);
    this.#behindStores = { item };
  }

  #prove(roots: readonly StoreRoot[]): AppHashProof {
    const { appHash, memStores = [], note } = this.#options;
    const proof = proveAppHash(roots, appHash, memStores);
    if (proof === undefined) {
      throw new VerificationError('APP_HASH', 'the stores make another AppHash', {
        path: this.location,
        expected: appHash?.toUpperCase(),
        found: proveAppHash(roots, undefined, memStores)?.appHash,
        hint: `compare it with header.app_hash of the RPC query ${appHashQuery(this.height)}, and get another snapshot if it is right`,
      });
    }
    if (!proof.isProved) {
      note(
        `nothing was proved: AppHash ${proof.appHash} was computed and compared with nothing; a trusted node tells it ` +
          `as header.app_hash of ${appHashQuery(this.height)}, for --app-hash`,
      );
    }
    return proof;
  }

  async *artifacts(): AsyncGenerator<ExportArtifact> {
    if (this.#behindStores === undefined) await this.#readStores(undefined);
    const reader = this.#reader;
    let item = this.#behindStores?.item;
    this.#behindStores = undefined;
    if (reader === undefined) return;
    const names: string[] = [];
    while (item !== undefined) {
      if (item.kind !== 'extension') {
        return damaged('something else stands where an extension should', {
          path: reader.where,
          found: item.kind,
        });
      }
      const { name, format } = item;
      if (names.includes(name) || names.length >= MAX_EXTENSIONS) {
        damaged('an extension is there twice, or there are too many', {
          path: reader.where,
          found: name,
        });
      }
      names.push(name);
      let payloads = 0;
      for (;;) {
        item = await reader.next(() =>
          damaged('a node stands behind the stores', { path: reader.where }),
        );
        if (item?.kind !== 'payload') break;
        payloads += 1;
        if (name === SWINGSET) yield* this.#artifact(reader, item.size, format);
      }
      if (name !== SWINGSET) {
        this.#options.note(
          `extension ${name}, format ${String(format)}, with ${String(payloads)} payloads was left`,
        );
      }
    }
    if (reader.bytesBehind > USUAL_BYTES_BEHIND) {
      this.#options.note(
        `${String(reader.bytesBehind)} bytes stand behind the end of the snapshot, and were left`,
      );
    }
  }

  async *#artifact(
    reader: ItemReader,
    size: number,
    format: number,
  ): AsyncGenerator<ExportArtifact> {
    if (format !== EXTENSION_FORMAT) {
      damaged('the extension swingset has a format that this program does not know', {
        path: reader.where,
        expected: EXTENSION_FORMAT,
        found: format,
        hint: 'use a newer swingsnap',
      });
    }
    const { name, dataSize } = await readArtifactHeader(reader, size);
    if (name === UNTRUSTED) {
      this.#options.note(`${UNTRUSTED} was left: nothing proves it`);
      return;
    }
    if (dataSize <= WHOLE_MAX_BYTES) {
      const bytes = await reader.readWhole(dataSize);
      yield {
        name,
        data: async function* data() {
          yield bytes;
        },
        whole: { size: dataSize, load: async () => ({ bytes }) },
      };
      return;
    }
    yield {
      name,
      data: async function* data() {
        for (;;) {
          const piece = await reader.read();
          if (piece === undefined) return;
          yield piece;
        }
      },
    };
  }

  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#behindStores = undefined;
    await reader?.close();
  }
}

/** Every node of a chain with a SwingStore has export data: a snapshot without is of another chain, or too old. */
export function refuseNoExportData(path: string): never {
  throw new VerificationError('NO_EXPORT_DATA', 'the state-sync snapshot has no export data', {
    path,
    expected: 'keys swingStore.… in its store swingset',
    found: 'none',
    hint: 'look whether it is of an Agoric chain, and of agoric-upgrade-11 or later',
  });
}

function isExportData({ key, height }: IavlNode): boolean {
  return height === 0 && EXPORT_DATA_PREFIX.equals(key.subarray(0, EXPORT_DATA_PREFIX.length));
}

/** A leaf as an entry of the export data. */
function entryOf({ key, value }: IavlNode, location: string): ExportEntry {
  const name = asBuffer(key).subarray(EXPORT_DATA_PREFIX.length);
  if (!isUtf8(name) || !isUtf8(value) || value.length > MAX_LINE_BYTES) {
    damaged('an entry of the export data is no text, or too long', {
      path: location,
      found: name.toString(),
    });
  }
  return [name.toString(), asBuffer(value).toString()];
}

/** Reads a payload up to the bytes of the artifact. */
async function readArtifactHeader(
  reader: ItemReader,
  size: number,
): Promise<{ name: string; dataSize: number }> {
  let read = 0;
  const byte = async (): Promise<number> => {
    const [value] = (await reader.read(1)) ?? [];
    if (value === undefined || read >= MAX_HEADER_BYTES) return wrong();
    read += 1;
    return value;
  };
  const wrong = (): never =>
    damaged('a payload of the extension swingset is no artifact', { path: reader.where });
  const varint = async (): Promise<number> => {
    let value = 0;
    for (let factor = 1; factor <= 128 ** 6; factor *= 128) {
      const next = await byte();
      value += (next & 0x7f) * factor;
      if (next < 0x80) return next === 0 && factor > 1 ? wrong() : value;
    }
    return wrong();
  };
  if ((await byte()) !== NAME_TAG) return wrong();
  const nameSize = await varint();
  if (nameSize > MAX_HEADER_BYTES || nameSize > size - read) return wrong();
  const name = textOf(await reader.readWhole(nameSize), reader.where);
  read += nameSize;
  if (read === size) return { name, dataSize: 0 };
  if ((await byte()) !== DATA_TAG) return wrong();
  const dataSize = await varint();
  return dataSize === size - read && dataSize > 0 ? { name, dataSize } : wrong();
}
