/**
 * Checks an Endo archive, the content of a `b1-` bundle: a zip with `compartment-map.json` and one file per module.
 *
 * The check proves a chain of hashes (the id is the SHA-512 of the compartment map, which holds the SHA-512 of each
 * file) and that the archive is closed: every import reachable from the entry module leads to a file, and every file
 * is reached. The rules are those of `parseArchive` in `@endo/compartment-mapper`. That function needs the SES shim's
 * `Compartment`, so it cannot run in the same process as the rest of this program. Neither evaluates any module.
 */
import { createHash } from 'node:crypto';
import { ZipReader } from '@endo/zip/reader.js';
import { EndoArchiveError, decodeArchivedJson } from './endo-archive-error.ts';
import {
  decodeCompartmentMap,
  type ArchivedCompartment,
  type ArchivedModule,
  type CompartmentMap,
} from './endo-compartment-map.ts';
import { LANGUAGES } from './endo-module-languages.ts';
import { checkSourceName, resolveSpecifier } from './endo-module-specifier.ts';
import { ScopeIndex } from './endo-scopes.ts';

const COMPARTMENT_MAP = 'compartment-map.json';

/** Bytes of files to read at most, as a multiple of the archive's size. An honest archive reads each file once. */
const MAX_LOOKS = 8;
/** Limit for the imports of all modules: hundreds of times as many as a contract has. */
const MAX_IMPORTS = 1_000_000;
/** Each import is resolved against the whole specifier of its module, so long specifiers cost time. */
const MAX_SPECIFIER_UNITS = 1024;

/** The compartment whose modules attenuate what others get. Only archives with policies can have it. */
const ATTENUATORS = '<ATTENUATORS>';

/**
 * Checks that an archive is sound and has the given compartment map.
 * @param bytes the zip; the zip reader makes one copy of it
 * @param expectedSha512 hex SHA-512 of its file `compartment-map.json`
 * @throws EndoArchiveError if it is not
 */
export function checkEndoArchive(bytes: Uint8Array, expectedSha512: string): void {
  const files = new ArchivedFiles(bytes);
  const mapBytes = files.take(COMPARTMENT_MAP);
  checkSha512(mapBytes, expectedSha512, COMPARTMENT_MAP);
  const map = decodeCompartmentMap(decodeArchivedJson(mapBytes, COMPARTMENT_MAP));
  new ModuleLoader(map, files).load();
  files.mustAllBeTaken();
}

/** The files of a zip, and which of them were never requested. */
class ArchivedFiles {
  readonly #zip: ZipReader;
  readonly #unseen: Set<string>;
  #bytesLeft: number;

  constructor(bytes: Uint8Array) {
    if (sumOfSizes(bytes) > bytes.length) {
      throw new EndoArchiveError('its zip declares more bytes than it has');
    }
    this.#bytesLeft = MAX_LOOKS * bytes.length;
    try {
      this.#zip = new ZipReader(bytes);
    } catch (cause) {
      throw new EndoArchiveError('its zip cannot be read', { cause });
    }
    this.#unseen = new Set<string>(this.#zip.files.keys());
    if (this.#unseen.size < 2) {
      throw new EndoArchiveError('its zip holds fewer than two files');
    }
  }

