/** The receiver's side of the module `swingset`: turns chunks into an export, which a destination copies. */
import type { SwingsetFields } from '../../snapshot/manifest.ts';
import {
  outOfTurn,
  refuseOtherState,
  type ChunkedWritable,
  type InstalledState,
  type StateChunk,
  type StateContext,
  type WrittenState,
} from '../../snapshot/module-contract.ts';
import { refuseWrongChunk } from '../kit/entry.ts';
import { Handoff } from '../kit/handoff.ts';
import { takeExport, type DescribedStore, type StoreDestination } from './destinations.ts';
import { EntriesExport } from './export-of-chunks.ts';
import { SWINGSET } from './layout.ts';

export interface SwingsetTarget<Installed extends InstalledState = InstalledState> {
  readonly destination: StoreDestination<Installed>;
  /** Names the snapshot in errors. */
  readonly location: string;
  /** All chunks again, for a destination that reads twice. */
  readonly again?: (() => AsyncGenerator<StateChunk>) | undefined;
}

/** A SwingStore as a written state. */
export type WrittenStore<Installed extends InstalledState = InstalledState> = WrittenState &
  DescribedStore<Installed>;

export class SwingsetWritable<Installed extends InstalledState> implements ChunkedWritable<
  WrittenStore<Installed>
> {
  readonly #context: StateContext;
  readonly #chunks = new Handoff<StateChunk>();
  readonly #taking: Promise<DescribedStore<Installed>>;
  #isDone = false;

  constructor(context: StateContext, target: SwingsetTarget<Installed>) {
    this.#context = context;
    this.#taking = this.#take(target);
    this.#taking.catch(() => undefined);
  }

  async #take({
    destination,
    location,
    again,
  }: SwingsetTarget<Installed>): Promise<DescribedStore<Installed>> {
    const { height, trusted, pool } = this.#context;
    let passes = 0;
    const chunks = (): AsyncGenerator<StateChunk> => {
      passes += 1;
      return passes > 1 && again !== undefined ? again() : this.#chunks.items();
    };
    const fields = (trusted ?? {}) as Partial<SwingsetFields>;
    const source = new EntriesExport({
      location,
      height,
      fields,
      contentHash: undefined,
      chunks,
      pool,
    });
    try {
      return await takeExport(source, destination, this.#context);
    } catch (error) {
      // The next call of writeChunk throws it too.
      this.#chunks.fail(error);
      throw error;
    } finally {
      await source.close();
    }
  }

  async writeChunk(chunk: StateChunk): Promise<void> {
    if (this.#isDone) throw outOfTurn(SWINGSET, 'writeChunk');
    refuseWrongChunk(SWINGSET, chunk);
    await this.#chunks.put(chunk);
  }

  async done(): Promise<WrittenStore<Installed>> {
    if (this.#isDone) throw outOfTurn(SWINGSET, 'done');
    this.#isDone = true;
    this.#chunks.end();
    const { description, ...taken } = await this.#taking;
    if (description === undefined) throw outOfTurn(SWINGSET, 'done');
    // Only hashes: the destination chose the artifacts, and their number was checked as they were read.
    const { exportDataHash, operationalHash } = this.#context.trusted ?? {};
    const trusted = exportDataHash === undefined ? {} : { exportDataHash, operationalHash };
    refuseOtherState(SWINGSET, { height: this.#context.height, trusted }, description);
    return { ...taken, description };
  }

  async abort(error: unknown): Promise<void> {
    this.#chunks.fail(error);
    await this.#taking.then(
      async (taken) => taken.discard(),
      () => undefined,
    );
  }
}
