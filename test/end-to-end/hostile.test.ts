/** Stores and export directories that are made to do harm, and stores that no export can carry. */
import { createHash } from 'node:crypto';
import { mkdir, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { SwingSnapError } from '../../src/errors.ts';
import { openDatabase, type Database } from '../../src/io/sqlite.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import {
  buildStore,
  closeReference,
  referenceExport,
  referenceImport,
} from '../fixtures/reference.ts';
import type { StoreSpec } from '../fixtures/store-spec.ts';
import { judgeByReference, judgeByUs } from './judge.ts';
import { mutationSpec } from './mutation.ts';
import { exportTo, restore, retrieve } from './operations.ts';

const tempDir = useTempDir();
afterAll(closeReference);

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const EMPTY_SPAN = sha256('start of transcript span');

async function built(spec: StoreSpec = mutationSpec, change?: (db: Database) => void) {
  const stateDir = path.join(await tempDir(), 'agoric');
  await buildStore(stateDir, spec);
  if (change !== undefined) {
    const db = openDatabase(path.join(stateDir, 'swingstore.sqlite'));
    change(db);
    db.close();
  }
  return stateDir;
}

const addSpan = (vatID: string) => (db: Database) => {
  db.prepare('INSERT INTO transcriptSpans VALUES (?, 0, 0, ?, 1, 0)').run(vatID, EMPTY_SPAN);
};
const addHeap = (vatID: string) => (db: Database) => {
  const blob = gzipSync('heap');
  db.prepare('INSERT INTO snapshots VALUES (?, 1, 1, ?, 4, ?, ?)').run(
    vatID,
    sha256('heap'),
    blob.length,
    blob,
  );
};
const addBundle = (bundleID: string, bundle: string) => (db: Database) => {
  db.prepare('INSERT INTO bundles VALUES (?, ?)').run(bundleID, bundle);
};

describe('a store with ids that lead out of a directory', () => {
  it.each([
    ['a transcript span', addSpan('/../../evil')],
    ['a heap snapshot', addHeap('/../../evil')],
    ['a bundle', addBundle('b0-/../../evil', '{}')],
  ])('is not exported, and nothing is written outside: %s', async (_, change) => {
    const stateDir = await built(mutationSpec, change);
    const parent = await tempDir();
    const exportDir = path.join(parent, 'E');
    await expect(
      exportTo(exportDir, stateDir, { artifactMode: 'operational' }),
    ).rejects.toMatchObject({ code: 'STORE_VALUE' });
    expect(await listTree(parent)).toEqual({});
    await expect(
      retrieve(path.join(parent, 'D'), { stateDir, artifactMode: 'operational' }),
    ).rejects.toThrow(SwingSnapError);
    expect(await listTree(path.join(parent, 'D'))).toEqual({});
  });
});

describe('a store that no export can carry', () => {
  const withItem = (item: string): StoreSpec => ({
    ...mutationSpec,
    vats: [{ vatID: 'v1', incarnations: [{ spans: [{ items: ['{}', item, '{}'] }] }] }],
  });
  const reordered = JSON.stringify({ source: '() => {}', moduleFormat: 'nestedEvaluate' });
  const extended = JSON.stringify({
    moduleFormat: 'nestedEvaluate',
    source: '() => {}',
    sourceMap: '',
    extra: 1,
  });
  const cases: [string, string, () => Promise<string>][] = [
    ...['{"a":\n1}', '{} ', '{}\t', '{}\r', '{}\u2028', '\n'].map(
      (item): [string, string, () => Promise<string>] => [
        `the transcript item ${JSON.stringify(item)}`,
        'transcript.v1.0.3',
        async () => built(withItem(item)),
      ],
    ),
    ...[reordered, extended].map((bundle): [string, string, () => Promise<string>] => [
      `the b0 bundle ${bundle}`,
      `bundle.b0-${sha256(bundle)}`,
      async () => built(mutationSpec, addBundle(`b0-${sha256(bundle)}`, bundle)),
    ]),
  ];

  it.each(cases)(
    'is exported as by the reference; retrieve and restore refuse it and name the artifact: %s',
    async (_, artifact, build) => {
      const stateDir = await build();
      const parent = await tempDir();
      const exportDir = path.join(parent, 'E');
      await exportTo(exportDir, stateDir, { artifactMode: 'operational' });
      const reference = await tempDir();
      await referenceExport(stateDir, reference);
      const { '.swingsnap-operation.json': _record, ...ours } = await listTree(exportDir);
      expect(ours).toEqual(await listTree(reference));

      await expect(referenceImport(exportDir, path.join(parent, 'R'))).rejects.toThrow();
      const named = (at: string) => ({ exitCode: 3, path: `${at}: ${artifact}` });
      const snapshotDir = path.join(parent, 'D');
      const stateCopy = path.join(parent, 'S');
      await expect(restore(exportDir, stateCopy)).rejects.toMatchObject(named(exportDir));
      await expect(retrieve(snapshotDir, { exportDir })).rejects.toMatchObject(named(exportDir));
      await expect(
        retrieve(snapshotDir, { stateDir, artifactMode: 'operational' }),
      ).rejects.toMatchObject(named(stateDir));
      expect(await listTree(stateCopy)).toEqual({});
      expect(await listTree(snapshotDir)).toEqual({});
    },
  );
});

describe('symbolic links', () => {
  it('are followed when an export is read, as by the reference', async () => {
    const parent = await tempDir();
    const exportDir = path.join(parent, 'E');
    await mkdir(exportDir);
    await referenceExport(await built(), exportDir);
    for (const name of ['export-data.jsonl', 'snapshot.v1.9']) {
      await rename(path.join(exportDir, name), path.join(parent, name));
      await symlink(path.join(parent, name), path.join(exportDir, name));
    }
    const dir = await tempDir();
    const reference = await judgeByReference(exportDir, path.join(dir, 'R', 'S'));
    const ours = await judgeByUs(exportDir, path.join(dir, 'O', 'S'));
    expect(reference.accepted).toBe(true);
    expect(ours).toEqual(reference);
  });

  it('cannot make an export write into the store', async () => {
    const stateDir = await built();
    const before = await listTree(stateDir);
    const link = path.join(await tempDir(), 'link');
    await symlink(stateDir, link);
    for (const exportDir of [link, path.join(link, 'E'), path.join(link, 'x', '..', 'E')]) {
      await expect(
        exportTo(exportDir, stateDir, { artifactMode: 'operational' }),
      ).rejects.toMatchObject({ code: 'EXPORT_DIR' });
    }
    expect(await listTree(stateDir)).toEqual(before);
  });
});
