/** Modules by their places: what a registry knows of each kind. */
import type { StateModule } from '../snapshot/module-contract.ts';

/** Where the state of a module is, or goes, and what for. */
export interface ModulePlace {
  /** What the module is called in a snapshot. */
  readonly name: string;
  /** Where its state is, or goes; not needed for `verify`. */
  readonly dir?: string | undefined;
  /**
   * - `read`: it is sent from there
   * - `install`: it is put there
   * - `compare`: it must be there
   * - `verify`: it is looked at, and goes nowhere
   */
  readonly purpose: 'read' | 'install' | 'compare' | 'verify';
  /** For `install`: what stands there and has to go is moved aside instead of refused. */
  readonly replace?: boolean | undefined;
}

/** Makes modules of one kind. */
export interface ModuleKind {
  /** As a manifest spells it. */
  readonly kind: string;
  make(place: ModulePlace): StateModule;
}
