/** Chunks become artifacts again: the receiver's side of what `sent-artifacts.ts` sends. */
import { createHash } from 'node:crypto';
import { VerificationError } from '../../errors.ts';
import type { StateArtifact, StateChunk } from '../../snapshot/module-contract.ts';
import { bytesOf, nameOf, refuseWrongChunk } from './entry.ts';
import { MAX_PARTS, partNumber } from './group.ts';

/** Takes one artifact, piece by piece. */
export interface ArtifactWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** All of it was written, and is what `artifact` says. @throws {VerificationError} if that cannot be */
  finish(artifact: StateArtifact): Promise<void>;
}

export interface ArtifactTarget {
  /**
   * What the entry of an artifact is called.
   * @throws {VerificationError} if no artifact can be called so, or be such a thing
   */
  entryNameOf(artifact: Pick<StateArtifact, 'name' | 'identity'>): string;
  /**
   * The artifact's name, from its entry's.
   * @throws {VerificationError} if no artifact that is split can have such an entry
   */
  nameOfSplit(entryName: string): string;
  /** Starts an artifact. Names are hostile. @throws {VerificationError} if it may not come, or not now */
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

  /** Its bytes are loaded at once, and written when those of all chunks before it are. */
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
      wrong('an entry is not the part that should come', expected, entryName);
    const fits =
      artifact === undefined
        ? data.length === current.partBytes
        : data.length > 0 && data.length <= current.partBytes && current.parts > 0;
    if (!fits || current.parts >= MAX_PARTS) {
      wrong('a part has a size that it cannot have', current.partBytes, data.length, entryName);
    }
    current.parts += 1;
    current.size += data.length;
    current.hash.update(data);
    await current.writer.write(data);
    if (artifact === undefined) return;
    this.#open = undefined;
    const entryNameOfIt = this.#target.entryNameOf(artifact);
    if (entryNameOfIt !== current.entryName) {
      wrong('parts are of another artifact', entryNameOfIt, current.entryName);
    }
    this.#refuseOther(artifact, current.size, current.hash.digest('hex'));
    await current.writer.finish(artifact);
  }

  async #takeWhole(entryName: string, data: Uint8Array, artifact: StateArtifact): Promise<void> {
    const expected = this.#target.entryNameOf(artifact);
    if (entryName !== expected) wrong('an entry is not its artifact', expected, entryName);
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
    if (foundSize !== size) wrong('an artifact has another size', size, foundSize, name);
    if (found !== sha256) wrong('an artifact has another hash', sha256, found, name);
  }

  /** All chunks have come. @throws {VerificationError} `WRONG_CHUNK` if a part is missing */
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

  /** Every later write throws this error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Waits until nothing is being written any more. */
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
