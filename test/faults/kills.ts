/** SIGKILL at a step, and what must be true after it. */
import { join } from 'node:path';
import {
  locksLeft,
  processesLeft,
  run,
  runFaulty,
  temporariesLeft,
  type Fault,
  type Place,
  type Step,
} from './faults.ts';
import { bytesOfStore, setScene, type Scene, type Template } from './scenes.ts';

/** A kill, and what was wrong after it. */
export interface KillReport {
  readonly kill: string;
  readonly wrong: readonly string[];
}

/** What is wrong after a kill, and after a second run of the same command. */
export async function troublesAfter(
  place: Place,
  scene: Scene,
  template: Template,
): Promise<string[]> {
  const wrong: string[] = [];
  const expectNothing = (what: string, found: readonly unknown[]): void => {
    if (found.length > 0) wrong.push(`${what}: ${found.join(', ')}`);
  };
  expectNothing('processes left', await processesLeft(place));
  expectNothing('locks left', locksLeft(place));
  let held: string;
  try {
    held = await scene.holds(place, template);
  } catch (error) {
    held = 'neither';
    wrong.push(`half of something: ${String(error)}`);
  }
  const again = await run(place, scene.args);
  const refused = held === scene.makes && scene.refusedWhenDone.includes(again.exitCode ?? -1);
  if (again.exitCode !== 0 && !refused) {
    wrong.push(`run again over ${held}: exit ${again.exitCode}: ${again.stderr}`);
  }
  try {
    const made = await scene.holds(place, template);
    if (made !== scene.makes) wrong.push(`run again: it holds ${made}`);
  } catch (error) {
    wrong.push(`run again: ${String(error)}`);
  }
  expectNothing('temporary names left', temporariesLeft(place));
  if (scene.needs.includes('state')) {
    const [now, before] = [place.root, template.dir].map((dir) => bytesOfStore(join(dir, 'state')));
    if (now !== before) wrong.push('the source store has changed');
  }
  return wrong;
}

export async function killAt(
  dir: string,
  scene: Scene,
  template: Template,
  fault: Fault,
): Promise<string[]> {
  const place = await setScene(dir, scene, template);
  const { exitCode, stderr, steps } = await runFaulty(place, scene.args, fault);
  const wasReached = steps.some(({ role, n }) => role === fault.role && n === fault.at);
  const wrong = await troublesAfter(place, scene, template);
  if (/\n\s+at |UNEXPECTED/u.test(stderr)) wrong.push(`a crash: ${stderr}`);
  if (exitCode === 0 && fault.when === 'before' && wasReached) wrong.push('it was not killed');
  return wrong;
}

const TURNING_POINTS = new Set(['rename', 'link', 'mkdir', 'rmdir']);

/**
 * Picks steps of a run: turning points, the first, the last, and as many of the rest as `atMost` leaves room for.
 * @returns numbers of steps, in order
 */
export function pickSteps(steps: readonly Step[], atMost: number): number[] {
  const numbers = steps.map(({ n }) => n);
  if (numbers.length <= atMost) return numbers;
  const turns = steps.filter(({ call }) => TURNING_POINTS.has(call)).map(({ n }) => n);
  const picked = new Set(thinned(turns, Math.floor(atMost / 2)));
  picked.add(numbers[0]!).add(numbers.at(-1)!);
  const rest = numbers.filter((n) => !picked.has(n));
  for (const n of thinned(rest, Math.max(0, atMost - picked.size))) picked.add(n);
  return [...picked].sort((a, b) => a - b);
}

function thinned(numbers: readonly number[], atMost: number): number[] {
  if (numbers.length <= atMost) return [...numbers];
  return Array.from(
    { length: atMost },
    (_, i) => numbers[Math.floor((i * numbers.length) / atMost)]!,
  );
}

/** Does `work` for each item, with `atATime` of them at once. */
export async function eachOf<Item>(
  items: readonly Item[],
  atATime: number,
  work: (item: Item, lane: number) => Promise<void>,
): Promise<void> {
  const rest = [...items];
  const lane = async (_: unknown, number: number): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item, number);
  };
  await Promise.all(Array.from({ length: atATime }, lane));
}
