/** What `--check` prints, for every command that has it. */
import type { Check } from '../operation/preflight.ts';
import { formatBytes } from './format.ts';

/** Result of a command that only checked whether it could start. */
export interface CheckResult {
  readonly checked: readonly Check[];
}

export function renderChecks({ checked }: CheckResult): string[] {
  return [
    ...checked.map(({ check, path, free }) => {
      const where = path === undefined ? '' : `: ${path}`;
      return `ok  ${check}${where}${free === undefined ? '' : ` (${formatBytes(free)} free)`}`;
    }),
    'nothing was done',
  ];
}
