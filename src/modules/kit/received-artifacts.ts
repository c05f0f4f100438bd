/** Turns chunks back into artifacts: the receiver's side of `sent-artifacts.ts`. */
import { createHash } from 'node:crypto';
import { VerificationError } from '../../errors.ts';
import type { StateArtifact, StateChunk } from '../../snapshot/module-contract.ts';
import { bytesOf, nameOf, refuseWrongChunk } from './entry.ts';
import { MAX_PARTS, partNumber } from './group.ts';

/** Writes one artifact, piece by piece. */
export interface ArtifactWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** Call it when all bytes are written and match `artifact`. @throws {VerificationError} if the artifact is invalid */
  finish(artifact: StateArtifact): Promise<void>;
}

export interface ArtifactTarget {
  /**
   * The name of an artifact's entry.
   * @throws {VerificationError} if the artifact's name or identity is invalid
   */
  entryNameOf(artifact: Pick<StateArtifact, 'name' | 'identity'>): string;
  /**
   * The artifact's name, from its entry's name.
   * @throws {VerificationError} if no split artifact can have an entry of this name
   */
  nameOfSplit(entryName: string): string;
  /** Starts an artifact. Names are hostile. @throws {VerificationError} if it is not allowed, or not allowed now */
  begin(name: string, identity: string | undefined): Promise<ArtifactWriter>;
}

interface OpenArtifact {
  readonly entryName: string;
  readonly writer: ArtifactWriter;
  readonly partBytes: number;
  readonly hash: ReturnType<typeof createHash>;
  size: number;
  parts: number;
}

export class ReceivedArtifacts {
  readonly #module: string;
  readonly #target: ArtifactTarget;
  #open: OpenArtifact | undefined;
  #failure: { readonly error: unknown } | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(module: string, target: ArtifactTarget) {
    this.#module = module;
    this.#target = target;
  }

  /** Loads the chunk's bytes at once, and writes them after those of all chunks before it. */
  async writeChunk(chunk: StateChunk): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    refuseWrongChunk(this.#module, chunk);
    const loading = Promise.all(chunk.entries.map(bytesOf));
    loading.catch(() => undefined);
    const before = this.#last;
    const taking = (async () => {
      await before;
      const contents = await loading;
      for (const [at, entry] of chunk.entries.entries()) {
        if (this.#failure !== undefined) throw this.#failure.error;
        await this.#take(nameOf(entry), contents[at] ?? new Uint8Array(), entry.artifact);
      }
    })();
    this.#last = taking.catch((error: unknown) => {
      this.fail(error);
    });
    await taking;
  }

  async #take(
    entryName: string,
    data: Uint8Array,
    artifact: StateArtifact | undefined,
  ): Promise<void> {
    const open = this.#open;
    if (open === undefined && artifact !== undefined) {
      await this.#takeWhole(entryName, data, artifact);
      return;
    }
    const current = open ?? (await this.#begin(entryName, data.length));
    const expected = `${current.entryName}/${partNumber(current.parts)}`;
    if (entryName !== expected)
      wrong('an entry is not the next part of its artifact', expected, entryName);
    const fits =
      artifact === undefined
        ? data.length === current.partBytes
        : data.length > 0 && data.length <= current.partBytes && current.parts > 0;
    if (!fits || current.parts >= MAX_PARTS) {
      wrong('a part of an artifact has an invalid size', current.partBytes, data.length, entryName);
    }
    current.parts += 1;
    current.size += data.length;
    current.hash.update(data);
    await current.writer.write(data);
    if (artifact === undefined) return;
    this.#open = undefined;
    const entryNameOfIt = this.#target.entryNameOf(artifact);
    if (entryNameOfIt !== current.entryName) {
      wrong('the parts belong to another artifact', entryNameOfIt, current.entryName);
    }
    this.#refuseOther(artifact, current.size, current.hash.digest('hex'));
    await current.writer.finish(artifact);
  }

  async #takeWhole(entryName: string, data: Uint8Array, artifact: StateArtifact): Promise<void> {
    const expected = this.#target.entryNameOf(artifact);
    if (entryName !== expected)
      wrong('an entry does not have the name of its artifact', expected, entryName);
    this.#refuseOther(artifact, data.length, createHash('sha256').update(data).digest('hex'));
    const writer = await this.#target.begin(artifact.name, artifact.identity);
    if (data.length > 0) await writer.write(data);
    await writer.finish(artifact);
  }

  async #begin(entryName: string, partBytes: number): Promise<OpenArtifact> {
    const stem = entryName.slice(0, entryName.lastIndexOf('/'));
    const writer = await this.#target.begin(this.#target.nameOfSplit(stem), undefined);
    const hash = createHash('sha256');
    this.#open = { entryName: stem, writer, partBytes, hash, size: 0, parts: 0 };
    return this.#open;
  }

  #refuseOther({ name, size, sha256 }: StateArtifact, foundSize: number, found: string): void {
    if (foundSize !== size) wrong('an artifact has the wrong size', size, foundSize, name);
    if (found !== sha256) wrong('an artifact has the wrong hash', sha256, found, name);
  }

  /** Call it after the last chunk. @throws {VerificationError} `WRONG_CHUNK` if a part is missing */
  async end(): Promise<void> {
    await this.#last;
    if (this.#failure !== undefined) throw this.#failure.error;
    const open = this.#open;
    if (open !== undefined) {
      wrong(
        'an artifact has no last part',
        `${open.entryName}/${partNumber(open.parts)}`,
        'nothing',
      );
    }
  }

  /** Makes every later write throw this error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Waits until all writing has ended. */
  async settled(): Promise<void> {
    await this.#last;
  }
}

/** @throws {VerificationError} `WRONG_CHUNK`, always */
export function wrong(
  message: string,
  expected: string | number,
  found: string | number,
  path?: string,
): never {
  throw new VerificationError('WRONG_CHUNK', message, { path, expected, found });
}
