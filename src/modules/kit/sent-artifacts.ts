/** Turns artifacts into chunks: the sender's side of modules whose artifacts come in the order of their names. */
import { DigestTap, sha256Hex } from '../../io/bytes/digest.ts';
import { gather, splitEvery } from '../../io/bytes/pieces.ts';
import {
  outOfTurn,
  refuseOtherState,
  type ChunkedReadable,
  type ModuleHasher,
  type ReadContext,
  type StateArtifact,
  type StateChunk,
  type StateDescription,
  type StateEntry,
} from '../../snapshot/module-contract.ts';
import { Group, GROUP_MIN_BYTES, partNumber, refuseTooManyParts } from './group.ts';

/** An artifact to be sent. */
export interface SentArtifact {
  readonly name: string;
  /** The name of its entry; parts add a `/` and a number. */
  readonly entryName: string;
  /** Bytes. */
  readonly size: number;
  /** If known without reading. */
  readonly sha256?: string;
  readonly identityOf: (sha256: string) => string;
  /** Its bytes, once. Throws if they are not as expected. */
  readonly read: () => AsyncIterable<Uint8Array>;
}

/** The chunks of artifacts; adds each artifact to `hasher`. Small ones share chunks, large ones have several. */
export async function* chunksOf(
  artifacts: AsyncIterable<SentArtifact>,
  hasher: ModuleHasher,
  { chunkBytes }: Pick<ReadContext, 'chunkBytes'>,
): AsyncGenerator<StateChunk> {
  const group = new Group();
  for await (const artifact of artifacts) {
    if (artifact.size < GROUP_MIN_BYTES) {
      const entry = await entryOf(artifact, hasher);
      for (const entries of group.add(entry, artifact.entryName)) yield { entries };
      continue;
    }
    // Entries keep the order of the artifacts.
    for (const entries of group.end()) yield { entries };
    if (artifact.size > chunkBytes) yield* partsOf(artifact, hasher, chunkBytes);
    else yield { entries: [await entryOf(artifact, hasher)] };
  }
  for (const entries of group.end()) yield { entries };
}

async function entryOf(sent: SentArtifact, hasher: ModuleHasher): Promise<StateEntry> {
  const { name, entryName, size, identityOf, read } = sent;
  const whole = async (): Promise<Uint8Array> => gather(read());
  // With a known hash, the bytes are read only if the receiver does not have them.
  const data = sent.sha256 === undefined ? await whole() : whole;
  const sha256 = sent.sha256 ?? (data instanceof Function ? '' : sha256Hex(data));
  const artifact: StateArtifact = { name, size, sha256, identity: identityOf(sha256) };
  hasher.add(artifact);
  return { name: entryName, data, size, sha256, artifact };
}

async function* partsOf(
  { name, entryName, identityOf, read }: SentArtifact,
  hasher: ModuleHasher,
  chunkBytes: number,
): AsyncGenerator<StateChunk> {
  const tap = new DigestTap();
  let part = 0;
  for await (const { data, isLast } of splitEvery(tap.through(read()), chunkBytes)) {
    refuseTooManyParts(part, name);
    const entry = { name: `${entryName}/${partNumber(part)}`, data, size: data.length };
    part += 1;
    if (!isLast) {
      yield { entries: [entry] };
      continue;
    }
    const { size, sha256 } = tap.finish();
    const artifact: StateArtifact = { name, size, sha256, identity: identityOf(sha256) };
    hasher.add(artifact);
    yield { entries: [{ ...entry, artifact }] };
  }
}

/** A {@link ChunkedReadable} of chunks that a generator makes on demand. */
export class GeneratedReadable implements ChunkedReadable {
  readonly #module: string;
  readonly #context: ReadContext;
  readonly #chunks: AsyncGenerator<StateChunk>;
  readonly #hasher: ModuleHasher;
  #state: 'reading' | 'read' | 'over' = 'reading';
  #reading: Promise<unknown> = Promise.resolve();

  /** @param hasher holds all artifacts when the chunks end */
  constructor(
    module: string,
    context: ReadContext,
    chunks: AsyncGenerator<StateChunk>,
    hasher: ModuleHasher,
  ) {
    this.#module = module;
    this.#context = context;
    this.#chunks = chunks;
    this.#hasher = hasher;
  }

  async readChunk(): Promise<StateChunk | undefined> {
    if (this.#state === 'over') throw outOfTurn(this.#module, 'readChunk');
    this.#context.signal?.throwIfAborted();
    const reading = this.#chunks.next();
    this.#reading = reading.catch(() => undefined);
    const next = await reading;
    if (next.done !== true) return next.value;
    this.#state = 'read';
    return undefined;
  }

  async done(): Promise<StateDescription> {
    if (this.#state !== 'read') throw outOfTurn(this.#module, 'done');
    this.#state = 'over';
    const { height } = this.#context;
    const description = { height, fields: { ...this.#hasher.fields() } };
    refuseOtherState(this.#module, this.#context, description);
    return description;
  }

  async abort(): Promise<void> {
    this.#state = 'over';
    await this.#reading;
    await this.#chunks.return(undefined);
  }
}
