/**
 * The compartment map of an Endo archive: which module comes from which file.
 *
 * A *compartment* is one package. Its *modules* are the specifiers known in it. Each is a *file* of the archive, a
 * *link* to a module of some compartment, or fails only when it runs (*deferred*). A *scope* maps every specifier
 * below a prefix to another compartment.
 *
 * This accepts exactly what `assertCompartmentMap` of `@endo/compartment-mapper` accepts, including its accidents
 * (`modules` may be a number). A comment marks each of them.
 */
import { EndoArchiveError } from './endo-archive-error.ts';

export interface LinkModule {
  readonly kind: 'link';
  readonly compartment: string;
  readonly module: string;
}

export interface FileModule {
  readonly kind: 'file';
  /** Path of the file, relative to the compartment's `location`. */
  readonly location: string;
  readonly parser: string;
  /** Hex SHA-512 of the file. Endo does not check a file without one either. */
  readonly sha512: string | undefined;
}

/** `exit` modules come from outside the archive, so the check cannot load them. */
export type ArchivedModule = LinkModule | FileModule | { readonly kind: 'exit' | 'deferred' };

export interface ArchivedCompartment {
  readonly name: string;
  readonly location: string;
  readonly modules: ReadonlyMap<string, ArchivedModule>;
  /**
   * The object that `modules` was read from. The reference looks specifiers up as plain properties, so it also finds
   * those that every object inherits.
   */
  readonly modulesObject: object;
  /** False if `modules` is a number or `true`, to which the reference cannot add properties. */
  readonly modulesExtensible: boolean;
  /** Compartment name by prefix, in file order. */
  readonly scopes: ReadonlyMap<string, string>;
  /** Language names, one for each file extension that the compartment maps. */
  readonly languages: readonly string[];
  readonly policy: PackagePolicy | undefined;
}

export interface PackagePolicy {
  /** The globals that it grants, or an attenuator, which is code in the archive. */
  readonly globals: readonly string[] | 'attenuated';
}

export interface CompartmentMap {
  readonly entry: { readonly compartment: string; readonly module: string };
  readonly compartments: ReadonlyMap<string, ArchivedCompartment>;
  /** See {@link ArchivedCompartment.modulesObject}. */
  readonly compartmentsObject: object;
}

/** An object without any property, not even inherited ones. */
const NOTHING = Object.freeze(Object.create(null) as object);

/**
 * Checks the shape of a parsed `compartment-map.json`.
 * @throws EndoArchiveError if the shape is wrong
 */
export function decodeCompartmentMap(raw: unknown): CompartmentMap {
  const map = decodeFields(raw, 'the compartment map', ['tags', 'entry', 'compartments']);
  if (map['tags'] !== undefined) {
    const tags = map['tags'];
    must(Array.isArray(tags) && tags.every(isString), 'tags must be an array of strings');
  }
  const entry = decodeFields(map['entry'], 'entry', ['compartment', 'module']);
  const compartmentsObject = boxed(map['compartments']);
  const compartments = new Map<string, ArchivedCompartment>();
  for (const [name, value] of Object.entries(compartmentsObject)) {
    compartments.set(name, decodeCompartment(value, `compartment ${JSON.stringify(name)}`));
  }
  return {
    entry: {
      compartment: decodeString(entry['compartment'], 'entry.compartment'),
      module: decodeString(entry['module'], 'entry.module'),
    },
    compartments,
    compartmentsObject,
  };
}

function decodeCompartment(raw: unknown, at: string): ArchivedCompartment {
  const fields = decodeFields(raw, at, [
    'location',
    'name',
    'label',
    'parsers',
    'types',
    'scopes',
    'modules',
    'policy',
  ]);
  decodeString(fields['label'], `${at}: label`);
  decodeStrings(fields['types'], `${at}: types`);
  mustBePrintable(fields['types'], `${at}: types`);
  // Neither the type nor the presence of `modules` is checked, only its entries as an object.
  const modulesObject = fields['modules'] ? boxed(fields['modules']) : NOTHING;
  const modules = new Map<string, ArchivedModule>();
  for (const [specifier, value] of Object.entries(modulesObject)) {
    modules.set(specifier, decodeModule(value, `${at}: module ${JSON.stringify(specifier)}`));
  }
  const scopes = new Map<string, string>();
  for (const [prefix, value] of Object.entries(
    decodeOptionalObject(fields['scopes'], `${at}: scopes`),
  )) {
    const scope = decodeFields(value, `${at}: scope ${JSON.stringify(prefix)}`, ['compartment']);
    scopes.set(prefix, decodeString(scope['compartment'], `${at}: scope.compartment`));
  }
  const languages = decodeStrings(fields['parsers'], `${at}: parsers`);
  mustBePrintable(fields['parsers'], `${at}: parsers`);
  return {
    name: decodeString(fields['name'], `${at}: name`),
    location: decodeString(fields['location'], `${at}: location`),
    modules,
    modulesObject,
    modulesExtensible: !fields['modules'] || typeof fields['modules'] === 'object',
    scopes,
    languages,
    policy: decodePolicy(fields['policy'], `${at}: policy`),
  };
}