  take(path: string): Uint8Array {
    if (!this.#zip.files.has(path)) {
      throw new EndoArchiveError(`its zip has no file ${JSON.stringify(path)}`);
    }
    this.#unseen.delete(path);
    const bytes = this.#zip.read(path);
    this.#bytesLeft -= bytes.length;
    if (this.#bytesLeft < 0) throw new EndoArchiveError('its modules share their files');
    return bytes;
  }

  mustAllBeTaken(): void {
    const [path] = this.#unseen;
    if (path !== undefined) {
      throw new EndoArchiveError(
        `its zip holds ${this.#unseen.size} files that no module needs, the first of them ${JSON.stringify(path)}`,
      );
    }
  }
}

/** A compartment while its modules are being loaded. */
interface LoadingCompartment {
  readonly archived: ArchivedCompartment;
  /** Grows by the links that its scopes create. */
  readonly modules: Map<string, ArchivedModule>;
  readonly scopes: ScopeIndex;
  readonly loaded: Set<string>;
}

/** A module, by the compartment that imports it and its name in that compartment. */
interface ModuleAddress {
  readonly compartment: LoadingCompartment;
  readonly specifier: string;
}

/** Follows every import from the entry module and checks each file on the way. */
class ModuleLoader {
  readonly #map: CompartmentMap;
  readonly #files: ArchivedFiles;
  readonly #compartments = new Map<string, LoadingCompartment>();
  readonly #queue: ModuleAddress[] = [];

  constructor(map: CompartmentMap, files: ArchivedFiles) {
    this.#map = map;
    this.#files = files;
    for (const [name, archived] of map.compartments) {
      this.#compartments.set(name, {
        archived,
        modules: new Map(archived.modules),
        scopes: new ScopeIndex(archived.scopes),
        loaded: new Set(),
      });
    }
    for (const [name, archived] of map.compartments) this.#checkCompartment(name, archived);
  }

  load(): void {
    const { compartment, module } = this.#map.entry;
    this.#queue.push({ compartment: this.#compartment(compartment), specifier: module });
    // The queue grows during the loop. Done items stay in it: shifting a long array moves all others.
    for (const next of this.#queue) this.#loadModule(next);
  }

  /** What the reference requires of every compartment, whether or not a module of it is loaded. */
  #checkCompartment(name: string, archived: ArchivedCompartment): void {
    const at = `compartment ${JSON.stringify(name)}`;
    const unknown = archived.languages.find((language) => !LANGUAGES.has(language));
    if (unknown !== undefined) {
      throw new EndoArchiveError(`${at} has no parser for language ${JSON.stringify(unknown)}`);
    }
    if (Reflect.get(this.#map.compartmentsObject, archived.location) === undefined) {
      throw new EndoArchiveError(`the location of ${at} is not a compartment`);
    }
    if (name === ATTENUATORS && archived.policy === undefined) {
      throw new EndoArchiveError(`${at} has no policy`);
    }
    const globals = archived.policy?.globals ?? [];
    if (globals === 'attenuated') {
      // Without attenuators the reference refuses this too. With them it would run their code, which we do not.
      throw new EndoArchiveError(`${at} has globals that code in the archive attenuates`);
    }
    const constant = globals.find((global) => !isGrantable(global));
    if (constant !== undefined) {
      throw new EndoArchiveError(`${at} has a policy that grants ${constant}`);
    }
  }

  #compartment(name: string): LoadingCompartment {
    const compartment = this.#compartments.get(name);
    if (compartment === undefined) {
      throw new EndoArchiveError(`it has no compartment ${JSON.stringify(name)}`);
    }
    return compartment;
  }

  /** Loads one module, through any links, and queues its imports. */
  #loadModule({ compartment, specifier }: ModuleAddress): void {
    const passed: ModuleAddress[] = [];
    let at: ModuleAddress = { compartment, specifier };
    while (!at.compartment.loaded.has(at.specifier)) {
      at.compartment.loaded.add(at.specifier);
      passed.push(at);
      const link = this.#linkOf(at);
      if (link === undefined) {
        this.#loadFile(at);
        return;
      }
      at = link;
    }
    const end = at;
    if (passed.some((a) => a.compartment === end.compartment && a.specifier === end.specifier)) {
      // The reference would wait for itself forever.
      throw new EndoArchiveError(`module ${JSON.stringify(end.specifier)} is a link to itself`);
    }
  }

  /** The link target of a specifier, from its own entry or else from the first scope that contains it. */
  #linkOf({ compartment, specifier }: ModuleAddress): ModuleAddress | undefined {
    const { archived, modules, scopes } = compartment;
    const module = modules.get(specifier);
    if (module === undefined && Reflect.get(archived.modulesObject, specifier) !== undefined) {
      // The reference takes an inherited property for a module, then fails to mark it as used.
      throw new EndoArchiveError(`${JSON.stringify(specifier)} is not a module`);
    }
    if (module?.kind === 'exit') return undefined;
    if (module?.kind === 'link') {
      return { compartment: this.#compartment(module.compartment), specifier: module.module };
    }
    const scope = scopes.firstWith(specifier);
    if (scope === undefined) return undefined;
    const { prefix, compartment: name, inner } = scope;
    const target = this.#compartment(name);
    const isKnown = modules.has(prefix) || Boolean(Reflect.get(archived.modulesObject, prefix));
    if ((archived.policy !== undefined && !isKnown) || !archived.modulesExtensible) {
      throw new EndoArchiveError(`scope ${JSON.stringify(prefix)} is not allowed by its policy`);
    }
    modules.set(specifier, { kind: 'link', compartment: name, module: inner });
    return { compartment: target, specifier: inner };
  }

  #loadFile({ compartment, specifier }: ModuleAddress): void {
    if (specifier.length > MAX_SPECIFIER_UNITS) {
      throw new EndoArchiveError('a module name is longer than any path');
    }
    const { name, location } = compartment.archived;
    // Files are looked up in the compartment named by the location, which need not be this one.
    const module = this.#compartments.get(location)?.modules.get(specifier);
    if (module?.kind === 'deferred') return;
    if (module?.kind !== 'file') {
      throw new EndoArchiveError(
        `module ${JSON.stringify(specifier)} of ${JSON.stringify(location)} has no file`,
      );
    }
    const importsOf = LANGUAGES.get(module.parser);
    if (importsOf === undefined) {
      throw new EndoArchiveError(
        `there is no parser for language ${JSON.stringify(module.parser)}`,
      );
    }
    const path = `${location}/${module.location}`;
    const bytes = this.#files.take(path);
    if (module.sha512 !== undefined) checkSha512(bytes, module.sha512, path);
    checkSourceName(name, specifier);
    const imports = importsOf(bytes, path);
    if (this.#queue.length + imports.length > MAX_IMPORTS) {
      throw new EndoArchiveError('its modules have more imports than any contract');
    }
    for (const imported of imports) {
      this.#queue.push({ compartment, specifier: resolveSpecifier(imported, specifier) });
    }
  }
}

