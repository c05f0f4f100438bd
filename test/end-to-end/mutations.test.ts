/**
 * Each test changes one thing in an export directory, and asks the reference importer and swingsnap. What one refuses,
 * the other refuses. What both accept becomes the same store. `exceptions.ts` lists the exceptions.
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { artifactMutations } from './artifact-mutations.ts';
import { EXCEPTIONS, REFERENCE_KEEPS_HALVES } from './exceptions.ts';
import { ExportFiles } from './export-files.ts';
import { judgeByReference, judgeByUs, tellVerdict, verdictOf, type Verdict } from './judge.ts';
import { lineMutations } from './line-mutations.ts';
import { manifestMutations } from './manifest-mutations.ts';
import { mutationSpec, type Mutation } from './mutation.ts';
import { recordMutations } from './record-mutations.ts';

afterAll(closeReference);

const tables = {
  artifacts: artifactMutations,
  lines: lineMutations,
  records: recordMutations,
  manifest: manifestMutations,
};

const BASES = ['none', 'operational', 'replay', 'archival', 'debug'] as const;
const unchanged = BASES.map((base): Mutation => ({ what: base, base, change: () => undefined }));

interface Judged {
  readonly reference: Verdict;
  readonly ours: Verdict;
}

const fileDir = useTempDir('file');
const judged = new Map<Mutation, Promise<Judged>>();
/** How many mutations are judged at once, ahead of their tests: while one waits for the disk, another can run. */
const AHEAD = 4;

beforeAll(async () => {
  const dir = await fileDir();
  const stateDir = path.join(dir, 'agoric');
  await buildStore(stateDir, mutationSpec);
  const bases = new Map<string, ExportFiles>();
  for (const artifactMode of BASES) {
    const exportDir = await fileDir();
    await referenceExport(stateDir, exportDir, { artifactMode });
    bases.set(artifactMode, await ExportFiles.read(exportDir));
  }
  const lanes: Promise<unknown>[] = Array.from({ length: AHEAD }, () => Promise.resolve());
  [...Object.values(tables).flat(), ...unchanged].forEach((mutation, i) => {
    const files = bases.get(mutation.base ?? 'operational')!;
    const lane = i % AHEAD;
    const verdicts = lanes[lane]!.then(async () => judge(mutation, files, path.join(dir, `${i}`)));
    judged.set(mutation, verdicts);
    lanes[lane] = verdicts.catch(() => undefined);
  });
});

async function judge({ mode, change }: Mutation, base: ExportFiles, dir: string): Promise<Judged> {
  const files = base.copy();
  change(files);
  const exportDir = path.join(dir, 'E');
  await files.write(exportDir);
  const [reference, ours] = await Promise.all([
    judgeByReference(exportDir, path.join(dir, 'reference', 'S'), mode),
    judgeByUs(exportDir, path.join(dir, 'ours', 'S'), mode),
  ]);
  await rm(dir, { recursive: true });
  return { reference, ours };
}

describe.each(Object.entries(tables))('a change of %s', (_, mutations) => {
  it.each(mutations.map((mutation) => [mutation.what, mutation] as const))(
    '%s',
    async (_, mutation) => {
      const { reference, ours } = await judged.get(mutation)!;
      const told = `reference ${tellVerdict(reference)}; ours ${tellVerdict(ours)}`;
      if (mutation.exception !== undefined) {
        const { verdicts } = EXCEPTIONS[mutation.exception];
        expect([verdictOf(reference), verdictOf(ours)], told).toEqual(verdicts);
        if (reference.accepted && ours.accepted) expect(ours.dump).not.toEqual(reference.dump);
        return;
      }
      expect(ours.accepted, told).toBe(reference.accepted);
      if (mutation.verdict !== undefined) {
        expect(verdictOf(reference), told).toBe(mutation.verdict);
      }
      if (ours.accepted && reference.accepted) expect(ours.dump).toEqual(reference.dump);
    },
  );
});

describe('the tables', () => {
  const all = Object.values(tables).flat();

  it('show every exception, and no mutation twice', () => {
    const used = new Set(
      all.map(({ exception }) => exception).filter((name) => name !== undefined),
    );
    const expected = Object.keys(EXCEPTIONS).filter(
      (name) => REFERENCE_KEEPS_HALVES || name !== 'half a surrogate pair on Node 20',
    );
    expect([...used].sort()).toEqual(expected.sort());
    for (const mutations of Object.values(tables)) {
      const names = mutations.map(({ what }) => what);
      expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    }
  });

  it('are judged on exports that are accepted unchanged in every mode', async () => {
    for (const mutation of unchanged) {
      const { reference, ours } = await judged.get(mutation)!;
      const verdict = mutation.base === 'none' ? 'refused' : 'accepted';
      expect([mutation.base, verdictOf(reference), verdictOf(ours)]).toEqual([
        mutation.base,
        verdict,
        verdict,
      ]);
    }
  });
});
