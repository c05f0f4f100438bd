/** A storage in memory, for tests and for programs that check before they write. */
import { NotFoundError, SwingSnapError, VerificationError } from '../errors.ts';
import { given } from '../io/threads/recipe.ts';
import {
  checkSnapshotName,
  fileExists,
  nothingSalvaged,
  type PlaceContent,
  type Salvage,
  type SnapshotPlace,
  type StagedSnapshot,
  type StoredFileFacts,
  type StoredSnapshot,
} from './contract.ts';

/** An empty storage that lives as long as the object. */
export function memoryStorage(): SnapshotPlace {
  return new MemoryStorage();
}

interface MemoryFile {
  readonly bytes: Uint8Array;
  readonly modified: Date;
}

type Files = Map<string, MemoryFile>;

class MemoryStorage implements SnapshotPlace {
  readonly location = 'memory';
  readonly #snapshots = new Map<string, Files>();
  #mark: Uint8Array | undefined;

  async list(): Promise<string[]> {
    return [...this.#snapshots.keys()];
  }

  async open(name: string): Promise<StoredSnapshot> {
    checkSnapshotName(name);
    const files = this.#snapshots.get(name);
    if (files === undefined) {
      throw new NotFoundError('SNAPSHOT_MISSING', 'no such snapshot', { path: name });
    }
    const find = (file: string): Uint8Array => fileIn(files, file).bytes;
    return {
      location: `memory:${name}`,
      name,
      async read(file, maxBytes) {
        const bytes = find(file);
        if (bytes.length <= maxBytes) return bytes;
        throw fileTooLarge(file, bytes.length, maxBytes);
      },
      async size(file) {
        return find(file).length;
      },
      async facts(file) {
        return factsIn(files, name, file);
      },
      async *stream(file) {
        yield find(file);
      },
    };
  }

  async stage(name: string): Promise<StagedSnapshot> {
    checkSnapshotName(name);
    const files: Files = new Map();
    const add = (file: string, bytes: Uint8Array, modified = new Date()): void => {
      files.set(file, { bytes, modified });
    };
    const snapshots = this.#snapshots;
    return {
      async put(file, bytes, modified) {
        if (files.has(file)) throw fileExists(file);
        add(file, Buffer.from(bytes), modified);
      },
      async adopt(file, from, maxBytes, accept) {
        if (files.has(file)) throw fileExists(file);
        const bytes = await from.read(file, maxBytes).catch(() => undefined);
        if (
          bytes === undefined ||
          (accept !== undefined && !(await accept(given([bytes.slice()]))))
        ) {
          return undefined;
        }
        add(file, bytes);
        return bytes.length;
      },
      async facts(file) {
        return factsIn(files, name, file);
      },
      async remove(file) {
        files.delete(file);
      },
      async create(file) {
        if (files.has(file)) throw fileExists(file);
        const pieces: Buffer[] = [];
        return {
          async write(bytes) {
            pieces.push(Buffer.from(bytes));
          },
          async close() {
            add(file, Buffer.concat(pieces));
          },
        };
      },
      async publish(replace) {
        if (snapshots.has(name) && !replace) {
          throw new SwingSnapError('SNAPSHOT_EXISTS', 'the snapshot already exists', {
            path: name,
          });
        }
        snapshots.set(name, files);
      },
      async discard() {
        files.clear();
      },
      async leave() {
        files.clear();
      },
    };
  }

  async remove(name: string): Promise<void> {
    checkSnapshotName(name);
    this.#snapshots.delete(name);
  }

  async *contents(): AsyncGenerator<PlaceContent> {
    for (const name of this.#snapshots.keys()) yield { name, kind: 'snapshot', what: 'a snapshot' };
  }

  /** What is staged is not in the storage before it is published, and ends with the process. */
  async unfinished(): Promise<undefined> {
    return undefined;
  }

  async removeUnfinished(): Promise<boolean> {
    return false;
  }

  async salvage(): Promise<Salvage> {
    return nothingSalvaged;
  }

  async occupancy(): Promise<'empty' | 'occupied'> {
    return this.#snapshots.size === 0 ? 'empty' : 'occupied';
  }

  async readMark(maxBytes: number): Promise<Uint8Array | undefined> {
    const mark = this.#mark;
    if (mark === undefined || mark.length <= maxBytes) return mark?.slice();
    throw fileTooLarge('mark', mark.length, maxBytes);
  }

  async writeMark(bytes: Uint8Array): Promise<void> {
    this.#mark = bytes.slice();
  }
}

function fileIn(files: Files, file: string): MemoryFile {
  const found = files.get(file);
  if (found !== undefined) return found;
  throw new NotFoundError('FILE_MISSING', 'a file of the snapshot is missing', { path: file });
}

function factsIn(files: Files, name: string, file: string): StoredFileFacts {
  const { bytes, modified } = fileIn(files, file);
  return { size: bytes.length, modified, links: 1, id: `${name}/${file}` };
}

function fileTooLarge(path: string, size: number, maxBytes: number): VerificationError {
  return new VerificationError('FILE_TOO_LARGE', 'a file of the snapshot is too large', {
    path,
    expected: `at most ${maxBytes} bytes`,
    found: `${size} bytes`,
  });
}
