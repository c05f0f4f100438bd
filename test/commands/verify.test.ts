import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const fileDir = useTempDir('file');

/** Read-only: `store`, and its snapshots `operational/1000` and `archival/1000`. */
let base: string;
let contentHash: string;
const operational = (): string => join(base, 'operational');

interface Told {
  readonly contentHash: string;
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

beforeAll(async () => {
  base = await fileDir();
  await buildStore(join(base, 'store'), tinySpec);
  for (const mode of ['archival', 'operational']) {
    const to = ['--snapshot-dir', join(base, mode), '--artifact-mode', mode];
    ({ contentHash } = await told(
      'retrieve',
      '--create',
      '--state-dir',
      join(base, 'store'),
      ...to,
    ));
  }
});
afterAll(closeReference);

/** A copy of the store, changed by `sql`. */
async function changedStore(sql: string): Promise<string> {
  const S = join(await fileDir(), 'S');
  await cp(join(base, 'store'), S, { recursive: true });
  const db = openDatabase(join(S, 'swingstore.sqlite'));
  db.exec(sql);
  db.close();
  return S;
}

async function verifyChanged(sql: string, ...more: string[]) {
  const S = await changedStore(sql);
  return told('verify', operational(), '--state-dir', S, ...more);
}

const CURRENT_V2 = `vatID = 'v2' AND startPos = (SELECT startPos FROM transcriptSpans WHERE vatID = 'v2' AND isCurrent = 1)`;
const LAST_ITEM_V2 = `vatID = 'v2' AND position = (SELECT max(position) FROM transcriptItems WHERE vatID = 'v2')`;

describe.concurrent('verify with a store', () => {
  it('accepts the exported store, and counts the history that only the store has', async () => {
    expect(await told('verify', operational(), '--state-dir', join(base, 'store'))).toMatchObject({
      exitCode: 0,
      store: { artifactMode: 'operational', equal: 7, onlyInStore: 6 },
    });
    expect(
      await told('verify', join(base, 'archival'), '--state-dir', join(base, 'store')),
    ).toMatchObject({ exitCode: 0, store: { artifactMode: 'archival', onlyInStore: 0 } });
  });

  it.each([
    [
      'a changed key',
      `UPDATE kvStore SET value = 'x' WHERE key = 'vat.names'`,
      ['kv.vat.names differs'],
    ],
    ['a missing key', `DELETE FROM kvStore WHERE key = 'vat.names'`, ['kv.vat.names is missing']],
    [
      'an extra key',
      `INSERT INTO kvStore VALUES ('extra', '1')`,
      ['kv.extra is in the store only'],
    ],
    [
      'a changed record',
      `UPDATE transcriptSpans SET hash = 'abc' WHERE ${CURRENT_V2}`,
      ['transcript.v2.current differs'],
    ],
    [
      'a missing record',
      `DELETE FROM snapshots WHERE vatID = 'v2'`,
      ['snapshot.v2.', 'is missing'],
    ],
    [
      'a changed item',
      `UPDATE transcriptItems SET item = 'x' WHERE ${LAST_ITEM_V2}`,
      ['artifact transcript.v2.', 'differs'],
    ],
    [
      'a missing item',
      `DELETE FROM transcriptItems WHERE ${LAST_ITEM_V2}`,
      ['artifact transcript.v2.', 'is missing'],
    ],
    [
      'a damaged heap snapshot',
      `UPDATE snapshots SET compressedSnapshot = x'1f8b00' WHERE vatID = 'v2' AND inUse = 1`,
      ['artifact snapshot.v2.', 'is damaged'],
    ],
    [
      'another heap snapshot',
      `UPDATE snapshots SET compressedSnapshot = (SELECT compressedSnapshot FROM snapshots WHERE vatID = 'v1' AND inUse = 1)
       WHERE vatID = 'v2' AND inUse = 1`,
      ['artifact snapshot.v2.', 'differs'],
    ],
    [
      'a pruned heap snapshot',
      `UPDATE snapshots SET compressedSnapshot = NULL WHERE vatID = 'v2' AND inUse = 1`,
      ['artifact snapshot.v2.', 'is missing'],
    ],
    ['another bundle', `UPDATE bundles SET bundle = 'x'`, ['artifact bundle.b0-', 'differs']],
    ['a pruned bundle', `UPDATE bundles SET bundle = NULL`, ['artifact bundle.b1-']],
    ['a missing bundle', `DELETE FROM bundles`, ['bundle.b0-', 'is missing']],
  ])('names the difference, with exit code 3: %s', async (_, sql, words) => {
    const { exitCode, error } = await verifyChanged(sql);
    expect({ exitCode, code: error?.code }).toEqual({ exitCode: 3, code: 'STORE_DIFFERS' });
    for (const word of words) expect(error?.found).toContain(word);
    expect(error?.hint).toBeTypeOf('string');
  });

  it('names the first ten of many differences, and counts all', async () => {
    const { exitCode, error } = await verifyChanged(
      `UPDATE kvStore SET value = 'x' WHERE key NOT LIKE 'host.%' AND key NOT LIKE 'local.%'`,
    );
    expect(exitCode).toBe(3);
    expect(error?.found).toMatch(/^3\d\d differences: /u);
    expect(error?.found?.split('; ')).toHaveLength(10);
    expect(error?.found).toMatch(/ and 2\d\d more$/u);
    expect(error?.hint).toMatch(
      /the store differs: stop the node, and restore it with: swingsnap restore /u,
    );
  });

  it('shows where two long values differ', async () => {
    const change = (end: string) =>
      `UPDATE kvStore SET value = '${'long '.repeat(50)}${end}' WHERE key = 'vat.names'`;
    const E = join(await fileDir(), 'E');
    await told('export', '--state-dir', await changedStore(change('one')), '--export-dir', E);
    const S = await changedStore(change('other'));
    const { error } = await told('verify', E, '--state-dir', S);
    expect(error?.found).toMatch(/kv\.vat\.names differs: expected ….*one", found ….*other"/u);
  });

  it('ignores data that no export contains, and pruned history', async () => {
    const { exitCode } = await verifyChanged(
      `UPDATE kvStore SET value = 'x' WHERE key LIKE 'local.%';
       DELETE FROM transcriptItems WHERE vatID = 'v1' AND position = 0`,
    );
    expect(exitCode).toBe(0);
  });

  it('reports a different height as such, whatever else differs', async () => {
    const { exitCode, error } = await verifyChanged(
      `UPDATE kvStore SET value = 'x'; UPDATE kvStore SET value = '1001' WHERE key = 'host.height'`,
    );
    expect({ exitCode, error }).toMatchObject({
      exitCode: 3,
      error: {
        code: 'STORE_HEIGHT',
        expected: 1000,
        found: 1001,
        hint: expect.stringMatching(
          /^a running node commits more blocks: .* height 1001; or .*: swingsnap restore \S+1000 --state-dir \S+ --replace$/u,
        ) as string,
      },
    });
  });

  it('compares no artifact beyond the requested mode', async () => {
    const sql = `UPDATE transcriptItems SET item = 'x' WHERE ${LAST_ITEM_V2}`;
    expect(await verifyChanged(sql, '--artifact-mode', 'none')).toMatchObject({
      exitCode: 0,
      store: { artifactMode: 'none', equal: 0 },
    });
  });

  it('reports a missing store with exit code 5, and creates none', async () => {
    const S = await fileDir();
    expect(await told('verify', operational(), '--state-dir', S)).toMatchObject({
      exitCode: 5,
      error: { code: 'STORE_MISSING' },
    });
    expect(await told('verify', operational(), '--home', S)).toMatchObject({ exitCode: 5 });
    expect(await readdir(S)).toEqual([]);
  });

  it('changes nothing in the store and nothing in the source', async () => {
    const S = await changedStore('SELECT 1');
    await told('verify', operational(), '--state-dir', S);
    const D = join(await fileDir(), 'D');
    await cp(operational(), D, { recursive: true });
    const before = [await listTree(S), await listTree(D)];
    for (const more of [['--state-dir', S], ['--quick'], []]) {
      expect(await told('verify', D, ...more)).toMatchObject({ exitCode: 0 });
    }
    expect([await listTree(S), await listTree(D)]).toEqual(before);
  });
});

describe.concurrent('verify', () => {
  it('accepts the hash that retrieve printed, in upper or lower case, and refuses any other', async () => {
    const verify = ['verify', operational(), '--expect'];
    expect(await told(...verify, contentHash.toUpperCase())).toMatchObject({ exitCode: 0 });
    const other = '1'.repeat(64);
    expect(await told(...verify, other)).toMatchObject({
      exitCode: 3,
      error: { expected: other, found: contentHash, hint: expect.any(String) as string },
    });
  });

  it('compares hash and height with the manifest when it is quick', async () => {
    const quick = (...more: string[]) => told('verify', operational(), '--quick', ...more);
    expect(await quick('--expect', contentHash)).toMatchObject({ exitCode: 0 });
    expect(await quick('--expect', '1'.repeat(64))).toMatchObject({
      exitCode: 3,
      error: { expected: '1'.repeat(64), found: contentHash },
    });
    expect(await quick('--height', '1')).toMatchObject({ exitCode: 5, error: { expected: 1 } });
  });

  it('finds and names a missing, changed or truncated chunk, quickly and fully', async () => {
    const D = join(await fileDir(), 'D');
    const chunks = join(D, '1000', 'chunks');
    for (const damage of ['missing', 'changed', 'cut']) {
      await rm(D, { recursive: true, force: true });
      await cp(operational(), D, { recursive: true });
      const [name = ''] = await readdir(chunks);
      const bytes = await readFile(join(chunks, name));
      if (damage === 'missing') await rm(join(chunks, name));
      else if (damage === 'cut') await writeFile(join(chunks, name), bytes.subarray(0, -1));
      else
        await writeFile(
          join(chunks, name),
          Buffer.concat([bytes.subarray(0, -1), Buffer.from('x')]),
        );
      for (const quick of [[], ['--quick']]) {
        const { exitCode, error } = await told('verify', D, ...quick);
        expect({ damage, exitCode }).toEqual({ damage, exitCode: 3 });
        expect(JSON.stringify(error)).toContain(name.slice(0, 64));
        expect(error?.hint).toBeTypeOf('string');
      }
    }
  });

  it('takes the highest height by number, follows a symlink to a height, and takes any other by --height', async () => {
    const D = await fileDir();
    await symlink(join(operational(), '1000'), join(D, '1000'));
    await cp(operational(), join(D, 'other'), { recursive: true });
    await mkdir(join(D, '.1001-building'));
    expect(await told('verify', D)).toMatchObject({ exitCode: 0, source: join(D, '1000') });
    expect(await told('verify', D, '--height', '1001')).toMatchObject({
      exitCode: 5,
      error: { code: 'HEIGHT', path: D, expected: 1001, found: '1000' },
    });
    expect(await told('verify', join(D, '1000'), '--height', '1001')).toMatchObject({
      exitCode: 5,
      error: { code: 'HEIGHT', expected: 1001, found: 1000 },
    });
    // Compared as text, 999 is greater.
    await cp(join(operational(), '1000'), join(D, '999'), { recursive: true });
    expect(await told('verify', D)).toMatchObject({ exitCode: 0, source: join(D, '1000') });
    // The manifest of the copy still says 1000: this is the one that was taken.
    expect(await told('verify', D, '--height', '999')).toMatchObject({
      exitCode: 3,
      error: { path: join(D, '999') },
    });
    for (let height = 1; height < 12; height += 1)
      await mkdir(join(D, String(height), 'chunks'), { recursive: true });
    expect((await told('verify', D, '--height', '7000')).error?.found).toMatch(
      /^1000, 999, 11, (?:\d+, ){6}4 and 3 more$/u,
    );
    // Nothing in there belongs to a snapshot.
    await mkdir(join(D, '2024', 'photos'), { recursive: true });
    expect(await told('verify', D)).toMatchObject({ exitCode: 0, source: join(D, '1000') });
  });

  it('reports a damaged newest height, and does not fall back to an older one', async () => {
    const D = await fileDir();
    await cp(join(operational(), '1000'), join(D, '1000'), { recursive: true });
    await cp(join(operational(), '1000', 'manifest.json'), join(D, '1001', 'manifest.json'));
    for (const quick of [[], ['--quick']]) {
      const { exitCode, error } = await told('verify', D, ...quick);
      expect(exitCode).toBe(3);
      expect(error?.path).toContain(join(D, '1001'));
    }
  });

  it('reads an export directory, but not quickly', async () => {
    const E = join(await fileDir(), 'E');
    await told('export', '--state-dir', join(base, 'store'), '--export-dir', E);
    expect(await told('verify', E)).toMatchObject({ exitCode: 0, form: 'export directory' });
    expect(await told('verify', E, '--quick')).toMatchObject({
      exitCode: 2,
      error: { code: 'NO_CHUNKS' },
    });
    await rm(join(E, 'export-data.jsonl'));
    expect(await told('verify', E)).toMatchObject({
      exitCode: 3,
      error: { path: join(E, 'export-data.jsonl'), hint: expect.any(String) as string },
    });
  });

  it('prints its findings on stdout, and nothing under --quiet', async () => {
    const { stdout, stderr } = await runCli(['verify', operational()]);
    expect(stdout).toMatch(/^ok: snapshot of height 1000 \(operational\): /u);
    expect(stdout).toContain(contentHash);
    expect(stderr).toMatch(/^(?:starting|0%, export data)\nexport data: 118 kB, 321 entries in/u);
    expect(await runCli(['verify', operational(), '--quiet'])).toMatchObject({
      stdout: '',
      stderr: '',
      exitCode: 0,
    });
  });
});
