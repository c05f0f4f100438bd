/** The commands on Cosmos state-sync snapshots. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync, inflateSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { ExportFiles } from '../end-to-end/export-files.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference, referenceExport } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import {
  storeItem,
  streamOf,
  writeArchive,
  writeChunks,
} from '../fixtures/state-sync/make-snapshot.ts';

const fixtures = fileURLToPath(new URL('../fixtures/state-sync/', import.meta.url));
const ARCHIVE = join(fixtures, 'format3', '1000-3.tar.gz');
const BAD_ARCHIVE = join(fixtures, 'bad-value', '1000-3.tar.gz');
const APP_HASH = '30f7c8ceedfecd75e25c0960db0c7e0706b2c9d6563f6ed1477e9de1a5bdc9d0';
const PROVED = { appHash: APP_HASH.toUpperCase(), memStores: [], isProved: true };

const tempDir = useTempDir();
afterAll(closeReference);

interface Told {
  readonly hashes?: { readonly contentHash: string };
  readonly notes?: readonly string[];
}

const swingsnap = async (...args: readonly string[]) => {
  const { json, exitCode } = await runCli([...args, '--json']);
  return { ...(json as Told), exitCode };
};

describe('a state-sync snapshot', () => {
  it('is verified: exits with 0 for the right AppHash, with 3 for another, and reports no proof without one', async () => {
    expect(await swingsnap('verify', ARCHIVE, '--app-hash', APP_HASH)).toMatchObject({
      exitCode: 0,
      form: 'state-sync snapshot',
      height: 1000,
      appHash: PROVED,
    });
    expect(await swingsnap('verify', BAD_ARCHIVE, '--app-hash', APP_HASH)).toMatchObject({
      exitCode: 3,
      error: { code: 'APP_HASH', expected: PROVED.appHash },
    });
    const unproved = await runCli(['verify', ARCHIVE]);
    expect(unproved.exitCode).toBe(0);
    expect(unproved.stdout).toContain('proved: nothing');
    expect(unproved.stdout).toContain('/commit?height=1001');
  });

  it('becomes a store from which the reference exports the state in the snapshot', async () => {
    const dir = await tempDir();
    const S = join(dir, 'S');
    expect(
      await swingsnap(
        'restore',
        ARCHIVE,
        '--state-dir',
        S,
        '--app-hash',
        APP_HASH,
        '--require-proof',
      ),
    ).toMatchObject({ exitCode: 0, proved: 'app hash', height: 1000 });
    await mkdir(join(dir, 'E'));
    await referenceExport(S, join(dir, 'E'), { artifactMode: 'operational' });
    const { files } = await ExportFiles.read(join(fixtures, 'export'));
    expect((await ExportFiles.read(join(dir, 'E'))).files).toEqual(files);
    expect(
      await swingsnap('verify', ARCHIVE, '--state-dir', S, '--app-hash', APP_HASH),
    ).toMatchObject({ exitCode: 0, appHash: PROVED, store: { equal: 6 } });
    expect(await swingsnap('restore', ARCHIVE, '--state-dir', join(dir, 'S2'))).toMatchObject({
      exitCode: 0,
      proved: 'nothing',
    });
  });

  it('is proved by its AppHash, and the output says that its height is not', async () => {
    const dir = await tempDir();
    const to = (name: string): string[] => ['--state-dir', join(dir, name)];
    const proof = ['--app-hash', APP_HASH];
    const verified = await runCli(['verify', ARCHIVE, ...proof]);
    const label = 'proved: app hash (the height 1000 is a label: the AppHash does not cover it)';
    expect(verified.stdout.split('\n')).toContain(label);
    const restored = await runCli(['restore', ARCHIVE, ...to('S'), ...proof]);
    expect(restored.stdout.split('\n')).toContain(label);
    const told = await swingsnap('verify', ARCHIVE, ...proof);
    expect(told).toMatchObject({ exitCode: 0, heightProved: false });
    // The content hash covers the height.
    const contentHash = told.hashes?.contentHash ?? '';
    const both = [...proof, '--expect', contentHash];
    expect(await swingsnap('restore', ARCHIVE, ...to('S2'), ...both)).toMatchObject({
      exitCode: 0,
      proved: 'app hash',
      heightProved: true,
    });
    const covered = await runCli(['verify', ARCHIVE, ...both]);
    expect(covered.stdout).toContain('proved: app hash, and the height by the expected hash');
  });

  it('is taken from a directory of several by --height, which otherwise names those that are there', async () => {
    const dir = await tempDir();
    for (const height of [9, 12, 1000]) {
      await writeChunks(dir, height, 3, [streamOf([storeItem('bank')])]);
    }
    const place = join(dir, 'data', 'snapshots');
    const verify = async (...args: string[]) => swingsnap('verify', place, '--check', ...args);
    expect(await verify()).toMatchObject({ checked: [{ path: join(place, '1000', '3') }, {}, {}] });
    expect(await verify('--height', '12')).toMatchObject({
      exitCode: 0,
      checked: [{ path: join(place, '12', '3') }, {}, {}],
    });
    const none = { code: 'HEIGHT', path: place, expected: 7, found: '1000, 12, 9' };
    expect(await verify('--height', '7')).toMatchObject({ exitCode: 5, error: none });
    const stores = ['--format', 'state-sync', '--stores-from', place, '--snapshot-dir', dir];
    expect(
      await swingsnap('retrieve', ...stores, '--from', join(fixtures, 'export'), '--height', '7'),
    ).toMatchObject({ exitCode: 5, error: none });
  });

  it('under the name of a later height gets a note, and is refused by the content hash', async () => {
    const dir = await tempDir();
    const [honest, later] = ['1000', '1001'].map((height) => join(dir, height));
    for (const home of [honest!, later!]) {
      await cp(join(fixtures, 'format3', 'data', 'snapshots', '1000'), home, { recursive: true });
    }
    const verify = async (home: string, ...args: string[]) =>
      swingsnap('verify', join(home, '3'), '--app-hash', APP_HASH, ...args);
    const told = await verify(honest!);
    expect(told).toMatchObject({ exitCode: 0, height: 1000 });
    expect(told.notes?.join()).not.toContain('no node of the stores');
    expect(await verify(later!)).toMatchObject({
      exitCode: 0,
      height: 1001,
      heightProved: false,
      notes: expect.arrayContaining([
        expect.stringContaining('no node of the stores has version 1001'),
      ]) as string[],
    });
    const contentHash = told.hashes?.contentHash ?? '';
    expect(await verify(later!, '--expect', contentHash)).toMatchObject({
      exitCode: 3,
      error: { code: 'HASH_MISMATCH', expected: contentHash },
    });
  });

  it('creates nothing under another AppHash, or without one if proof is required', async () => {
    const dir = await tempDir();
    const to = ['--state-dir', join(dir, 'S')];
    expect(await swingsnap('restore', BAD_ARCHIVE, ...to, '--app-hash', APP_HASH)).toMatchObject({
      exitCode: 3,
      error: { code: 'APP_HASH' },
    });
    expect(await swingsnap('restore', ARCHIVE, ...to, '--require-proof')).toMatchObject({
      exitCode: 2,
      error: { code: 'NO_PROOF' },
    });
    const required = ['--require-proof', '--check'];
    const snapshotDir = ['--snapshot-dir', join(dir, 'D')];
    for (const command of [
      ['verify', ARCHIVE],
      ['export', '--from', ARCHIVE, '--export-dir', join(dir, 'E')],
      ['retrieve', '--create', '--from', ARCHIVE, ...snapshotDir],
      ['retrieve', '--format', 'state-sync', '--stores-from', ARCHIVE]
        .concat(['--from', join(fixtures, 'export')])
        .concat(snapshotDir),
    ]) {
      expect(await swingsnap(...command, ...required)).toMatchObject({
        exitCode: 2,
        error: { code: 'NO_PROOF' },
      });
      const proof = ['--app-hash', APP_HASH];
      expect(await swingsnap(...command, ...required, ...proof)).toMatchObject({ exitCode: 0 });
    }
    const from = ['--from', BAD_ARCHIVE, '--app-hash', APP_HASH];
    expect(
      await swingsnap('retrieve', '--create', ...from, '--snapshot-dir', join(dir, 'D')),
    ).toMatchObject({
      exitCode: 3,
    });
    expect(await readdir(dir)).toEqual([]);
  });

  it('creates nothing if it has no SwingStore, whatever its AppHash', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'home'));
    const chunks = await writeChunks(join(dir, 'home'), 12, 3, [streamOf([storeItem('bank')])]);
    expect(await swingsnap('restore', chunks, '--state-dir', join(dir, 'S'))).toMatchObject({
      exitCode: 3,
      error: { code: 'NO_EXPORT_DATA' },
    });
    expect(await readdir(dir)).toEqual(['home']);
  });

  it('is packed into a snapshot with the same content hash as from any other form', async () => {
    const D = join(await tempDir(), 'D');
    const from = ['--from', ARCHIVE, '--app-hash', APP_HASH];
    const made = await swingsnap('retrieve', '--create', ...from, '--snapshot-dir', D);
    expect(made).toMatchObject({ exitCode: 0, height: 1000, written: true });
    const contentHash = (made as { contentHash?: string }).contentHash ?? '';
    const verify = async (source: string) => swingsnap('verify', source, '--expect', contentHash);
    expect(await verify(D)).toMatchObject({ exitCode: 0 });
    expect(await verify(ARCHIVE)).toMatchObject({ exitCode: 0 });
    expect(await verify(join(fixtures, 'export'))).toMatchObject({ exitCode: 0 });
    expect(await swingsnap('retrieve', '--create', ...from, '--snapshot-dir', D)).toMatchObject({
      exitCode: 0,
      written: false,
    });
  });

  it('is distinguished from other files, with a hint', async () => {
    const dir = await tempDir();
    const wrong = join(fixtures, 'export');
    expect(await swingsnap('verify', wrong, '--app-hash', APP_HASH)).toMatchObject({
      exitCode: 2,
      error: { code: 'NO_APP_HASH' },
    });
    expect(await swingsnap('verify', ARCHIVE, '--app-hash', 'abc')).toMatchObject({ exitCode: 2 });
    expect(await swingsnap('verify', ARCHIVE, '--quick')).toMatchObject({ exitCode: 2 });
    expect(await swingsnap('verify', ARCHIVE, '--height', '7')).toMatchObject({ exitCode: 5 });
    await writeFile(join(dir, '5-3.tar.gz'), 'no archive');
    expect(await swingsnap('verify', join(dir, '5-3.tar.gz'))).toMatchObject({
      exitCode: 5,
      error: { code: 'NO_SNAPSHOT', found: 'a text file' },
    });
    await mkdir(join(dir, 'snapshots', '12', '3'), { recursive: true });
    expect(await swingsnap('verify', join(dir, 'snapshots', '12', '3'))).toMatchObject({
      exitCode: 5,
    });
    expect(
      await swingsnap(
        'retrieve',
        '--create',
        '--from',
        ARCHIVE,
        '--keep-export',
        '--snapshot-dir',
        dir,
      ),
    ).toMatchObject({ exitCode: 2 });
    expect(
      await swingsnap(
        'retrieve',
        '--create',
        '--home',
        dir,
        '--app-hash',
        APP_HASH,
        '--snapshot-dir',
        dir,
      ),
    ).toMatchObject({ exitCode: 2 });
  });
});

describe('a fault of an artifact', () => {
  it('names the archive, and where right artifacts come from', async () => {
    const dir = await tempDir();
    const packed = await readFile(join(fixtures, 'format3', 'data', 'snapshots', '1000', '3', '0'));
    const stream = inflateSync(packed);
    const at = stream.lastIndexOf('snapshot.v1.8') + 200;
    stream[at]! ^= 1;
    const path = await writeArchive(dir, 1000, 3, [deflateSync(stream)]);
    const source = { code: 'ARTIFACT_MISMATCH', path: `${path}: snapshot.v1.8` };
    for (const command of [
      ['verify', path],
      ['retrieve', '--create', '--from', path, '--snapshot-dir', join(dir, 'D')],
      ['restore', path, '--state-dir', join(dir, 'S')],
    ]) {
      expect(await swingsnap(...command)).toMatchObject({
        exitCode: 3,
        error: {
          ...source,
          hint: expect.stringContaining(
            `an export of height 1000: swingsnap retrieve --format state-sync --stores-from ${path} `,
          ) as unknown,
        },
      });
    }
  });
});
