import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';
import { sizedSpec } from '../fixtures/store-spec.ts';
import { runIn, stranger } from './surroundings.ts';

const fileDir = useTempDir('file');

/** Contains `store`, and `large` with tens of MB of heap snapshots. */
let base: string;

beforeAll(async () => {
  base = await fileDir();
  await buildStore(join(base, 'store'), tinySpec);
  const size = {
    keys: 2000,
    valueBytes: 900,
    items: 10,
    itemBytes: 100,
    bundles: 0,
    bundleBytes: 0,
    b1Share: 0,
  };
  await buildStore(join(base, 'large'), sizedSpec({ ...size, vats: 8, heapBytes: 4_000_000 }));
});
afterAll(closeReference);

interface Told {
  readonly error?: {
    code: string;
    path?: string;
    found?: string;
    expected?: string;
    hint?: string;
  };
}

async function told(...args: string[]) {
  const { exitCode, stderr, json } = await runCli([...args, '--json']);
  return { exitCode, stderr, ...(json as Told) };
}

/** A new directory with a copy of the store in `S`. */
async function place(kind: 'store' | 'large' = 'store') {
  const dir = await fileDir();
  const S = join(dir, 'S');
  await cp(join(base, kind), S, { recursive: true });
  return { dir, S };
}

describe.concurrent('the export directory', () => {
  it('is refused in the state dir, whatever path leads there', async () => {
    const { dir, S } = await place();
    await mkdir(join(S, 'existing'));
    await symlink(S, join(dir, 'link'));
    await symlink(join(S, 'existing'), join(dir, 'inner'));
    const before = await listTree(dir);
    for (const E of [
      S,
      join(S, 'new', 'deep'),
      join(S, 'existing'),
      join(dir, 'link'),
      join(dir, 'link', 'x'),
      join(dir, 'inner'),
      `${S}/../S/x`,
      `${S}/`,
    ]) {
      const { exitCode, error } = await told('export', '--state-dir', S, '--export-dir', E);
      expect({ E, exitCode, code: error?.code }).toEqual({ E, exitCode: 2, code: 'EXPORT_DIR' });
      expect(error?.hint).toContain('--export-dir');
    }
    const other = join(dir, 'link');
    expect(await told('export', '--state-dir', other, '--export-dir', join(S, 'x'))).toMatchObject({
      exitCode: 2,
    });
    expect(await listTree(dir)).toEqual(before);
    // Beside the state dir, with a name that begins with its name.
    expect(await told('export', '--state-dir', S, '--export-dir', `${S}-export`)).toMatchObject({
      exitCode: 0,
    });
  });

  it('is created, or used if it exists and is empty', async () => {
    const { dir, S } = await place();
    const [made, empty] = [join(dir, 'E'), join(dir, 'empty')];
    await mkdir(empty);
    await chmod(empty, 0o710);
    expect(await told('export', '--state-dir', S, '--export-dir', made)).toMatchObject({
      exitCode: 0,
    });
    expect(await told('export', '--state-dir', S, '--export-dir', empty)).toMatchObject({
      exitCode: 0,
    });
    expect((await stat(empty)).mode & 0o777).toBe(0o710);
    const content = async (E: string) =>
      Object.entries(await listTree(E)).filter(([name]) => name !== '.swingsnap-operation.json');
    expect(await content(empty)).toEqual(await content(made));
  });

  it('is not touched if it is not empty, or is a file', async () => {
    const { dir, S } = await place();
    await mkdir(join(dir, 'full'));
    await writeFile(join(dir, 'full', 'something'), 'else');
    await writeFile(join(dir, 'file'), 'a file');
    const before = await listTree(dir);
    for (const name of ['full', 'file']) {
      const { exitCode, error } = await told(
        'export',
        '--state-dir',
        S,
        '--export-dir',
        join(dir, name),
      );
      expect(exitCode).toBeOneOf([1, 2]);
      expect(error).toMatchObject({
        path: join(dir, name),
        hint: expect.any(String) as string,
      });
    }
    const ours = Object.entries(await listTree(dir)).filter(([name]) => !name.startsWith('S/'));
    expect(ours).toEqual(Object.entries(before).filter(([name]) => !name.startsWith('S/')));
  });

  it('is refused with exit code 6 if it is not writable', async () => {
    const { dir, S } = await place();
    await chmod(dir, 0o755);
    await mkdir(join(dir, 'closed'));
    await chmod(join(dir, 'closed'), 0o555);
    const E = join(dir, 'closed', 'E');
    const args = ['export', '--state-dir', S, '--export-dir', E, '--json'];
    const { exitCode, json } = await runIn(stranger, args);
    expect(exitCode).toBe(6);
    expect(json).toMatchObject({ error: { code: 'NOT_WRITABLE', path: join(dir, 'closed') } });
    await chmod(join(dir, 'closed'), 0o755);
    expect(await listTree(join(dir, 'closed'))).toEqual({});
  });
});

