import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { isThreadOf, runFaulty, runKilled, type Fault, type Step } from './faults.ts';
import { eachOf, killAt, pickSteps, troublesAfter, type KillReport } from './kills.ts';
import { makeTemplate, scenes, setScene, type Template } from './scenes.ts';

/** A soak kills at every step, a test run at as many of each scene as there is time for. */
const isSoak = process.env['SWINGSNAP_SOAK'] !== undefined;
const AT_MOST = isSoak ? Infinity : 9;
/** The last steps of threads. Those before fill a database that is not visible yet. */
const THREAD_STEPS = isSoak ? Infinity : 4;
const LANES = 2;
const TIMEOUT = isSoak ? 3_600_000 : 120_000;

const tempDir = useTempDir('file');
let template: Template;
let dir: string;

beforeAll(async () => {
  dir = await tempDir();
  template = await makeTemplate(join(dir, 'template'));
});
afterAll(closeReference);

interface Killing {
  readonly step: Step;
  readonly fault: Fault;
}

describe.each(scenes)('$name, killed', (scene) => {
  const victims =
    scene.role === 'worker' ? (['self', 'parent', 'both'] as const) : (['self'] as const);
  it.each(victims)(
    'at any step (%s), leaves old, nothing or new, and succeeds when run again',
    async (who) => {
      const place = await setScene(join(dir, 'dry'), scene, template);
      const dry = await runFaulty(place, scene.args);
      expect(dry.stderr + dry.stdout).not.toContain('hint:');
      expect(dry.exitCode).toBe(0);
      const steps = dry.steps.filter(({ role }) => role === scene.role);
      expect(steps.length).toBeGreaterThan(5);
      const picked = pickSteps(steps, scene.role === 'worker' ? Math.ceil(AT_MOST / 2) : AT_MOST);
      const killings: Killing[] = picked.map((at) => ({
        step: steps[at - 1]!,
        fault: { type: 'kill', role: scene.role, at, when: 'before', who },
      }));
      // The threads of a process end with it, at any step of their own.
      const inThreads = dry.steps.filter((step) => isThreadOf(scene.role, step));
      for (const step of inThreads.slice(-THREAD_STEPS)) {
        const fault = { type: 'kill', role: step.role, at: step.n, when: 'before', who } as const;
        killings.push({ step, fault });
      }
      const last = steps.at(-1)!;
      killings.push({
        step: last,
        fault: { type: 'kill', role: scene.role, at: last.n, when: 'after', who },
      });
      const reports: KillReport[] = [];
      await eachOf(killings, LANES, async ({ step, fault }, lane) => {
        const wrong = await killAt(join(dir, `lane-${lane}`), scene, template, fault);
        const kill = `${fault.when} step ${step.n} of ${steps.length}, ${step.call} ${step.path}`;
        if (wrong.length > 0) reports.push({ kill, wrong });
      });
      if (isSoak) console.log(`${scene.name} (${who}): ${killings.length} kills`);
      expect(reports).toEqual([]);
    },
    TIMEOUT,
  );
});

it.each([
  // Three byte codes, a tree, a store.
  ['restore with modules', ['link', 'link', 'link', 'rename', 'link']],
  ['restore of a state-sync snapshot', ['link', 'link', 'link', 'link']],
])(
  '%s, killed between two installs, completes when run again',
  async (title, calls) => {
    const scene = scenes.find(({ name }) => name === title)!;
    const place = await setScene(join(dir, 'installs'), scene, template);
    const dry = await runFaulty(place, scene.args);
    const installs = dry.steps.filter(
      ({ call, to }) =>
        (call === 'link' || call === 'rename') &&
        /\/(?:restored|node-\w+)(?:\/\w|$)/u.test(to ?? ''),
    );
    expect(installs.map(({ call }) => call)).toEqual(calls);
    const reports: KillReport[] = [];
    const killings = installs.flatMap(({ n, call, to }) =>
      (['before', 'after'] as const).map((when) => ({
        n,
        when,
        what: `${when} ${call} ${to ?? ''}`,
      })),
    );
    await eachOf(killings, LANES, async ({ n, when, what }, lane) => {
      const fault = { type: 'kill', role: 'command', at: n, when, who: 'self' } as const;
      const wrong = await killAt(join(dir, `installs-${lane}`), scene, template, fault);
      if (wrong.length > 0) reports.push({ kill: what, wrong });
    });
    expect(reports).toEqual([]);
  },
  TIMEOUT,
);

/** mulberry32, a small generator: the same seed gives the same numbers from 0 to 1. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('killed at a random time', () => {
  const seeds = isSoak ? Array.from({ length: 150 }, (_, i) => i + 1) : [1, 2, 3, 4, 5, 6, 7, 8];

  it(
    'commands and workers leave old, nothing or new, and succeed when run again',
    async () => {
      const reports: KillReport[] = [];
      await eachOf(seeds, LANES, async (seed, lane) => {
        const random = randomNumbers(seed);
        const scene = scenes[Math.floor(random() * scenes.length)]!;
        const who = (['command', 'worker', 'all'] as const)[Math.floor(random() * 3)]!;
        const delay = Math.floor(100 + random() * 900);
        const place = await setScene(join(dir, `random-${lane}`), scene, template);
        await runKilled(place, scene.args, { delay, who });
        const wrong = await troublesAfter(place, scene, template);
        if (wrong.length > 0) {
          reports.push({ kill: `seed ${seed}: ${scene.name}, ${who} after ${delay} ms`, wrong });
        }
      });
      if (isSoak) console.log(`at random times: ${seeds.length} seeds`);
      expect(reports).toEqual([]);
    },
    TIMEOUT,
  );
});
