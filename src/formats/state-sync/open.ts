/**
 * A Cosmos state-sync snapshot as an export. Its export data are leaves of the IAVL store `swingset`, which the AppHash
 * proves; its artifacts are payloads of the extension `swingset`, which only the export data proves.
 *
 * Stores come first in the stream, so one pass does: while they are read their trees are hashed, and the export data
 * goes to the scratch file that sorts it; then the AppHash is held against the trusted one, before anything is
 * delivered; then the artifacts follow as they come. Two passes would inflate and parse everything twice to save a
 * scratch file of the size of the export data.
 *
 * Sources: agoric-sdk `golang/cosmos/x/swingset/keeper/{extension_snapshotter,keeper}.go`.
 */
import { isUtf8 } from 'node:buffer';
import { VerificationError } from '../../errors.ts';
import type { ProgressTotal } from '../../io/progress.ts';
import { readExportData } from '../../swing-store-export/export-data.ts';
import {
  WHOLE_MAX_BYTES,
  type ExportArtifact,
  type SwingStoreExport,
} from '../../swing-store-export/swing-store-export.ts';
import { proveAppHash, type AppHashProof, type StoreRoot } from './app-hash.ts';
import { readArchive } from './dump-archive.ts';
import { IavlHasher, type IavlNode } from './iavl.ts';
import { ItemReader, textOf, type Item } from './items.ts';
import { damaged, readChunkFiles, type FoundStateSync } from './layout.ts';

export interface OpenStateSyncOptions {
  /** The trusted AppHash, from the header of the block after the snapshot's; hex. */
  readonly appHash?: string | undefined;
  /** Memory stores that the chain counts, beside `mem_capability`, which is tried by itself. */
  readonly memStores?: readonly string[] | undefined;
  /** Where the scratch file that sorts the export data goes. */
  readonly scratchDir: string;
  /** Told, as one line each, what an operator should know. */
  readonly note: (message: string) => void;
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
/** Characters of lines that are gathered before they are passed on. */
const BLOCK_LENGTH = 256 * 1024;
/** No chain has nearly as many. */
const MAX_STORES = 10_000;
const MAX_EXTENSIONS = 1_000;

class OpenedStateSync implements StateSyncExport {
  readonly location: string;
  readonly height: number;
  /** The extension does not say. */
  readonly artifactMode = undefined;
  readonly #found: FoundStateSync;
  readonly #options: OpenStateSyncOptions;
  #reader: ItemReader | undefined;
  /** The first item behind the stores, once they have been read. */
  #behindStores: Item | undefined;
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

  exportData(): AsyncIterable<Uint8Array> {
    const { scratchDir } = this.#options;
    return readExportData(this.#exportDataLines(), this.location, { scratchDir });
  }

  /** The export data in the order of the tree; the last is given only if the AppHash is right. */
  async *#exportDataLines(): AsyncGenerator<Uint8Array> {
    await this.close();
    const { kind, path } = this.#found;
    const chunks = kind === 'archive' ? readArchive(this.#found) : readChunkFiles(path);
    const reader = new ItemReader(chunks, this.location);
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
      const lines: string[] = [];
      let length = 0;
      const take = (node: IavlNode): 'pause' | undefined => {
        tree.add(node);
        if (name !== SWINGSET || !isExportData(node)) return undefined;
        const line = lineOf(node, this.location);
        lines.push(line);
        length += line.length;
        return length < BLOCK_LENGTH ? undefined : 'pause';
      };
      do {
        item = await reader.next(take);
        if (lines.length > 0) yield Buffer.from(lines.splice(0).join(''));
        length = 0;
      } while (item?.kind === 'pause');
      roots.push({ name, root: tree.finish() });
    }
    this.proof = this.#prove(roots);
    this.#behindStores = item;
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
    if (this.#behindStores === undefined) {
      for await (const _ of this.#exportDataLines());
    }
    const reader = this.#reader;
    let item = this.#behindStores;
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

function isExportData({ key, height }: IavlNode): boolean {
  return height === 0 && EXPORT_DATA_PREFIX.equals(key.subarray(0, EXPORT_DATA_PREFIX.length));
}

/** A leaf as a line of JSON, as `export-data.jsonl` has it. */
function lineOf({ key, value }: IavlNode, location: string): string {
  const name = Buffer.from(key.subarray(EXPORT_DATA_PREFIX.length));
  if (!isUtf8(name) || !isUtf8(value)) {
    damaged('an entry of the export data is no text', { path: location, found: name.toString() });
  }
  return `${JSON.stringify([name.toString(), Buffer.from(value).toString()])}\n`;
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
