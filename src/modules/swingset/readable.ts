/** The sender's side of the module `swingset`: copies an export into chunks. */
import {
  BeginAgainError,
  outOfTurn,
  refuseOtherState,
  type ChunkedReadable,
  type ReadContext,
  type StateChunk,
  type StateDescription,
  type UnreadChunk,
} from '../../snapshot/module-contract.ts';
import { copyVerified } from '../../swing-store-export/copy-verified.ts';
import type { SwingStoreExport } from '../../swing-store-export/swing-store-export.ts';
import { Handoff } from '../kit/handoff.ts';
import { describeExport } from './description.ts';
import { ChunkExport } from './export-to-chunks.ts';
import { SWINGSET } from './layout.ts';

export class SwingsetReadable implements ChunkedReadable {
  readonly #source: SwingStoreExport;
  readonly #context: ReadContext;
  readonly #onOtherOrder: () => void;
  readonly #chunks = new Handoff<StateChunk | UnreadChunk>();
  #copying: Promise<void> | undefined;
  #description: StateDescription | undefined;
  #state: 'reading' | 'read' | 'done' = 'reading';

  /** @param onOtherOrder called if the export data is not in canonical order */
  constructor(source: SwingStoreExport, context: ReadContext, onOtherOrder: () => void) {
    this.#source = source;
    this.#context = context;
    this.#onOtherOrder = onOtherOrder;
  }

  async readChunk(): Promise<StateChunk | UnreadChunk | undefined> {
    this.#copying ??= this.#copy();
    const chunk = await this.#chunks.take();
    if (chunk === undefined && this.#state === 'reading') this.#state = 'read';
    return chunk;
  }

  async #copy(): Promise<void> {
    const { chunkBytes, held, takesUnread } = this.#context;
    let attempts = 0;
    const makeSink = async (): Promise<ChunkExport> => {
      attempts += 1;
      if (attempts > 1) {
        this.#onOtherOrder();
        throw new BeginAgainError('export data is not in canonical order');
      }
      const put = async (chunk: StateChunk | UnreadChunk): Promise<void> => this.#chunks.put(chunk);
      const emitUnread = takesUnread === true ? put : undefined;
      return new ChunkExport(put, { chunkBytes, held, emitUnread });
    };
    try {
      await copyVerified(this.#source, makeSink, {
        ...this.#context,
        inspect: (index, summary) => {
          this.#description = describeExport(summary, index);
        },
      });
      this.#chunks.end();
    } catch (error) {
      this.#chunks.fail(error);
    }
  }

  async done(): Promise<StateDescription> {
    if (this.#state !== 'read' || this.#description === undefined)
      throw outOfTurn(SWINGSET, 'done');
    this.#state = 'done';
    refuseOtherState(SWINGSET, this.#context, this.#description);
    return this.#description;
  }

  async abort(error: unknown): Promise<void> {
    this.#chunks.fail(error);
    await this.#copying;
  }
}
