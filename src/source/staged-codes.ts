/**
 * The byte code of a state-sync snapshot, on its way into a snapshot. It comes in the middle of the artifacts, in the
 * order in which the chain stored it, and a snapshot has it in the order of its names: so it waits in a scratch
 * directory, under its checksums, as a node would have it.
 */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteCode } from '../formats/state-sync/payload/code-payload.ts';
import { makeScratchDirectory } from '../io/files/scratch.ts';
import type { WorkDirectory } from '../io/files/work-directory.ts';
import { WASM } from '../modules/wasm/layout.ts';
import { wasmModule } from '../modules/wasm/module.ts';
import type { StateModule } from '../snapshot/module-contract.ts';

export class StagedCodes {
  readonly #scratchDir: string;
  #work: WorkDirectory | undefined;
  #dir: string | undefined;
  readonly #ended: Promise<void>;
  /** For `onCodesEnd` of the source. */
  readonly end: () => void;

  constructor(scratchDir: string) {
    this.#scratchDir = scratchDir;
    let end = (): void => undefined;
    this.#ended = new Promise((resolve) => {
      end = resolve;
    });
    this.end = end;
  }

  /** For `onCode` of the source. */
  readonly take = async ({ checksum, data }: ByteCode): Promise<void> => {
    if (this.#dir !== undefined) await writeFile(join(this.#dir, checksum), data, { flag: 'wx' });
  };

  /**
   * The module that reads them, once all have come; those that come before it was asked for are lost.
   * @throws {StorageError} `SCRATCH` if there can be no scratch directory
   */
  module(): StateModule {
    this.#work = makeScratchDirectory(this.#scratchDir);
    const dir = join(this.#work.path, 'codes');
    mkdirSync(dir);
    this.#dir = dir;
    const module = wasmModule({ name: WASM, dir, purpose: 'read' });
    return {
      ...module,
      beginReadState: async (context) => {
        await this.#allHaveCome(context.signal);
        return module.beginReadState(context);
      },
    };
  }

  /** The reader of the artifacts may fail, and then they never end. */
  async #allHaveCome(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await Promise.race([this.#ended, ...(signal ? [once(signal, 'abort')] : [])]);
    signal?.throwIfAborted();
  }

  /** Removes them. */
  close(): void {
    this.#work?.remove();
    this.#work = undefined;
  }
}
