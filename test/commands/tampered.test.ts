/** `retrieve` and `verify` in a snapshot dir that another user can write to. */
import { chmod, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir, visibleIn } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { changeList, changeManifest, swapSegments } from '../snapshot/tamper.ts';

const fileDir = useTempDir('file');
/** Contains the stores `S7`, `S8`, `S9` of the heights 7, 8, 9, which hardly differ. */
let base: string;

beforeAll(async () => {
  base = await fileDir();
  for (const height of [7, 8, 9]) {
    await buildStore(path.join(base, `S${height}`), {
      ...tinySpec,
      height,
      generatedKeys: [{ count: 3000, valueBytes: 1000, seed: 1 }],
    });
  }
});
afterAll(closeReference);

interface Told {
  readonly notes?: readonly string[];
  readonly written: boolean;
  readonly contentHash: string;
  readonly removed?: unknown;
  readonly removedHeights: readonly number[];
  readonly reused: { readonly from?: number; readonly chunks: number; readonly rechecked: number };
  readonly error?: { readonly code: string; readonly path?: string; readonly hint?: string };
}

/** A snapshot dir and an export of height 8, and a user who keeps a state dir there. */
async function place() {
  const dir = await fileDir();
  const D = path.join(dir, 'D');
  const E = path.join(dir, 'E');
  const run = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const state = { SWINGSNAP_STATE_DIR: path.join(dir, 'state'), ...env };
    const { exitCode, json } = await runCli([...args, '--json'], { env: state });
    const told = json as Told;
    return { exitCode, ...told, noted: told.notes?.join('\n') ?? '' };
  };
  const at = (height: number): string => path.join(D, String(height));
  return {
    dir,
    D,
    E,
    at,
    run,
    exportOf: (height: number) =>
      run(['export', '--state-dir', path.join(base, `S${height}`), '--export-dir', E]),
    retrieve: (height: number, ...more: string[]) =>
      run([
        'retrieve',
        '--create',
        '--state-dir',
        path.join(base, `S${height}`),
        '--snapshot-dir',
        D,
        ...more,
      ]),
    retrieveExport: (...more: string[]) =>
      run(['retrieve', '--create', '--export-dir', E, '--snapshot-dir', D, ...more]),
    verify: (height: number) => run(['verify', at(height)]),
    /** From here on, the commands run as another user, or as one who comes from an earlier version. */
    forget: async () => rm(path.join(dir, 'state'), { recursive: true, force: true }),
  };
}

/** Leaves only the manifest of a snapshot, which restores nothing. */
async function leaveManifest(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name !== 'manifest.json') await rm(path.join(dir, name), { recursive: true });
  }
}

describe('a tampered earlier height', () => {
  it('is not reused, and the export is removed for a complete new snapshot', async () => {
    const { D, E, at, retrieve, exportOf, retrieveExport, verify } = await place();
    await retrieve(7);
    await changeList(at(7), swapSegments);
    await exportOf(8);
    const told = await retrieveExport();
    expect(told).toMatchObject({ exitCode: 0, reused: { chunks: 0 } });
    expect(told.noted).toContain(`nothing is reused from ${D}/7: `);
    expect(await listTree(E)).toEqual({});
    expect((await verify(8)).exitCode).toBe(0);
  });

  it('is not reused unchecked, even if its chunks are not to be hashed again', async () => {
    const { at, retrieve, verify } = await place();
    await retrieve(7);
    await changeList(at(7), swapSegments);
    expect(await retrieve(8, '--no-recheck')).toMatchObject({ exitCode: 0, reused: { chunks: 0 } });
    expect((await verify(8)).exitCode).toBe(0);
  });

  it('has its chunks hashed before an export is removed, whatever the flags', async () => {
    const { at, E, retrieve, exportOf, retrieveExport, verify } = await place();
    await retrieve(7);
    const chunks = path.join(at(7), 'chunks');
    for (const name of await readdir(chunks)) await writeFile(path.join(chunks, name), 'rot');
    await exportOf(8);
    expect(await retrieveExport('--no-recheck')).toMatchObject({
      exitCode: 0,
      reused: { chunks: 0 },
    });
    expect(await listTree(E)).toEqual({});
    expect((await verify(8)).exitCode).toBe(0);
  });

  it('is judged as verify judges it, even if its mode hides a part of it', async () => {
    const { at, run, verify } = await place();
    const archival = ['--artifact-mode', 'archival'];
    const from = ['--state-dir', path.join(base, 'S7'), '--snapshot-dir', path.dirname(at(7))];
    expect(await run(['retrieve', '--create', ...from, ...archival])).toMatchObject({
      exitCode: 0,
    });
    expect(await verify(7)).toMatchObject({ exitCode: 0 });
    await changeManifest(at(7), (manifest) => {
      manifest.modules.swingset.artifactMode = 'operational';
    });
    expect(await verify(7)).toMatchObject({ exitCode: 3, error: { code: 'SNAPSHOT_DAMAGED' } });
  });
});

