/**
 * The module languages of Endo archives. Original sources (`mjs`, `cjs`) are not among them: an archive contains
 * precompiled modules, which are JSON records with the names of their imports.
 */
import { EndoArchiveError, decodeArchivedJson } from './endo-archive-error.ts';

/**
 * Returns the specifiers that a module imports, as written in it.
 * @throws EndoArchiveError if the file is not a module in this language
 */
export type ImportsOf = (bytes: Uint8Array, path: string) => readonly string[];

/** The reference fails at some deeper nesting, when its stack overflows. */
const MAX_NESTING = 1000;

export const LANGUAGES: ReadonlyMap<string, ImportsOf> = new Map([
  ['pre-mjs-json', importsOfPrecompiledModule],
  ['pre-cjs-json', importsOfPrecompiledScript],
  ['json', importsNothing],
  ['text', importsNothing],
  ['bytes', importsNothing],
]);

function importsNothing(): readonly string[] {
  // JSON is parsed only when the module runs.
  return [];
}

function importsOfPrecompiledScript(bytes: Uint8Array, path: string): readonly string[] {
  return importsOfRecord(decodeRecord(bytes, path), path);
}

function importsOfPrecompiledModule(bytes: Uint8Array, path: string): readonly string[] {
  const record = decodeRecord(bytes, path);
  if (!isText(record['__syncModuleProgram__'], MAX_NESTING)) {
    throw new EndoArchiveError(`${path} has no program`);
  }
  return importsOfRecord(record, path);
}

/**
 * Whether JavaScript can convert a JSON value to a string. The reference appends a comment to the program, whatever
 * its type. That fails on an object with a property `toString`, alone or in an array, and on arrays nested too deep.
 * The string itself is not built here: for nested arrays JavaScript builds it again at each level.
 */
function isText(value: unknown, nesting: number): boolean {
  if (Array.isArray(value)) return nesting > 0 && value.every((item) => isText(item, nesting - 1));
  return !isRecord(value) || !Object.hasOwn(value, 'toString');
}

function importsOfRecord(record: object, path: string): readonly string[] {
  const imports: unknown = Reflect.get(record, 'imports');
  if (!Array.isArray(imports) || !imports.every((item) => typeof item === 'string')) {
    throw new EndoArchiveError(`${path} has no list of imports`);
  }
  return imports;
}

function decodeRecord(bytes: Uint8Array, path: string): Readonly<Record<string, unknown>> {
  const record = decodeArchivedJson(bytes, path);
  if (!isRecord(record)) throw new EndoArchiveError(`${path} is not a JSON object`);
  return record;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