function checkSha512(bytes: Uint8Array, expected: string, path: string): void {
  const found = createHash('sha512').update(bytes).digest('hex');
  if (found !== expected) {
    throw new EndoArchiveError(`${path} has the wrong SHA-512`, { expected, found });
  }
}

/**
 * Whether a policy may grant a global of this name. The reference assigns to it, which fails if SES has made it
 * constant: the constants of the language and what an object inherits, except for what SES allows to be overridden.
 */
function isGrantable(global: string): boolean {
  if (['Infinity', 'NaN', 'undefined'].includes(global)) return false;
  const isInherited = Object.hasOwn(Object.prototype, global);
  return !isInherited || ['toString', 'valueOf', '__proto__'].includes(global);
}

const [END_BYTES, FILE_BYTES] = [22, 46];
const FILE_SIGNATURE = 0x02014b50;

/**
 * The sum of the sizes in the directory of a zip, in bytes. A damaged directory is summed as far as it can be read;
 * the zip reader reports what is wrong with it.
 */
export function sumOfSizes(zip: Uint8Array): number {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  const end = zip.length - END_BYTES;
  if (end < 0) return 0;
  let sum = 0;
  let at = end - view.getUint32(end + 12, true);
  while (at >= 0 && at + FILE_BYTES <= zip.length && view.getUint32(at, true) === FILE_SIGNATURE) {
    const [name, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    sum += view.getUint32(at + 20, true);
    at += FILE_BYTES + (name ?? 0) + (extra ?? 0) + (comment ?? 0);
  }
  return sum;
}
