/**
 * `npm run rooms`: prints the rooms of src/ with what each imports, and fails if they import each other in a circle.
 */
import { filesBelow, findCircle, foldersOf, importsBelow, inOrder, neighboursIn } from './graph.ts';

const root = new URL('../../src', import.meta.url).pathname;
const imports = importsBelow(root);
const circles: string[] = [];
for (const folder of foldersOf(filesBelow(root))) {
  const neighbours = neighboursIn(folder, imports);
  console.log(`src/${folder}`);
  const circle = findCircle(neighbours);
  if (circle !== undefined) circles.push(`src/${folder}: ${circle.join(' -> ')}`);
  for (const room of circle === undefined ? inOrder(neighbours) : neighbours.keys()) {
    const imported = [...(neighbours.get(room) ?? [])].sort();
    console.log(`  ${room}${imported.length === 0 ? '' : ` -> ${imported.join(', ')}`}`);
  }
}
for (const circle of circles) console.error(`rooms import each other in a circle: ${circle}`);
process.exitCode = circles.length > 0 ? 1 : 0;
