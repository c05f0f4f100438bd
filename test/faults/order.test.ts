import { cp, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { CrashModel, makeReal, type CrashState } from './crash-model.ts';
import { makePlace, runFaulty, type FaultyRun, type Place, type Step } from './faults.ts';
import { makeTemplate, scenes, setScene, type Scene, type Template } from './scenes.ts';

const tempDir = useTempDir('file');
let template: Template;
let dir: string;
const runs = new Map<string, { run: FaultyRun; place: Place; before: string }>();

async function recorded(scene: Scene): Promise<{ run: FaultyRun; place: Place; before: string }> {
  const known = runs.get(scene.name);
  if (known !== undefined) return known;
  const name = scene.name.replaceAll(' ', '-');
  const place = await setScene(join(dir, name), scene, template);
  const before = join(dir, `${name}-before`);
  await cp(place.root, before, { recursive: true });
  const run = await runFaulty(place, scene.args, undefined, { shadow: true });
  expect(run.exitCode, run.stderr).toBe(0);
  const made = { run, place, before };
  runs.set(scene.name, made);
  return made;
}

beforeAll(async () => {
  dir = await tempDir();
  template = await makeTemplate(join(dir, 'template'));
});
afterAll(closeReference);

/** The part of a state that a user sees; the rest has hidden names. */
function visiblePart(state: CrashState): string {
  return [...state]
    .filter(([path]) => !path.split('/').some((name) => name.startsWith('.')))
    .map(([path, copy]) => `${path} ${copy}`)
    .sort()
    .join('\n');
}

function subsetsOf(names: readonly string[]): Set<string>[] {
  return names.reduce<Set<string>[]>(
    (sets, name) => [...sets, ...sets.map((set) => new Set([...set, name]))],
    [new Set()],
  );
}

const sceneNamed = (name: string): Scene => scenes.find((scene) => scene.name === name)!;

describe('after a power loss at any moment', () => {
  it.each(scenes)('$name leaves old, nothing or new', async (scene) => {
    const { run, place, before } = await recorded(scene);
    const model = new CrashModel(place.root, before, place.shadow);
    const seen = new Set<string>();
    const found = new Set<string>();
    for (const taken of model.replay(run.log)) {
      const tops = model.topNames.filter((name) => !name.startsWith('.') && name !== 'state');
      for (const eager of subsetsOf(['', ...tops])) {
        const state = model.crash(eager);
        const visible = visiblePart(state);
        if (seen.has(visible)) continue;
        seen.add(visible);
        const after = await makePlace(join(dir, 'after'));
        makeReal(state, after.root);
        const at = `line ${taken} of ${run.log.length}: ${JSON.stringify(run.log[taken - 1])}, eager ${[...eager].join()}`;
        const holding = await scene.holds(after, template).catch((error: unknown) => {
          throw new Error(`half of something at ${at}`, { cause: error });
        });
        if (scene.name === 'retrieve from an export directory' && holding !== 'new') {
          const kept = await sceneNamed('export').holds(after, template);
          expect(kept, `neither export nor snapshot at ${at}`).toBe('new');
        }
        found.add(holding);
        await rm(join(dir, 'after'), { recursive: true });
      }
    }
    // The model saw what the run made, and at least one earlier state.
    expect(found).toContain(scene.makes);
    expect(found.size).toBeGreaterThan(1);
  });
});

/** Finds where steps begin and end in the log. */
function timeline({ log, steps }: FaultyRun) {
  const begins = (step: Step): number => log.indexOf(step);
  const ends = ({ n, role }: Step): number =>
    log.findIndex((line) => 'end' in line && line.n === n && line.role === role);
  const only = (call: string, matches: (step: Step) => boolean): Step => {
    const found = steps.filter((step) => step.call === call && matches(step));
    expect(found, `${call} that is looked for`).toHaveLength(1);
    return found[0]!;
  };
  const syncsOf = (path: string): Step[] =>
    steps.filter((step) => step.call === 'sync' && step.path === path);
  return {
    begins,
    ends,
    only,
    isSyncedBefore: (path: string, step: Step): boolean =>
      syncsOf(path).some((sync) => ends(sync) !== -1 && ends(sync) < begins(step)),
    /** Whether a sync of `path` begins after `step` and ends before `next`. */
    isSyncedBetween: (step: Step, path: string, next: Step | undefined): boolean =>
      syncsOf(path).some(
        (sync) => begins(sync) > ends(step) && (next === undefined || ends(sync) < begins(next)),
      ),
  };
}

describe('nothing is visible before what it refers to is durable', () => {
  it('in an export: files, their names, the manifest, its name', async () => {
    const { run, place } = await recorded(sceneNamed('export'));
    const { only, isSyncedBefore, isSyncedBetween } = timeline(run);
    const exportDir = join(place.root, 'export');
    const isTemporary = (path: string): boolean => basename(path).startsWith('.swingsnap-');
    const manifest = only('rename', ({ to }) => to === join(exportDir, 'export-manifest.json'));
    const files = run.steps.filter(
      ({ call, made, path }) => call === 'open' && made === true && !isTemporary(path),
    );
    expect(files.length).toBeGreaterThanOrEqual(4);
    for (const { path } of files) expect(isSyncedBefore(path, manifest), path).toBe(true);
    expect(isSyncedBetween(files.at(-1)!, exportDir, manifest)).toBe(true);
    expect(isSyncedBefore(manifest.path, manifest)).toBe(true);
    expect(isSyncedBetween(manifest, exportDir, undefined)).toBe(true);
  });

  it('in an export: each record of the operation before the next step', async () => {
    const { run, place } = await recorded(sceneNamed('export'));
    const { isSyncedBefore, isSyncedBetween, begins } = timeline(run);
    const exportDir = join(place.root, 'export');
    const records = run.steps.filter(
      ({ call, to }) => call === 'rename' && to === join(exportDir, '.swingsnap-operation.json'),
    );
    expect(records.length).toBeGreaterThanOrEqual(2);
    for (const record of records) {
      expect(isSyncedBefore(record.path, record)).toBe(true);
      const next = run.steps.find(
        (step) =>
          begins(step) > begins(record) && step.call !== 'sync' && !step.call.startsWith('sqlite'),
      );
      expect(isSyncedBetween(record, exportDir, next)).toBe(true);
    }
  });

  it('in a retrieve: chunks and entries, the manifest, the name, then the removal of the export', async () => {
    const { run, place } = await recorded(sceneNamed('retrieve from an export directory'));
    const { only, begins, isSyncedBefore, isSyncedBetween } = timeline(run);
    const snapshots = join(place.root, 'snapshots');
    const published = only('rename', ({ to }) => to === join(snapshots, '1000'));
    const opened = run.steps.filter(({ call, made, path }) => {
      return call === 'open' && made === true && path.startsWith(`${published.path}/`);
    });
    const manifest = opened.find(({ path }) => basename(path) === 'manifest.json')!;
    const content = opened.filter((step) => step !== manifest);
    expect(content.length).toBeGreaterThan(1);
    for (const { path } of content) expect(isSyncedBefore(path, manifest), path).toBe(true);
    for (const path of new Set(opened.flatMap((step) => [step.path, dirname(step.path)]))) {
      expect(isSyncedBefore(path, published), path).toBe(true);
    }
    const exportDir = join(place.root, 'export');
    const gone = run.steps.find(
      ({ call, path }) => ['rename', 'unlink'].includes(call) && path.startsWith(`${exportDir}/`),
    )!;
    expect(begins(gone)).toBeGreaterThan(begins(published));
    expect(isSyncedBetween(published, snapshots, gone)).toBe(true);
  });

  it('in a restore: the database, then its name', async () => {
    const { run, place } = await recorded(sceneNamed('restore'));
    const { only, ends, begins, isSyncedBetween } = timeline(run);
    const stateDir = join(place.root, 'restored');
    const installed = only('link', ({ to }) => to === join(stateDir, 'swingstore.sqlite'));
    // The database has another name while it is filled.
    const named = only('rename', ({ to }) => to === installed.path);
    const writes = run.steps.filter(
      ({ call, path }) => call.startsWith('sqlite') && path === named.path,
    );
    const last = writes.reduce((a, b) => (ends(a) > ends(b) ? a : b));
    expect(begins(last)).toBeLessThan(begins(named));
    expect(isSyncedBetween(named, installed.path, installed)).toBe(true);
    expect(isSyncedBetween(installed, stateDir, undefined)).toBe(true);
  });
});