function decodeModule(raw: unknown, at: string): ArchivedModule {
  const fields = decodeObject(raw, at);
  mustBePrintable(fields, at);
  if (fields['compartment'] !== undefined || fields['module'] !== undefined) {
    const link = decodeFields(fields, at, ['compartment', 'module', 'retained']);
    const retained = link['retained'];
    must(
      retained === undefined || typeof retained === 'boolean',
      `${at}: retained must be boolean`,
    );
    return {
      kind: 'link',
      compartment: decodeString(link['compartment'], `${at}: compartment`),
      module: decodeString(link['module'], `${at}: module`),
    };
  }
  if (fields['location'] !== undefined || fields['parser'] !== undefined) {
    const file = decodeFields(fields, at, ['location', 'parser', 'sha512']);
    return {
      kind: 'file',
      location: decodeString(file['location'], `${at}: location`),
      parser: decodeString(file['parser'], `${at}: parser`),
      sha512:
        file['sha512'] === undefined ? undefined : decodeString(file['sha512'], `${at}: sha512`),
    };
  }
  if (fields['exit'] !== undefined) {
    decodeString(decodeFields(fields, at, ['exit'])['exit'], `${at}: exit`);
    return { kind: 'exit' };
  }
  // A deferred error may occur with any other properties.
  decodeString(fields['deferredError'], `${at}: deferredError`);
  return { kind: 'deferred' };
}

function decodePolicy(raw: unknown, at: string): PackagePolicy | undefined {
  if (raw === undefined) return undefined;
  const { packages, builtins, globals, noGlobalFreeze } = decodeFields(raw, at, [
    'packages',
    'builtins',
    'globals',
    'noGlobalFreeze',
    'defaultAttenuator',
    'options',
  ]);
  must(
    noGlobalFreeze === undefined || typeof noGlobalFreeze === 'boolean',
    `${at}: noGlobalFreeze must be boolean`,
  );
  must(isPolicyItem(packages), `${at}: packages must be a record of booleans`);
  must(
    isPolicyItem(builtins) ||
      isRecordOf(builtins, (value) => typeof value === 'boolean' || isAttenuation(value)),
    `${at}: builtins must be a record of booleans or attenuations`,
  );
  must(
    isPolicyItem(globals) || isAttenuation(globals),
    `${at}: globals must be a record of booleans or an attenuation`,
  );
  const granted = isAttenuation(globals)
    ? 'attenuated'
    : typeof globals === 'object' && globals !== null
      ? Object.entries(globals).flatMap(([name, value]) => (value ? [name] : []))
      : [];
  return { globals: granted };
}

/** The object on which property lookups on a value operate. */
function boxed(value: unknown): object {
  return Object(value) as object;
}

function isPolicyItem(value: unknown): boolean {
  return (
    value === undefined ||
    value === 'any' ||
    isRecordOf(value, (granted) => typeof granted === 'boolean')
  );
}

function isAttenuation(value: unknown): boolean {
  return Array.isArray(value) || (isObject(value) && isString(value['attenuate']));
}

function isRecordOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return isObject(value) && Object.values(value).every(isItem);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function must(condition: boolean, rule: string): void {
  if (!condition) throw new EndoArchiveError(rule);
}

function decodeString(value: unknown, at: string): string {
  if (!isString(value)) throw new EndoArchiveError(`${at} must be a string`);
  return value;
}

function decodeObject(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new EndoArchiveError(`${at} must be an object`);
  return value;
}

function decodeOptionalObject(value: unknown, at: string): Readonly<Record<string, unknown>> {
  return value === undefined ? {} : decodeObject(value, at);
}

/** The values of an object whose values must all be strings. */
function decodeStrings(value: unknown, at: string): string[] {
  return Object.entries(decodeOptionalObject(value, at)).map(([key, item]) =>
    decodeString(item, `${at}.${key}`),
  );
}

/** An object that must have no properties except `names`. */
function decodeFields(
  value: unknown,
  at: string,
  names: readonly string[],
): Readonly<Record<string, unknown>> {
  const object = decodeObject(value, at);
  for (const name of Object.keys(object)) {
    must(names.includes(name), `${at} must not have a property ${JSON.stringify(name)}`);
  }
  return object;
}

/**
 * Refuses a property `toString`, even where other properties are allowed: the reference formats its error message
 * before it checks whether it needs one, and fails on an object that cannot be converted to a string.
 */
function mustBePrintable(value: unknown, at: string): void {
  must(!isObject(value) || !Object.hasOwn(value, 'toString'), `${at} must not have toString`);
}
