/**
 * Arithmetic on module specifiers as in `@endo/compartment-mapper`: names with slashes, no file system.
 */
import { EndoArchiveError } from './endo-archive-error.ts';

/**
 * Resolves `specifier`, as imported by `referrer`, to a full specifier in the same compartment.
 * @param referrer full specifier of the importing module
 * @throws EndoArchiveError if `specifier` is absolute or leaves the compartment, or `referrer` is not below `./`
 */
export function resolveSpecifier(specifier: string, referrer: string): string {
  if (specifier.startsWith('/') || !referrer.startsWith('./')) {
    throw new EndoArchiveError(`${quote(specifier)} cannot be imported from ${quote(referrer)}`);
  }
  const parts = specifier.split('/');
  const isRelative = parts[0] === '.' || parts[0] === '..';
  // The leading `.` counts as a step: `../x` from `./a.js` is the specifier `x`, not an escape.
  const path = isRelative
    ? walk(['.'], [...referrer.split('/').slice(0, -1), ...parts])
    : walk([], parts);
  if (path === undefined) {
    throw new EndoArchiveError(`${quote(specifier)} in ${quote(referrer)} leaves its package`);
  }
  return path.join('/');
}

/**
 * Checks that a module's file can have a source name, which consists of the last part of its package's name and the
 * module's specifier.
 * @throws EndoArchiveError if the specifier leaves its package, or the package's name is `.` or `..`
 */
export function checkSourceName(packageName: string, specifier: string): void {
  const base = packageName.slice(packageName.lastIndexOf('/') + 1);
  const parts = specifier.split('/');
  const isNamed = base !== '.' && base !== '..' && parts[0] === '.';
  if (!isNamed || walk([], parts) === undefined) {
    throw new EndoArchiveError(
      `${quote(specifier)} of package ${quote(packageName)} is not a file specifier`,
    );
  }
}

/** Follows `parts` from `start`. Returns undefined if they lead above it. */
function walk(start: readonly string[], parts: readonly string[]): string[] | undefined {
  const path = [...start];
  for (const part of parts) {
    if (part === '' || part === '.') continue;
    if (part !== '..') path.push(part);
    else if (path.pop() === undefined) return undefined;
  }
  return path;
}

function quote(specifier: string): string {
  return JSON.stringify(specifier);
}
