/**
 * Checks an Endo archive, the content of a `b1-` bundle: a zip with `compartment-map.json` and one file for each
 * module.
 *
 * It proves a chain of hashes (the id is the SHA-512 of the compartment map, which holds the SHA-512 of each file)
 * and that the archive is closed: every import that starts at the entry module leads to a file, and every file is
 * reached. The rules are those of `parseArchive` in `@endo/compartment-mapper`, which needs the SES shim's
 * `Compartment` and so cannot run beside the rest of this program; no module is evaluated there or here.
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

/** Bytes of its files that are looked at, as a multiple of the archive: an honest one has a module for each file. */
const MAX_LOOKS = 8;
/** Imports of all its modules: hundreds of times as many as a contract has. */
const MAX_IMPORTS = 1_000_000;
/** Each import is resolved against all of the specifier that it stands in. */
const MAX_SPECIFIER_UNITS = 1024;

/** The compartment whose modules attenuate what others get. It can be only in an archive with policies. */
const ATTENUATORS = '<ATTENUATORS>';

/**
 * Checks that an archive is sound and has the given compartment map.
 * @param bytes the zip; its reader makes one copy of it
 * @param expectedSha512 hex SHA-512 of the file `compartment-map.json` in it
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

/** The files of a zip, and which of them nobody has asked for. */
class ArchivedFiles {
  readonly #zip: ZipReader;
  readonly #unseen: Set<string>;
  #bytesLeft: number;

  constructor(bytes: Uint8Array) {
    if (sumOfSizes(bytes) > bytes.length) {
      throw new EndoArchiveError('its zip names more bytes than it has');
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

/** A compartment while its modules are loaded. */
interface LoadingCompartment {
  readonly archived: ArchivedCompartment;
  /** Grows by the links that its scopes make. */
  readonly modules: Map<string, ArchivedModule>;
  readonly scopes: ScopeIndex;
  readonly loaded: Set<string>;
}

/** A module by the compartment that asks for it, and the name that it has there. */
interface ModuleAddress {
  readonly compartment: LoadingCompartment;
  readonly specifier: string;
}

/** Follows every import from the entry module, and checks each file that this leads to. */
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
    // It grows meanwhile, and what is done with stays: to take the first of a long array away moves all others.
    for (const next of this.#queue) this.#loadModule(next);
  }

  /** What the reference demands of every compartment, whether a module of it is loaded or not. */
  #checkCompartment(name: string, archived: ArchivedCompartment): void {
    const at = `compartment ${JSON.stringify(name)}`;
    const unknown = archived.languages.find((language) => !LANGUAGES.has(language));
    if (unknown !== undefined) {
      throw new EndoArchiveError(`${at} has no parser for language ${JSON.stringify(unknown)}`);
    }
    if (Reflect.get(this.#map.compartmentsObject, archived.location) === undefined) {
      throw new EndoArchiveError(`the location of ${at} names no compartment`);
    }
    if (name === ATTENUATORS && archived.policy === undefined) {
      throw new EndoArchiveError(`${at} has no policy`);
    }
    const globals = archived.policy?.globals ?? [];
    if (globals === 'attenuated') {
      // Without attenuators the reference refuses, too; with them it would run their code, and we do not.
      throw new EndoArchiveError(`${at} has globals that code of the archive attenuates`);
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

  /** Loads one module, through any links, and queues what it imports. */
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
      // The reference would wait for itself, for ever.
      throw new EndoArchiveError(`module ${JSON.stringify(end.specifier)} is a link to itself`);
    }
  }

  /** Where a specifier is linked to, by its own entry or else by the first scope that it lies in. */
  #linkOf({ compartment, specifier }: ModuleAddress): ModuleAddress | undefined {
    const { archived, modules, scopes } = compartment;
    const module = modules.get(specifier);
    if (module === undefined && Reflect.get(archived.modulesObject, specifier) !== undefined) {
      // The reference takes what the object inherits for a module, and fails to mark it as one in use.
      throw new EndoArchiveError(`${JSON.stringify(specifier)} is no module`);
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
      throw new EndoArchiveError('the name of a module is longer than any path');
    }
    const { name, location } = compartment.archived;
    // Files are looked up in the compartment that the location names, which need not be this one.
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
      throw new EndoArchiveError('its modules import more than any contract');
    }
    for (const imported of imports) {
      this.#queue.push({ compartment, specifier: resolveSpecifier(imported, specifier) });
    }
  }
}

function checkSha512(bytes: Uint8Array, expected: string, path: string): void {
  const found = createHash('sha512').update(bytes).digest('hex');
  if (found !== expected) {
    throw new EndoArchiveError(`${path} has another SHA-512`, { expected, found });
  }
}

/**
 * Whether a policy may grant a global of this name. The reference assigns to it, and fails where SES has made it
 * constant: its own constants, and what an object inherits, except for what it lets be overridden.
 */
function isGrantable(global: string): boolean {
  if (['Infinity', 'NaN', 'undefined'].includes(global)) return false;
  const isInherited = Object.hasOwn(Object.prototype, global);
  return !isInherited || ['toString', 'valueOf', '__proto__'].includes(global);
}

const [END_BYTES, FILE_BYTES] = [22, 46];
const FILE_SIGNATURE = 0x02014b50;

/**
 * The sum of the sizes that the directory of a zip names, in bytes; of one that cannot be read, as far as it can. What
 * is wrong with it is for the reader to say.
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
