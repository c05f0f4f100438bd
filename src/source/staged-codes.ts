/**
 * Stages the byte code of a state-sync snapshot on its way into a snapshot. It arrives amid the artifacts, in the order
 * in which the chain stored it, but a snapshot holds it in the order of its names. So it waits in a scratch directory,
 * in files named by checksum, as on a node.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteCode } from '../formats/state-sync/payload/code-payload.ts';
import { makeOneDirectory } from '../io/files/made-directory.ts';
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
   * The module that reads the codes once all have arrived. Codes that arrive before this call are lost.
   * @throws {StorageError} `SCRATCH` if no scratch directory can be made
   */
  module(): StateModule {
    this.#work = makeScratchDirectory(this.#scratchDir);
    const dir = join(this.#work.path, 'codes');
    makeOneDirectory(dir);
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

  /** If the reader of the artifacts fails, the codes never end: only the signal ends the wait. */
  async #allHaveCome(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await Promise.race([this.#ended, ...(signal ? [once(signal, 'abort')] : [])]);
    signal?.throwIfAborted();
  }

  /** Removes the codes. */
  close(): void {
    this.#work?.remove();
    this.#work = undefined;
  }
}