describe('a snapshot that the user made or verified', () => {
  it('is reused without a note', async () => {
    const { retrieve } = await place();
    await retrieve(7);
    const told = await retrieve(8);
    expect(told.reused).toMatchObject({ from: 7 });
    expect(told.reused.chunks).toBeGreaterThan(1);
    expect(told.noted).not.toContain('verified');
  });

  it('is verified once by another user, and then remembered', async () => {
    const { dir, D, retrieve, forget } = await place();
    await retrieve(7);
    await forget();
    const first = await retrieve(8);
    expect(first.reused).toMatchObject({ from: 7 });
    expect(first.noted).toContain(`all of ${D}/7 is verified`);
    await rm(path.join(D, '8'), { recursive: true });
    expect((await retrieve(8)).noted).not.toContain('verified');
    const records = await listTree(path.join(dir, 'state'));
    expect(records['believed']).toMatchObject({ mode: '700' });
    const files = Object.values(records).filter(({ type }) => type === 'file');
    // Height 7, and height 8 twice: its manifest says when it was made.
    expect(files).toHaveLength(3);
    expect(files.every(({ mode, size }) => mode === '600' && size === 0)).toBe(true);
  });

  it('is remembered after a full verify, but not after a quick or partial one', async () => {
    const { at, run, retrieve, forget, verify } = await place();
    await retrieve(7);
    await forget();
    await run(['verify', at(7), '--quick']);
    await run(['verify', at(7), '--artifact-mode', 'operational']);
    expect((await retrieve(8)).noted).toContain('is verified');
    await forget();
    await verify(7);
    await rm(at(8), { recursive: true });
    expect((await retrieve(8)).noted).not.toContain('is verified');
  });

  it('is not remembered in a directory that another user can write to', async () => {
    const { dir, run, D, retrieve } = await place();
    const state = path.join(dir, 'open');
    await mkdir(state);
    await retrieve(7);
    await cp(path.join(dir, 'state', 'believed'), path.join(state, 'believed'), {
      recursive: true,
    });
    await chmod(state, 0o777);
    const from = ['--state-dir', path.join(base, 'S8'), '--snapshot-dir', D];
    const told = await run(['retrieve', '--create', ...from], { SWINGSNAP_STATE_DIR: state });
    expect(told).toMatchObject({ exitCode: 0, reused: { from: 7 } });
    expect(told.noted).toContain(`all of ${D}/7 is verified`);
  });
});

