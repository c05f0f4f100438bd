/** The architecture is what the folders say, and what docs/design.md says about them. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { filesBelow, findCircle, foldersOf, importsBelow, inOrder, neighboursIn } from './graph.ts';

const root = new URL('../../src', import.meta.url).pathname;
const files = filesBelow(root);

it.each(foldersOf(files))('no rooms of src/%s import each other in a circle', (folder) => {
  expect(findCircle(neighboursIn(folder, importsBelow(root)))).toBeUndefined();
});

it('no folder holds more than sixteen files', () => {
  const counts = foldersOf(files).map((folder) => {
    const own = files.filter((file) => file.split('/').slice(0, -1).join('/') === folder);
    return { folder, files: own.length };
  });
  expect(counts.filter(({ files: count }) => count > 16)).toEqual([]);
});

it('docs/design.md names every folder of src/, and no other', () => {
  const text = readFileSync(new URL('../../docs/design.md', import.meta.url), 'utf8');
  const [, tree = ''] = /^## Rooms$.*?^```$(.*?)^```$/msu.exec(text) ?? [];
  const named: string[] = [];
  const above: string[] = [];
  for (const [, indent = '', name = ''] of tree.matchAll(/^( *)([a-z0-9.-]+\/)/gmu)) {
    above.length = indent.length / 2;
    above.push(name.slice(0, -1));
    if (above[0] === 'src' && above.length > 1) named.push(above.slice(1).join('/'));
  }
  expect(named.sort()).toEqual(foldersOf(files).filter((folder) => folder !== ''));
});

it('a circle is found if there is one, and rooms are ordered if there is none', () => {
  const of = (...imports: [string, string][]) =>
    neighboursIn(
      '',
      imports.map(([from, to]) => ({ from, to })),
    );
  expect(findCircle(of(['a/1.ts', 'b/1.ts'], ['b/2.ts', 'a/2.ts']))).toEqual(['a', 'b', 'a']);
  const straight = of(
    ['a/1.ts', 'b/1.ts'],
    ['b/1.ts', 'c.ts'],
    ['a/1.ts', 'a/2.ts'],
    ['c.ts', 'c.ts'],
  );
  expect(findCircle(straight)).toBeUndefined();
  expect(inOrder(straight)).toEqual(['a', 'b', 'c.ts']);
});
