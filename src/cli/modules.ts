/** What became of the modules of a snapshot, in lines. */
import type { ModuleResult } from '../operation/modules-of-snapshot.ts';

/** One line for each but `swingset`, which is what the rest of the text is about. */
export function renderModules(
  modules: readonly ModuleResult[],
  verb: 'restored' | 'verified',
): string[] {
  return modules
    .filter(({ name }) => name !== 'swingset')
    .map(({ name, kind, path, movedTo, compared }) => {
      const what = `  module ${name} (${kind})  `;
      if (path === undefined) return `${what}verified`;
      if (compared === undefined) {
        const old = movedTo === undefined ? '' : `; what was there is in ${movedTo}`;
        return `${what}${verb}: ${path}${old}`;
      }
      const { equal, onlyThere } = compared;
      return `${what}compared: ${path}: ${String(equal)} equal, ${String(onlyThere)} only there`;
    });
}
