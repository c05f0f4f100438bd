/** Threads of the built code, since threads cannot load TypeScript. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import type * as Asked from '../../../src/io/threads/asked-thread.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const built = (file: string): string => new URL(`../../../dist/${file}`, import.meta.url).href;
const { AskedThread } = (await import(built('io/threads/asked-thread.js'))) as typeof Asked;

const tempDir = useTempDir();

const MODULE = `
import { writeFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { answerOrders } from ${JSON.stringify(built('io/threads/asked-thread.js'))};
import { VerificationError } from ${JSON.stringify(built('errors.js'))};
answerOrders(() => {
  if (workerData === 'refuse') throw new VerificationError('TEST', 'cannot begin', { path: 'p' });
  let count = 0;
  return {
    answer: ({ what, bytes }) => {
      count += 1;
      if (what === 'fail') throw Object.assign(new Error('full'), { code: 'SQLITE_FULL' });
      if (what === 'die') process.exit(3);
      return { what, count, bytes };
    },
    close: () => workerData.onClose && writeFileSync(workerData.onClose, String(count)),
  };
});
`;

interface Order {
  readonly what: string;
  readonly bytes?: Uint8Array;
}

async function start(data: unknown = ''): Promise<Asked.AskedThread<Order, unknown>> {
  const file = join(await tempDir(), 'thread.mjs');
  await writeFile(file, MODULE);
  return new AskedThread<Order, unknown>(pathToFileURL(file), data, 'the thread of a test');
}

describe('a thread that is asked', () => {
  it('carries out orders one at a time, in the order of the calls', async () => {
    const thread = await start();
    await thread.ready;
    const asked = ['a', 'b', 'c'].map(async (what) => thread.ask({ what }));
    expect(await Promise.all(asked)).toMatchObject([
      { what: 'a', count: 1 },
      { what: 'b', count: 2 },
      { what: 'c', count: 3 },
    ]);
    await thread.end();
  });

  it('transfers bytes that are given away, and copies others', async () => {
    const thread = await start();
    const [given, kept] = [new Uint8Array([1, 2, 3]), new Uint8Array([4, 5])];
    expect(await thread.ask({ what: 'a', bytes: given }, [given])).toMatchObject({
      bytes: new Uint8Array([1, 2, 3]),
    });
    await thread.ask({ what: 'b', bytes: kept });
    expect([given.length, kept.length]).toEqual([0, 2]);
    await thread.end();
  });

  it('continues after a failed order, whose error keeps its system code', async () => {
    const thread = await start();
    await expect(thread.ask({ what: 'fail' })).rejects.toMatchObject({
      message: 'full',
      code: 'SQLITE_FULL',
    });
    expect(await thread.ask({ what: 'a' })).toMatchObject({ count: 2 });
    await thread.end();
  });

  it('reports its end to callers that wait, and to later ones', async () => {
    const thread = await start();
    const code = 'WORKER_FAILED';
    const waiting = [thread.ask({ what: 'die' }), thread.ask({ what: 'a' })];
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code });
    await expect(thread.ask({ what: 'a' })).rejects.toMatchObject({ code });
  });

  it('carries out pending orders, closes its resource and exits, when it is ended', async () => {
    const onClose = join(await tempDir(), 'closed');
    const thread = await start({ onClose });
    const asked = thread.ask({ what: 'a' });
    await Promise.all([thread.end(), thread.end()]);
    expect(await asked).toMatchObject({ count: 1 });
    expect(await readFile(onClose, 'utf8')).toBe('1');
    await thread.end();
  });

  it('is not ready if it cannot start, and reports why', async () => {
    const thread = await start('refuse');
    await expect(thread.ready).rejects.toMatchObject({ code: 'TEST', path: 'p' });
  });
});
