/** Small export directories and records of operations whose reading may be expensive. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundles } from './bundle-inputs.ts';
import type { Input } from './input.ts';

interface ExportFiles {
  readonly lines: string;
  readonly artifacts?: readonly (readonly [name: string, content: string | Buffer])[];
  readonly manifest?: (manifest: object) => string;
}

async function write(
  dir: string,
  { lines, artifacts = [], manifest }: ExportFiles,
): Promise<string> {
  const path = join(dir, 'export');
  await mkdir(path);
  await writeFile(join(path, 'export-data.jsonl'), lines);
  // Thousands of artifacts may share a file.
  for (const [name, content] of artifacts.slice(0, 100)) await writeFile(join(path, name), content);
  const pairs = artifacts.map(([name], at) => [name, artifacts[at % 100]?.[0] ?? name]);
  const said = {
    blockHeight: 7,
    artifactMode: 'archival',
    data: 'export-data.jsonl',
    artifacts: pairs,
  };
  await writeFile(join(path, 'export-manifest.json'), manifest?.(said) ?? JSON.stringify(said));
  return path;
}

const line = (key: string, value: string): string => `${JSON.stringify([key, value])}\n`;
const many = (count: number, of: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => of(i)).join('');

const span = (startPos: number | string, endPos: number, isCurrent: boolean): string =>
  line(
    `transcript.v1.${isCurrent ? 'current' : String(startPos)}`,
    JSON.stringify({
      vatID: 'v1',
      startPos,
      endPos,
      hash: 'h',
      isCurrent: isCurrent ? 1 : 0,
      incarnation: 0,
    }),
  );

/** @param random gives numbers from 0 to below 1 */
export function exportInputs(random: () => number): readonly Input[] {
  const about = (size: number): number => Math.ceil(size * (0.7 + 0.6 * random()));
  const named = (name: string, files: () => ExportFiles): Input => ({
    name: `export directory: ${name}`,
    make: async (dir) => ['verify', await write(dir, files())],
  });
  const record = (name: string, text: () => string): Input => ({
    name: `record: ${name}`,
    make: async (dir) => {
      const path = join(dir, 'export');
      await mkdir(path);
      await writeFile(join(path, '.swingsnap-operation.json'), text());
      return ['status', '--export-dir', path];
    },
  });
  return [
    named('lines of null', () => ({ lines: 'null\n'.repeat(about(180_000)) })),
    named('one key over and over', () => ({ lines: line('kv.a', '1').repeat(about(60_000)) })),
    named('keys in the wrong order', () => ({
      lines: many(about(40_000), (i) => line(`kv.${9_999_999 - i}`, '')),
    })),
    named('line breaks', () => ({ lines: '\n'.repeat(about(900_000)) })),
    named('a nested line', () => ({
      lines: `["kv.a",${'['.repeat(about(300_000))}`,
    })),
    named('a nested value', () => {
      const depth = about(300_000);
      return { lines: `["snapshot.v1.1",${'['.repeat(depth)}${']'.repeat(depth)}]\n` };
    }),
    named('a line of escapes', () => ({ lines: line('kv.a', '\u0001'.repeat(about(150_000))) })),
    named('a position of many digits', () => ({
      lines: span(`${'1'.repeat(about(700_000))}x`, 1, true),
    })),
    named('a position after many blanks', () => ({
      lines: span(`${' '.repeat(about(700_000))}x`, 1, true),
    })),
    named('spans that overlap', () => ({
      lines: many(about(6000), (i) => span(i, 9999, false)),
      artifacts: Array.from({ length: 6000 }, (_, i) => [`transcript.v1.${i}.9999`, '']),
    })),
    named('artifacts without valid names', () => ({
      lines: '',
      artifacts: [[`snapshot.${'v'.repeat(190)}.1`, '']],
      manifest: (said) =>
        JSON.stringify({
          ...said,
          artifacts: Array.from({ length: about(30_000) }, (_, i) => [`a${i}`, 'a']),
        }),
    })),
    named('a nested manifest', () => ({
      lines: '',
      manifest: (said) =>
        `{"x":${'['.repeat(300_000)}${']'.repeat(300_000)},${JSON.stringify(said).slice(1)}`,
    })),
    named('a mode of blanks', () => ({
      lines: '',
      manifest: (said) =>
        JSON.stringify({ ...said, artifactMode: `a${' '.repeat(about(700_000))}b` }),
    })),
    ...bundles(random).map(({ name, id, bytes }) =>
      named(`a bundle ${name}`, () => ({
        lines: line(`bundle.${id}`, id),
        artifacts: [[`bundle.${id}`, bytes()]],
      })),
    ),
    record('of blanks', () => ' '.repeat(about(700_000))),
    record('that is nested', () => '['.repeat(about(250_000))),
    record('with a message of blanks', () =>
      JSON.stringify({ format: `swingsnap${' '.repeat(about(200_000))}operation` }),
    ),
  ];
}
