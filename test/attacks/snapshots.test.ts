/** A snapshot dir that other users can write to. */
import { chmod, chown, cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { changeList, changeManifest, swapSegments } from '../snapshot/tamper.ts';
import { ALICE, MALLORY, runAs, swingsnapAs } from './other-users.ts';

const fileDir = useTempDir('file');
let base: string;

beforeAll(async () => {
  base = await fileDir();
  await chmod(base, 0o755);
  for (const height of [7, 8]) {
    await buildStore(path.join(base, `S${height}`), {
      ...tinySpec,
      height,
      generatedKeys: [{ count: 3000, valueBytes: 1000, seed: 1 }],
    });
    await giveTo(ALICE, path.join(base, `S${height}`));
  }
});
afterAll(closeReference);

async function giveTo(uid: number, dir: string): Promise<void> {
  for (const name of ['.', ...(await readdir(dir, { recursive: true }))]) {
    await chown(path.join(dir, name), uid, uid);
  }
}

interface Told {
  readonly exitCode: number | null;
  readonly notes?: readonly string[];
  readonly removedHeights?: readonly number[];
  readonly reused?: { readonly from?: number; readonly chunks: number };
}

/** A snapshot dir that all users may write to, like a shared backup disk. Each user may remove only his own files. */
async function place() {
  const dir = await fileDir();
  await chmod(dir, 0o755);
  const D = path.join(dir, 'D');
  await mkdir(D);
  await chmod(D, 0o1777);
  const stateOf = (uid: number): string => path.join(dir, `state-${uid}`);
  for (const uid of [0, ALICE, MALLORY]) {
    await mkdir(stateOf(uid), { mode: 0o700 });
    await chown(stateOf(uid), uid, uid);
  }
  const run = async (uid: number, args: readonly string[], state = stateOf(uid)): Promise<Told> => {
    const env = { SWINGSNAP_STATE_DIR: state };
    const { exitCode, stdout } = await swingsnapAs(uid, [...args, '--json'], { env });
    return { ...(JSON.parse(stdout) as Told), exitCode };
  };
  return {
    D,
    E: path.join(dir, 'E'),
    dir,
    at: (height: number): string => path.join(D, String(height)),
    stateOf,
    run,
    retrieve: (height: number, ...more: string[]) =>
      run(ALICE, [
        'retrieve',
        '--create',
        '--state-dir',
        path.join(base, `S${height}`),
        '--snapshot-dir',
        D,
        ...more,
      ]),
  };
}

describe('another user who can write to the snapshot dir', () => {
  it('cannot get rubbish reused from a height of his', async () => {
    const { D, at, retrieve, run } = await place();
    const made = [
      'retrieve',
      '--create',
      '--state-dir',
      path.join(base, 'S7'),
      '--snapshot-dir',
      D,
    ];
    await run(0, made);
    await changeList(at(7), swapSegments);
    await giveTo(MALLORY, at(7));
    const told = await retrieve(8);
    expect(told).toMatchObject({ exitCode: 0, reused: { chunks: 0 } });
    expect(told.notes?.join('\n')).toContain(`nothing is reused from ${D}/7: `);
    expect(await run(0, ['verify', at(8)])).toMatchObject({ exitCode: 0 });
  });

  it('cannot make others believe what he believes', async () => {
    const { D, at, retrieve, run, stateOf } = await place();
    await run(0, [
      'retrieve',
      '--create',
      '--state-dir',
      path.join(base, 'S7'),
      '--snapshot-dir',
      D,
    ]);
    await giveTo(MALLORY, at(7));
    expect(await run(MALLORY, ['verify', at(7)])).toMatchObject({ exitCode: 0 });
    const records = path.join(stateOf(MALLORY), 'believed');
    const [record = ''] = await readdir(records);
    expect(record).toMatch(/^[0-9a-f]{64}$/u);
    // His beliefs count only for him, and a directory of his is not accepted as the state dir of another user.
    const told = await run(
      ALICE,
      ['retrieve', '--create', '--state-dir', path.join(base, 'S8'), '--snapshot-dir', D],
      stateOf(MALLORY),
    );
    expect(told.notes?.join('\n')).toContain(`all of ${D}/7 is verified`);
    await rm(at(8), { recursive: true });
    const open = path.join(stateOf(ALICE), 'believed');
    await mkdir(open);
    await writeFile(path.join(open, record), '');
    await giveTo(MALLORY, open);
    expect((await retrieve(8)).notes?.join('\n')).toContain(`all of ${D}/7 is verified`);
  });

  it('cannot get an export or heights removed in favour of incomplete snapshots', async () => {
    const { D, E, at, retrieve, run } = await place();
    await retrieve(7);
    await retrieve(8);
    for (const height of [100, 101, 102]) {
      await cp(at(8), at(height), { recursive: true });
      await changeManifest(at(height), (manifest) => {
        manifest.height = height;
      });
      await rm(path.join(at(height), 'chunks'), { recursive: true });
      await giveTo(MALLORY, at(height));
    }
    await runAs(MALLORY, ['sh', '-c', `mkdir -m 700 ${at(103)} && touch ${at(103)}/manifest.json`]);
    const told = await retrieve(8, '--keep-last', '2');
    expect(told).toMatchObject({ exitCode: 0, removedHeights: [] });
    expect(told.notes?.filter((note) => note.includes('is not counted'))).toHaveLength(4);

    await changeList(at(8), swapSegments);
    await giveTo(MALLORY, at(8));
    await mkdir(E);
    await chown(E, ALICE, ALICE);
    const exported = ['export', '--state-dir', path.join(base, 'S8'), '--export-dir', E];
    expect(await run(ALICE, exported)).toMatchObject({ exitCode: 0 });
    const before = await listTree(E);
    const refused = await run(ALICE, [
      'retrieve',
      '--create',
      '--export-dir',
      E,
      '--snapshot-dir',
      D,
    ]);
    expect(refused.exitCode).toBe(3);
    expect(await listTree(E)).toEqual(before);
  });
});
