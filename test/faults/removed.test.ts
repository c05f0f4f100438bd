import { existsSync } from 'node:fs';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import {
  locksLeft,
  processesLeft,
  runFaulty,
  temporariesLeft,
  type FaultyRun,
  type Place,
} from './faults.ts';
import { eachOf, pickSteps } from './kills.ts';
import { makeTemplate, scenes, setScene, type Scene, type Template } from './scenes.ts';

const isSoak = process.env['SWINGSNAP_SOAK'] !== undefined;
const AT_MOST = isSoak ? Infinity : 4;
const TIMEOUT = isSoak ? 3_600_000 : 120_000;

const tempDir = useTempDir('file');
let template: Template;
let dir: string;

beforeAll(async () => {
  dir = await tempDir();
  template = await makeTemplate(join(dir, 'template'));
});
afterAll(closeReference);

const sceneNamed = (name: string): Scene => scenes.find((scene) => scene.name === name)!;

type Verb = readonly [verb: string, ...args: unknown[]];

/** Disturbs the files of a run before each of its steps in turn, and fails with what is wrong afterwards. */
async function disturb(
  scene: Scene,
  name: string,
  disturbance: (root: string) => readonly Verb[],
  troublesOf: (run: FaultyRun, place: Place) => Promise<readonly string[]>,
): Promise<void> {
  const dry = await runFaulty(
    await setScene(join(dir, `dry-${name}`), scene, template),
    scene.args,
  );
  expect(dry.exitCode, dry.stderr).toBe(0);
  const own = dry.steps.filter(({ role }) => role === scene.role);
  // A disturbance before the store is opened only decides which store is read.
  const opened = own.findIndex(
    ({ call, path }) => call === 'sqlite exec' && path.includes('/state/'),
  );
  const steps = own.slice(Math.max(0, opened));
  const reports: { step: string; wrong: readonly string[] }[] = [];
  await eachOf(pickSteps(steps, AT_MOST), 2, async (at, lane) => {
    const place = await setScene(join(dir, `${name}-${lane}`), scene, template);
    if (disturbance('').some(([, from]) => String(from).includes('other'))) {
      await cp(join(template.dir, 'other'), join(place.root, 'other'), { recursive: true });
    }
    const run = await runFaulty(place, scene.args, {
      type: 'run',
      role: scene.role,
      at,
      when: 'before',
      steps: disturbance(place.root),
    });
    const wrong = [...(await troublesOf(run, place))];
    if (/\n\s+at |UNEXPECTED/u.test(run.stderr)) wrong.push(`a crash: ${run.stderr}`);
    if (run.exitCode !== 0 && !/^swingsnap: .+$/mu.test(run.stderr)) wrong.push('no error is told');
    if (run.exitCode === null) wrong.push('it hangs');
    for (const pid of await processesLeft(place)) wrong.push(`process ${pid} left`);
    for (const lock of locksLeft(place)) wrong.push(`lock ${lock} left`);
    for (const path of temporariesLeft(place)) wrong.push(`${path} left`);
    const { call, path } = own[at - 1]!;
    if (wrong.length > 0) reports.push({ step: `${at} ${call} ${path}`, wrong });
  });
  expect(reports).toEqual([]);
}

const removals = [
  { sceneName: 'export', target: 'export' },
  { sceneName: 'retrieve from the store', target: 'snapshots' },
  { sceneName: 'retrieve from an export directory', target: 'snapshots' },
  { sceneName: 'retrieve from an export directory', target: 'export' },
  { sceneName: 'restore', target: 'restored' },
  { sceneName: 'discard', target: 'export' },
];

describe('a directory removed while a command uses it', () => {
  it.each(removals)(
    '($target) makes $sceneName fail cleanly, or lets it succeed as usual',
    async ({ sceneName, target }) => {
      const scene = sceneNamed(sceneName);
      const name = `${sceneName}-${target}`.replaceAll(' ', '-');
      await disturb(
        scene,
        name,
        (root) => [['rmSync', join(root, target), { recursive: true, force: true }]],
        async ({ exitCode, stderr }, place) => {
          const holds = await scene.holds(place, template).catch(String);
          const gone = !existsSync(join(place.root, target));
          if (exitCode === 0) {
            return holds === scene.makes || gone ? [] : [`exit 0, and it holds ${holds}`];
          }
          return holds === 'nothing' || holds === scene.makes
            ? []
            : [`it holds ${holds}: ${stderr}`];
        },
      );
    },
    TIMEOUT,
  );
});

const state = (root: string, file = ''): string => join(root, 'state', file);
const replacements: readonly { how: string; steps: (root: string) => readonly Verb[] }[] = [
  {
    how: 'its directory moved, another in its place',
    steps: (root) => [
      ['renameSync', state(root), join(root, 'moved')],
      ['renameSync', join(root, 'other'), state(root)],
    ],
  },
  {
    how: 'its files removed, another database in their place',
    steps: (root) => [
      ...['', '-wal', '-shm'].map(
        (suffix) => ['rmSync', state(root, `swingstore.sqlite${suffix}`), { force: true }] as const,
      ),
      ['renameSync', join(root, 'other', 'swingstore.sqlite'), state(root, 'swingstore.sqlite')],
    ],
  },
];

describe.each(replacements)('a source store replaced while it is read ($how)', ({ steps, how }) => {
  it.each(['export', 'retrieve from the store'])(
    'makes %s fail cleanly, or is still what it reads',
    async (sceneName) => {
      const scene = sceneNamed(sceneName);
      const name = `replaced-${sceneName}-${how}`.replaceAll(/[ ,]/gu, '-');
      await disturb(scene, name, steps, async ({ exitCode }, place) => {
        const found = await scene.holds(place, template).catch(String);
        if (exitCode !== 0) return found === 'nothing' ? [] : [`failed, and it holds ${found}`];
        return found === 'new' ? [] : [`it holds ${found}`];
      });
      expect(await readdir(template.dir)).toContain('state');
    },
    TIMEOUT,
  );
});
