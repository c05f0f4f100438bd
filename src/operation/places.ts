/** Chooses the modules for the states of a source. */
import { realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { NotFoundError, UsageError } from '../errors.ts';
import { databasePath } from '../formats/swing-store/layout.ts';
import { statIfThere } from '../io/files/stat-if-there.ts';
import { shellQuote } from '../io/shell-quote.ts';
import { FILES } from '../modules/files/layout.ts';
import { holdsStore } from '../modules/files/walk.ts';
import type { ModulePlace } from '../modules/place.ts';
import { moduleRegistry, type ModuleRegistry } from '../modules/registry.ts';
import { WASM } from '../modules/wasm/layout.ts';
import type { StateModule } from '../snapshot/module-contract.ts';
import type { NamedState, Source } from '../source/source.ts';
import { checkWritable, type Check } from './preflight.ts';

/** Where the state of a module is read or written. */
export interface NamedPlace {
  readonly name: string;
  readonly kind: string;
  readonly dir: string;
  /** Whether the place was only guessed. A source then need not hold such a module. */
  readonly isGuess?: boolean | undefined;
}

/** @throws {NotFoundError} `MODULE_MISSING` if there is no directory */
export function checkPlace({ name, kind, dir }: NamedPlace): Check {
  if (statIfThere(dir)?.isDirectory() === true) {
    return { check: `module ${name} (${kind}) has a directory`, path: dir };
  }
  throw new NotFoundError('MODULE_MISSING', `module ${name} has no directory`, {
    path: dir,
    hint: 'name another with --module',
  });
}

/**
 * Checks that the state of a module can be installed there. Only in a home that was found are several directories made.
 * @throws as `checkWritable`
 */
export function checkDestination({ name, dir, isGuess = false }: NamedPlace): Check {
  return checkWritable(dir, `place of module ${name}`, { makesParents: isGuess });
}

/**
 * While a store is read, its files must not be opened, as the module `files` would do. This checks only the location of
 * the store. If a tree holds its files by other names, the walk finds them.
 * @throws {UsageError} `HOLDS_STORE` if the store in `stateDir` is below one of the places
 */
export function refuseStoreBelow(places: readonly NamedPlace[], stateDir: string): void {
  if (statIfThere(databasePath(stateDir)) === undefined) return;
  const trees = places
    .filter(({ kind }) => kind === FILES)
    .map(({ dir }) => ({ dir, found: statIfThere(dir) }));
  const isTree = (path: string): { dir: string } | undefined => {
    const { dev, ino } = statSync(path);
    return trees.find(({ found }) => found?.ino === ino && found.dev === dev);
  };
  let above = realpathSync(databasePath(stateDir));
  do {
    above = dirname(above);
    const tree = isTree(above);
    if (tree !== undefined) throw holdsStore(tree.dir);
  } while (above !== dirname(above));
}

/** Modules that read from these places. */
export function modulesToRead(
  places: readonly NamedPlace[],
  registry: ModuleRegistry = moduleRegistry(),
): StateModule[] {
  return places.map(({ name, kind, dir }) => registry.make(kind, { name, dir, purpose: 'read' }));
}

/**
 * Refuses what can be known to be wrong with places before a source is read.
 * @param mayHold the states that the source may hold beside the SwingStore
 * @param options the places; and the modules that need none
 * @throws {NotFoundError} `MODULE_MISSING` for a place whose module the source cannot hold
 * @throws {UsageError} `MODULE_KIND` for a place of another kind, `MODULE_PLACE` for a module without one;
 *   {@link VerificationError} `UNKNOWN_MODULE`
 */
export function refuseWrongPlaces(
  mayHold: Source['mayHold'],
  {
    modules: places = [],
    leaveModules = [],
  }: {
    readonly modules?: readonly NamedPlace[] | undefined;
    readonly leaveModules?: readonly string[] | undefined;
  },
  registry: ModuleRegistry = moduleRegistry(),
): void {
  refuseMissing(mayHold, places);
  for (const state of mayHold) {
    registry.make(state.kind, { name: state.name, purpose: 'verify' });
    const place = placeOf(state, places);
    if (place === undefined && state.isGuess !== true) refuseNoPlace(state, leaveModules);
  }
}

/**
 * Makes a module for each state of a source except `swingset`. A state without a place is only verified, with a note; if
 * states are installed, it must be one of `leave`.
 * @throws as {@link refuseWrongPlaces}, `checkWritable`
 */
export function modulesToWrite(
  held: readonly NamedState[],
  places: readonly NamedPlace[],
  {
    purpose,
    replace,
    leave = [],
    note,
    registry = moduleRegistry(),
  }: Pick<ModulePlace, 'purpose' | 'replace'> & {
    readonly leave?: readonly string[] | undefined;
    readonly note: (message: string) => void;
    readonly registry?: ModuleRegistry;
  },
): StateModule[] {
  refuseMissing(held, places);
  return held.map(({ name, kind }) => {
    const place = placeOf({ name, kind }, places);
    if (place === undefined) {
      if (purpose === 'install') refuseNoPlace({ name, kind }, leave);
      if (purpose === 'compare') {
        note(`module ${name} (${kind}) has no place here, and is only verified: see --module`);
      }
      return registry.make(kind, { name, purpose: 'verify' });
    }
    // Byte code is written into its place, not beside it as a tree is, so this is checked before anything is read.
    if (purpose === 'install' && kind === WASM) checkDestination(place);
    return registry.make(kind, { name, dir: place.dir, purpose, replace });
  });
}

function placeOf(
  { name, kind }: NamedState,
  places: readonly NamedPlace[],
): NamedPlace | undefined {
  const place = places.find((one) => one.name === name);
  if (place === undefined || place.kind === kind) return place;
  throw new UsageError('MODULE_KIND', `module ${name} is of another kind`, {
    expected: kind,
    found: place.kind,
    hint: `name its place with --module ${shellQuote(`${name}=${kind}:${place.dir}`)}`,
  });
}

/**
 * Refuses to leave out states of a source, unless they are named.
 * @param leave names of modules that may be left out
 * @throws {UsageError} `MODULE_PLACE`
 */
export function refuseLeftOut(left: readonly NamedState[], leave: readonly string[] = []): void {
  const lost = left.find(({ name }) => !leave.includes(name));
  if (lost === undefined) return;
  throw new UsageError('MODULE_PLACE', `module ${lost.name} (${lost.kind}) would be left out`, {
    hint: `say that this is meant: --leave-module ${lost.name}; restore takes all modules of a source`,
  });
}

/** @throws {UsageError} `MODULE_PLACE` unless the module may be left out */
function refuseNoPlace({ name, kind }: NamedState, leave: readonly string[]): void {
  if (leave.includes(name)) return;
  throw new UsageError('MODULE_PLACE', `module ${name} (${kind}) has no place to go`, {
    expected: `--module ${name}=${kind}:DIR`,
    hint: `name its directory with --module ${name}=${kind}:DIR, or leave it out with --leave-module ${name}`,
  });
}

function refuseMissing(held: readonly NamedState[], places: readonly NamedPlace[]): void {
  const names = held.map(({ name }) => name);
  const missing = places.find(({ name, isGuess }) => isGuess !== true && !names.includes(name));
  if (missing === undefined) return;
  throw new NotFoundError('MODULE_MISSING', 'the source does not hold the module', {
    expected: missing.name,
    found: ['swingset', ...names].join(', '),
    hint: `leave out --module ${missing.name}=…`,
  });
}
