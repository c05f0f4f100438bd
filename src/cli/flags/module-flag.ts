/** `--module`: what is carried beside the SwingStore, and where it is or goes. */
import { resolve } from 'node:path';
import { CLIError } from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import { EXIT_CODES, UsageError } from '../../errors.ts';
import { findWasmDir, holdsByteCode, usualWasmDir, WASM } from '../../modules/wasm/layout.ts';
import type { NamedPlace } from '../../operation/places.ts';
import { isModuleName, MODULE_NAMES } from '../../snapshot/module-contract.ts';

/** Kinds that a place on the command line can have. */
const KINDS = ['wasm', 'files'] as const;

export const moduleFlag = Flags.custom<NamedPlace>({
  summary:
    'State beside the SwingStore: wasm for byte code of contracts, files for any directory; may be repeated.',
  helpValue: 'NAME=KIND:DIR',
  multiple: true,
  parse: (input) => {
    const [, name = '', kind = '', dir = ''] = /^([^=]*)=([^:]*):(.+)$/su.exec(input) ?? [];
    const isKnown = KINDS.some((known) => known === kind);
    if (isKnown && isModuleName(name) && name !== 'swingset') {
      return Promise.resolve({ name, kind, dir: resolve(dir) });
    }
    throw new CLIError(
      `expected NAME=wasm:DIR or NAME=files:DIR with a name of ${MODULE_NAMES}, and not swingset, found ${input}`,
      { exit: EXIT_CODES.usage },
    );
  },
});

/**
 * The places that were named, and what a node's home has beside them.
 * @param home of the node, if it stands for its parts
 * @param use `read` finds what there is, `install` also where it will be
 * @throws {UsageError} if a name was given twice
 */
export function placesOf(
  named: readonly NamedPlace[] = [],
  home: string | undefined,
  use: 'read' | 'install',
): NamedPlace[] {
  const names = named.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new UsageError('USAGE', `--module names ${twice} twice`, { hint: 'give each one place' });
  }
  if (home === undefined || names.includes(WASM)) return [...named];
  const found = findWasmDir(home);
  const dir = use === 'read' ? found : (found ?? usualWasmDir(home));
  const isNothing = dir === undefined || (use === 'read' && !holdsByteCode(dir));
  return isNothing ? [...named] : [...named, { name: WASM, kind: WASM, dir, isGuess: true }];
}
