/** The receiver's side of the module `swingset`: chunks that become an export again, which somebody copies. */
import type { SwingsetFields } from '../../snapshot/manifest.ts';
import {
  outOfTurn,
  refuseOtherState,
  type ChunkedWritable,
  type InstalledState,
  type StateChunk,
  type StateContext,
  type StateDescription,
  type WrittenState,
} from '../../snapshot/module-contract.ts';
import type { VerifiedCopyOptions } from '../../swing-store-export/copy-export.ts';
import type { SwingStoreExport } from '../../swing-store-export/swing-store-export.ts';
import { refuseWrongChunk } from '../kit/entry.ts';
import { Handoff } from '../kit/handoff.ts';
import { describeExport } from './description.ts';
import { EntriesExport } from './entries-export.ts';
import { SWINGSET } from './layout.ts';

/** What a copy of an export came to, before it is visible. */
export interface ReceivedExport {
  install(): Promise<InstalledState>;
  /** Leaves nothing. */
  discard(): Promise<void>;
}

/** Copies an export to where it goes, with these options for `copyVerified`. */
export type ReceiveExport = (
  source: SwingStoreExport,
  options: VerifiedCopyOptions,
) => Promise<ReceivedExport>;

export interface SwingsetWritableOptions {
  readonly receive: ReceiveExport;
  /** Names the snapshot in errors. */
  readonly location: string;
  /** All chunks once more, for a receiver that reads twice. */
  readonly again?: (() => AsyncGenerator<StateChunk>) | undefined;
}

export class SwingsetWritable implements ChunkedWritable {
  readonly #context: StateContext;
  readonly #chunks = new Handoff<StateChunk>();
  readonly #receiving: Promise<ReceivedExport>;
  #description: StateDescription | undefined;
  #isDone = false;

  constructor(context: StateContext, options: SwingsetWritableOptions) {
    this.#context = context;
    this.#receiving = this.#receive(options);
    this.#receiving.catch(() => undefined);
  }

  async #receive({ receive, location, again }: SwingsetWritableOptions): Promise<ReceivedExport> {
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
    const inspect: VerifiedCopyOptions['inspect'] = (index, summary) => {
      this.#description = describeExport(summary, index);
    };
    try {
      return await receive(source, { ...this.#context, inspect });
    } catch (error) {
      // Told to whoever writes the next chunk.
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

  async done(): Promise<WrittenState> {
    if (this.#isDone) throw outOfTurn(SWINGSET, 'done');
    this.#isDone = true;
    this.#chunks.end();
    const received = await this.#receiving;
    const description = this.#description;
    if (description === undefined) throw outOfTurn(SWINGSET, 'done');
    // Which artifacts were wanted is the receiver's, and how many there are was compared as they came.
    const { exportDataHash, operationalHash } = this.#context.trusted ?? {};
    const trusted = exportDataHash === undefined ? {} : { exportDataHash, operationalHash };
    refuseOtherState(SWINGSET, { height: this.#context.height, trusted }, description);
    return { description, install: async () => received.install() };
  }

  async abort(error: unknown): Promise<void> {
    this.#chunks.fail(error);
    await this.#receiving.then(
      async (received) => received.discard(),
      () => undefined,
    );
  }
}
