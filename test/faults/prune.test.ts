/** Snapshots are made, thinned out, removed and read at once, and processes are killed at any moment. */
import { spawn } from 'node:child_process';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { makeContent, noise, writeExportDir } from '../snapshot/made-export.ts';

const isSoak = process.env['SWINGSNAP_SOAK'] !== undefined;
const SECONDS = isSoak ? 240 : 10;
/** A command takes about as long, so some kills come before it begins, some at its end. Milliseconds. */
const LATEST_KILL = 900;
const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const tempDir = useTempDir();

interface Ended {
  readonly exitCode: number | null;
  readonly output: string;
}

/** Runs a command, and kills it after so many milliseconds if that is given. */
async function run(words: readonly string[], killAfter: number | undefined): Promise<Ended> {
  const child = spawn(process.execPath, [runPath, ...words], { stdio: 'pipe' });
  const pieces: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => pieces.push(piece));
  }
  const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill(9), killAfter);
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  return { exitCode, output: Buffer.concat(pieces).toString() };
}

/** The vats of all heights are the same, so their chunks are shared; some change. */
const vatsAt = (height: number) =>
  Array.from({ length: 4 }, (_, at) => ({
    vatID: `v${at}`,
    heap: Buffer.from(noise(1_100_000, `heap ${at} ${at < 2 ? 'same' : Math.floor(height / 2)}`)),
    spans: [['one'], ['two']],
  }));

it(
  `every height that is listed verifies after ${SECONDS} seconds of prune, remove and retrieve with kills`,
  async () => {
    const dir = await tempDir();
    const place = path.join(dir, 'place');
    await mkdir(place);
    const until = performance.now() + SECONDS * 1000;
    const maybeKill = (): number | undefined =>
      Math.random() < 0.5 ? undefined : Math.random() * LATEST_KILL;
    const counts = { made: 0, thinned: 0, removed: 0, read: 0, gone: 0, killed: 0 };
    const wrong: string[] = [];
    const hold = (what: string, { exitCode, output }: Ended, allowed: readonly number[]): void => {
      if (exitCode === null) counts.killed += 1;
      else if (!allowed.includes(exitCode)) wrong.push(`${what}: exit ${exitCode}: ${output}`);
    };
    let height = 0;
    const make = async (killAfter: number | undefined): Promise<void> => {
      height += 1;
      const from = path.join(dir, `E${height}`);
      const kv = { height: String(height) };
      await writeExportDir(from, makeContent({ height, kv, vats: vatsAt(height) }));
      const words = ['retrieve', '--export-dir', from, '--keep-export', '--create'];
      hold('retrieve', await run([...words, '--snapshot-dir', place], killAfter), [0]);
      counts.made += 1;
      await rm(from, { recursive: true });
    };
    const heights = async (): Promise<string[]> =>
      (await readdir(place)).filter((name) => !name.startsWith('.'));
    const anyHeight = async (): Promise<string> => {
      const names = await heights();
      return names[Math.floor(Math.random() * names.length)] ?? '1';
    };
    const loops: readonly (() => Promise<void>)[] = [
      async () => make(maybeKill()),
      async () => {
        const rules = ['--keep-last', '2', '--keep-height', '1', '--stale', '0'];
        hold('prune', await run(['prune', place, ...rules], maybeKill()), [0]);
        counts.thinned += 1;
        if (Math.random() < 0.5) return;
        const words = ['remove', path.join(place, await anyHeight())];
        hold('remove', await run(words, maybeKill()), [0, 5]);
        counts.removed += 1;
      },
      async () => {
        const height = await anyHeight();
        const words =
          Math.random() < 0.5
            ? ['verify', path.join(place, height)]
            : ['restore', place, '--height', height, '--state-dir', path.join(dir, 'S')];
        const ended = await run(words, undefined);
        hold(words.join(' '), ended, [0, 5]);
        if (ended.exitCode === 0) counts.read += 1;
        else counts.gone += 1;
        await rm(path.join(dir, 'S'), { recursive: true, force: true });
        hold('list', await run(['list', place], undefined), [0]);
      },
    ];
    await make(undefined);
    await Promise.all(
      loops.map(async (act) => {
        while (performance.now() < until) {
          await act();
          await sleep(10);
        }
      }),
    );
    if (isSoak) console.log(counts);
    expect(wrong).toEqual([]);
    await make(undefined);
    const { json } = await runCli(['list', place, '--json']);
    const listed = (json as { heights: { height: number }[] }).heights.map((each) => each.height);
    // What was published is whole, also after kills; what is not whole has no name of a height.
    expect((await heights()).sort()).toEqual(listed.map(String).sort());
    for (const each of listed) {
      expect(await runCli(['verify', path.join(place, String(each))])).toMatchObject({
        exitCode: 0,
      });
    }
    await runCli(['prune', place, '--keep-last', '1', '--stale', '0']);
    expect((await readdir(place)).sort()).toEqual(['.swingsnap.json', String(height)].sort());
  },
  (SECONDS + 120) * 1000,
);
