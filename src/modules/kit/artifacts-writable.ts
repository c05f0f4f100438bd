/** The receiver's side of modules that keep their artifacts in a place of their own. */
import {
  outOfTurn,
  refuseOtherState,
  type ChunkedWritable,
  type InstalledState,
  type ModuleHasher,
  type StateChunk,
  type StateContext,
  type WrittenState,
} from '../../snapshot/module-contract.ts';
import { ReceivedArtifacts, type ArtifactTarget } from './received-artifacts.ts';

/** Checks and writes the artifacts of a module. */
export interface ArtifactsTarget extends ArtifactTarget {
  /** Called after the last artifact. @returns all artifacts, hashed */
  end(): Promise<ModuleHasher>;
  /** Where the artifacts go. */
  readonly place: {
    /** Makes durable what was written. */
    done(): Promise<void>;
    install(): Promise<InstalledState>;
    /** Removes what was written. */
    abort(): Promise<void>;
  };
}

/** Writes chunks of artifacts to a target. */
export class ArtifactsWritable implements ChunkedWritable {
  readonly #name: string;
  readonly #context: StateContext;
  readonly #target: ArtifactsTarget;
  readonly #received: ReceivedArtifacts;
  #isDone = false;

  /** @param name of the module */
  constructor(name: string, context: StateContext, target: ArtifactsTarget) {
    this.#name = name;
    this.#context = context;
    this.#target = target;
    this.#received = new ReceivedArtifacts(name, target);
  }

  async writeChunk(chunk: StateChunk): Promise<void> {
    if (this.#isDone) throw outOfTurn(this.#name, 'writeChunk');
    await this.#received.writeChunk(chunk);
  }

  async done(): Promise<WrittenState> {
    if (this.#isDone) throw outOfTurn(this.#name, 'done');
    this.#isDone = true;
    await this.#received.end();
    const hasher = await this.#target.end();
    const description = { height: this.#context.height, fields: { ...hasher.fields() } };
    refuseOtherState(this.#name, this.#context, description);
    await this.#target.place.done();
    return { description, install: async () => this.#target.place.install() };
  }

  async abort(error: unknown): Promise<void> {
    this.#received.fail(error);
    await this.#received.settled();
    await this.#target.place.abort();
  }
}
