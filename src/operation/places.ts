/** Which modules the states of a source go to. */
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
import { otherModules } from '../snapshot/manifest.ts';
import type { ComparedState, StateModule } from '../snapshot/module-contract.ts';
import type { UnpackedModule } from '../snapshot/read/unpack-modules.ts';
import type { ExportSummary } from '../swing-store-export/swing-store-export.ts';
import { checkWritable, type Check } from './preflight.ts';
import type { OpenedSource } from './source/open.ts';

/** Where the state of a module is, or goes. */
export interface NamedPlace {
  readonly name: string;
  readonly kind: string;
  readonly dir: string;
  /** Whether it was only guessed: then a source need not hold such a module. */
  readonly isGuess?: boolean | undefined;
}

/** @throws {NotFoundError} `MODULE_MISSING` if nothing can be read there */
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
 * While a store is read its files must not be opened, as `files` would do. Looks only where the store is; by what other
 * names its files are in a tree, the walk finds out.
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

/** Modules that are read from these places. */
export function modulesToRead(
  places: readonly NamedPlace[],
  registry: ModuleRegistry = moduleRegistry(),
): StateModule[] {
  return places.map(({ name, kind, dir }) => registry.make(kind, { name, dir, purpose: 'read' }));
}

/** A module that a source holds beside `swingset`. */
export type HeldModule = readonly [name: string, { readonly kind: string }];

/**
 * A module for each state of a source but `swingset`. One without a place is only verified, which is noted.
 * @throws {VerificationError} `UNKNOWN_MODULE`; {@link NotFoundError} `MODULE_MISSING` for a place whose module the
 *   source does not hold; {@link UsageError} `MODULE_KIND` for a place of another kind; as `checkWritable`
 */
export function modulesToWrite(
  held: readonly HeldModule[],
  places: readonly NamedPlace[],
  {
    purpose,
    replace,
    note,
    registry = moduleRegistry(),
  }: Pick<ModulePlace, 'purpose' | 'replace'> & {
    readonly note: (message: string) => void;
    readonly registry?: ModuleRegistry;
  },
): StateModule[] {
  refuseMissing(
    held.map(([name]) => name),
    places,
  );
  return held.map(([name, { kind }]) => {
    const place = places.find((one) => one.name === name);
    if (place === undefined) {
      if (purpose !== 'verify') {
        note(`module ${name} (${kind}) has no place to go, and is only verified: see --module`);
      }
      return registry.make(kind, { name, purpose: 'verify' });
    }
    if (place.kind !== kind) {
      throw new UsageError('MODULE_KIND', `module ${name} is of another kind`, {
        expected: kind,
        found: place.kind,
        hint: `name its place with --module ${shellQuote(`${name}=${kind}:${place.dir}`)}`,
      });
    }
    // Byte code is written into its place, and not beside it as a tree is: that is told before all else is read.
    if (purpose === 'install' && kind === WASM) checkWritable(place.dir, `place of module ${name}`);
    return registry.make(kind, { name, dir: place.dir, purpose, replace });
  });
}

/** @throws {NotFoundError} `MODULE_MISSING` if a module was asked for that is not held */
export function refuseMissing(held: readonly string[], places: readonly NamedPlace[]): void {
  const missing = places.find(({ name, isGuess }) => isGuess !== true && !held.includes(name));
  if (missing === undefined) return;
  throw new NotFoundError('MODULE_MISSING', 'the source holds no such module', {
    expected: missing.name,
    found: ['swingset', ...held].join(', '),
    hint: `leave out --module ${missing.name}=…`,
  });
}

/** Says what of a source goes nowhere. */
export function noteLeft({ manifest }: OpenedSource, note: (message: string) => void): void {
  const left = manifest === undefined ? [] : otherModules(manifest).map(([name]) => name);
  if (left.length > 0) note(`modules of the source that were left: ${left.join(', ')}`);
}

/** A module, and what became of its state. */
export interface ModuleResult {
  readonly name: string;
  readonly kind: string;
  /** Where its state is; undefined if it was only verified. */
  readonly path?: string;
  /** Where what was there before is. */
  readonly movedTo?: string;
  /** How it compares with what is there. */
  readonly compared?: ComparedState;
}

export function resultOf({
  name,
  kind,
  installed,
}: Pick<UnpackedModule, 'name' | 'kind' | 'installed'>): ModuleResult {
  const { path, movedTo, compared } = installed;
  return {
    name,
    kind,
    ...(path === undefined ? {} : { path }),
    ...(movedTo === undefined ? {} : { movedTo }),
    ...(compared === undefined ? {} : { compared }),
  };
}

/** What was copied, with the content hash of the snapshot that it was a part of. */
export function withContentHash(
  summary: ExportSummary,
  contentHash: string | undefined,
): ExportSummary {
  const { hashes } = summary;
  if (contentHash === undefined || hashes === undefined) return summary;
  return { ...summary, hashes: { ...hashes, contentHash } };
}
