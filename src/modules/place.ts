/** Modules by place: what a registry knows of each kind. */
import type { StateModule } from '../snapshot/module-contract.ts';

/** Where the state of a module is or will be, and the purpose. */
export interface ModulePlace {
  /** The name of the module in a snapshot. */
  readonly name: string;
  /** Where its state is or will be; not needed for `verify`. */
  readonly dir?: string | undefined;
  /**
   * - `read`: send the state from there
   * - `install`: install the state there
   * - `compare`: require the state to be there
   * - `verify`: check the state and keep nothing
   */
  readonly purpose: 'read' | 'install' | 'compare' | 'verify';
  /** For `install`: an existing state that is in the way is moved aside instead of refused. */
  readonly replace?: boolean | undefined;
}

/** Makes modules of one kind. */
export interface ModuleKind {
  /** As in a manifest. */
  readonly kind: string;
  make(place: ModulePlace): StateModule;
}
