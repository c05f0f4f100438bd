/** Commands on the state-sync snapshots of a real node, above which it has left an unfinished one. */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { REAL_SNAPSHOTS } from '../fixtures/state-sync/real-node.ts';

const fileDir = useTempDir('file');
const tempDir = useTempDir();
const [SMALL] = REAL_SNAPSHOTS;
const { appHash } = SMALL;
const UNFINISHED = '20/3 (not listed in metadata.db, so unfinished)';
const PASSED = `passed over ${UNFINISHED}`;

let home: string;
let place: string;
beforeAll(async () => {
  home = await fileDir();
  place = SMALL.layOut(home);
  const chunk = await readFile(path.join(place, '15', '3', '0'));
  await mkdir(path.join(place, '20', '3'), { recursive: true });
  await writeFile(path.join(place, '20', '3', '0'), chunk.subarray(0, 500_000));
});

async function swingsnap(...args: string[]) {
  const { exitCode, json, stderr } = await runCli([...args, '--json']);
  return { exitCode, json: json as Record<string, unknown>, stderr };
}

describe('the newest complete state-sync snapshot of a node is taken', () => {
  it('by verify, from its home, its data and its snapshots, which are not changed', async () => {
    const before = await listTree(home);
    for (const source of [home, path.join(home, 'data'), place]) {
      const { exitCode, json } = await swingsnap('verify', source, '--app-hash', appHash);
      expect({ exitCode, json }).toMatchObject({
        exitCode: 0,
        json: { height: 15, source: path.join(place, '15', '3'), notes: [PASSED] },
      });
    }
    expect(await listTree(home)).toEqual(before);
  });

  it('by restore, export --from and retrieve --from', async () => {
    const dir = await tempDir();
    const commands = [
      ['restore', home, '--state-dir', path.join(dir, 'S')],
      ['export', '--from', home, '--export-dir', path.join(dir, 'E')],
      ['retrieve', '--create', '--from', home, '--snapshot-dir', path.join(dir, 'D')],
    ];
    for (const command of commands) {
      const { exitCode, json } = await swingsnap(...command, '--app-hash', appHash);
      expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { height: 15 } });
      expect(json['notes']).toContain(PASSED);
    }
  });

  it('by --stores-from and by --from beside it', async () => {
    const dir = await tempDir();
    for (const stores of [home, place]) {
      const { exitCode, json, stderr } = await swingsnap(
        ...['retrieve', '--format', 'state-sync', '--stores-from', stores, '--from', home],
        ...['--snapshot-dir', dir, '--app-hash', appHash],
      );
      expect({ exitCode, json }, stderr).toMatchObject({
        exitCode: 0,
        json: { height: 15, path: path.join(dir, '15-3.tar.gz') },
      });
      expect(json['notes']).toContain(PASSED);
    }
  });

  it('and no other by --height, which names those that are complete', async () => {
    for (const [args, height, code] of [
      [['verify', home], '20', 'HEIGHT'],
      [['verify', home], '17', 'HEIGHT'],
      [
        ['retrieve', '--format', 'state-sync', '--from', home, '--stores-from', home],
        '17',
        'HEIGHT',
      ],
    ] as const) {
      const more = args[0] === 'retrieve' ? ['--snapshot-dir', await tempDir()] : [];
      const { exitCode, json } = await swingsnap(...args, ...more, '--height', height);
      expect({ exitCode, json }).toMatchObject({ exitCode: 5, json: { error: { code } } });
      const { found, hint } = json['error'] as Record<string, string>;
      expect(height === '17' ? found : hint).toMatch(height === '17' ? /^15$/u : /--height: 15; /u);
    }
  });

  it('with a note of what could be seen if there is no list', async () => {
    const copy = await tempDir();
    await cp(place, copy, { recursive: true });
    await rm(path.join(copy, 'metadata.db'), { recursive: true });
    const { exitCode, json } = await swingsnap('verify', copy, '--app-hash', appHash);
    expect({ exitCode, json }).toMatchObject({
      exitCode: 0,
      json: {
        height: 15,
        notes: [
          'passed over 20/3 (no chunk is missing before the last; the end of its stream cannot be seen)',
          'took 15/3 (no chunk is missing, and its stream has an end)',
        ],
      },
    });
  });
});
