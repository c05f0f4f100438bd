import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import {
  locksLeft,
  processesLeft,
  run,
  runFaulty,
  temporariesLeft,
  type Fault,
  type Place,
} from './faults.ts';
import { eachOf, pickSteps } from './kills.ts';
import { makeTemplate, scenes, setScene, type Scene, type Template } from './scenes.ts';

const isSoak = process.env['SWINGSNAP_SOAK'] !== undefined;
const AT_MOST = isSoak ? Infinity : 5;
const TIMEOUT = isSoak ? 3_600_000 : 120_000;

const tempDir = useTempDir('file');
let template: Template;
let dir: string;

beforeAll(async () => {
  dir = await tempDir();
  template = await makeTemplate(join(dir, 'template'));
});
afterAll(closeReference);

/** An error as the command line prints it, after any notes and progress. */
const CLEAN = /^swingsnap: .+\n( .+\n)*hint: .+\n$/mu;

/** Leaves out the files beside the source that SQLite may write while it reads. */
function withoutReaderFiles(tree: Awaited<ReturnType<typeof listTree>>): typeof tree {
  return Object.fromEntries(Object.entries(tree).filter(([path]) => !path.endsWith('-shm')));
}

async function troublesOfFull(place: Place, scene: Scene, fault: Fault): Promise<string[]> {
  const wrong: string[] = [];
  const before = withoutReaderFiles(await listTree(place.root));
  const { exitCode, stderr } = await runFaulty(place, scene.args, fault);
  if (exitCode === 0 && (await scene.holds(place, template)) === scene.makes) {
    // The command only tells what it could not write, and leaves nothing of it.
    return temporariesLeft(place);
  }
  if (exitCode !== 6) wrong.push(`exit ${exitCode}: ${stderr}`);
  if (!CLEAN.test(stderr)) wrong.push(`not a clean error: ${stderr}`);
  // If only something after the new thing failed, the new thing stays.
  const isMade = (await scene.holds(place, template)) === scene.makes;
  const after = isMade ? before : withoutReaderFiles(await listTree(place.root));
  for (const path of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (JSON.stringify(before[path]) !== JSON.stringify(after[path])) {
      wrong.push(after[path] === undefined ? `${path} is gone` : `${path} is new or has changed`);
    }
  }
  for (const pid of await processesLeft(place)) wrong.push(`process ${pid} left`);
  for (const lock of locksLeft(place)) wrong.push(`lock ${lock} left`);
  const again = await run(place, scene.args);
  if (again.exitCode !== 0) wrong.push(`with space again: ${again.stderr}`);
  if ((await scene.holds(place, template)) !== scene.makes) wrong.push('run again: not made');
  for (const path of temporariesLeft(place)) wrong.push(`${path} left`);
  return wrong;
}

const NEEDS_SPACE = ['open', 'write', 'writeFile', 'mkdir', 'link', 'sqlite exec'];
const writing = scenes.filter(({ makes }) => makes === 'new');

describe('with no space left from some step on', () => {
  it.each(writing)(
    '$name exits 6, changes nothing, leaves nothing, and succeeds with space',
    async (scene) => {
      const dry = await runFaulty(await setScene(join(dir, 'dry'), scene, template), scene.args);
      expect(dry.exitCode, dry.stderr).toBe(0);
      const steps = dry.steps.filter(
        ({ role, call, path }) =>
          role === scene.role &&
          [...NEEDS_SPACE, 'sync'].includes(call) &&
          !path.includes('/state/'),
      );
      const reports: { step: string; wrong: string[] }[] = [];
      await eachOf(pickSteps(steps, AT_MOST), 2, async (at, lane) => {
        const { call, path } = steps.find(({ n }) => n === at)!;
        const place = await setScene(join(dir, `lane-${lane}`), scene, template);
        const wrong = await troublesOfFull(place, scene, {
          type: 'error',
          code: 'ENOSPC',
          role: scene.role,
          when: 'before',
          // A full disk stays full, but one failed sync says nothing about the next.
          ...(call === 'sync' ? { at, calls: ['sync'] } : { from: at, calls: NEEDS_SPACE }),
        });
        if (wrong.length > 0) reports.push({ step: `${at} ${call} ${path}`, wrong });
      });
      expect(reports).toEqual([]);
    },
    TIMEOUT,
  );
});

function canMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

/** Mount points of the test, each with a file system of its own. They are unmounted after it. */
const mounted: string[] = [];
async function mountTmpfs(at: string, options: string): Promise<void> {
  await mkdir(at, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', at]);
  mounted.push(at);
}
function remount(at: string, options: string): void {
  execFileSync('mount', ['-o', `remount,${options}`, at]);
}
afterEach(() => {
  for (const at of mounted.splice(0)) execFileSync('umount', ['--lazy', at]);
});

const targets = [
  { sceneName: 'export', target: 'export' },
  { sceneName: 'retrieve from the store', target: 'snapshots' },
  { sceneName: 'restore', target: 'restored' },
];

describe.runIf(canMount())('on a file system of its own', () => {
  it.each(targets)(
    '$sceneName without enough space exits 6 and leaves it empty; with space it succeeds',
    async ({ sceneName, target }) => {
      const scene = scenes.find(({ name }) => name === sceneName)!;
      const place = await setScene(join(dir, `full-${target}`), scene, template);
      const at = join(place.root, target);
      await mountTmpfs(at, 'size=4k');
      for (const size of isSoak ? [4, 8, 12, 16, 20, 24, 28] : [4, 12]) {
        remount(at, `size=${size}k`);
        const { exitCode, stderr } = await run(place, scene.args);
        if (exitCode === 0) break;
        expect(stderr).toMatch(CLEAN);
        expect(exitCode, stderr).toBe(6);
        expect(await readdir(at)).toEqual([]);
        expect(temporariesLeft(place)).toEqual([]);
      }
      await rm(at, { recursive: true }).catch(() => undefined);
      remount(at, 'size=16m');
      const { exitCode, stderr } = await run(place, scene.args);
      expect(exitCode, stderr).toBe(0);
      expect(await scene.holds(place, template)).toBe('new');
      expect(temporariesLeft(place)).toEqual([]);
    },
    TIMEOUT,
  );

  it.each(targets)('$sceneName to a read-only one exits 6', async ({ sceneName, target }) => {
    const scene = scenes.find(({ name }) => name === sceneName)!;
    const place = await setScene(join(dir, `read-only-${target}`), scene, template);
    await mountTmpfs(join(place.root, target), 'ro');
    const { exitCode, stderr } = await run(place, scene.args);
    expect(stderr).toMatch(CLEAN);
    expect(exitCode, stderr).toBe(6);
    expect(temporariesLeft(place)).toEqual([]);
  });

  it('an export on another file system than the snapshot dir is retrieved and removed', async () => {
    const scene = scenes.find(({ name }) => name === 'retrieve from an export directory')!;
    const place = await setScene(join(dir, 'elsewhere'), { ...scene, needs: ['state'] }, template);
    const exportDir = join(place.root, 'export');
    await mountTmpfs(join(place.root, 'snapshots'), 'size=16m');
    await cp(join(template.dir, 'export'), exportDir, { recursive: true });
    const { exitCode, stderr } = await run(place, scene.args);
    expect(exitCode, stderr).toBe(0);
    expect(await scene.holds(place, template)).toBe('new');
    expect(await readdir(place.root)).not.toContain('export');
    expect(temporariesLeft(place)).toEqual([]);
  });
});
