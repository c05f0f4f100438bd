/** `--module`: state beside the SwingStore, and the directory it is read from or installed to. */
import { resolve } from 'node:path';
import { CLIError } from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import { EXIT_CODES, UsageError } from '../../errors.ts';
import { refuseSilent } from '../../io/disks/answering.ts';
import { findWasmDir, holdsByteCode, usualWasmDir, WASM } from '../../modules/wasm/layout.ts';
import type { NamedPlace } from '../../operation/places.ts';
import { isModuleName, MODULE_NAMES } from '../../snapshot/module-contract.ts';
import { SOURCE, DESTINATION } from './flags.ts';
import { givenPath } from './path.ts';

/** Kinds of modules that the command line accepts. */
const KINDS = ['wasm', 'files'] as const;

export const moduleFlag = Flags.custom<NamedPlace>({
  char: 'm',
  helpGroup: SOURCE,
  summary:
    'State beside the SwingStore: wasm for contract byte code, files for any directory; may be repeated.',
  helpValue: 'NAME=KIND:DIR',
  multiple: true,
  multipleNonGreedy: true,
  parse: async (input) => {
    const [, name = '', kind = '', dir = ''] = /^([^=]*)=([^:]*):(.+)$/su.exec(input) ?? [];
    const isKnown = KINDS.some((known) => known === kind);
    if (isKnown && isModuleName(name) && name !== 'swingset') {
      const path = givenPath(dir);
      await refuseSilent(path);
      return { name, kind, dir: resolve(path) };
    }
    throw new CLIError(
      `expected NAME=wasm:DIR or NAME=files:DIR with a name of ${MODULE_NAMES} other than swingset, found ${input}`,
      { exit: EXIT_CODES.usage },
    );
  },
});

/** For restore, where a module without a place is an error. */
export const leaveModuleFlag = Flags.string({
  helpGroup: DESTINATION,
  summary: 'Module of the source to leave out (restore still verifies it); may be repeated.',
  helpValue: 'NAME',
  multiple: true,
  multipleNonGreedy: true,
});

/**
 * The named places, plus the wasm directory of a node's home.
 * @param home the node's home, if its parts are meant
 * @param use `read` finds an existing directory; `install` also returns the one to create
 * @throws {UsageError} if a name is given twice
 */
export function placesOf(
  named: readonly NamedPlace[] = [],
  home: string | undefined,
  use: 'read' | 'install',
): NamedPlace[] {
  const names = named.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new UsageError('USAGE', `--module names ${twice} twice`, {
      hint: 'name each module once',
    });
  }
  if (home === undefined || names.includes(WASM)) return [...named];
  const found = findWasmDir(home);
  const dir = use === 'read' ? found : (found ?? usualWasmDir(home));
  const isNothing = dir === undefined || (use === 'read' && !holdsByteCode(dir));
  return isNothing ? [...named] : [...named, { name: WASM, kind: WASM, dir, isGuess: true }];
}
