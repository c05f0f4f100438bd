/** Two commands run at once on the same paths. Each succeeds or says why it did not, and nothing is left behind. */
import { cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noProgress } from '../../src/io/progress.ts';
import { operationOn } from '../../src/operation/lock/lock.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { runCli, type CliResult } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const isSoak = process.env['SWINGSNAP_SOAK'] === '1';
const seed = Number(process.env['SWINGSNAP_SEED'] ?? (isSoak ? Date.now() % 1_000_000 : 99));
const ROUNDS = isSoak ? 10 : 1;

let state = seed + 1;
function random(): number {
  state = (state * 48_271) % 2_147_483_647;
  return state / 2_147_483_647;
}

const fileDir = useTempDir('file');
let base: string;

beforeAll(async () => {
  base = await fileDir();
  await buildStore(join(base, 'S'), tinySpec);
  await runCli(['export', '--state-dir', join(base, 'S'), '--export-dir', join(base, 'E')]);
  await runCli([
    'retrieve',
    '--create',
    ...['--state-dir', join(base, 'S')],
    ...['--snapshot-dir', join(base, 'source')],
  ]);
});
afterAll(closeReference);

/**
 * Where two commands meet: a store S, in half of the rounds our export E of it, and D, an empty snapshot dir. Restores
 * read a snapshot elsewhere.
 */
interface Place {
  readonly dir: string;
  readonly S: string;
  readonly E: string;
  readonly D: string;
}

async function makePlace(): Promise<Place> {
  const dir = join(base, `round-${Math.floor(random() * 1e12)}`);
  await mkdir(dir);
  const place = { dir, S: join(dir, 'S'), E: join(dir, 'E'), D: join(dir, 'D') };
  await cp(join(base, 'S'), place.S, { recursive: true });
  // Half of the rounds begin with a finished export, the others with none.
  if (random() < 0.5) await cp(join(base, 'E'), place.E, { recursive: true });
  return place;
}

const commands: Readonly<Record<string, (place: Place) => readonly string[]>> = {
  export: ({ S, E }) => ['export', '--state-dir', S, '--export-dir', E],
  'export --detach': ({ S, E }) => ['export', '--state-dir', S, '--export-dir', E, '--detach'],
  'retrieve E': ({ E, D }) => ['retrieve', '--create', '--export-dir', E, '--snapshot-dir', D],
  'retrieve S': ({ S, D }) => ['retrieve', '--create', '--state-dir', S, '--snapshot-dir', D],
  discard: ({ E }) => ['discard', '--export-dir', E],
  restore: ({ S }) => ['restore', join(base, 'source'), '--state-dir', S],
  'restore --replace': ({ S }) => ['restore', join(base, 'source'), '--state-dir', S, '--replace'],
};
const names = Object.keys(commands);
const pairs = names.flatMap((one, i) => names.slice(i).map((other) => [one, other] as const));

/** What is wrong, unless the command succeeded, or told one error with its code and what to do next. */
function troubleIn(name: string, { exitCode, stdout, stderr }: CliResult): string[] {
  if (exitCode === 0) return [];
  const told = JSON.parse(stdout) as { error?: { code?: string; message?: string; hint?: string } };
  const { code = '', message = '', hint } = told.error ?? {};
  const isClean =
    [1, 4, 5].includes(exitCode ?? -1) &&
    /^[A-Z][A-Z_]+$/u.test(code) &&
    !['UNEXPECTED', 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'WORKER_DIED'].includes(code) &&
    !message.includes('\n') &&
    hint !== undefined &&
    stderr === '';
  return isClean ? [] : [`${name}: exit ${exitCode}: ${stdout}${stderr}`];
}

/**
 * What is wrong afterwards. However the commands ended, the store opens, what has a name for users is whole, nothing
 * else is there, and no lock is held.
 */
async function troubleAt({ dir, S, E, D }: Place): Promise<string[]> {
  const wrong: string[] = [];
  // A detached export may still run, and it releases its lock a moment after its last message.
  for (let i = 0; i < 200 && [S, E].some((path) => operationOn(path) !== undefined); i += 1) {
    await sleep(25);
  }
  const held = [S, E].filter((path) => operationOn(path) !== undefined);
  if (held.length > 0) wrong.push(`locked: ${held.join(', ')}`);
  for (const form of [E, join(D, '1000')]) {
    if ((await namesIn(form)).length === 0) continue;
    await verify({ source: form, progress: noProgress }).catch((error: unknown) => {
      wrong.push(`${form}: ${String(error)}`);
    });
  }
  await mkdir(join(dir, 'judge'));
  await referenceExport(S, join(dir, 'judge')).catch((error: unknown) => {
    wrong.push(`the store: ${String(error)}`);
  });
  const known = {
    [dir]: /^(S|E|D|judge)$/u,
    [S]: /^(swingstore\.sqlite(-wal|-shm)?|before-1000-.*)$/u,
    [E]: /^(\.swingsnap-operation\.json|export-.*|snapshot\..*|transcript\..*|bundle\..*)$/u,
    [D]: /^(1000|\.swingsnap\.json)$/u,
  };
  for (const [at, pattern] of Object.entries(known)) {
    const strange = (await namesIn(at)).filter((name) => !pattern.test(name));
    if (strange.length > 0) wrong.push(`left in ${at}: ${strange.join(', ')}`);
  }
  return wrong;
}

async function namesIn(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}

async function meet(one: string, other: string): Promise<string[]> {
  const place = await makePlace();
  const delay = random() < 0.5 ? 0 : random() * 300;
  const run = async (name: string, after: number): Promise<CliResult> => {
    await sleep(after);
    const args = commands[name]?.(place) ?? [];
    return runCli([...args, '--json']);
  };
  const [first, second] = await Promise.all([run(one, 0), run(other, delay)]);
  const wrong = [
    ...troubleIn(one, first),
    ...troubleIn(other, second),
    ...(await troubleAt(place)),
  ];
  const met = `seed ${seed}, ${one} with ${other} after ${delay.toFixed(0)} ms`;
  return wrong.map((what) => `${met}: ${what}`);
}

describe(`two commands at once (seed ${seed})`, { timeout: 600_000 }, () => {
  it.each(pairs)('%s and %s: each succeeds or tells a clear error', async (one, other) => {
    const wrong: string[] = [];
    for (let round = 0; round < ROUNDS; round += 1) wrong.push(...(await meet(one, other)));
    expect(wrong).toEqual([]);
  });
});