describe('a planted height in place of the new snapshot', () => {
  it.each([
    ['with nothing but its manifest', leaveManifest],
    ['with a list that swaps two chunks', async (dir: string) => changeList(dir, swapSegments)],
    [
      'with chunks of other content',
      async (dir: string) => {
        const chunks = path.join(dir, 'chunks');
        const [name = ''] = await readdir(chunks);
        const bytes = await readFile(path.join(chunks, name));
        bytes[bytes.length >> 1]! ^= 1;
        await writeFile(path.join(chunks, name), bytes);
      },
    ],
  ])('%s is not accepted as the same: the export stays', async (_what, tamper) => {
    const { D, E, at, retrieve, exportOf, retrieveExport, verify, forget } = await place();
    await retrieve(8);
    await tamper(at(8));
    await forget();
    await exportOf(8);
    const before = [await listTree(D), await listTree(E)];
    const told = await retrieveExport();
    expect(told).toMatchObject({ exitCode: 3, error: { code: 'SNAPSHOT_EXISTS', path: at(8) } });
    expect(told.error?.hint).toMatch(/swingsnap verify.*--replace/u);
    expect([await listTree(D), await listTree(E)]).toEqual(before);
    expect(await retrieveExport('--replace')).toMatchObject({ exitCode: 0, written: true });
    expect(await listTree(E)).toEqual({});
    expect((await verify(8)).exitCode).toBe(0);
  });

  it('by another user with the same content packed differently is accepted once it is verified', async () => {
    const { D, E, retrieve, exportOf, retrieveExport, forget } = await place();
    await retrieve(8, '--level', '1');
    await forget();
    await exportOf(8);
    const told = await retrieveExport();
    expect(told).toMatchObject({ exitCode: 0, written: false });
    expect(told.noted).toContain(`all of ${D}/8 is verified`);
    expect(await listTree(E)).toEqual({});
  });

  it('is not accepted as the snapshot for which a removal was interrupted', async () => {
    const { D, E, at, retrieve, exportOf, retrieveExport, forget } = await place();
    await retrieve(8);
    await forget();
    await exportOf(8);
    await rename(path.join(E, 'export-manifest.json'), path.join(E, '.swingsnap-discarded.json'));
    const whole = path.join(path.dirname(D), 'whole');
    await cp(at(8), whole, { recursive: true });
    await leaveManifest(at(8));
    const before = await listTree(E);
    expect(await retrieveExport()).toMatchObject({ exitCode: 3 });
    expect(await listTree(E)).toEqual(before);
    await rm(at(8), { recursive: true });
    await rename(whole, at(8));
    expect(await retrieveExport()).toMatchObject({ exitCode: 0, written: false });
    expect(await listTree(E)).toEqual({});
  });
});

describe('retention', () => {
  it('does not count an incomplete height, and leaves and names it', async () => {
    const { D, at, retrieve, verify } = await place();
    await retrieve(7);
    await retrieve(8);
    for (const [height, spoil] of [
      [101, leaveManifest],
      [102, async (dir: string) => rm(path.join(dir, 'chunks'), { recursive: true })],
      [
        103,
        async (dir: string) => {
          const [name = ''] = await readdir(path.join(dir, 'chunks'));
          await writeFile(path.join(dir, 'chunks', name), 'short');
        },
      ],
      [104, async (dir: string) => writeFile(path.join(dir, 'manifest.json'), '{}')],
    ] as const) {
      await cp(at(8), at(height), { recursive: true });
      await changeManifest(at(height), (manifest) => {
        manifest.height = height;
      });
      await spoil(at(height));
    }
    await mkdir(at(105));
    const told = await retrieve(9, '--keep-last', '2');
    expect(told).toMatchObject({ exitCode: 0, removedHeights: [7] });
    for (const height of [101, 102, 103, 104]) {
      expect(told.noted).toContain(`${at(height)} is not counted, and is kept: `);
    }
    expect(await visibleIn(D)).toEqual(['101', '102', '103', '104', '105', '8', '9']);
    expect((await verify(8)).exitCode).toBe(0);
  });

  it('leaves an incomplete lower height', async () => {
    const { D, at, retrieve } = await place();
    await retrieve(7);
    await retrieve(8);
    await leaveManifest(at(7));
    expect(await retrieve(9, '--keep-last', '1')).toMatchObject({ removedHeights: [8] });
    expect(await visibleIn(D)).toEqual(['7', '9']);
  });
});