describe.concurrent('a failed export', () => {
  const damages: Record<string, string> = {
    'a heap snapshot that is no gzip': `UPDATE snapshots SET compressedSnapshot = x'00' WHERE vatID = 'v2'`,
    'a heap snapshot that is cut': `UPDATE snapshots SET compressedSnapshot = substr(compressedSnapshot, 1, 300) WHERE vatID = 'v2'`,
    'a pruned heap snapshot': `UPDATE snapshots SET compressedSnapshot = NULL`,
    'missing items': `DELETE FROM transcriptItems WHERE vatID = 'v3'`,
    'a pruned bundle': `UPDATE bundles SET bundle = NULL`,
    'a vat whose name leads out of the export': `UPDATE snapshots SET vatID = '../../v2' WHERE vatID = 'v2'`,
    'a bundle whose name leads out of the export': `UPDATE bundles SET bundleID = 'b1-/../../../x' WHERE bundleID LIKE 'b1-%'`,
  };
  it.each(Object.keys(damages))('leaves the export directory as it was: %s', async (name) => {
    const { dir, S } = await place();
    const db = openDatabase(join(S, 'swingstore.sqlite'));
    db.exec(damages[name] ?? '');
    db.close();
    const empty = join(dir, 'empty');
    await mkdir(empty);
    for (const E of [empty, join(dir, 'E')]) {
      const { exitCode, error } = await told('export', '--state-dir', S, '--export-dir', E);
      expect(exitCode).toBeOneOf([1, 3]);
      expect(error?.hint).toBeTypeOf('string');
    }
    expect(Object.keys(await listTree(dir)).filter((file) => !file.startsWith('S'))).toEqual([
      'empty',
    ]);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a command that gets a signal', () => {
  const CODES = { SIGTERM: 143, SIGINT: 130 } as const;

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'ends an export with the exit code of the signal, and leaves nothing: %s',
    async (signal) => {
      const { dir, S } = await place('large');
      const E = join(dir, 'E');
      await mkdir(E);
      const args = ['export', '--state-dir', S, '--export-dir', E];
      const { exitCode, stderr, pid } = await runIn(
        { kill: { signal, after: 'export data:' } },
        args,
      );
      expect({ exitCode, stderr }).toEqual({
        exitCode: CODES[signal],
        stderr: expect.stringContaining(signal) as string,
      });
      expect(await listTree(E)).toEqual({});
      expect(isAlive(pid)).toBe(false);
      expect(Object.keys(await listTree(dir)).filter((name) => !name.startsWith('S'))).toEqual([
        'E',
      ]);
    },
  );

  it('ends a retrieve of the store, and leaves no snapshot dir', async () => {
    const { dir, S } = await place('large');
    const args = ['retrieve', '--create', '--state-dir', S, '--snapshot-dir', join(dir, 'D')];
    const { exitCode } = await runIn({ kill: { signal: 'SIGTERM', after: 'export data:' } }, args);
    expect(exitCode).toBe(143);
    expect(Object.keys(await listTree(dir)).filter((name) => !name.startsWith('S'))).toEqual([]);
  });

  it('ends a restore without a store, and makes the store when run again', async () => {
    const { dir, S } = await place('large');
    const D = join(dir, 'D');
    await told('retrieve', '--create', '--state-dir', S, '--snapshot-dir', D);
    const args = ['restore', D, '--state-dir', join(dir, 'R')];
    const { exitCode } = await runIn({ kill: { signal: 'SIGINT', after: 'export data:' } }, args);
    expect(exitCode).toBe(130);
    expect(existsSync(join(dir, 'R'))).toBe(false);
    expect(await runIn({}, args)).toMatchObject({ exitCode: 0 });
    expect(Object.keys(await listTree(join(dir, 'R')))).toEqual(['swingstore.sqlite']);
  });
});
