/** When the results of visits are taken, and which error is told. */
import { expect, it } from 'vitest';
import { inlinePool, type WorkerPool } from '../../src/io/threads/pool.ts';
import { given } from '../../src/io/threads/recipe.ts';
import { workerTask } from '../../src/io/threads/task.ts';
import type { Visit } from '../../src/swing-store-export/swing-store-export.ts';
import { Visits, type Made, type VisitInput } from '../../src/swing-store-export/visits.ts';

/** Milliseconds that a visit takes, or that it takes to fail. */
interface Work {
  readonly takes: number;
  readonly fails?: boolean;
  readonly until?: Promise<void>;
}

async function workFor({ rest }: VisitInput<Work>): Promise<readonly Made<object>[]> {
  await new Promise((resolve) => {
    setTimeout(resolve, rest.takes);
  });
  await rest.until;
  if (rest.fails === true) throw new Error(`failed after ${rest.takes} ms`);
  return [{ size: rest.takes, sha256: '' }];
}

const working = workerTask(import.meta.url, workFor);
const pool: WorkerPool = { ...inlinePool, concurrency: 3 };
const visit: Visit = { artifacts: [], held: 0, recipe: async () => given([]) };

it.each([
  ['in order', [60, 1, 20]],
  ['in any order', [1, 20, 60]],
] as const)('takes results %s', async (takes, expected) => {
  const visits = new Visits<Work, object>(pool, working, takes);
  const taken: unknown[] = [];
  for (const milliseconds of [60, 1, 20]) {
    await visits.begin(visit, { takes: milliseconds }, 10, (made) => {
      taken.push(made[0]?.size);
    });
  }
  await visits.end();
  expect(taken).toEqual(expected);
});

it.each(['in order', 'in any order'] as const)('tells the first error: %s', async (takes) => {
  const visits = new Visits<Work, object>(pool, working, takes);
  const began = await Promise.all(
    [{ takes: 40, fails: true }, { takes: 1, fails: true }, { takes: 2 }].map(async (work) =>
      visits.begin(visit, work, 10).then(({ digests }) => digests.catch(() => undefined)),
    ),
  ).catch((error: unknown) => [error]);
  expect(began.length).toBeGreaterThan(0);
  await expect(visits.end()).rejects.toThrow('failed after 40 ms');
});

it('lets the room of a slow visit hold back only what does not fit', async () => {
  const visits = new Visits<Work, object>(pool, working, 'in any order');
  const MIB = 1024 * 1024;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  await visits.begin(visit, { takes: 0, until: ended }, 40 * MIB);
  // Too much beside the first; once the second has been taken, there is room again.
  await visits.begin(visit, { takes: 1 }, 20 * MIB);
  await visits.begin(visit, { takes: 1 }, 1);
  end();
  await visits.end();
});
