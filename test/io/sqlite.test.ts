/** Which SQLite a Node gets, and the error if there is none. The cases without SQLite run in their own checkout. */
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openDatabase, sqliteSeenFrom } from '../../src/io/sqlite.ts';
import { useTempDir } from '../fixtures/directories.ts';

const tempDir = useTempDir();
const root = fileURLToPath(new URL('../..', import.meta.url));
const [major = 0] = process.versions.node.split('.').map(Number);

/** The program with everything that it needs except SQLite. */
async function withoutSQLite(): Promise<string> {
  const dir = await tempDir();
  for (const name of ['bin', 'dist', 'package.json', 'oclif.manifest.json']) {
    await cp(path.join(root, name), path.join(dir, name), { recursive: true });
  }
  await mkdir(path.join(dir, 'packages', 'node20'), { recursive: true });
  await cp(
    path.join(root, 'packages', 'node20', 'package.json'),
    path.join(dir, 'packages', 'node20', 'package.json'),
  );
  await mkdir(path.join(dir, 'node_modules'));
  const locked = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>;
  };
  for (const place of Object.keys(locked.packages)) {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/u.exec(place) ?? [];
    if (name === undefined || name === 'better-sqlite3' || name === 'swingsnap-node20') continue;
    const target = path.join(dir, place);
    await mkdir(path.dirname(target), { recursive: true });
    await symlink(path.join(root, place), target);
  }
  return dir;
}

describe('SQLite', () => {
  it('is better-sqlite3 12 before Node 22, and 13 from Node 22 on', async () => {
    const seen = new URL(sqliteSeenFrom).pathname;
    expect(seen.endsWith('packages/node20/package.json')).toBe(major < 22);
    const db = openDatabase(':memory:');
    expect(db.prepare('SELECT 1').pluck().get()).toBe(1);
    db.close();
  });

  it('is named in one line that says what to do, if it is missing', async () => {
    const dir = await withoutSQLite();
    const exportDir = path.join(root, 'test', 'fixtures', 'state-sync', 'export');
    const command = [path.join(dir, 'bin', 'run.js'), 'verify', exportDir, '--json'];
    const failed = promisify(execFile)(process.execPath, command);
    const { stdout } = await failed.catch((error: unknown) => error as { stdout: string });
    const hint = major < 22 ? /Node 22\.15 or later/u : /npm install where swingsnap is installed/u;
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'SQLITE_UNAVAILABLE',
        exitCode: 1,
        message: 'SQLite does not load on this Node',
        found: expect.stringContaining(`Node ${process.version} on ${process.platform}`) as string,
        hint: expect.stringMatching(hint) as string,
      },
    });
  });

  it('is named too if its binary does not load', async () => {
    const dir = await withoutSQLite();
    for (const place of ['.', path.join('packages', 'node20')]) {
      const broken = path.join(dir, place, 'node_modules', 'better-sqlite3');
      await mkdir(broken, { recursive: true });
      await writeFile(
        path.join(broken, 'index.js'),
        `module.exports = function () { throw new Error('Could not locate the bindings file.\\nTried: 1'); };`,
      );
    }
    const command = [
      path.join(dir, 'bin', 'run.js'),
      'verify',
      path.join(root, 'test', 'fixtures', 'state-sync', 'export'),
    ];
    const failed = promisify(execFile)(process.execPath, command);
    const { stderr } = await failed.catch((error: unknown) => error as { stderr: string });
    expect(stderr).toMatch(
      /SQLite does not load on this Node\n *found: +Node v.*Could not locate the bindings file\.\nhint: /u,
    );
    expect(stderr).not.toContain('Tried');
  });
});
