/** Bundles whose checks may be expensive. */
import { createHash } from 'node:crypto';
import { sha512 } from '../swing-store-export/bundle/bundle-cases.ts';
import { rawZip } from '../swing-store-export/bundle/raw-zip.ts';

export interface BundleInput {
  readonly name: string;
  readonly id: string;
  readonly bytes: () => Buffer;
}

const script = (imports: readonly string[]): string => JSON.stringify({ imports });
const list = (count: number, of: (i: number) => string): string[] =>
  Array.from({ length: count }, (_, i) => of(i));

function archive(
  name: string,
  modules: Record<string, object>,
  files: Record<string, string>,
  scopes: Record<string, object> = {},
): BundleInput {
  const map = JSON.stringify({
    entry: { compartment: 'c', module: './a' },
    compartments: {
      c: { location: 'c', name: 'c', label: 'c', modules, scopes },
      o: { location: 'o', name: 'o', label: 'o', modules: {} },
    },
  });
  const entries = Object.entries({ 'compartment-map.json': map, ...files });
  return {
    name,
    id: `b1-${sha512(map)}`,
    bytes: () =>
      Buffer.from(
        rawZip(entries.map(([path, text]) => ({ name: path, content: Buffer.from(text) }))),
      ),
  };
}

/** @param random gives numbers from 0 to below 1 */
export function bundles(random: () => number): readonly BundleInput[] {
  const about = (size: number): number => Math.ceil(size * (0.7 + 0.6 * random()));
  const parser = 'pre-cjs-json';
  const module = (location: string): object => ({ location, parser });
  const modules = (names: readonly string[], of = (name: string): string => name.slice(2)) =>
    Object.fromEntries(['./a', ...names].map((name) => [name, module(of(name))]));
  const many = list(about(3000), (i) => `./m${i}`);
  const deep = about(3000);
  const nested = `${'['.repeat(deep)}"a"${`,"${'x'.repeat(250)}"]`.repeat(deep)}`;
  const wide = `[${'{},'.repeat(about(200_000))}{}]`;
  const b0 = JSON.stringify({ moduleFormat: 'nestedEvaluate', source: nested, sourceMap: '' });
  return [
    archive(
      'whose modules share a file',
      modules(many, (name) => (name === './a' ? 'a' : 'f')),
      {
        'c/a': script(many),
        'c/f': `{"imports":[],"text":"${' '.repeat(300_000)}"}`,
      },
    ),
    archive(
      'whose modules import each other',
      modules(many.slice(0, 50)),
      Object.fromEntries(
        ['a', ...many.slice(0, 50).map((name) => name.slice(2))].map((name) => [
          `c/${name}`,
          script(list(2000, (i) => `./m${i % 50}`)),
        ]),
      ),
    ),
    archive('that imports one over and over', modules(['./b']), {
      'c/a': script(list(about(200_000), () => './b')),
      'c/b': script([]),
    }),
    archive(
      'with scopes',
      modules(many),
      {
        'c/a': script([...many, 'none']),
        ...Object.fromEntries(many.map((name) => [`c/${name.slice(2)}`, script([])])),
      },
      Object.fromEntries(
        list(about(20_000), (i) => `s${i}`).map((name) => [name, { compartment: 'o' }]),
      ),
    ),
    archive(
      'with a nested program',
      { './a': { location: 'a', parser: 'pre-mjs-json' } },
      {
        'c/a': `{"imports":[],"__syncModuleProgram__":${nested}}`,
      },
    ),
    archive(
      'with a program of many parts',
      { './a': { location: 'a', parser: 'pre-mjs-json' } },
      {
        'c/a': `{"imports":[],"__syncModuleProgram__":${wide}}`,
      },
    ),
    archive(
      'with a name of many parts',
      modules([`./${'b/'.repeat(about(50_000))}b`], () => 'a'),
      {
        'c/a': script([`./${'b/'.repeat(about(50_000))}b`]),
      },
    ),
    {
      name: 'of nested evaluation',
      id: `b0-${createHash('sha256').update(b0).digest('hex')}`,
      bytes: () => Buffer.from(b0),
    },
    {
      name: 'of nested evaluation, with nested parts',
      id: `b0-${'0'.repeat(64)}`,
      bytes: () => Buffer.from(`{"source":${'['.repeat(400_000)}${']'.repeat(400_000)}}`),
    },
    {
      name: 'whose zip names one file over and over',
      id: `b1-${'0'.repeat(128)}`,
      bytes: () => {
        const zip = Buffer.from(rawZip([{ name: 'x', content: Buffer.alloc(300_000) }]));
        const [end, entry] = [zip.subarray(-22), zip.subarray(zip.length - 69, -22)];
        const count = about(9000);
        for (const at of [8, 10]) end.writeUInt16LE(count, at);
        end.writeUInt32LE(count * entry.length, 12);
        return Buffer.concat([
          zip.subarray(0, zip.length - 69),
          ...Array<Buffer>(count).fill(entry),
          end,
        ]);
      },
    },
  ];
}
