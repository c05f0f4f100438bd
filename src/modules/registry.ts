/** The registry of module kinds; callers may add their own. */
import { SwingSnapError, VerificationError } from '../errors.ts';
import type { StateModule } from '../snapshot/module-contract.ts';
import { filesKind } from './files/module.ts';
import type { ModuleKind, ModulePlace } from './place.ts';
import { swingsetKind } from './swingset/kind.ts';
import { wasmKind } from './wasm/module.ts';

export class ModuleRegistry {
  readonly #kinds = new Map<string, ModuleKind>();

  /** @throws {SwingSnapError} `MODULE_KIND` if the name is taken or invalid */
  register(kind: ModuleKind): this {
    if (this.#kinds.has(kind.kind) || !/^[a-z][a-z0-9-]{0,31}$/u.test(kind.kind)) {
      throw new SwingSnapError('MODULE_KIND', 'the name of a module kind is invalid or taken', {
        expected: 'a new name: a lower-case letter and at most 31 lower-case letters, digits and -',
        found: kind.kind,
      });
    }
    this.#kinds.set(kind.kind, kind);
    return this;
  }

  /** Names of all kinds. */
  get kinds(): readonly string[] {
    return [...this.#kinds.keys()];
  }

  /**
   * @param kind hostile
   * @throws {VerificationError} `UNKNOWN_MODULE`
   */
  make(kind: string, place: ModulePlace): StateModule {
    const found = this.#kinds.get(kind);
    if (found !== undefined) return found.make(place);
    throw new VerificationError(
      'UNKNOWN_MODULE',
      'the kind of this module is unknown to this version of swingsnap',
      {
        path: place.name,
        expected: this.kinds.join(', '),
        found: kind,
        hint: 'install a version of swingsnap that knows it',
      },
    );
  }
}

/** A registry of the built-in kinds: `swingset`, `wasm`, `files`. */
export function moduleRegistry(): ModuleRegistry {
  return new ModuleRegistry().register(swingsetKind).register(wasmKind).register(filesKind);
}
