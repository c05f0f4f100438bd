import type { Config } from '@oclif/core/interfaces';

/** Name and version of the program, as manifests record it: `swingsnap 0.1.0`. */
export function programName(config: Config): string {
  return `${config.bin} ${config.version}`;
}
