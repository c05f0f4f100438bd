/** Which program this is. */
import { readFileSync } from 'node:fs';

interface Program {
  readonly name: string;
  readonly version: string;
}

let program: Program | undefined;

/** Name and version, from `package.json`. */
export function programFacts(): Program {
  const manifest = new URL('../../package.json', import.meta.url);
  program ??= JSON.parse(readFileSync(manifest, 'utf8')) as Program;
  return program;
}

/** In the form that manifests use: `swingsnap 0.1.0`. */
export function programName(): string {
  const { name, version } = programFacts();
  return `${name} ${version}`;
}
